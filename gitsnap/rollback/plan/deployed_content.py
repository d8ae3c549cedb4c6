"""What a profile deploys to a cluster before a plan and after it: documents, releases, opaque sources.

The objects that profiles refer to are given. This module must not read them, nor judge what a difference means.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gitsnap.core.errors import InputError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback.plan.steps import Action, Step
from gitsnap.rollback.plan.transitions import content_steps
from gitsnap.sveltos import kinds
from gitsnap.sveltos.clusters import ClusterObjects
from gitsnap.sveltos.documents import is_rendered, split
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.references import ADD_ON_TYPE, Reference, references, render
from gitsnap.sveltos.source_documents import SourceDocument, read_documents, texts_of

Contents = Mapping[ObjectKey, JsonObject | None]
"""Live ConfigMaps and Secrets by key; None for one that does not exist. One that could not be read is left out."""

FEATURES = {"policyRefs": "Resources", "helmCharts": "Helm", "kustomizationRefs": "Kustomize"}
"""The fields of a profile that say what is deployed -> how Sveltos calls what comes of them."""

_POLICIES = "spec.policyRefs[]"


@dataclass(frozen=True, slots=True)
class Objects:
    """What is known of the objects that profiles refer to, on one side of a plan."""

    contents: Contents
    written: Mapping[ObjectKey, Step]
    """The steps that write such objects; on the side before the plan, none."""

    @classmethod
    def before(cls, contents: Contents, steps: Iterable[Step]) -> Objects:
        """As they are live: a step knows its own object."""
        known = {step.key: step.live for step in content_steps(steps).values()}
        return cls({**contents, **known}, {})

    @classmethod
    def after(cls, contents: Contents, steps: Iterable[Step]) -> Objects:
        """As the plan leaves them."""
        return cls(contents, content_steps(steps))

    @classmethod
    def early(cls, contents: Contents, steps: Iterable[Step]) -> Objects:
        """As they are before the first step of a profile: what is deleted goes after the profiles."""
        steps = tuple(steps)
        written = {key: step for key, step in content_steps(steps).items() if step.action is not Action.DELETE}
        return cls({**contents, **{step.key: step.live for step in content_steps(steps).values()}}, written)

    def knows(self, key: ObjectKey) -> bool:
        """Whether it can be told what an object holds, or that it does not exist."""
        return key in self.written or key in self.contents

    def get(self, key: ObjectKey) -> JsonObject | None:
        """An object, None where it does not exist, or is no use to Sveltos for its type."""
        if key in self.written:
            step = self.written[key]
            return None if step.action is Action.DELETE else step.archived
        return self.contents.get(key)

    def serves(self, reference: Reference) -> bool:
        """Whether Sveltos finds what a reference names; so it seems of what cannot be looked at."""
        if not self.knows(reference.target):
            return True
        document = self.get(reference.target)
        if document is None:
            return False
        wrong_type = reference.target.kind == kinds.SECRET and document.get("type") != ADD_ON_TYPE
        return not (reference.secret_type_required and wrong_type)


@dataclass(frozen=True)
class Deployment:
    """What one profile deploys to one cluster, or to all for which it refers to the same objects."""

    document: JsonObject
    """The profile."""
    cluster: ClusterRef
    references: tuple[Reference, ...]
    objects: Objects
    views: ClusterObjects

    @classmethod
    def of(cls, profile: JsonObject, cluster: ClusterRef, objects: Objects, views: ClusterObjects) -> Deployment:
        """The deployment of a profile to a cluster."""
        return cls(profile, cluster, tuple(references(profile, (cluster,), views)), objects, views)

    @property
    def sign(self) -> tuple[Any, ...]:
        """What a deployment follows from, besides the profile itself: equal signs deploy equal documents."""
        return tuple((one.target, one.path, one.local, one.optional, one.unresolved) for one in self.references)

    @cached_property
    def failing(self) -> frozenset[str]:
        """The features whose deployment fails: a reference that is required leads nowhere, or a text is broken."""
        found = set()
        for reference in self.references:
            if reference.optional or reference.unresolved is not None or self.objects.serves(reference):
                continue
            field = reference.path.removeprefix("spec.").partition("[")[0].partition(".")[0]
            found |= {FEATURES[field]} if field in FEATURES else set(FEATURES.values()) & self.features
        return frozenset(found | {FEATURES["policyRefs"]} if self._is_broken else found)

    @property
    def _is_broken(self) -> bool:
        """Whether Sveltos refuses the text of a source as a whole, so that the deployment fails."""
        sources = [one for one in self.references if one.path == _POLICIES and one.unresolved is None]
        return any(
            document is not None and not is_rendered(document) and _is_refused(document, local=one.local)
            for one in sources
            for document in [self.objects.get(one.target)]
        )

    @cached_property
    def features(self) -> frozenset[str]:
        """The features that the profile deploys at all."""
        spec = self.document.get("spec") or {}
        return frozenset(feature for field, feature in FEATURES.items() if spec.get(field))

    @cached_property
    def _policies(self) -> tuple[tuple[SourceDocument, ...], frozenset[str]]:
        found: list[SourceDocument] = []
        opaque = set(self.remote("policyRefs"))
        for reference in self.references:
            if reference.path != _POLICIES:
                continue
            document = self.objects.get(reference.target)
            if reference.unresolved is not None or not self.objects.knows(reference.target):
                opaque.add(str(reference.target))
            elif document is not None and self.objects.serves(reference):
                texts = texts_of(document, local=reference.local)
                if texts is None:
                    opaque.add(_print(reference.target, document))
                    continue
                made, unclear = read_documents(texts)
                found += made
                # Text that is no template and no object deploys nothing.
                opaque |= {_print(key, document) for key in unclear if is_rendered(document)}
        return tuple(found), frozenset(opaque)

    @property
    def documents(self) -> tuple[SourceDocument, ...]:
        """The documents of the ConfigMaps and Secrets that it deploys."""
        return self._policies[0]

    @property
    def opaque(self) -> frozenset[str]:
        """Sources of resources whose documents are not known, each with all that is known of its content."""
        return self._policies[1]

    @cached_property
    def kustomizations(self) -> frozenset[str]:
        """The sources of the feature Kustomize, each with all that is known of its content."""
        found = set(self.remote("kustomizationRefs"))
        for reference in self.references:
            if reference.path == "spec.kustomizationRefs[]":
                document = self.objects.get(reference.target) if self.objects.knows(reference.target) else None
                found.add(_print(reference.target, document))
        return frozenset(found)

    @cached_property
    def releases(self) -> frozenset[tuple[str, str]] | None:
        """Namespace and name of the Helm releases, None where a template hides one of them."""
        found = set()
        for chart in (self.document.get("spec") or {}).get("helmCharts") or ():
            if chart.get("helmChartAction") == "Uninstall":
                continue
            names = [
                render(str(chart.get(field) or ""), self.cluster, self.views)
                for field in ("releaseNamespace", "releaseName")
            ]
            if None in names:
                return None
            found.add((str(names[0]), str(names[1])))
        return frozenset(found)

    def remote(self, field: str) -> Iterable[str]:
        """The entries of a field whose content the API does not have: by URL, or in a Flux source."""
        for entry in (self.document.get("spec") or {}).get(field) or ():
            if isinstance(entry, dict) and entry.get("remoteURL"):
                yield json.dumps([entry.get("remoteURL"), entry.get("path")], sort_keys=True)


def _is_refused(document: JsonObject, *, local: bool) -> bool:
    try:
        for text in texts_of(document, local=local) or ():
            split(text.content)
    except InputError:
        return True
    return False


def _print(key: ObjectKey, document: JsonObject | None) -> str:
    """A source and what is known of its content; two that are equal deploy the same."""
    content = (
        {field: document[field] for field in ("data", "binaryData", "spec") if field in (document or {})}
        if document
        else None
    )
    return json.dumps([str(key), content], sort_keys=True)
