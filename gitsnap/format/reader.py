"""Reads YAML: archived objects fast, and what people wrote (policies, manifests, documents in ConfigMaps) with care.

Values are those of JSON: keys become text as Kubernetes makes them, and aliases that multiply are refused. What gitsnap
wrote itself needs no parser of YAML, so that most commands load none. YAML 1.2 rules: ``yes`` and ``on`` are text.
This module must not know what the documents mean.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from gitsnap.errors import ArchiveError, InputError
from gitsnap.format import canonical

LONGEST_TEXT = 64 * 1024 * 1024
"""Characters of one file; the whole dump of a cluster with 10,000 objects is about 40 million."""

NODES_PER_CHARACTER = 10
"""So many values at the most a text may stand for once its aliases are followed: what keeps nested aliases, a few
lines that stand for billions of values, from filling the memory. No text without aliases has as many."""

_ALWAYS_ALLOWED = 1000
_LONGEST_NUMBER = 10_000
"""Bits; Python does not write down a number that is much longer."""

DEEPEST = 200

_NOT_WRITTEN = "gitsnap did not write this file. `gitsnap verify` and `git log` in the archive say more."

_DEEP_BLOCKS = re.compile(rf"[ \t?:-]{{{2 * DEEPEST}}}")
"""What a line begins with where block collections are nested deeply: each level stands further to the right."""


def decode(data: bytes, source: str = "an archived object") -> Any:
    """The JSON value of an archived file; ``source`` names it in messages.

    Raises InputError when it is no YAML, is not UTF-8, or holds more than one document.
    """
    text = _text(data, source)
    value = canonical.read(text)
    if value is not canonical.NOT_CANONICAL:
        return value
    documents = load_documents(text, source)
    if len(documents) != 1:
        raise InputError(f"{source}: {len(documents)} documents instead of one")
    return documents[0]


def decode_object(data: bytes, source: str) -> dict[str, Any]:
    """The object of an archived file; ``source`` names the file in messages.

    Raises ArchiveError where the file holds anything else. Whoever may write to a remote can put any file there.
    """
    try:
        document = decode(data, source)
    except InputError as error:
        raise ArchiveError(error.message, hint=_NOT_WRITTEN) from None
    if not isinstance(document, dict):
        raise ArchiveError(f"{source}: not a Kubernetes object", hint=_NOT_WRITTEN)
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not all(isinstance(document.get(key), str) for key in ("apiVersion", "kind")):
        raise ArchiveError(f"{source}: apiVersion, kind or metadata is missing", hint=_NOT_WRITTEN)
    return document


def load_documents(text: str | bytes, source: str) -> list[Any]:
    """The JSON values of all documents of a YAML or JSON text; empty documents are left out.

    ``source`` names the text in messages. Raises InputError with the line of what cannot be read.
    """
    if isinstance(text, bytes):
        text = _text(text, source)
    if len(text) > LONGEST_TEXT:
        raise InputError(f"{source}: more than {LONGEST_TEXT // 1024 // 1024} MiB of text; split the file")
    if text.lstrip()[:1] == "{":
        try:
            return [json.loads(text, object_pairs_hook=_unique_pairs, parse_constant=_no_constant)]
        except (ValueError, RecursionError):
            pass  # a flow mapping of YAML, or several documents
    from gitsnap.format.yaml_loading import check_depth, load_all

    _check_nesting(text, source)
    if _DEEP_BLOCKS.search(text):
        check_depth(text, source, DEEPEST * 10)
    most = _ALWAYS_ALLOWED + NODES_PER_CHARACTER * len(text)
    budget = iter(range(most))
    return [_json_value(document, source, budget) for document in load_all(text, source, most)]


def _text(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: not UTF-8 text (byte {error.start})") from None


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _check_nesting(text: str, source: str) -> None:
    """Flow collections are parsed by recursion, in C: text that opens thousands of them is stopped here."""
    depth = deepest = 0
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    for char in text:
        if char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}" and depth:
            depth -= 1
    if deepest > DEEPEST * 10:
        raise InputError(f"{source}: nested too deeply")


def _json_value(document: Any, source: str, budget: Iterator[int]) -> Any:
    """The document with text keys; aliases are followed, as far as the budget of all documents allows."""

    def convert(value: Any, depth: int) -> Any:
        """``depth``: how deep it lies, 0 for the document itself. Raises InputError for what JSON has no form for."""
        if next(budget, None) is None:
            raise InputError(f"{source}: its aliases multiply to far more than is written there")
        if depth > DEEPEST:
            raise InputError(f"{source}: nested more than {DEEPEST} levels deep")
        if isinstance(value, dict):
            return {_key(key, source): convert(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [convert(item, depth + 1) for item in value]
        if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
            raise InputError(f"{source}: a number of thousands of digits")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{source}: {value} has no form in JSON")
        return value

    return convert(document, 0)


def _key(key: Any, source: str) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bool) or key is None:
        return {True: "true", False: "false", None: "null"}[key]
    if isinstance(key, int | float):
        return str(key)
    raise InputError(f"{source}: a key is a collection, which JSON has no form for")


def iterate_documents(documents: list[Any], source: str) -> Iterator[dict[str, Any]]:
    """The API objects among documents: the items of lists (as ``kubectl get -o yaml`` prints them), and single ones.

    Raises InputError naming the source when a document is no API object.
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
    """Items of a list; those of ``XyzList`` may leave out what the list says for all of them."""
    own_kind = str(document["kind"])[: -len("List")]
    for position, item in enumerate(document["items"]):
        if not isinstance(item, dict):
            raise InputError(f"{where}: items[{position}] is no object")
        if own_kind and not item.get("kind"):
            yield {"apiVersion": document["apiVersion"], "kind": own_kind, **item}
        else:
            yield from iterate_documents([item], f"{where}, items[{position}]")
