"""The YAML documents inside ConfigMaps and Secrets: split as Sveltos splits them, and told apart.

A deployed resource comes from one document; which one, its kind and name tell, and a rule about namespaces. Templates
are not evaluated here, so what they produce is recognised by what stands in the text around them.
This module must not read objects, and must not raise for content that a user may have written wrongly, except in split.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gitsnap.core.errors import InputError
from gitsnap.core.model import Kind, ObjectKey
from gitsnap.format import load_document

TEMPLATE_ANNOTATION = "projectsveltos.io/template"
LUA_ANNOTATION = "projectsveltos.io/lua"
INSTANTIATE_ANNOTATION = "projectsveltos.io/instantiate"
SUBRESOURCES_ANNOTATION = "projectsveltos.io/subresources"
RENDERED_ANNOTATIONS = (TEMPLATE_ANNOTATION, LUA_ANNOTATION, INSTANTIATE_ANNOTATION)
"""Their presence, whatever their value, makes the content something that is evaluated before it is deployed."""

DEFAULT_NAMESPACE = "default"
"""Where Sveltos puts a namespaced resource whose document names no namespace."""

CLUSTER_SCOPED_KINDS = frozenset(
    {
        Kind("", "Namespace"),
        Kind("", "Node"),
        Kind("", "PersistentVolume"),
        Kind("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        Kind("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
        Kind("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
        Kind("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
        Kind("apiextensions.k8s.io", "CustomResourceDefinition"),
        Kind("apiregistration.k8s.io", "APIService"),
        Kind("networking.k8s.io", "IngressClass"),
        Kind("rbac.authorization.k8s.io", "ClusterRole"),
        Kind("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        Kind("scheduling.k8s.io", "PriorityClass"),
        Kind("storage.k8s.io", "CSIDriver"),
        Kind("storage.k8s.io", "StorageClass"),
    }
)
"""Kinds of Kubernetes itself without a namespace: for documents that no inventory lists."""

LONGEST = 4 * 1024 * 1024
"""Characters of one value that are looked at; an object in Kubernetes has 1.5 MiB, at the most 3 by configuration."""

_SEPARATOR = "---"
_SEPARATOR_LINE = re.compile(r"---\s*(?:#.*)?")
_API_VERSION = re.compile(r"^apiVersion:[ \t]*([^ \t\n].*)$", re.MULTILINE)
_KIND = re.compile(r"^kind:[ \t]*([^ \t\n].*)$", re.MULTILINE)
_METADATA = re.compile(r"^metadata:[ \t]*\n((?:[ \t]+.*\n?|[ \t]*\n|[ \t]*#.*\n?)+)", re.MULTILINE)
_ACTION = re.compile(r"{{.*?}}")
"""To be looked for only where a ``}}`` follows on the line: text of nothing but ``{{`` takes it for ever."""
_HIDDEN = "hidden-template-action-"
_DEEPEST_LISTS = 10
_HIDDEN_ACTION = re.compile(rf"{_HIDDEN}([0-9]+)\.")


def is_rendered(document: Mapping[str, Any]) -> bool:
    """Whether Sveltos evaluates the content of a ConfigMap or Secret (template, Lua) before it deploys it."""
    annotations = (document.get("metadata") or {}).get("annotations") or {}
    return any(annotation in annotations for annotation in RENDERED_ANNOTATIONS)


def is_program(document: Mapping[str, Any]) -> bool:
    """Whether the content of a ConfigMap or Secret is Lua that returns the documents; a template annotation wins."""
    annotations = (document.get("metadata") or {}).get("annotations") or {}
    return LUA_ANNOTATION in annotations and TEMPLATE_ANNOTATION not in annotations


def subresources_of(document: Mapping[str, Any]) -> frozenset[str]:
    """The subresources that Sveltos applies besides each resource of a ConfigMap or Secret, such as ``status``."""
    annotations = (document.get("metadata") or {}).get("annotations") or {}
    names = str(annotations.get(SUBRESOURCES_ANNOTATION) or "").split(",")
    return frozenset(name.strip() for name in names) - {""}


def split(text: str, *, as_stream: bool = False, depth: int = 0) -> list[str]:
    """The documents of one value of a ConfigMap or Secret, as Sveltos takes them apart; comments stay with them.

    Text without ``---`` is one document. Otherwise a separator is a line that starts with it and holds nothing else but
    white space or a comment; text that starts with ``{`` is a stream of JSON. A document that is a list of strings
    holds one manifest in each. ``as_stream``: as Sveltos before 1.0, for which a document may begin on the line of its
    separator. Raises InputError where Sveltos refuses the whole text.
    ``depth``: in so many lists of manifests the text stands; what is in too many is left as it is.
    """
    if len(text) > LONGEST:
        raise InputError(f"more than {LONGEST // 1024 // 1024} MiB of text, which no API server takes")
    if _is_blank(text):
        return []
    if _SEPARATOR not in text:
        return _expanded(text, depth)
    stream = _json_stream(text) if text.lstrip().startswith("{") else None
    pieces = _at_separators(text, as_stream=as_stream) if stream is None else stream
    return [document for piece in pieces if not _is_blank(piece) for document in _expanded(piece, depth)]


def _is_blank(text: str) -> bool:
    """Nothing but white space, comments and separators; a separator with text behind it is an error, not blank."""
    return all(
        not line.strip() or line.lstrip().startswith("#") or _SEPARATOR_LINE.fullmatch(line)
        for line in text.split("\n")
    )


def _at_separators(text: str, *, as_stream: bool) -> list[str]:
    pieces: list[list[str]] = [[]]
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.startswith(_SEPARATOR):
            pieces[-1].append(line)
            continue
        if _SEPARATOR_LINE.fullmatch(line):
            pieces.append([])
        elif as_stream and line[len(_SEPARATOR)].isspace():
            pieces.append([line])
        else:
            raise InputError(f"line {number}: text after the document separator")
    return ["\n".join(lines) for lines in pieces]


def _json_stream(text: str) -> list[str] | None:
    """The objects of a JSON stream, None where it is no JSON (a flow mapping of YAML)."""
    decoder, position, objects = json.JSONDecoder(), 0, []
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        try:
            _, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return None
        objects.append(text[position:end])
        position = end
    return objects


def _expanded(piece: str, depth: int) -> list[str]:
    """A document, or the manifests that it lists as strings."""
    if depth == _DEEPEST_LISTS or not _first_line(piece).startswith("-"):
        return [_trimmed(piece)]
    try:
        manifests = load_document(piece, "a list of manifests")
    except InputError:
        return [_trimmed(piece)]
    if isinstance(manifests, list) and all(isinstance(manifest, str) for manifest in manifests):
        return [document for manifest in manifests for document in split(manifest, depth=depth + 1)]
    return [_trimmed(piece)]


def _first_line(piece: str) -> str:
    lines = (line.strip() for line in piece.split("\n"))
    return next((line for line in lines if line and not line.startswith("#")), "")


def _trimmed(piece: str) -> str:
    """Without the blank lines around it: they move with the separators and mean nothing."""
    lines = piece.split("\n")
    while lines and not lines[0].strip():
        del lines[0]
    while lines and not lines[-1].strip():
        del lines[-1]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a document says it is: as written, before Sveltos adjusts the namespace."""

    kind: Kind
    namespace: str
    name: str
    """May hold template actions; then it stands for every name that fits around them."""

    def places(self) -> tuple[ObjectKey, ObjectKey]:
        """Where the resource may have landed: namespaced (``default`` where none is given), or without a namespace."""
        return (
            ObjectKey(self.kind, self.namespace or DEFAULT_NAMESPACE, self.name),
            ObjectKey(self.kind, "", self.name),
        )

    def place(self) -> ObjectKey:
        """Where the resource lands as far as its kind is known to be cluster-scoped."""
        return self.places()[self.kind in CLUSTER_SCOPED_KINDS]

    def fits(self, key: ObjectKey) -> bool:
        """Whether a deployed resource may have come from this document."""
        if key.kind != self.kind or not _fits(self.name, key.name):
            return False
        return not key.namespace or _fits(self.namespace or DEFAULT_NAMESPACE, key.namespace)


def _fits(written: str, found: str) -> bool:
    """Whether the text around the actions of a name fits a name; each action may stand for any text."""
    head, end, tail = written.rpartition("}}")
    first, *others = _ACTION.split(head + end)
    if not others:
        return written == found
    *middle, last = others
    last += tail
    if not found.startswith(first) or not found.endswith(last):
        return False
    position, limit = len(first), len(found) - len(last)
    for part in middle:
        position = found.find(part, position, limit)
        if position < 0:
            return False
        position += len(part)
    return position <= limit


def load(text: str) -> Any:
    """The value of one document as Sveltos reads it, None where it is not YAML or says nothing."""
    try:
        return load_document(text, "a document")
    except InputError:
        return None


def identify(value: Any) -> Identity | None:
    """What a parsed document is, None where it is no Kubernetes object with a name."""
    if not isinstance(value, dict) or not isinstance(value.get("metadata"), dict):
        return None
    metadata = value["metadata"]
    name, namespace, kind = metadata.get("name"), metadata.get("namespace") or "", Kind.of(value)
    if not name or not kind.name or not isinstance(name, str) or not isinstance(namespace, str):
        return None  # a plain yes or 5 is no name for a server
    return Identity(kind, namespace, name)


def identify_text(text: str) -> Identity | None:
    """What a document is that cannot be parsed: a template, whose actions stay in its name, or broken YAML."""
    return _identify_template(text) or _identify_lines(text)


def _identify_template(text: str) -> Identity | None:
    """By what is YAML around the actions of a template: one alone on its line leaves nothing, others a word."""
    actions: list[str] = []

    def hide(match: re.Match[str]) -> str:
        actions.append(match[0])
        return f"{_HIDDEN}{len(actions) - 1}."

    def show(hidden: str) -> str:
        return _HIDDEN_ACTION.sub(lambda match: actions[int(match[1])], hidden)

    if _HIDDEN in text or "{{" not in text:
        return None
    lines = [line for line in text.split("\n") if _replaced("", line).strip() or not line.strip()]
    identity = identify(load("\n".join(_replaced(hide, line) for line in lines)))
    if identity is None or _HIDDEN in str(identity.kind):
        return None
    return Identity(identity.kind, show(identity.namespace), show(identity.name))


def _replaced(by: str | Callable[[re.Match[str]], str], line: str) -> str:
    """A line with its actions replaced."""
    head, end, tail = line.rpartition("}}")
    return _ACTION.sub(by, head + end) + tail


def _identify_lines(text: str) -> Identity | None:
    """By the lines that say so in block style."""
    text = text.replace("\r\n", "\n")
    api_version, kind, metadata = _API_VERSION.search(text), _KIND.search(text), _METADATA.search(text)
    if api_version is None or kind is None or metadata is None:
        return None
    fields = _shallow_fields(metadata[1])
    if not fields.get("name"):
        return None
    return Identity(
        Kind.of({"apiVersion": _scalar(api_version[1].rstrip(" \t")), "kind": _scalar(kind[1].rstrip(" \t"))}),
        fields.get("namespace", ""),
        fields["name"],
    )


def _shallow_fields(block: str) -> dict[str, str]:
    """The scalar fields at the outer indentation of a block, first occurrence of each."""
    fields: dict[str, str] = {}
    indentation = None
    for line in block.split("\n"):
        stripped = line.strip()
        if not stripped or stripped.startswith(("#", "{{")):
            continue
        depth = len(line) - len(line.lstrip())
        indentation = depth if indentation is None else indentation
        name, separator, value = stripped.partition(":")
        if depth == indentation and separator:
            fields.setdefault(name, _scalar(value.strip()))
    return fields


def _scalar(text: str) -> str:
    """A scalar as one would read it: without quotes, and without a comment after it."""
    if len(text) > 1 and text[0] in "\"'" and text[0] in text[1:]:
        return text[1 : text.index(text[0], 1)]
    return text.partition(" #")[0].strip()
