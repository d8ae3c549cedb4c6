"""What a profile deploys to a cluster before or after a plan: documents, Helm releases and opaque sources.

A source is opaque if gitsnap cannot determine the documents that it deploys. Callers pass the objects that profiles
refer to.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from gitsnap.core.errors import InputError
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback.plan.steps import Action, Step
from gitsnap.rollback.plan.transitions import content_steps
from gitsnap.sveltos import kinds
from gitsnap.sveltos.documents import is_rendered, split
from gitsnap.sveltos.references import ADD_ON_TYPE, Reference
from gitsnap.sveltos.source_documents import SourceDocument, read_documents, texts_of

Contents = Mapping[ObjectKey, JsonObject | None]
"""Live ConfigMaps and Secrets by key; None for an object that does not exist. Unreadable objects are missing."""

FEATURES = {"policyRefs": "Resources", "helmCharts": "Helm", "kustomizationRefs": "Kustomize"}
"""The fields of a profile that define what it deploys -> the feature that Sveltos reports for the field."""

POLICIES = "spec.policyRefs[]"
KUSTOMIZATIONS = "spec.kustomizationRefs[]"
"""The fields of a profile with the sources of its features Resources and Kustomize."""


@dataclass(frozen=True, eq=False)
class Source:
    """A ConfigMap, Secret or Flux source that profiles deploy. Its text is parsed once for all deployments."""

    key: ObjectKey
    document: JsonObject
    local: bool
    """Whether the documents are deployed to the management cluster."""

    @cached_property
    def is_invalid(self) -> bool:
        """Whether Sveltos rejects the whole text, so that the deployment fails."""
        if is_rendered(self.document):
            return False
        try:
            for text in texts_of(self.document, local=self.local) or ():
                split(text.content)
        except InputError:
            return True
        return False

    @cached_property
    def content(self) -> tuple[tuple[SourceDocument, ...], frozenset[str]]:
        """The documents that are deployed, and identifiers of content that gitsnap cannot split into documents."""
        texts = texts_of(self.document, local=self.local)
        if texts is None:
            return (), frozenset({_content_id(self.key, self.document)})
        documents, unclear = read_documents(texts)
        # A text that is neither a template nor an object deploys nothing.
        opaque = {_content_id(key, self.document) for key in unclear if is_rendered(self.document)}
        return tuple(documents), frozenset(opaque)


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects that profiles refer to, as far as they are known, before or after a plan."""

    contents: Contents
    written: Mapping[ObjectKey, Step]
    """The steps that have written such objects; empty before the plan."""
    _sources: dict[tuple[ObjectKey, bool], Source] = field(default_factory=dict)

    @classmethod
    def before(cls, contents: Contents, steps: Iterable[Step]) -> Objects:
        """The live objects. A step has the live object that it writes."""
        live = {step.key: step.live for step in content_steps(steps).values()}
        return cls({**contents, **live}, {})

    @classmethod
    def after(cls, contents: Contents, steps: Iterable[Step]) -> Objects:
        """The objects after the plan."""
        return cls(contents, content_steps(steps))

    @classmethod
    def early(cls, contents: Contents, steps: Iterable[Step]) -> Objects:
        """The objects before the first step of a profile. Deletions come after the profiles."""
        by_key = content_steps(steps)
        live = {key: step.live for key, step in by_key.items()}
        written = {key: step for key, step in by_key.items() if step.action is not Action.DELETE}
        return cls({**contents, **live}, written)

    def knows(self, key: ObjectKey) -> bool:
        """Whether the content of an object, or its absence, is known."""
        return key in self.written or key in self.contents

    def get(self, key: ObjectKey) -> JsonObject | None:
        """An object, None if it does not exist or is unknown."""
        if key in self.written:
            step = self.written[key]
            return None if step.action is Action.DELETE else step.archived
        return self.contents.get(key)

    def serves(self, reference: Reference) -> bool:
        """Whether Sveltos finds a usable target of a reference. An unknown target counts as usable."""
        if not self.knows(reference.target):
            return True
        document = self.get(reference.target)
        if document is None:
            return False
        wrong_type = reference.target.kind == kinds.SECRET and document.get("type") != ADD_ON_TYPE
        return not (reference.secret_type_required and wrong_type)

    def source(self, reference: Reference) -> Source | None:
        """The target of a reference, None if it does not exist or is unknown."""
        name = reference.target, reference.local
        if name not in self._sources:
            document = self.get(reference.target)
            if document is None:
                return None
            self._sources[name] = Source(reference.target, document, reference.local)
        return self._sources[name]


@dataclass(frozen=True, eq=False)
class Deployment:
    """What one profile deploys to all clusters for which its references and Helm releases are the same."""

    document: JsonObject
    """The profile."""
    references: tuple[Reference, ...]
    releases: frozenset[tuple[str, str]] | None
    """Namespace and name of each Helm release; None if an unresolved template names a release."""
    objects: Objects

    @cached_property
    def failing(self) -> frozenset[str]:
        """The features whose deployment fails: the target of a required reference or valid YAML is missing."""
        failing = set()
        for reference in self.references:
            if reference.optional or reference.unresolved is not None or self.objects.serves(reference):
                continue
            field = reference.path.removeprefix("spec.").partition("[")[0].partition(".")[0]
            failing |= {FEATURES[field]} if field in FEATURES else set(FEATURES.values()) & self.features
        return frozenset(failing | {FEATURES["policyRefs"]} if self._has_invalid_source else failing)

    @property
    def _has_invalid_source(self) -> bool:
        """Whether Sveltos rejects the whole text of a source, so that the deployment fails."""
        for reference in self.references:
            if reference.path != POLICIES or reference.unresolved is not None:
                continue
            source = self.objects.source(reference)
            if source is not None and source.is_invalid:
                return True
        return False

    @cached_property
    def features(self) -> frozenset[str]:
        """The features that the profile deploys."""
        spec = self.document.get("spec") or {}
        return frozenset(feature for field, feature in FEATURES.items() if spec.get(field))

    @cached_property
    def _policies(self) -> tuple[tuple[SourceDocument, ...], frozenset[str]]:
        documents: list[SourceDocument] = []
        opaque = set(self._remote_entries("policyRefs"))
        for reference in self.references:
            if reference.path != POLICIES:
                continue
            source = self.objects.source(reference)
            if reference.unresolved is not None or not self.objects.knows(reference.target):
                opaque.add(str(reference.target))
            elif source is not None and self.objects.serves(reference):
                documents += source.content[0]
                opaque |= source.content[1]
        return tuple(documents), frozenset(opaque)

    @property
    def documents(self) -> tuple[SourceDocument, ...]:
        """The documents that the profile deploys from ConfigMaps and Secrets."""
        return self._policies[0]

    @property
    def opaque(self) -> frozenset[str]:
        """The opaque sources of the feature Resources, each as an identifier of its known content."""
        return self._policies[1]

    @cached_property
    def kustomizations(self) -> frozenset[str]:
        """The sources of the feature Kustomize, each as an identifier of its known content."""
        sources = set(self._remote_entries("kustomizationRefs"))
        for reference in self.references:
            if reference.path == KUSTOMIZATIONS:
                document = self.objects.get(reference.target) if self.objects.knows(reference.target) else None
                sources.add(_content_id(reference.target, document))
        return frozenset(sources)

    def _remote_entries(self, field: str) -> Iterable[str]:
        """The entries of a field that refer to a URL, each as an identifier."""
        for entry in (self.document.get("spec") or {}).get(field) or ():
            if isinstance(entry, dict) and entry.get("remoteURL"):
                yield json.dumps([entry.get("remoteURL"), entry.get("path")], sort_keys=True)


def _content_id(key: ObjectKey, document: JsonObject | None) -> str:
    """An identifier of a source and its known content. Sources with equal identifiers deploy the same."""
    content = (
        {field: document[field] for field in ("data", "binaryData", "spec") if field in (document or {})}
        if document
        else None
    )
    return json.dumps([str(key), content], sort_keys=True)
