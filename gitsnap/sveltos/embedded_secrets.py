"""Secret manifests inside other objects: in the texts of a ConfigMap, in the values of a chart, in a list of objects.

Kubernetes keeps such a manifest in plain text, and so does the archive. These functions replace its values for
everything that gitsnap prints about an object. A manifest is replaced as a whole if its text cannot be parsed, such as
a template. This module must not choose the replacement of a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from gitsnap.core.errors import InputError
from gitsnap.core.model import Kind
from gitsnap.format import encode, load_documents
from gitsnap.sveltos import documents, kinds

Steps = tuple[str | int, ...]
"""The path to a value: keys, positions in lists, and the names of documents in a text."""

Replace = Callable[[Steps, Any], Any]
"""Returns the replacement of a value. The replacement of a whole text is a text."""

_OPEN_FIELDS = frozenset({"apiVersion", "kind", "metadata", "type", "immutable"})
"""The fields of a Secret that are not values. Any other field may be a misspelt ``stringData``."""
_VALUE_FIELDS = ("data", "stringData")
_SECRET_LIST = Kind("", "SecretList")
_MAY_CONTAIN = re.compile(r"Secret|\\|!!binary")
"""A text with no match has no manifest. YAML has the letters of ``Secret``, or escapes or base64 in their place."""
_KIND = re.compile(r"""kind["']?\s*[:=]\s*["']?Secret(?:List)?\b(?!-)""")
_VALUES = re.compile(r"""(?:data|stringData)["']?\s*[:=]""")
_DEEPEST = 250
"""The largest number of levels. No archived object and no document has more levels."""
_DEEPEST_TEXT = 4
"""The largest depth of texts inside texts. A deeper text that may contain a manifest is replaced as a whole."""


def replace_values(value: Any, replace: Replace, *, texts: bool = True) -> Any:
    """Replace the values of the Secret manifests in a value or a text; the same object if it has no such manifest.

    ``texts``: whether the texts inside the value are searched too.
    """
    return _Replacement(replace, texts=texts).of(value, ())


def contains_values(value: Any) -> bool:
    """Whether a value or a text has a Secret manifest with values."""
    return replace_values(value, lambda _steps, _value: "") is not value


def is_manifest(value: Any) -> bool:
    """Whether a value is a Secret, or a list of Secrets. A reference to a Secret is not a Secret."""
    return isinstance(value, dict) and (_is_secret(value) or Kind.of(value) == _SECRET_LIST)


def _is_secret(value: dict[str, Any]) -> bool:
    parts = (value.get(name) for name in ("metadata", *_VALUE_FIELDS))
    return Kind.of(value) == kinds.SECRET and any(isinstance(part, dict) for part in parts)


class _Replacement:
    """Walks through a value and replaces the values of Secrets."""

    def __init__(self, replace: Replace, *, texts: bool) -> None:
        self._replace = replace
        self._texts = texts
        self._depth = 0

    def of(self, value: Any, steps: Steps, *, is_secret: bool = False) -> Any:
        """The value with replacements. ``is_secret``: whether a mapping is a Secret even if it names no kind."""
        if isinstance(value, str):
            return self._of_text(value, steps) if self._texts else value
        if isinstance(value, list) and len(steps) <= _DEEPEST:
            items = [self.of(item, (*steps, number), is_secret=is_secret) for number, item in enumerate(value)]
            return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
        if not isinstance(value, dict) or len(steps) > _DEEPEST:
            return value
        is_secret = is_secret or _is_secret(value)
        is_list = Kind.of(value) == _SECRET_LIST
        fields = {
            name: self._of_values(field, (*steps, name))
            if is_secret and name not in _OPEN_FIELDS
            else self.of(field, (*steps, name), is_secret=is_list and name == "items")
            for name, field in value.items()
        }
        return fields if any(fields[name] is not value[name] for name in value) else value

    def _of_values(self, values: Any, steps: Steps) -> Any:
        if not values:
            return values
        if isinstance(values, dict):
            return {name: self._replace((*steps, name), value) for name, value in values.items()}
        return self._replace(steps, values)

    def _of_text(self, text: str, steps: Steps) -> str:
        if not _MAY_CONTAIN.search(text):
            return text
        if self._depth == _DEEPEST_TEXT:
            return self._whole(text, steps)
        self._depth += 1
        try:
            return self._of_pieces(text, steps)
        except RecursionError:
            return self._whole(text, steps)
        finally:
            self._depth -= 1

    def _of_pieces(self, text: str, steps: Steps) -> str:
        """The text with replacements. The text around the manifests stays as it is."""
        try:
            pieces = _split(text)
        except InputError:
            return self._whole(text, steps) if _seems_secret(text) else text
        replaced = [self._of_piece(piece, (*steps, name)) for name, piece in _named(pieces)]
        if all(new is old for new, old in zip(replaced, pieces, strict=True)):
            return text
        result, end = "", 0
        for piece, new in zip(pieces, replaced, strict=True):
            body = piece.removesuffix("\n")
            start = text.find(body, end)
            if start < 0:  # the text is a list of manifests, and does not contain its documents literally
                return "---\n".join(replaced)
            result += text[end:start] + (body if new is piece else new.removesuffix("\n"))
            end = start + len(body)
        return result + text[end:]

    def _of_piece(self, piece: str, steps: Steps) -> str:
        if not _MAY_CONTAIN.search(piece):
            return piece
        try:
            values = load_documents(piece, "a document")
        except (InputError, RecursionError):
            values = []
        if len(values) != 1 or not isinstance(values[0], dict | list):
            return self._whole(piece, steps) if _seems_secret(piece) else piece
        replaced = self.of(values[0], steps)
        if replaced is values[0]:
            return piece
        try:
            return encode(replaced).decode()
        except InputError:
            return self._whole(piece, steps)

    def _whole(self, text: str, steps: Steps) -> str:
        return str(self._replace(steps, text))


def _split(text: str) -> list[str]:
    """The documents of a text, by the rules of any version of Sveltos. Raises InputError."""
    try:
        return documents.split(text)
    except InputError:
        return documents.split(text, as_stream=True)


def _named(pieces: list[str]) -> Iterator[tuple[str, str]]:
    """The documents, each with a name that stays the same if the document moves."""
    seen: dict[str, int] = {}
    for piece in pieces:
        identity = documents.identify_text(piece)
        name = f"{identity.kind}/{identity.namespace}/{identity.name}" if identity else ""
        seen[name] = seen.get(name, 0) + 1
        yield f"{name}#{seen[name]}", piece


def _seems_secret(text: str) -> bool:
    """Whether a text that cannot be parsed may contain a Secret with values, such as a template or a program."""
    return bool(_KIND.search(text) and _VALUES.search(text))
