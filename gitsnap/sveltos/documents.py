"""The YAML documents in ConfigMaps and Secrets: how Sveltos splits a value into documents, and what each one describes.

A deployed resource comes from one document. The document is found by kind, name and namespace. Templates are not
evaluated here: the text around the actions of a template must fit the name of the resource.
Only ``split`` raises an error for content that a user wrote wrongly. Sveltos' rules: ``collectContent`` in the
addon-controller's ``handlers_utils.go`` and ``CustomSplit`` in libsveltos' ``deployer/applier.go``.
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
"""Sveltos evaluates the content of an object with one of these annotations before it deploys it. Any value counts."""

DEFAULT_NAMESPACE = "default"
"""The namespace of a deployed resource whose document names none."""

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
"""Cluster-scoped kinds of Kubernetes. Needed for documents that no inventory lists."""

MAX_CHARACTERS = 4 * 1024 * 1024
"""Largest number of characters in a value. An object in Kubernetes has at most 1.5 MiB by default, 3 if configured."""

_SEPARATOR = "---"
_SEPARATOR_LINE = re.compile(r"---\s*(?:#.*)?")
_API_VERSION = re.compile(r"^apiVersion:[ \t]*([^ \t\n].*)$", re.MULTILINE)
_KIND = re.compile(r"^kind:[ \t]*([^ \t\n].*)$", re.MULTILINE)
_METADATA = re.compile(r"^metadata:[ \t]*\n((?:[ \t]+.*\n?|[ \t]*\n|[ \t]*#.*\n?)+)", re.MULTILINE)
_ACTION = re.compile(r"{{.*?}}")
"""Search for this pattern only up to the last ``}}`` of a line: on a line of many ``{{`` without ``}}`` the search
takes quadratic time."""
_PLACEHOLDER = "hidden-template-action-"
_NUMBERED_PLACEHOLDER = re.compile(rf"{_PLACEHOLDER}([0-9]+)\.")
_MAX_LIST_DEPTH = 10


def is_rendered(document: Mapping[str, Any]) -> bool:
    """Whether Sveltos evaluates the content of a ConfigMap or Secret, as a template or Lua, before it deploys it."""
    annotations = _annotations(document)
    return any(annotation in annotations for annotation in RENDERED_ANNOTATIONS)


def is_program(document: Mapping[str, Any]) -> bool:
    """Whether the content of a ConfigMap or Secret is a Lua program that returns documents.

    If the object has both annotations, Sveltos takes the content for a template.
    """
    annotations = _annotations(document)
    return LUA_ANNOTATION in annotations and TEMPLATE_ANNOTATION not in annotations


def subresources_of(document: Mapping[str, Any]) -> frozenset[str]:
    """The subresources, such as ``status``, that Sveltos applies with each resource of a ConfigMap or Secret."""
    names = str(_annotations(document).get(SUBRESOURCES_ANNOTATION) or "").split(",")
    return frozenset(name.strip() for name in names) - {""}


def _annotations(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return (document.get("metadata") or {}).get("annotations") or {}


def split(text: str, *, as_stream: bool = False, depth: int = 0) -> list[str]:
    """Split one value of a ConfigMap or Secret into documents, as Sveltos does. Comments stay in their documents.

    Text without ``---`` is one document. Otherwise a separator is a line that starts with ``---`` and has only white
    space or a comment after it. Text that starts with ``{`` may also be a stream of JSON objects. A document that is a
    list of strings contributes one manifest per string.
    ``as_stream`` follows Sveltos before 1.0, where a document may begin on the line of its separator.
    ``depth`` is the number of lists of manifests around the text. Lists below _MAX_LIST_DEPTH levels are not split.
    Raises InputError if Sveltos refuses the text, or if the text is longer than MAX_CHARACTERS.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"more than {MAX_CHARACTERS // 1024 // 1024} MiB of text, which no API server accepts")
    if _is_blank(text):
        return []
    if _SEPARATOR not in text:
        return _expand(text, depth)
    stream = _split_json_stream(text) if text.lstrip().startswith("{") else None
    pieces = _split_at_separators(text, as_stream=as_stream) if stream is None else stream
    return [document for piece in pieces if not _is_blank(piece) for document in _expand(piece, depth)]


def _is_blank(text: str) -> bool:
    """Whether text contains only white space, comments and separators. A separator with text after it is not blank."""
    return all(
        not line.strip() or line.lstrip().startswith("#") or _SEPARATOR_LINE.fullmatch(line)
        for line in text.split("\n")
    )


def _split_at_separators(text: str, *, as_stream: bool) -> list[str]:
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


def _split_json_stream(text: str) -> list[str] | None:
    """The texts of the objects in a JSON stream; None if the text is not JSON, for example a flow mapping of YAML."""
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


def _expand(piece: str, depth: int) -> list[str]:
    """The document, or the documents of the manifests that it lists as strings."""
    if depth == _MAX_LIST_DEPTH or not _first_line(piece).startswith("-"):
        return [_trim(piece)]
    try:
        manifests = load_document(piece, "a list of manifests")
    except InputError:
        return [_trim(piece)]
    if isinstance(manifests, list) and all(isinstance(manifest, str) for manifest in manifests):
        return [document for manifest in manifests for document in split(manifest, depth=depth + 1)]
    return [_trim(piece)]


def _first_line(piece: str) -> str:
    lines = (line.strip() for line in piece.split("\n"))
    return next((line for line in lines if line and not line.startswith("#")), "")


def _trim(piece: str) -> str:
    """The text without leading and trailing blank lines: these belong to the separators, not to the document."""
    lines = piece.split("\n")
    while lines and not lines[0].strip():
        del lines[0]
    while lines and not lines[-1].strip():
        del lines[-1]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Identity:
    """Kind, namespace and name as a document writes them, before Sveltos fills in the namespace."""

    kind: Kind
    namespace: str
    name: str
    """May contain template actions. The identity then fits every name that has the text around the actions."""

    def keys(self) -> tuple[ObjectKey, ObjectKey]:
        """The possible keys of the deployed resource: in a namespace (``default`` if none is given), cluster-scoped."""
        return (
            ObjectKey(self.kind, self.namespace or DEFAULT_NAMESPACE, self.name),
            ObjectKey(self.kind, "", self.name),
        )

    def key(self) -> ObjectKey:
        """The key of the deployed resource. A kind that is not in CLUSTER_SCOPED_KINDS counts as namespaced."""
        return self.keys()[self.kind in CLUSTER_SCOPED_KINDS]

    def fits(self, key: ObjectKey) -> bool:
        """Whether the deployed resource with this key may come from this document."""
        if key.kind != self.kind or not _fits(self.name, key.name):
            return False
        return not key.namespace or _fits(self.namespace or DEFAULT_NAMESPACE, key.namespace)


def _fits(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern, which may contain template actions. An action may stand for any text."""
    head, end, tail = pattern.rpartition("}}")
    first, *others = _ACTION.split(head + end)
    if not others:
        return pattern == name
    *middle, last = others
    last += tail
    if not name.startswith(first) or not name.endswith(last):
        return False
    position, limit = len(first), len(name) - len(last)
    for part in middle:
        position = name.find(part, position, limit)
        if position < 0:
            return False
        position += len(part)
    return position <= limit


def load(text: str) -> Any:
    """The value of one document as Sveltos reads it; None if the text is not YAML or contains no value."""
    try:
        return load_document(text, "a document")
    except InputError:
        return None


def identify(value: Any) -> Identity | None:
    """The identity in a parsed document; None if the value is not a Kubernetes object with a name."""
    if not isinstance(value, dict) or not isinstance(value.get("metadata"), dict):
        return None
    metadata = value["metadata"]
    name, namespace, kind = metadata.get("name"), metadata.get("namespace") or "", Kind.of(value)
    if not name or not kind.name or not isinstance(name, str) or not isinstance(namespace, str):
        return None  # the API server refuses a boolean or number, such as an unquoted yes or 5
    return Identity(kind, namespace, name)


def identify_text(text: str) -> Identity | None:
    """The identity in text that cannot be parsed: a template, whose actions stay in the name, or broken YAML.

    None if the text names no kind or no name.
    """
    return _identify_template(text) or _identify_lines(text)


def _identify_template(text: str) -> Identity | None:
    """The identity in the YAML that is left when the actions of a template are replaced.

    A line that contains only actions is dropped. In any other line, a placeholder word replaces each action.
    """
    actions: list[str] = []

    def hide(match: re.Match[str]) -> str:
        actions.append(match[0])
        return f"{_PLACEHOLDER}{len(actions) - 1}."

    def restore(hidden: str) -> str:
        return _NUMBERED_PLACEHOLDER.sub(lambda match: actions[int(match[1])], hidden)

    if _PLACEHOLDER in text or "{{" not in text:
        return None
    lines = [line for line in text.split("\n") if _replace_actions("", line).strip() or not line.strip()]
    identity = identify(load("\n".join(_replace_actions(hide, line) for line in lines)))
    if identity is None or _PLACEHOLDER in str(identity.kind):
        return None
    return Identity(identity.kind, restore(identity.namespace), restore(identity.name))


def _replace_actions(replacement: str | Callable[[re.Match[str]], str], line: str) -> str:
    head, end, tail = line.rpartition("}}")
    return _ACTION.sub(replacement, head + end) + tail


def _identify_lines(text: str) -> Identity | None:
    """The identity in the lines ``apiVersion:``, ``kind:`` and ``metadata:`` of a document in block style."""
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
    """The scalar fields at the outer indentation of a block. If a field is repeated, its first value counts."""
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
    """A scalar without its quotes and without a comment after it."""
    if len(text) > 1 and text[0] in "\"'" and text[0] in text[1:]:
        return text[1 : text.index(text[0], 1)]
    return text.partition(" #")[0].strip()
