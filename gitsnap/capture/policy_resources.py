"""Lists of the kinds that a policy adds (``spec.resources``): by namespace, label and name.

Secrets are always listed by namespace, so that no list has all Secrets of a cluster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gitsnap.capture.pinned_list import Lister, ObjectPage
from gitsnap.core.errors import ClusterError, InputError
from gitsnap.core.model import Kind, ObjectKey, ResourceSelector, ResourceType
from gitsnap.core.ports import Cluster
from gitsnap.sveltos.kinds import NAMESPACE, SECRET

_FEW_NAMESPACES = 8
"""Up to this many named namespaces are listed one by one: the permissions may be limited to these namespaces."""


def selectors_by_kind(selectors: Sequence[ResourceSelector]) -> dict[Kind, list[ResourceSelector]]:
    """The selectors of each kind, sorted by group and name of the kind."""
    by_kind: dict[Kind, list[ResourceSelector]] = {}
    for selector in sorted(selectors):
        by_kind.setdefault(selector.kind, []).append(selector)
    return by_kind


def selected_pages(
    cluster: Cluster,
    lister: Lister,
    resource: ResourceType,
    selectors: Sequence[ResourceSelector],
    *,
    metadata_only: bool,
    matched: set[ResourceSelector] | None = None,
) -> Iterator[ObjectPage]:
    """The pages of the lists that the selectors of one kind need, each with the selected objects.

    An object that several selectors match is on one page only. The selectors that match an object are added to
    ``matched``. Raises the errors of ``Lister.pages``, and InputError for a selector that names namespaces of a
    cluster-scoped kind.
    """
    selected: set[ObjectKey] = set()
    for selector in selectors:
        if selector.namespaces and not resource.namespaced:
            raise InputError(
                f"spec.resources or --resources: the kind {resource.kind} is cluster-scoped, but an entry has the "
                f"namespaces {', '.join(selector.namespaces)}",
                hint="Remove the namespaces from the entry.",
            )
        for namespace in _namespaces(cluster, lister, resource, selector):
            for page in lister.pages(
                resource, namespace=namespace, label_selector=selector.label_selector, metadata_only=metadata_only
            ):
                matching = [entry for entry in page.entries if selector.covers(entry.key)]
                if matching and matched is not None:
                    matched.add(selector)
                yield page.select([entry for entry in matching if entry.key not in selected])
                selected.update(entry.key for entry in matching)


def _namespaces(cluster: Cluster, lister: Lister, resource: ResourceType, selector: ResourceSelector) -> Sequence[str]:
    """The namespaces to list; ``""`` for one list of all namespaces. A server is never asked for all Secrets."""
    names = selector.namespaces
    has_globs = any("*" in name or "?" in name for name in names)
    if resource.kind == SECRET:
        if names and not has_globs:
            return names
        return [name for name in _all_namespaces(cluster, lister) if not name or selector.covers_namespace(name)]
    if not resource.namespaced or not names or has_globs or len(names) > _FEW_NAMESPACES:
        return ("",)
    return names


def _all_namespaces(cluster: Cluster, lister: Lister) -> Sequence[str]:
    """The names of all namespaces. ``""`` alone for a folder of files, which may lack the Namespace of an object."""
    if cluster.info().is_folder:
        return ("",)
    resource = cluster.resource_type(NAMESPACE)
    if resource is None:
        raise ClusterError("the API server does not serve Namespaces", hint="Is this a Kubernetes API server?")
    return sorted(entry.key.name for page in lister.pages(resource, metadata_only=True) for entry in page.entries)
