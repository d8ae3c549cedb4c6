"""The references that an object writes, in the order of the table in ``reference_paths`` and of the object's lists.

``references`` has the rules by which Sveltos completes a reference, for example with a namespace.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.sveltos import kinds
from gitsnap.sveltos.reference_paths import REFERENCE_PATHS, Form, Namespace, ReferencePath


@dataclass(frozen=True, slots=True)
class WrittenReference:
    """A reference as an object writes it, before any rule is applied."""

    kind: Kind
    namespace: str
    name: str
    optional: bool = False
    local: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A reference with its row of the table, and the facts that do not depend on clusters."""

    row: ReferencePath
    written: WrittenReference
    namespace: str
    """The namespace before rule R is applied, see ``_namespace_before_rule_r``."""
    depends_on_cluster: bool
    optional: bool
    secret_type_required: bool
    identifier: str

    @classmethod
    def of(cls, row: ReferencePath, value: Any, holder: Mapping[str, Any], by: ObjectKey) -> Entry | None:
        """The entry for a value of the object ``by``; None if it names no object. ``holder``: see ``_values_at``."""
        written = _read_reference(row, value)
        namespace = _namespace_before_rule_r(row, written, by) if written is not None else None
        if written is None or namespace is None:
            return None
        return cls(
            row,
            written,
            namespace,
            depends_on_cluster=_depends_on_cluster(row, written, namespace),
            optional=row.optional or written.optional or holder.get("optional") is True,
            secret_type_required=row.typed and written.kind == kinds.SECRET and not _is_exempt(row, holder),
            identifier=str(holder.get("identifier") or ""),
        )

    def target(self, name: str, namespace: str) -> ObjectKey | None:
        """The object of a name and a namespace without templates; None for a URL that names no Flux source."""
        if self.row.form is Form.SOURCE_URL:
            return source_of_url(name)
        return ObjectKey(self.written.kind, namespace, name)


TEMPLATE = "{{"
_PART = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")
_SOURCE_SCHEMES = {kind.name.lower(): kind for kind in kinds.SOURCE_KINDS}
_FORCING = frozenset({kinds.PROFILE, kinds.SET})


def read_entries(document: JsonObject) -> Iterator[Entry]:
    """The references that an object writes."""
    by = ObjectKey.of(document)
    for (first, second), rows in _ROWS.get(by.kind, ()):
        fields = document.get(first)
        # An object lacks most fields of the table. One lookup skips all paths below a missing field.
        if not isinstance(fields, dict) or fields.get(second) is None:
            continue
        for row in rows:
            for value, holder in _values_at(document, row.path):
                entry = Entry.of(row, value, holder, by)
                if entry is not None:
                    yield entry


def _rows_by_field(rows: Iterable[ReferencePath]) -> tuple[tuple[tuple[str, str], tuple[ReferencePath, ...]], ...]:
    """The rows of a kind, in order, grouped by the first two names of their paths: ``spec`` and ``policyRefs``."""

    def field(row: ReferencePath) -> tuple[str, str]:
        first, second, *_ = _path_parts(row.path)
        return first, second

    return tuple((names, tuple(group)) for names, group in groupby(rows, field))


@lru_cache(maxsize=1024)
def _path_parts(path: str) -> tuple[str, ...]:
    """``a.b[].c[d.e]`` as ``a, b, [], c, d.e``."""
    return tuple(name or key or "[]" for name, key in _PART.findall(path))


def _values_at(document: JsonObject, path: str) -> Iterator[tuple[Any, Mapping[str, Any]]]:
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


_ROWS = {kind: _rows_by_field(rows) for kind, rows in REFERENCE_PATHS.items()}


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


def _read_reference(row: ReferencePath, value: Any) -> WrittenReference | None:
    """The reference in a value; None if the value names another kind, is a plain URL, or has another type."""
    if row.form is Form.OBJECT:
        return _read_object_reference(row, value)
    if not isinstance(value, str) or not value:
        return None
    if row.form is Form.NAMESPACED_NAME:
        namespace, _, name = value.rpartition("/")
        return WrittenReference(row.kinds[0], namespace, name)
    if row.form is Form.SOURCE_URL:
        return _read_source_url(value)
    return WrittenReference(row.kinds[0], "", value)


def _read_object_reference(row: ReferencePath, value: Any) -> WrittenReference | None:
    if not isinstance(value, dict):
        return None
    kind = _read_kind(row, value)
    name = value.get("name")
    # Sveltos fills in an empty name by rule R, too. A kind says that the entry is a reference and not a remote URL.
    name_from_cluster = row.namespace is Namespace.CLUSTER and row.templated and bool(value.get("kind"))
    if kind is None or not (name or name_from_cluster):
        return None
    return WrittenReference(
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


def _read_source_url(url: str) -> WrittenReference | None:
    """The reference in the repository URL of a chart, if the URL is that of a Flux source or may be once rendered.

    The name is the whole URL: the URL is parsed after its templates are evaluated.
    """
    if TEMPLATE not in url:
        return WrittenReference(kinds.GIT_REPOSITORY, "", url) if source_of_url(url) else None
    scheme = url.partition("://")[0]
    kind = kinds.GIT_REPOSITORY if TEMPLATE in scheme else _SOURCE_SCHEMES.get(scheme.lower())
    return WrittenReference(kind, "", url) if kind else None


def source_of_url(url: str) -> ObjectKey | None:
    """The Flux source that the repository URL of a chart names; None for any other URL."""
    scheme, separator, rest = url.partition("://")
    kind = _SOURCE_SCHEMES.get(scheme.lower())
    parts = rest.split("/")
    if not separator or kind is None or len(parts) < 2 or not parts[0] or not parts[1]:
        return None
    return ObjectKey(kind, parts[0], parts[1])


def _namespace_before_rule_r(row: ReferencePath, written: WrittenReference, by: ObjectKey) -> str | None:
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


def by_cluster(row: ReferencePath, kind: Kind) -> bool:
    """Whether an empty namespace stands for the namespace of each matching cluster (rule R)."""
    return row.namespace is Namespace.CLUSTER and kinds.is_namespaced(kind)


def _depends_on_cluster(row: ReferencePath, written: WrittenReference, namespace: str) -> bool:
    """Whether a target may differ from cluster to cluster: by a template, or by rule R."""
    if row.templated and TEMPLATE in namespace + written.name:
        return True
    return not written.name or (not namespace and by_cluster(row, written.kind))
