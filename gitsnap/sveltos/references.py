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


@dataclass(frozen=True, slots=True)
class _WrittenReference:
    """A reference as an object writes it, before the rules are applied."""

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
    """The references of an object that matches ``clusters``, in the order of the table and of the object's lists.

    ``objects`` returns the object of a cluster for the evaluation of templates. A target occurs once per entry, even if
    several clusters lead to it. A reference without templates and with a namespace does not depend on clusters: it is
    yielded even if no cluster matches.
    """
    by = ObjectKey.of(document)
    ordered: list[ClusterRef] | None = None
    for row in REFERENCE_PATHS.get(by.kind, ()):
        for value, holder in _read_entries(document, row.path):
            written = _read_reference(row, value)
            if written is None:
                continue
            if ordered is None:
                ordered = sorted(clusters)
            required = row.typed and written.kind == kinds.SECRET and not _is_exempt(row, holder)
            optional = row.optional or written.optional or holder.get("optional") is True
            identifier = str(holder.get("identifier") or "")
            for target, unresolved in _resolve(row, written, by, ordered, objects):
                yield Reference(by, target, row.path, optional, required, unresolved, written.local, identifier)


def render(
    template: str, cluster: ClusterRef, objects: ClusterObjects = no_objects, *, escape: bool = True
) -> str | None:
    """The text of a template for one cluster; None if gitsnap cannot evaluate the template.

    Text without an action is returned unchanged. ``escape`` applies the escapes of Go's html/template, which Sveltos
    uses for names and namespaces. Sveltos uses text/template, which does not escape, for content and for every template
    of an EventTrigger.
    """
    if _TEMPLATE not in template:
        return template
    root = Root(name=cluster.name, namespace=cluster.namespace, fetch=lambda: objects(cluster))
    try:
        return render_template(template, root, escape=escape)
    except TemplateError:
        return None


# Written references ---------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _path_parts(path: str) -> tuple[str, ...]:
    """``a.b[].c[d.e]`` as ``a, b, [], c, d.e``."""
    return tuple(name or key or "[]" for name, key in _PART.findall(path))


def _read_entries(document: JsonObject, path: str) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Every value at a path of the table, each with the mapping that contains it.

    The holder is the innermost entry of a list around the value, else the document. Values of another type than the
    path expects are skipped.
    """
    parts, position = _path_parts(path), 0
    value: Any = document
    # Above the first list there is at most one value. Most paths are absent, and this loop returns early for them.
    while position < len(parts) and isinstance(value, dict):
        value = value.get(parts[position])
        if value is None:
            return
        position += 1
    entries: list[tuple[Any, Mapping[str, Any]]] = [(value, document)]
    for part in parts[position:]:
        entries = [inner for value, holder in entries for inner in _descend(value, holder, part)]
    yield from entries


def _descend(value: Any, holder: Mapping[str, Any], part: str) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """The values one part of a path below a value, each with its holder."""
    if isinstance(value, dict):
        if value.get(part) is not None:
            yield value[part], holder
    elif isinstance(value, list):
        if part == "[]":
            yield from ((item, item if isinstance(item, dict) else holder) for item in value)
        elif part.startswith("--"):
            yield from ((flag, holder) for flag in _flag_values(value, part))


def _flag_values(words: list[Any], flag: str) -> Iterator[str]:
    """The values of a flag in the words of a command, written ``--flag=value`` or ``--flag value``."""
    texts = [str(word) for word in words]
    for word, following in zip(texts, [*texts[1:], ""], strict=True):
        if word.startswith(f"{flag}="):
            yield word.partition("=")[2]
        elif word == flag:
            yield following


def _is_exempt(row: ReferencePath, holder: Mapping[str, Any]) -> bool:
    field, value = row.untyped_where
    return bool(field) and same_json(holder.get(field), value)


def _read_reference(row: ReferencePath, value: Any) -> _WrittenReference | None:
    """The reference in a value; None if the value names another kind, is a plain URL, or has another type."""
    if row.form is Form.OBJECT:
        return _read_object_reference(row, value)
    if not isinstance(value, str) or not value:
        return None
    if row.form is Form.NAMESPACED_NAME:
        namespace, _, name = value.rpartition("/")
        return _WrittenReference(row.kinds[0], namespace, name)
    if row.form is Form.SOURCE_URL:
        return _read_source_url(value)
    return _WrittenReference(row.kinds[0], "", value)


def _read_object_reference(row: ReferencePath, value: Any) -> _WrittenReference | None:
    if not isinstance(value, dict):
        return None
    kind = _read_kind(row, value)
    name = value.get("name")
    # Sveltos fills in an empty name by rule R, too. A kind says that the entry is a reference and not a remote URL.
    name_from_cluster = row.namespace is Namespace.CLUSTER and row.templated and bool(value.get("kind"))
    if kind is None or not (name or name_from_cluster):
        return None
    return _WrittenReference(
        kind,
        str(value.get("namespace") or ""),
        str(name or ""),
        value.get("optional") is True,
        value.get("deploymentType") == "Local",
    )


def _read_kind(row: ReferencePath, value: Mapping[str, Any]) -> Kind | None:
    if len(row.kinds) == 1:
        return row.kinds[0]
    named = str(value.get("kind") or "")
    if not row.kinds:
        return Kind.of(value) if named else None
    return next((kind for kind in row.kinds if kind.name == named), None)


def _read_source_url(url: str) -> _WrittenReference | None:
    """The reference in the repository URL of a chart, if the URL is that of a Flux source or may be once rendered.

    The name is the whole URL: the URL is parsed after its templates are evaluated.
    """
    if _TEMPLATE not in url:
        return _WrittenReference(kinds.GIT_REPOSITORY, "", url) if _source_of_url(url) else None
    scheme = url.partition("://")[0]
    kind = kinds.GIT_REPOSITORY if _TEMPLATE in scheme else _SOURCE_SCHEMES.get(scheme.lower())
    return _WrittenReference(kind, "", url) if kind else None


def _source_of_url(url: str) -> _WrittenReference | None:
    """The Flux source that the repository URL of a chart names; None for any other URL."""
    scheme, separator, rest = url.partition("://")
    kind = _SOURCE_SCHEMES.get(scheme.lower())
    parts = rest.split("/")
    if not separator or kind is None or len(parts) < 2 or not parts[0] or not parts[1]:
        return None
    return _WrittenReference(kind, parts[0], parts[1])


# Targets --------------------------------------------------------------------------------------------------------------


def _resolve(
    row: ReferencePath, written: _WrittenReference, by: ObjectKey, clusters: list[ClusterRef], objects: ClusterObjects
) -> Iterator[tuple[ObjectKey, UnresolvedReason | None]]:
    """Each target of a reference, with the reason if it cannot be resolved."""
    namespace = _namespace_before_rule_r(row, written, by)
    if namespace is None:
        return
    templated = row.templated and _TEMPLATE in namespace + written.name
    if not templated and (written.name and (namespace or not _by_cluster(row, written.kind))):
        if row.form is Form.SOURCE_URL:
            source = _source_of_url(written.name)
            if source is not None:
                yield ObjectKey(source.kind, source.namespace, source.name), None
        else:
            yield ObjectKey(written.kind, namespace, written.name), None
        return
    # The references of a managed cluster are resolved for that cluster.
    resolved_for = [ClusterRef(by.kind, by.namespace, by.name)] if by.kind in kinds.CLUSTER_KINDS else clusters
    seen: set[tuple[ObjectKey, UnresolvedReason | None]] = set()
    for cluster in resolved_for:
        target = _resolve_for_cluster(row, written, by, namespace, cluster, objects)
        if target is not None and target not in seen:
            seen.add(target)
            yield target


def _namespace_before_rule_r(row: ReferencePath, written: _WrittenReference, by: ObjectKey) -> str | None:
    """The namespace before rule R is applied.

    ``""`` if rule R applies or the kind is cluster-scoped. None if the reference names no object.
    """
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
    """Whether an empty namespace stands for the namespace of each matching cluster (rule R)."""
    return row.namespace is Namespace.CLUSTER and kinds.is_namespaced(kind)


def _resolve_for_cluster(
    row: ReferencePath,
    written: _WrittenReference,
    by: ObjectKey,
    namespace: str,
    cluster: ClusterRef,
    objects: ClusterObjects,
) -> tuple[ObjectKey, UnresolvedReason | None] | None:
    """The target for one cluster; None if the rendered text is not a reference."""
    escape = by.kind != kinds.EVENT_TRIGGER
    name = render(written.name, cluster, objects, escape=escape) if row.templated else written.name
    rendered_namespace: str | None = namespace
    if row.templated and namespace:
        rendered_namespace = render(namespace, cluster, objects, escape=escape)
    if name is None or rendered_namespace is None:
        return ObjectKey(written.kind, namespace, written.name), UnresolvedReason.TEMPLATE
    if row.form is Form.SOURCE_URL:
        source = _source_of_url(name)
        return (ObjectKey(source.kind, source.namespace, source.name), None) if source else None
    if not namespace and _by_cluster(row, written.kind):
        rendered_namespace = cluster.namespace
    # An empty name renders to the namespace of the cluster, a quirk of Sveltos (lib/template/referenced_resource.go).
    return ObjectKey(written.kind, rendered_namespace, name or cluster.namespace), None
