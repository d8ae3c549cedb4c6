"""Which objects of a sample a rollback is about: what the person named, resolved against what the sample holds.

Several names are united. A name that fits nothing, or more than one object, is an error that says what there is: a
rollback of something else than what was meant is the worst outcome. Of a document this module reads its labels only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from gitsnap.core.errors import NotFoundError, UsageError
from gitsnap.core.model import IncompleteKind, JsonObject, Kind, ObjectKey
from gitsnap.core.suggestions import nearest
from gitsnap.kube.label_selectors import matches_all, parse_requirements
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.restore import restorable


@dataclass(frozen=True, slots=True)
class Selection:
    """What the person typed; nothing at all means the whole sample.

    Namespaces alone mean the ConfigMaps, Secrets and clusters in them. Beside names they narrow where a namespaced
    object is looked for.
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
    """``KIND[/NS]/NAME``: the kind in any case, as its plural, or with its group."""
    excepted: tuple[str, ...] = ()
    """Objects to leave alone, written like ``resources``."""
    labels: str = ""
    """Of all that, only objects with these labels in the sample, as ``kubectl -l`` has it."""
    with_references: bool = False
    """Also what the selected objects refer to: ConfigMaps, Secrets, Flux sources, EventSources, HealthChecks."""
    keys: tuple[ObjectKey, ...] = ()
    """Exactly these objects and nothing else: what an undo is about. What the sample does not have is left out."""

    @property
    def everything(self) -> bool:
        """Whether nothing in particular was named."""
        return not self.namespaces and not self._names and not self.keys

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
        """Whether all objects of a kind are meant, whatever their names."""
        if self.keys:
            return False
        return self.everything or (bool(self.namespaces) and not self._names and kind in _OF_A_NAMESPACE)

    def covers_namespace(self, namespace: str) -> bool:
        """Whether a namespace is meant."""
        return not self.namespaces or namespace in self.namespaces

    def covers(self, key: ObjectKey) -> bool:
        """Whether an object is meant without being named."""
        return self.covers_kind(key.kind) and (not key.namespace or self.covers_namespace(key.namespace))

    def named_kinds(self, keys: Collection[ObjectKey]) -> frozenset[Kind]:
        """The kinds that something is named of; ``keys`` tell kinds that only the sample knows."""
        return frozenset[Kind]().union(*(term.kinds for term in (*_terms(self, keys), *_excepted(self, keys))))

    def exceptions(self, keys: Collection[ObjectKey]) -> Callable[[ObjectKey], bool]:
        """What tells whether an object is to be left alone; ``keys`` as above. Raises as ``resolve`` does."""
        terms = _excepted(self, keys)
        return lambda key: any(term.fits(key) for term in terms)


@dataclass(frozen=True, slots=True)
class _Term:
    """One name, as it was typed and as it is understood."""

    typed: str
    """``--profile team-a/base``."""
    kinds: frozenset[Kind]
    namespace: str
    name: str

    def fits(self, key: ObjectKey) -> bool:
        """Whether an object has this name, and this namespace where one was typed."""
        if key.kind not in self.kinds or (self.namespace and self.namespace != key.namespace):
            return False
        return self.name == key.name or (key.kind in kinds.CLUSTER_KINDS and self.name == _typed_name(key))


_OF_A_NAMESPACE = kinds.REFERENCED_KINDS | kinds.CLUSTER_KINDS


def resolve(
    selection: Selection, keys: Collection[ObjectKey], *, incomplete: Collection[IncompleteKind] = ()
) -> frozenset[ObjectKey]:
    """The selected ones of a sample's objects; references are not followed here.

    ``incomplete`` are the kinds that the sample does not have or holds from an earlier one. Raises NotFoundError for
    a name that fits nothing, UsageError for one that fits several objects or cannot be understood.
    """
    if selection.keys:
        return frozenset(key for key in selection.keys if key in keys)
    left_alone = {_found(term, selection, keys, incomplete) for term in _excepted(selection, keys)}
    if selection.everything:
        return frozenset(key for key in keys if restorable(key.kind)) - left_alone
    terms = list(_terms(selection, keys))
    if not terms:
        return frozenset(_of_namespaces(selection, keys)) - left_alone
    return frozenset(_found(term, selection, keys, incomplete) for term in terms) - left_alone


def _of_namespaces(selection: Selection, keys: Iterable[ObjectKey]) -> Iterator[ObjectKey]:
    pool = [key for key in keys if key.kind in _OF_A_NAMESPACE]
    present = {key.namespace for key in pool}
    for namespace in selection.namespaces:
        if namespace not in present:
            raise NotFoundError(
                f"the sample has no ConfigMap, Secret or cluster in the namespace {namespace!r}",
                hint=_nearest(namespace, present),
            )
    return (key for key in pool if key.namespace in selection.namespaces)


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
    of_kinds = _kinds_called(parts[0], keys, typed)
    return _checked(_Term(typed, of_kinds, parts[1] if len(parts) == 3 else "", parts[-1]))


def _checked(term: _Term) -> _Term:
    if not term.name or term.namespace.count("/"):
        raise UsageError(f"{term.typed}: this is no name, nor NAMESPACE/NAME")
    return term


def _kinds_called(text: str, keys: Collection[ObjectKey], typed: str) -> frozenset[Kind]:
    known = {key.kind for key in keys} | set(kinds.BY_KIND)
    called = frozenset(kind for kind in known if kinds.means_kind(text, kind))
    if not called:
        raise NotFoundError(
            f"{typed}: no such kind", hint=_nearest(text, {kind.name for kind in known if restorable(kind)})
        )
    if not any(restorable(kind) for kind in called):
        raise UsageError(f"{typed}: {text} is what Sveltos reports or generates; it is never rolled back")
    return frozenset(kind for kind in called if restorable(kind))


def _found(
    term: _Term, selection: Selection, keys: Collection[ObjectKey], incomplete: Collection[IncompleteKind]
) -> ObjectKey:
    """The one object that a name means."""
    if term.namespace and not selection.covers_namespace(term.namespace):
        raise UsageError(f"{term.typed} lies outside --namespace {', '.join(selection.namespaces)}")
    fitting = sorted(
        key for key in keys if term.fits(key) and (not key.namespace or selection.covers_namespace(key.namespace))
    )
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        candidates = ", ".join(_spelled(key) for key in fitting)
        raise UsageError(
            f"{term.typed} is ambiguous in this sample: {candidates}",
            hint="Name one of these with --resource, or narrow the namespace with --namespace.",
        )
    lacking = [one for one in sorted(incomplete) if one.kind in term.kinds]
    missing = next((one for one in lacking if one.key is None or term.fits(one.key)), None)
    if missing is not None:
        raise NotFoundError(
            f"{term.typed}: not in this sample, which could not read {missing} ({missing.reason})",
            hint="Choose a sample that is complete; `gitsnap list --wide` shows which are.",
        )
    of_kind = [key for key in keys if key.kind in term.kinds]
    if term.namespace:
        hint = _nearest(f"{term.namespace}/{term.name}", map(_with_namespace, of_kind))
    else:
        hint = _nearest(term.name, (key.name for key in of_kind))
    raise NotFoundError(f"{term.typed}: the sample has no such object", hint=hint)


def _spelled(key: ObjectKey) -> str:
    """As ``--resource`` takes it."""
    return f"{key.kind}/{_with_namespace(key)}"


def _with_namespace(key: ObjectKey) -> str:
    return f"{key.namespace}/{key.name}" if key.namespace else key.name


def _typed_name(key: ObjectKey) -> str:
    """``capi--clusterapi-workload``."""
    return f"{ClusterRef(key.kind, key.namespace, key.name).type}--{key.name}"


def _nearest(text: str, names: Iterable[str]) -> str:
    return nearest(text, names, none="It has no object of that kind at all.")


def labels_match(selector: str, document: JsonObject) -> bool:
    """Whether an object's labels match a selector as ``kubectl -l`` takes it; the empty selector matches all labels.

    Raises UsageError for a text that is no selector.
    """
    if not selector.strip():
        return True
    try:
        requirements = parse_requirements(selector)
    except ValueError as error:
        raise UsageError(
            f"--selector {selector}: {str(error)!r} is no requirement on labels", hint="Write it as for kubectl -l."
        ) from None
    return matches_all(requirements, (document.get("metadata") or {}).get("labels") or {})
