"""Reads YAML as JSON values: archived objects, policies, manifests, and documents in ConfigMaps.

The rules are those of Go's YAML library (``go_scalars``, ``parser``), which Kubernetes, Helm and Sveltos use. Archived
objects are read by ``canonical``, without a YAML parser, so that most commands do not import one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from gitsnap.core.errors import ArchiveError, InputError
from gitsnap.format.yaml import canonical, go_scalars
from gitsnap.format.yaml.emitter import DEEPEST

LONGEST_TEXT = 64 * 1024 * 1024
"""Characters of one file. A dump of a cluster with 10,000 objects has about 40 million."""

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_LONG_INTEGER = b"0" * 19
"""A text with fewer digits in a row has no integer of more than 64 bits."""
_DIGITS_AS_ZERO = bytes.maketrans(b"0123456789", b"0" * 10)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_NOT_WRITTEN = "gitsnap did not write this file. `gitsnap verify` and `git log` in the archive show more."


def decode(data: bytes, source: str = "an archived object") -> dict[str, Any]:
    """The JSON object of an archived file; ``source`` names the file in messages.

    Raises InputError for a file that is not YAML, not UTF-8, or not exactly one mapping. Such a file is damaged, or
    gitsnap did not write it.
    """
    text = _text(data, source)
    value = canonical.read(text)
    if value is canonical.NOT_CANONICAL:
        documents = load_documents(text, source)
        if len(documents) != 1:
            raise InputError(f"{source}: {len(documents)} documents instead of one")
        value = documents[0]
    if not isinstance(value, dict):
        raise InputError(f"{source}: not an object: the content is not a mapping")
    if not isinstance(value.get("metadata") or {}, dict):
        raise InputError(f"{source}: not an object: the metadata is not a mapping")
    return value


def decode_object(data: bytes, source: str) -> dict[str, Any]:
    """The Kubernetes object of an archived file; ``source`` names the file in messages.

    Raises ArchiveError for any other content. Anybody who can write to a remote can add such a file.
    """
    try:
        document = decode(data, source)
    except InputError as error:
        raise ArchiveError(error.message, hint=_NOT_WRITTEN) from None
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not all(isinstance(document.get(key), str) for key in ("apiVersion", "kind")):
        raise ArchiveError(f"{source}: apiVersion, kind or metadata is missing", hint=_NOT_WRITTEN)
    return document


def load_documents(text: str | bytes, source: str, *, unique_keys: bool = False) -> list[Any]:
    """The JSON values of all documents of a YAML or JSON text, without empty documents.

    ``source`` names the text in messages. With ``unique_keys``, a duplicate key is refused, as kubectl does for files;
    otherwise its last value counts. Raises InputError with the line of the error.
    """
    text = _checked(text, source)
    value = _json(text, unique_keys=unique_keys)
    if value is not _NO_JSON:
        return [value]
    from gitsnap.format.yaml.parser import load_all

    return load_all(text, source, unique_keys=unique_keys)


def load_document(text: str | bytes, source: str) -> Any:
    """The JSON value of the first document, None if there is none. Go ignores further documents in such a text.

    Raises InputError with the line of the error.
    """
    text = _checked(text, source)
    value = _json(text)
    if value is not _NO_JSON:
        return value
    from gitsnap.format.yaml.parser import load_first

    return load_first(text, source)


def line_of(text: str, number: int, path: Sequence[str | int]) -> int | None:
    """The line of the field at ``path`` in document ``number`` of ``load_documents`` (from 0), None if unknown."""
    from gitsnap.format.yaml.lines import find_line

    return find_line(text, number, path)


def _checked(text: str | bytes, source: str) -> str:
    if isinstance(text, bytes):
        text = _text(text, source)
    if len(text) > LONGEST_TEXT:
        raise InputError(f"{source}: more than {LONGEST_TEXT // 1024 // 1024} MiB of text; split the file")
    return text


def _text(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: not UTF-8 text (byte {error.start})") from None


_NO_JSON: Any = object()


def _json(text: str, *, unique_keys: bool = False) -> Any:
    """The value of a JSON object, ``_NO_JSON`` for any other text. Much faster than the YAML parser."""
    if text.lstrip()[:1] != "{":
        return _NO_JSON
    data = text.encode("utf-8", "surrogatepass")  # many times faster to search than text with regular expressions
    integers: Any = go_scalars.json_integer if _LONG_INTEGER in data.translate(_DIGITS_AS_ZERO) else None
    pairs = _unique_pairs if unique_keys else None
    try:
        value = json.loads(
            text,
            object_pairs_hook=pairs,
            parse_int=integers,
            parse_float=go_scalars.json_float,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError):
        return _NO_JSON  # a flow mapping of YAML, or several documents
    if _may_be_deep(data) and _is_deep(value):
        return _NO_JSON  # the YAML parser reports the line
    return _without_surrogates(value) if _SURROGATE_ESCAPE.search(text) else value


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")  # the YAML parser reports the line
    return result


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _may_be_deep(data: bytes) -> bool:
    """Whether brackets are nested deeply. Brackets inside strings count too."""
    brackets = data.translate(None, _NO_BRACKETS)
    for _ in range(DEEPEST):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return True


def _is_deep(value: Any) -> bool:
    """Whether collections are nested more deeply than the YAML parser allows."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            item
            for collection in level
            for item in (collection.values() if isinstance(collection, dict) else collection)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def _without_surrogates(value: Any) -> Any:
    """The value without halves of surrogate pairs, which only an escape can produce."""
    if isinstance(value, str):
        return go_scalars.without_surrogates(value)
    if isinstance(value, dict):
        return {go_scalars.without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return [_without_surrogates(item) for item in value] if isinstance(value, list) else value


def iterate_documents(documents: list[Any], source: str) -> Iterator[dict[str, Any]]:
    """The API objects of some documents: single objects, and the items of lists as ``kubectl get -o yaml`` prints them.

    Raises InputError naming the source for a document that is not an API object.
    """
    for position, document in enumerate(documents, start=1):
        where = f"{source}, document {position}"
        if not isinstance(document, dict) or not document.get("kind") or not document.get("apiVersion"):
            raise InputError(f"{where}: not a Kubernetes object: apiVersion and kind are needed")
        if isinstance(document.get("items"), list) and str(document["kind"]).endswith("List"):
            yield from _items(document, where)
        else:
            yield document


def _items(document: dict[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """The items of a list. Those of an ``XyzList`` may lack ``apiVersion`` and ``kind``."""
    own_kind = str(document["kind"])[: -len("List")]
    for position, item in enumerate(document["items"]):
        if not isinstance(item, dict):
            raise InputError(f"{where}: items[{position}] is not an object")
        if own_kind and not item.get("kind"):
            yield {"apiVersion": document["apiVersion"], "kind": own_kind, **item}
        else:
            yield from iterate_documents([item], f"{where}, items[{position}]")
