"""Which objects an object refers to, resolved for the clusters that it matches.

Where a kind keeps its references is a table (``reference_paths``); how they are resolved is three rules. Rule R: an
empty namespace is that of each matching cluster, and names may be templates. Rule P: a Profile forces most namespaces
to its own. Rule T: a Secret must be of Sveltos' own type. This module must not know whether a target exists.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.sveltos import kinds
from gitsnap.sveltos.clusters import ClusterObjects, no_objects
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.reference_paths import REFERENCE_PATHS, Form, Namespace, ReferencePath
from gitsnap.sveltos.templates import Root, TemplateError
from gitsnap.sveltos.templates import render as render_template

__all__ = [
    "ADD_ON_TYPE",
    "REFERENCE_PATHS",
    "Reference",
    "Unresolved",
    "UnresolvedReason",
    "references",
    "render",
]

ADD_ON_TYPE = "addons.projectsveltos.io/cluster-profile"
"""The only type of Secret that Sveltos reads content from (rule T)."""


class UnresolvedReason(enum.StrEnum):
    """Why a reference could not be followed; a closed set."""

    NOT_FOUND = "not-found"
    OPTIONAL = "optional"
    """Not found, and Sveltos does without it."""
    FORBIDDEN = "forbidden"
    TEMPLATE = "template"
    WRONG_TYPE = "wrong-type"
    OMITTED = "omitted"
    """Left out on purpose: by the secrets mode, or because a controller generated it."""


@dataclass(frozen=True, slots=True, order=True)
class Unresolved:
    """A reference that could not be followed. The target's namespace or name may be template text."""

    by: ObjectKey
    target: ObjectKey
    reason: UnresolvedReason


@dataclass(frozen=True, slots=True)
class Reference:
    """One object that another one refers to."""

    by: ObjectKey
    target: ObjectKey
    path: str
    """Where it stands: ``spec.policyRefs[]``."""
    optional: bool = False
    """Whether Sveltos deploys without the target."""
    secret_type_required: bool = False
    """Whether a Secret of another type than ADD_ON_TYPE is of no use here (rule T)."""
    unresolved: UnresolvedReason | None = None
    """TEMPLATE when the name cannot be worked out; then ``target`` holds the template text."""
    local: bool = False
    """Whether the content is deployed to the management cluster (``deploymentType: Local``)."""
    identifier: str = ""
    """How templates call the target (``templateResourceRefs[].identifier``)."""

    def as_unresolved(self, reason: UnresolvedReason | None = None) -> Unresolved:
        """The record of a reference that could not be followed, for ``reason`` or for its own."""
        return Unresolved(self.by, self.target, reason or self.unresolved or self.absent)

    @property
    def absent(self) -> UnresolvedReason:
        """The reason when the target does not exist."""
        return UnresolvedReason.OPTIONAL if self.optional else UnresolvedReason.NOT_FOUND


@dataclass(frozen=True, slots=True)
class _Written:
    """A reference as it stands in an object."""

    kind: Kind
    namespace: str
    name: str
    optional: bool = False
    local: bool = False


_TEMPLATE = "{{"
_PART = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")
_SOURCE_SCHEMES = {kind.name.lower(): kind for kind in kinds.SOURCE_KINDS}
_FORCING = frozenset({kinds.PROFILE, kinds.SET})


def references(
    document: JsonObject, clusters: Iterable[ClusterRef], objects: ClusterObjects = no_objects
) -> Iterator[Reference]:
    """What an object refers to when it matches ``clusters``; each target once for each place, in the object's order.

    ``objects`` gives what templates see of a cluster besides its name. A reference without a template and with its
    namespace given is there even when no cluster matches.
    """
    by = ObjectKey.of(document)
    ordered: list[ClusterRef] | None = None
    for row in REFERENCE_PATHS.get(by.kind, ()):
        for value, holder in _entries(document, row.path):
            written = _written(row, value)
            if written is None:
                continue
            if ordered is None:
                ordered = sorted(clusters)
            required = row.typed and written.kind == kinds.SECRET and not _is_exempt(row, holder)
            optional = row.optional or written.optional or holder.get("optional") is True
            identifier = str(holder.get("identifier") or "")
            for target, unresolved in _targets(row, written, by, ordered, objects):
                yield Reference(by, target, row.path, optional, required, unresolved, written.local, identifier)


def render(
    template: str, cluster: ClusterRef, objects: ClusterObjects = no_objects, *, escape: bool = True
) -> str | None:
    """A template for one cluster, None when only Sveltos can work it out. Text without an action stands for itself.

    ``escape``: as Sveltos does with names and namespaces (html/template), not with content, nor with anything in an
    EventTrigger (text/template).
    """
    if _TEMPLATE not in template:
        return template
    root = Root(name=cluster.name, namespace=cluster.namespace, fetch=lambda: objects(cluster))
    try:
        return render_template(template, root, escape=escape)
    except TemplateError:
        return None


# What is written ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _parts(path: str) -> tuple[str, ...]:
    """``a.b[].c[d.e]`` as ``a, b, [], c, d.e``."""
    return tuple(name or key or "[]" for name, key in _PART.findall(path))


def _entries(document: JsonObject, path: str) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Every value at a path, each with the innermost list entry that it stands in; other shapes give none."""
    parts, at = _parts(path), 0
    value: Any = document
    while at < len(parts) and isinstance(value, dict):  # down to the first list there is one value at the most
        value = value.get(parts[at])
        if value is None:
            return
        at += 1
    found: list[tuple[Any, Mapping[str, Any]]] = [(value, document)]
    for part in parts[at:]:
        found = [one for value, holder in found for one in _step(value, holder, part)]
    yield from found


def _step(value: Any, holder: Mapping[str, Any], part: str) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """What stands one part of a path further down."""
    if isinstance(value, dict):
        if value.get(part) is not None:
            yield value[part], holder
    elif isinstance(value, list):
        if part == "[]":
            yield from ((item, item if isinstance(item, dict) else holder) for item in value)
        elif part.startswith("--"):
            yield from ((flag, holder) for flag in _flags(value, part))


def _flags(words: list[Any], flag: str) -> Iterator[str]:
    """The values of a flag among the words of a command: ``--flag=value`` or ``--flag value``."""
    texts = [str(word) for word in words]
    for word, following in zip(texts, [*texts[1:], ""], strict=True):
        if word.startswith(f"{flag}="):
            yield word.partition("=")[2]
        elif word == flag:
            yield following


def _is_exempt(row: ReferencePath, holder: Mapping[str, Any]) -> bool:
    field, value = row.untyped_where
    return bool(field) and same_json(holder.get(field), value)


def _written(row: ReferencePath, value: Any) -> _Written | None:
    """A reference in whichever form, None where there is none: another kind, a plain URL, a wrong shape."""
    if row.form is Form.OBJECT:
        return _written_object(row, value)
    if not isinstance(value, str) or not value:
        return None
    if row.form is Form.PLACE:
        namespace, _, name = value.rpartition("/")
        return _Written(row.kinds[0], namespace, name)
    if row.form is Form.SOURCE_URL:
        return _source_in_text(value)
    return _Written(row.kinds[0], "", value)


def _written_object(row: ReferencePath, value: Any) -> _Written | None:
    if not isinstance(value, dict):
        return None
    kind = _kind(row, value)
    name = value.get("name")
    # Rule R fills in an empty name, too, where the kind says that an object is meant and not a URL.
    quirk = row.namespace is Namespace.CLUSTER and row.templated and bool(value.get("kind"))
    if kind is None or not (name or quirk):
        return None
    return _Written(
        kind,
        str(value.get("namespace") or ""),
        str(name or ""),
        value.get("optional") is True,
        value.get("deploymentType") == "Local",
    )


def _kind(row: ReferencePath, value: Mapping[str, Any]) -> Kind | None:
    if len(row.kinds) == 1:
        return row.kinds[0]
    named = str(value.get("kind") or "")
    if not row.kinds:
        return Kind.of(value) if named else None
    return next((kind for kind in row.kinds if kind.name == named), None)


def _source_in_text(url: str) -> _Written | None:
    """A chart's repository URL that names a Flux source, or may do so once it is rendered; its text is kept whole."""
    if _TEMPLATE not in url:
        return _Written(kinds.GIT_REPOSITORY, "", url) if _source_of_url(url) else None
    scheme = url.partition("://")[0]
    kind = kinds.GIT_REPOSITORY if _TEMPLATE in scheme else _SOURCE_SCHEMES.get(scheme.lower())
    return _Written(kind, "", url) if kind else None


def _source_of_url(url: str) -> _Written | None:
    """The Flux source that a chart's repository URL names, None for any other URL."""
    scheme, separator, rest = url.partition("://")
    kind = _SOURCE_SCHEMES.get(scheme.lower())
    parts = rest.split("/")
    if not separator or kind is None or len(parts) < 2 or not parts[0] or not parts[1]:
        return None
    return _Written(kind, parts[0], parts[1])


# What is meant --------------------------------------------------------------------------------------------------------


def _targets(
    row: ReferencePath, written: _Written, by: ObjectKey, clusters: list[ClusterRef], objects: ClusterObjects
) -> Iterator[tuple[ObjectKey, UnresolvedReason | None]]:
    namespace = _given_namespace(row, written, by)
    if namespace is None:
        return
    templated = row.templated and _TEMPLATE in namespace + written.name
    if not templated and (written.name and (namespace or not _by_cluster(row, written.kind))):
        found = _source_of_url(written.name) if row.form is Form.SOURCE_URL else written
        if found is not None:
            place = found.namespace if row.form is Form.SOURCE_URL else namespace
            yield ObjectKey(found.kind, place, found.name), None
        return
    # A managed cluster's own references are about that cluster.
    own = [ClusterRef(by.kind, by.namespace, by.name)] if by.kind in kinds.CLUSTER_KINDS else clusters
    seen: set[tuple[ObjectKey, UnresolvedReason | None]] = set()
    for cluster in own:
        target = _rendered(row, written, by, namespace, cluster, objects)
        if target is not None and target not in seen:
            seen.add(target)
            yield target


def _given_namespace(row: ReferencePath, written: _Written, by: ObjectKey) -> str | None:
    """The namespace before rule R, ``""`` where that rule or the kind's scope decides; None refers to nothing."""
    if row.namespace is Namespace.OWN or (row.forced and by.kind in _FORCING):
        return by.namespace
    if row.namespace is Namespace.SVELTOS:
        return kinds.SVELTOS_NAMESPACE
    if not kinds.is_namespaced(written.kind):
        return ""
    if row.namespace is Namespace.LITERAL and not written.namespace and row.form is not Form.SOURCE_URL:
        return None
    return written.namespace


def _by_cluster(row: ReferencePath, kind: Kind) -> bool:
    """Whether an empty namespace stands for that of each matching cluster."""
    return row.namespace is Namespace.CLUSTER and kinds.is_namespaced(kind)


def _rendered(
    row: ReferencePath, written: _Written, by: ObjectKey, namespace: str, cluster: ClusterRef, objects: ClusterObjects
) -> tuple[ObjectKey, UnresolvedReason | None] | None:
    """The target for one cluster, None where the rendered text is no reference after all."""
    template = ObjectKey(written.kind, namespace, written.name)
    escape = by.kind != kinds.EVENT_TRIGGER
    name = render(written.name, cluster, objects, escape=escape) if row.templated else written.name
    place: str | None = namespace
    if row.templated and namespace:
        place = render(namespace, cluster, objects, escape=escape)
    if name is None or place is None:
        return template, UnresolvedReason.TEMPLATE
    if row.form is Form.SOURCE_URL:
        source = _source_of_url(name)
        return (ObjectKey(source.kind, source.namespace, source.name), None) if source else None
    if not namespace and _by_cluster(row, written.kind):
        place = cluster.namespace
    return ObjectKey(written.kind, place, name or cluster.namespace), None
