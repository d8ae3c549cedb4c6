"""Which objects an object refers to, resolved for the clusters that it matches.

The table in ``reference_paths`` lists the fields that contain references. Sveltos resolves a reference by three rules
(docs/SVELTOS.md):

- Rule R: an empty namespace stands for the namespace of each matching cluster; names may be templates.
- Rule P: in a Profile, most references get the namespace of the Profile.
- Rule T: a Secret must have Sveltos' own type.

Whether a target exists is not checked here.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.sveltos import kinds
from gitsnap.sveltos.clusters import ClusterObjects, no_objects
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.reference_paths import REFERENCE_PATHS
from gitsnap.sveltos.templates import Root, TemplateError
from gitsnap.sveltos.templates import render as render_template
from gitsnap.sveltos.written_references import (
    TEMPLATE,
    Entry,
    by_cluster,
    read_entries,
)

__all__ = [
    "ADD_ON_TYPE",
    "REFERENCE_PATHS",
    "Reference",
    "Unresolved",
    "UnresolvedReason",
    "WrittenReferences",
    "references",
    "render",
]

ADD_ON_TYPE = "addons.projectsveltos.io/cluster-profile"
"""The only type of Secret from which Sveltos reads content (rule T)."""


class UnresolvedReason(enum.StrEnum):
    """Why the target of a reference is not in a sample. The values are part of the archive format."""

    NOT_FOUND = "not-found"
    OPTIONAL = "optional"
    """Not found, and Sveltos deploys without the target."""
    FORBIDDEN = "forbidden"
    TEMPLATE = "template"
    WRONG_TYPE = "wrong-type"
    OMITTED = "omitted"
    """Left out on purpose: by the secrets mode, or because a controller generated the target."""


@dataclass(frozen=True, slots=True, order=True)
class Unresolved:
    """A reference whose target is not in the sample. Namespace and name of the target may be the text of a template."""

    by: ObjectKey
    target: ObjectKey
    reason: UnresolvedReason


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference from one object to another."""

    by: ObjectKey
    """The object that refers."""
    target: ObjectKey
    path: str
    """The field that contains the reference, such as ``spec.policyRefs[]``."""
    optional: bool = False
    """Whether Sveltos deploys without the target."""
    secret_type_required: bool = False
    """Whether Sveltos refuses a Secret of another type than ADD_ON_TYPE here (rule T)."""
    unresolved: UnresolvedReason | None = None
    """TEMPLATE if gitsnap cannot evaluate the name or namespace; ``target`` then contains the text of the templates."""
    local: bool = False
    """Whether the content is deployed to the management cluster (``deploymentType: Local``)."""
    identifier: str = ""
    """The name of the target in templates (``templateResourceRefs[].identifier``)."""

    def as_unresolved(self, reason: UnresolvedReason | None = None) -> Unresolved:
        """The record of a target that is not in the sample.

        Without ``reason``, the reason is that of the reference itself, or that the target does not exist.
        """
        return Unresolved(self.by, self.target, reason or self.unresolved or self.absent)

    @property
    def absent(self) -> UnresolvedReason:
        """The reason to record if the target does not exist."""
        return UnresolvedReason.OPTIONAL if self.optional else UnresolvedReason.NOT_FOUND


def references(
    document: JsonObject, clusters: Iterable[ClusterRef], objects: ClusterObjects = no_objects
) -> Iterator[Reference]:
    """The references of an object that matches ``clusters``, as ``WrittenReferences.resolve`` yields them."""
    return WrittenReferences(document).resolve(clusters, objects)


class WrittenReferences:
    """The references as an object writes them, in the order of the table and of the object's lists."""

    def __init__(self, document: JsonObject) -> None:
        self._by = ObjectKey.of(document)
        self._entries = list(read_entries(document))
        self._dependent = [entry for entry in self._entries if entry.depends_on_cluster]
        self.depend_on_clusters = bool(self._dependent)
        """Whether the targets may differ from cluster to cluster. If not, ``resolve`` ignores the clusters."""

    def resolve(self, clusters: Iterable[ClusterRef], objects: ClusterObjects = no_objects) -> Iterator[Reference]:
        """The references for ``clusters``.

        ``objects`` returns the object of a cluster for the evaluation of templates. A target occurs once per entry,
        even if several clusters lead to it. A reference without templates and with a namespace does not depend on
        clusters: it is yielded even if no cluster matches.
        """
        return self._resolve(self._entries, sorted(clusters) if self.depend_on_clusters else [], objects)

    def resolve_dependent(self, cluster: ClusterRef, objects: ClusterObjects) -> Iterator[Reference]:
        """The references that depend on the cluster, resolved for one cluster."""
        return self._resolve(self._dependent, [cluster], objects)

    def _resolve(
        self, entries: Iterable[Entry], clusters: list[ClusterRef], objects: ClusterObjects
    ) -> Iterator[Reference]:
        by = self._by
        for entry in entries:
            written, path, required = entry.written, entry.row.path, entry.secret_type_required
            for target, unresolved in _resolve(entry, by, clusters, objects):
                yield Reference(by, target, path, entry.optional, required, unresolved, written.local, entry.identifier)


def render(
    template: str, cluster: ClusterRef, objects: ClusterObjects = no_objects, *, escape: bool = True
) -> str | None:
    """The text of a template for one cluster; None if gitsnap cannot evaluate the template.

    Text without an action is returned unchanged. ``escape`` applies the escapes of Go's html/template, which Sveltos
    uses for names and namespaces. Sveltos uses text/template, which does not escape, for content and for every template
    of an EventTrigger.
    """
    if TEMPLATE not in template:
        return template
    root = Root(name=cluster.name, namespace=cluster.namespace, fetch=lambda: objects(cluster))
    try:
        return render_template(template, root, escape=escape)
    except TemplateError:
        return None


# Targets --------------------------------------------------------------------------------------------------------------


def _resolve(
    entry: Entry, by: ObjectKey, clusters: list[ClusterRef], objects: ClusterObjects
) -> Iterator[tuple[ObjectKey, UnresolvedReason | None]]:
    """Each target of a reference, with the reason if it cannot be resolved."""
    written = entry.written
    names: Iterable[tuple[str, str] | None] = [(written.name, entry.namespace)]
    if entry.depends_on_cluster:
        # The references of a managed cluster are resolved for that cluster.
        resolved_for = [ClusterRef.of_key(by)] if by.kind in kinds.CLUSTER_KINDS else clusters
        names = (_evaluate(entry, by, cluster, objects) for cluster in resolved_for)
    seen: set[tuple[ObjectKey, UnresolvedReason | None]] = set()
    for evaluated in dict.fromkeys(names):
        if evaluated is not None:
            target, reason = entry.target(*evaluated), None
        else:
            target, reason = ObjectKey(written.kind, entry.namespace, written.name), UnresolvedReason.TEMPLATE
        if target is not None and (target, reason) not in seen:
            seen.add((target, reason))
            yield target, reason


def _evaluate(entry: Entry, by: ObjectKey, cluster: ClusterRef, objects: ClusterObjects) -> tuple[str, str] | None:
    """Name and namespace of the target for one cluster; None if gitsnap cannot evaluate a template."""
    row, written, namespace = entry.row, entry.written, entry.namespace
    escape = by.kind != kinds.EVENT_TRIGGER
    name = render(written.name, cluster, objects, escape=escape) if row.templated else written.name
    rendered = render(namespace, cluster, objects, escape=escape) if row.templated else namespace
    if name is None or rendered is None:
        return None
    if not namespace and by_cluster(row, written.kind):
        rendered = cluster.namespace
    # An empty name renders to the namespace of the cluster, a quirk of Sveltos (lib/template/referenced_resource.go).
    return name or cluster.namespace, rendered
