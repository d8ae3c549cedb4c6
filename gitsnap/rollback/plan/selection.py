"""The selection of a rollback: the names that the user typed, resolved to objects of a sample.

Several names select the union of their objects. A name that matches no object, or more than one, is an error that lists
the candidates: to roll back the wrong object would be the worst outcome. This module reads nothing of a document but
its labels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from gitsnap.core.errors import NotFoundError, UsageError
from gitsnap.core.model import IncompleteKind, JsonObject, Kind, ObjectKey
from gitsnap.core.suggestions import nearest
from gitsnap.kube.label_selectors import matches_all, parse_requirements
from gitsnap.sveltos import kinds
from gitsnap.sveltos.kind_names import KindNames
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.restore import restorable


@dataclass(frozen=True, slots=True)
class Selection:
    """The options of the user; an empty selection means the whole sample.

    Namespaces alone select the ConfigMaps, Secrets and clusters in these namespaces. Together with names they restrict
    the namespaces of the named objects. The field names are part of the plan file.
    """

    namespaces: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    """``name``, ``capi--name``, ``ns/name`` or ``ns/sveltos--name``."""
    clusterprofiles: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    """``name`` or ``ns/name``."""
    classifiers: tuple[str, ...] = ()
    rolerequests: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    """``KIND[/NS]/NAME``. The kind is any word that KindNames accepts, such as ``cm``."""
    excepted: tuple[str, ...] = ()
    """Objects to leave alone, in the form of ``resources``."""
    labels: str = ""
    """Restricts the selection to objects with these labels in the sample: a selector as for ``kubectl -l``."""
    with_references: bool = False
    """Adds referenced objects: ConfigMaps, Secrets, Flux sources, EventSources, HealthChecks."""
    keys: tuple[ObjectKey, ...] = ()
    """For an undo: exactly these objects. Keys that are not in the sample are ignored."""

    @property
    def everything(self) -> bool:
        """Whether the selection is the whole sample."""
        return not self.namespaces and not self._names and not self.keys

    @property
    def is_partial(self) -> bool:
        """Whether the selection leaves out objects of the sample that the user may mean. An undo leaves none out."""
        return not self.keys and (not self.everything or bool(self.labels or self.excepted))

    @property
    def _names(self) -> bool:
        return bool(
            self.clusters
            or self.clusterprofiles
            or self.profiles
            or self.classifiers
            or self.rolerequests
            or self.resources
        )

    def covers_kind(self, kind: Kind) -> bool:
        """Whether the selection includes objects of a kind regardless of their names."""
        if self.keys:
            return False
        return self.everything or (bool(self.namespaces) and not self._names and kind in _NAMESPACE_KINDS)

    def covers_namespace(self, namespace: str) -> bool:
        """Whether the selection includes a namespace."""
        return not self.namespaces or namespace in self.namespaces

    def covers(self, key: ObjectKey) -> bool:
        """Whether the selection includes an object without naming it."""
        return self.covers_kind(key.kind) and (not key.namespace or self.covers_namespace(key.namespace))

    def named_kinds(self, keys: Collection[ObjectKey]) -> frozenset[Kind]:
        """The kinds of the named and excepted objects. ``keys`` are all known objects, which may be of other kinds."""
        return frozenset[Kind]().union(*(term.kinds for term in (*_terms(self, keys), *_excepted(self, keys))))

    def with_kinds_named(self, names: KindNames) -> Selection:
        """The selection with kinds in place of words that only CustomResourceDefinitions in ``names`` explain."""

        def spell(text: str) -> str:
            word, slash, name = text.partition("/")
            kind = names.kind_named(word) if slash and not KindNames(names.present).kinds_named(word) else None
            return f"{kind}/{name}" if kind is not None else text

        resources, excepted = tuple(map(spell, self.resources)), tuple(map(spell, self.excepted))
        return replace(self, resources=resources, excepted=excepted)

    def exception_filter(self, keys: Collection[ObjectKey]) -> Callable[[ObjectKey], bool]:
        """A function that returns whether --except names an object. ``keys`` are all known objects.

        Raises NotFoundError or UsageError for an exception whose kind is unknown.
        """
        terms = _excepted(self, keys)
        return lambda key: any(term.matches(key) for term in terms)


@dataclass(frozen=True, slots=True)
class _Term:
    """One name of the selection."""

    typed: str
    """The option with its value, for messages: ``--profile team-a/base``."""
    kinds: frozenset[Kind]
    namespace: str
    name: str

    def matches(self, key: ObjectKey) -> bool:
        """Whether an object has this name, and this namespace if the term has one."""
        if key.kind not in self.kinds or (self.namespace and self.namespace != key.namespace):
            return False
        return self.name == key.name or (key.kind in kinds.CLUSTER_KINDS and self.name == _qualified_name(key))


_NAMESPACE_KINDS = kinds.REFERENCED_KINDS | kinds.CLUSTER_KINDS
"""What ``--namespace`` alone selects."""


def resolve(
    selection: Selection, keys: Collection[ObjectKey], *, incomplete: Collection[IncompleteKind] = ()
) -> frozenset[ObjectKey]:
    """The objects among ``keys`` that the selection names or covers, without labels and references.

    ``incomplete`` are the kinds and objects that could not be read when the sample was taken. Raises NotFoundError for
    a name that matches no object, UsageError for a name that matches several objects or is malformed.
    """
    if selection.keys:
        return frozenset(key for key in selection.keys if key in keys)
    excepted = {_find(term, selection, keys, incomplete) for term in _excepted(selection, keys)}
    if selection.everything:
        return frozenset(key for key in keys if restorable(key.kind)) - excepted
    terms = list(_terms(selection, keys))
    if not terms:
        return frozenset(_in_namespaces(selection, keys)) - excepted
    return frozenset(_find(term, selection, keys, incomplete) for term in terms) - excepted


def _in_namespaces(selection: Selection, keys: Iterable[ObjectKey]) -> Iterator[ObjectKey]:
    candidates = [key for key in keys if key.kind in _NAMESPACE_KINDS]
    present = {key.namespace for key in candidates}
    for namespace in selection.namespaces:
        if namespace not in present:
            raise NotFoundError(
                f"the sample has no ConfigMap, Secret or cluster in the namespace {namespace!r}",
                hint=_nearest(namespace, present),
            )
    return (key for key in candidates if key.namespace in selection.namespaces)


def _terms(selection: Selection, keys: Collection[ObjectKey]) -> Iterator[_Term]:
    flags: tuple[tuple[str, tuple[str, ...], frozenset[Kind]], ...] = (
        ("--cluster", selection.clusters, kinds.CLUSTER_KINDS),
        ("--clusterprofile", selection.clusterprofiles, frozenset({kinds.CLUSTER_PROFILE})),
        ("--profile", selection.profiles, frozenset({kinds.PROFILE})),
        ("--classifier", selection.classifiers, frozenset({kinds.CLASSIFIER})),
        ("--rolerequest", selection.rolerequests, frozenset({kinds.ROLE_REQUEST})),
    )
    for flag, texts, of_kinds in flags:
        for text in texts:
            namespace, _, name = text.rpartition("/")
            yield _checked(_Term(f"{flag} {text}", of_kinds, namespace, name))
    for text in selection.resources:
        yield _resource_term("--resource", text, keys)


def _excepted(selection: Selection, keys: Collection[ObjectKey]) -> list[_Term]:
    return [_resource_term("--except", text, keys) for text in selection.excepted]


def _resource_term(flag: str, text: str, keys: Collection[ObjectKey]) -> _Term:
    typed = f"{flag} {text}"
    parts = text.split("/")
    if len(parts) not in {2, 3}:
        raise UsageError(f"{typed}: give it as KIND/NAME or KIND/NAMESPACE/NAME")
    of_kinds = _parse_kind(parts[0], keys, typed)
    return _checked(_Term(typed, of_kinds, parts[1] if len(parts) == 3 else "", parts[-1]))


def _checked(term: _Term) -> _Term:
    if not term.name or term.namespace.count("/"):
        raise UsageError(f"{term.typed}: give a name as NAME or NAMESPACE/NAME")
    return term


def _parse_kind(text: str, keys: Collection[ObjectKey], typed: str) -> frozenset[Kind]:
    names = KindNames(frozenset(key.kind for key in keys))
    named = names.kinds_named(text)
    if not named:
        known = {kind.name for kind in names.present | kinds.BY_KIND.keys() if restorable(kind)}
        raise NotFoundError(f"{typed}: no such kind", hint=_nearest(text, known))
    if not any(restorable(kind) for kind in named):
        raise UsageError(f"{typed}: Sveltos reports or generates {text}; it is never rolled back")
    return frozenset(kind for kind in named if restorable(kind))


def _find(
    term: _Term, selection: Selection, keys: Collection[ObjectKey], incomplete: Collection[IncompleteKind]
) -> ObjectKey:
    """The only object that a name matches."""
    if term.namespace and not selection.covers_namespace(term.namespace):
        raise UsageError(f"{term.typed} is outside --namespace {', '.join(selection.namespaces)}")
    candidates = sorted(
        key for key in keys if term.matches(key) and (not key.namespace or selection.covers_namespace(key.namespace))
    )
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise UsageError(
            f"{term.typed} is ambiguous in this sample: {', '.join(map(_as_resource, candidates))}",
            hint="Name one of these with --resource, or restrict the namespace with --namespace.",
        )
    for failure in sorted(incomplete):
        if failure.kind in term.kinds and (failure.key is None or term.matches(failure.key)):
            raise NotFoundError(
                f"{term.typed}: not in this sample, which could not read {failure} ({failure.reason})",
                hint="Choose a complete sample; `gitsnap list --wide` shows which samples are complete.",
            )
    same_kind = [key for key in keys if key.kind in term.kinds]
    if term.namespace:
        hint = _nearest(f"{term.namespace}/{term.name}", (key.namespaced_name for key in same_kind))
    else:
        hint = _nearest(term.name, (key.name for key in same_kind))
    raise NotFoundError(f"{term.typed}: the sample has no such object", hint=hint)


def _as_resource(key: ObjectKey) -> str:
    """The value of ``--resource`` for an object."""
    return key.path


def _qualified_name(key: ObjectKey) -> str:
    """The name of a cluster with its type, as Sveltos writes it: ``capi--clusterapi-workload``."""
    return f"{ClusterRef.of_key(key).type}--{key.name}"


def _nearest(text: str, names: Iterable[str]) -> str:
    return nearest(text, names, none="It has no object of that kind.")


def labels_match(selector: str, document: JsonObject) -> bool:
    """Whether an object's labels match a selector in the syntax of ``kubectl -l``. The empty selector matches all.

    Raises UsageError for a malformed selector.
    """
    if not selector.strip():
        return True
    try:
        requirements = parse_requirements(selector)
    except ValueError as error:
        raise UsageError(
            f"--selector {selector}: {str(error)!r} is not a label requirement",
            hint="Use the syntax of `kubectl get -l`.",
        ) from None
    return matches_all(requirements, (document.get("metadata") or {}).get("labels") or {})
