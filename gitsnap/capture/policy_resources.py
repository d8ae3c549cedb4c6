"""Reads the objects of the kinds that a policy adds: by namespaces, labels and names, at the capture's instant.

Secrets are always listed by namespace, so that no list ever brings all Secrets of a cluster.
This module must not decide what is kept of an object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from gitsnap.capture.pinned_list import Lister
from gitsnap.core.errors import ClusterError, InputError
from gitsnap.core.model import JsonObject, Kind, ObjectKey, ResourceSelector, ResourceType
from gitsnap.core.ports import Cluster, Page
from gitsnap.sveltos.kinds import NAMESPACE, SECRET

_FEW_NAMESPACES = 8
"""Up to this many namespaces that are named without globs are listed one by one: rights may end at a namespace."""


def selectors_by_kind(selectors: Sequence[ResourceSelector]) -> dict[Kind, list[ResourceSelector]]:
    """The selectors of each kind, by group and name."""
    found: dict[Kind, list[ResourceSelector]] = {}
    for selector in sorted(selectors):
        found.setdefault(selector.kind, []).append(selector)
    return found


def selected_pages(
    cluster: Cluster,
    lister: Lister,
    resource: ResourceType,
    selectors: Sequence[ResourceSelector],
    *,
    metadata_only: bool,
) -> Iterator[tuple[Page, Sequence[JsonObject]]]:
    """The pages of the lists that the selectors of one kind need, each with those of its objects that are selected.

    An object that several selectors mean is given once. Raises what ``Lister.pages`` raises, and InputError for a
    selector that names namespaces of a kind without namespaces.
    """
    given: set[ObjectKey] = set()
    for selector in selectors:
        if selector.namespaces and not resource.namespaced:
            raise InputError(
                f"spec.resources or --resources: objects of the kind {resource.kind} are in no namespace, and "
                f"{', '.join(selector.namespaces)} is named",
                hint="Leave the namespaces of this kind out.",
            )
        for namespace in _namespaces(selector, resource, partial(_every_namespace, cluster, lister)):
            for page in lister.pages(
                resource, namespace=namespace, label_selector=selector.label_selector, metadata_only=metadata_only
            ):
                fitting = [raw for raw in page.items if selector.covers(ObjectKey.of(raw))]
                yield page, [raw for raw in fitting if ObjectKey.of(raw) not in given]
                given.update(map(ObjectKey.of, fitting))


def _namespaces(
    selector: ResourceSelector, resource: ResourceType, every_namespace: Callable[[], Sequence[str]]
) -> Sequence[str]:
    """The namespaces to list, ``""`` for all at once. Secrets are listed by namespace in any case."""
    named = selector.namespaces
    globs = any("*" in name or "?" in name for name in named)
    if resource.kind == SECRET:
        if named and not globs:
            return named
        return [name for name in every_namespace() if not name or selector.covers_namespace(name)]
    if not resource.namespaced or not named or globs or len(named) > _FEW_NAMESPACES:
        return ("",)
    return named


def _every_namespace(cluster: Cluster, lister: Lister) -> Sequence[str]:
    """The names of all namespaces; ``""`` alone for a folder, where the Namespace of an object may be missing."""
    if cluster.info().is_folder:
        return ("",)
    resource = cluster.resource_type(NAMESPACE)
    if resource is None:
        raise ClusterError("the API server does not serve Namespaces", hint="Is this a Kubernetes API server?")
    pages = lister.pages(resource, metadata_only=True)
    return sorted(ObjectKey.of(raw).name for page in pages for raw in page.items)
