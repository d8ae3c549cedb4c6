"""Reads the objects of the kinds that a policy adds: by namespaces, labels and names, at the capture's instant.

This module must not decide what is kept of an object.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gitsnap.capture.listing import Lister
from gitsnap.model import JsonObject, Kind, ObjectKey, ResourceSelector, ResourceType
from gitsnap.ports import Page

_FEW_NAMESPACES = 8
"""Up to this many namespaces that are named without globs are listed one by one: rights may end at a namespace."""


def selectors_by_kind(selectors: Sequence[ResourceSelector]) -> dict[Kind, list[ResourceSelector]]:
    """The selectors of each kind, by group and name."""
    found: dict[Kind, list[ResourceSelector]] = {}
    for selector in sorted(selectors):
        found.setdefault(selector.kind, []).append(selector)
    return found


def selected_pages(
    lister: Lister, resource: ResourceType, selectors: Sequence[ResourceSelector], *, metadata_only: bool
) -> Iterator[tuple[Page, Sequence[JsonObject]]]:
    """The pages of the lists that the selectors of one kind need, each with those of its objects that are selected.

    An object that several selectors mean is given once. Raises what ``Lister.pages`` raises.
    """
    given: set[ObjectKey] = set()
    for selector in selectors:
        for namespace in _namespaces(selector, resource):
            for page in lister.pages(
                resource, namespace=namespace, label_selector=selector.label_selector, metadata_only=metadata_only
            ):
                fitting = [raw for raw in page.items if selector.covers(ObjectKey.of(raw))]
                yield page, [raw for raw in fitting if ObjectKey.of(raw) not in given]
                given.update(map(ObjectKey.of, fitting))


def _namespaces(selector: ResourceSelector, resource: ResourceType) -> tuple[str, ...]:
    """The namespaces to list, ``""`` for all at once."""
    named = selector.namespaces
    globs = any("*" in one or "?" in one for one in named)
    if not resource.namespaced or not named or globs or len(named) > _FEW_NAMESPACES:
        return ("",)
    return named
