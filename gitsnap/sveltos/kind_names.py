"""Finds the kinds that a word of the command line names, by the rules of kubectl.

A word is the singular, the plural or a short name of a kind, in any case: ``ConfigMap``, ``configmaps``, ``cm``. The
group may follow it: ``clusterprofiles.config.projectsveltos.io``. An API version before the group is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from gitsnap.core.errors import UsageError
from gitsnap.core.model import Area, JsonObject, Kind
from gitsnap.core.suggestions import closest
from gitsnap.format import decode_object, kind_folder
from gitsnap.kube.api_resources import API_RESOURCES, CUSTOM_RESOURCE_DEFINITION
from gitsnap.sveltos.kinds import BY_KIND

if TYPE_CHECKING:
    from gitsnap.core.ports import Tree

WELL_KNOWN_KINDS = frozenset(BY_KIND) | frozenset(API_RESOURCES)
"""The kinds whose names gitsnap knows without a sample or a cluster."""

_VERSION = re.compile(r"\.v\d+(?:(?:alpha|beta)\d+)?(?=\.)")


@dataclass(frozen=True, slots=True)
class KindNames:
    """The kinds that a command may mean."""

    present: frozenset[Kind] = frozenset()
    """The kinds that the command looks at, such as the kinds of a sample. They take precedence over other kinds."""
    read_definitions: Callable[[], Iterable[JsonObject]] = tuple
    """Returns CustomResourceDefinitions. Called only for a word that names no present or well-known kind."""

    @classmethod
    def of_tree(cls, tree: Tree) -> KindNames:
        """The kinds that a tree has, or that its capture could not read, and its CustomResourceDefinitions."""
        unread = (incomplete.kind for incomplete in tree.incomplete)
        return cls(kinds_of_tree(tree).union(unread), lambda: definitions_of_tree(tree))

    def kinds_named(self, word: str) -> frozenset[Kind]:
        """The kinds that a word names; empty for an unknown word.

        The first source with such a kind decides: ``present``, the well-known kinds, the CustomResourceDefinitions.
        Several kinds have the same name if their groups differ. A word that is exactly the kind and the group
        (``Kind.__str__``) names only that kind.
        """
        for written in dict.fromkeys([word, _VERSION.sub("", word, count=1)]):
            named = frozenset(kind for kind in self.present if is_name_of(written, kind))
            named = named or frozenset(kind for kind in WELL_KNOWN_KINDS if is_name_of(written, kind))
            named = named or frozenset(_named_by_definitions(written, self.read_definitions()))
            if named:
                return frozenset(kind for kind in named if str(kind) == written) or named
        return frozenset()

    def kind_named(self, word: str) -> Kind | None:
        """The kind that a word names; None for an unknown word. Raises UsageError if the word names several kinds."""
        named = sorted(self.kinds_named(word))
        if len(named) > 1:
            raise UsageError(
                f"the kind {word} is ambiguous: {' or '.join(map(str, named))}", hint="Write the kind with its group."
            )
        return named[0] if named else None

    def closest(self, word: str) -> list[str]:
        """The names of present kinds that are similar to a word, otherwise of well-known kinds; at most five."""
        sources = (self.present, WELL_KNOWN_KINDS)
        return next(filter(None, (closest(word, {kind.name for kind in kinds}) for kinds in sources)), [])


def is_name_of(word: str, kind: Kind) -> bool:
    """Whether a word names this kind."""
    return word.lower() in _names_of(kind)


def known_namespaced(kind: Kind) -> bool | None:
    """Whether a well-known kind is namespaced; None for any other kind."""
    if (row := BY_KIND.get(kind)) is not None:
        return row.namespaced
    resource = API_RESOURCES.get(kind)
    return resource.resource.namespaced if resource is not None else None


@lru_cache(maxsize=1024)
def _names_of(kind: Kind) -> frozenset[str]:
    """The names of a kind in lower case. A kind that is not well known has the plural of the API convention."""
    singular = kind.name.lower()
    if (row := BY_KIND.get(kind)) is not None:
        others: tuple[str, ...] = (row.plural, *row.short_names)
    else:
        others = ()
    if (resource := API_RESOURCES.get(kind)) is not None:
        others += (resource.resource.plural, *resource.short_names)
    return _with_group(kind.group, {singular, *(others or (_plural(singular),))})


def resource_names(kind: Kind) -> frozenset[str]:
    """The possible resource names of a kind: its plural, as far as it is known or follows the API convention."""
    if (row := BY_KIND.get(kind)) is not None:
        return frozenset({row.plural})
    if (resource := API_RESOURCES.get(kind)) is not None:
        return frozenset({resource.resource.plural})
    return frozenset({_plural(kind.name.lower())})


def _with_group(group: str, names: Iterable[str]) -> frozenset[str]:
    return frozenset(form for name in names for form in (name, f"{name}.{group}" if group else name))


def _plural(singular: str) -> str:
    """The resource name of a kind by the API convention: ``networkpolicies``, ``ingresses``, ``deployments``."""
    if singular.endswith("y") and singular[-2:-1] not in "aeiou":
        return f"{singular[:-1]}ies"
    return f"{singular}es" if singular.endswith(("s", "x", "ch", "sh")) else f"{singular}s"


def possible_singulars(word: str) -> frozenset[str]:
    """The word itself, and every singular whose plural by the API convention is the word."""
    stems = {word, word.removesuffix("s"), word.removesuffix("es"), f"{word.removesuffix('ies')}y"}
    return frozenset(stem for stem in stems if word in (stem, _plural(stem)))


def _named_by_definitions(word: str, definitions: Iterable[JsonObject]) -> Iterator[Kind]:
    """Yield the kinds whose CustomResourceDefinitions declare a name."""
    for definition in definitions:
        spec = definition.get("spec") or {}
        names, group = spec.get("names") or {}, str(spec.get("group") or "")
        kind = Kind(group, str(names.get("kind") or ""))
        declared = [kind.name, names.get("plural"), names.get("singular"), *(names.get("shortNames") or ())]
        if kind.name and word.lower() in _with_group(group, {str(name).lower() for name in declared if name}):
            yield kind


@runtime_checkable
class _FolderIndex(Protocol):
    """core.ports.FolderIndex. Loading the ports takes as long as finding an object of a sample."""

    def folder(self, path: str) -> Mapping[str, tuple[str, bool]]:
        """Return the entries of a folder by name: the id, and whether the entry is a folder."""


def kinds_of_tree(tree: Tree) -> frozenset[Kind]:
    """The kinds of the objects in a tree."""
    files = tree.files(Area.CONFIGURATION)
    if isinstance(files, _FolderIndex):
        namespaces = [name for name, (_, is_folder) in files.folder("").items() if is_folder]
        entries = (entry for namespace in namespaces for entry in files.folder(f"{namespace}/").items())
        folders = {name for name, (_, is_folder) in entries if is_folder}
    else:
        folders = {path.split("/")[1] for path in files if path.count("/") == 2}
    return frozenset(map(Kind.parse, folders))


def definitions_of_tree(tree: Tree) -> Iterator[JsonObject]:
    """Yield the CustomResourceDefinitions of a tree."""
    folder = kind_folder(CUSTOM_RESOURCE_DEFINITION)
    for path, blob in tree.files(Area.CONFIGURATION).items():
        if path.split("/")[1:2] == [folder]:
            yield decode_object(tree.read(blob), f"{Area.CONFIGURATION}/{path}")
