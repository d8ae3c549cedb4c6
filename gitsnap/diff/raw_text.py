"""What a raw diff shows of an object: the object as YAML with one line for each line of its texts.

A ConfigMap is left out where the documents that are shown anyway hold every line that changed in it. This module must
not hide values of Secrets; its callers do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gitsnap.core.errors import InputError
from gitsnap.core.model import JsonObject
from gitsnap.core.objects import same_json
from gitsnap.diff.changes import Change
from gitsnap.diff.rows import TextPair
from gitsnap.diff.source_documents import compare_sources, texts_of
from gitsnap.format import encode
from gitsnap.sveltos import documents, kinds

_QUOTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""Characters for which the archive writes a text of several lines as one quoted line (docs/FORMAT.md)."""
_STAND_INS = 0xF0000
"""Private characters, which the archive writes as they are."""


# Objects as texts -----------------------------------------------------------------------------------------------------


def text_pair(title: str, before: JsonObject | None, after: JsonObject | None) -> TextPair:
    """Two objects to be compared line by line; different objects give different texts."""
    texts = _by_lines(before), _by_lines(after)
    if texts[0] == texts[1] and before is not None and after is not None:
        texts = encode(before).decode(), encode(after).decode()
    return TextPair(title, *texts)


def _by_lines(document: JsonObject | None) -> str | None:
    """The object as the archive writes it, but with texts such as those with CRLF as blocks of lines."""
    if document is None:
        return None
    found: dict[str, str] = {}
    replaced = _replaced(document, found)
    text = encode(replaced).decode()
    return text.translate({ord(stand_in): char for char, stand_in in found.items()}) if found else text


def _replaced(value: Any, found: dict[str, str]) -> Any:
    """A value whose texts of several lines hold a stand-in for each character that would make them one line."""
    if isinstance(value, dict):
        return {name: _replaced(entry, found) for name, entry in value.items()}
    if isinstance(value, list):
        return [_replaced(entry, found) for entry in value]
    if not isinstance(value, str) or "\n" not in value:
        return value
    return _QUOTED.sub(lambda match: found.setdefault(match[0], chr(_STAND_INS + len(found))), value)


# ConfigMaps of which documents are shown ------------------------------------------------------------------------------


def is_shown(change: Change, shown: set[TextPair]) -> bool:
    """Whether a ConfigMap differs in nothing but documents that are shown."""
    if change.key.kind != kinds.CONFIG_MAP or change.before is None or change.after is None:
        return False
    if not same_json({**change.before, "data": None}, {**change.after, "data": None}):
        return False
    texts = texts_of(change.before, local=False), texts_of(change.after, local=False)
    if texts[0] is None or texts[1] is None:
        return False
    compared = compare_sources(texts[0], texts[1])
    pairs = {(pair.before, pair.after) for pair in shown}
    listed = [(document.before, document.after) for document in compared.documents]
    if compared.opaque or not pairs.issuperset(listed):
        return False
    numbers = _numbers(listed, 0), _numbers(listed, 1)
    old, new = (side.get("data") or {} for side in (change.before, change.after))
    names = [name for name in old.keys() | new.keys() if not same_json(old.get(name), new.get(name))]
    try:
        return all(_differs_in_documents((old.get(name), new.get(name)), numbers) for name in names)
    except InputError:
        return False


_Numbers = Mapping[str, int]
"""Documents of one side that are shown: the number of the document in both sides, 0 where the other side lacks it."""


def _numbers(listed: Sequence[tuple[str | None, str | None]], side: int) -> _Numbers:
    return {
        text: 0 if None in pair else number
        for number, pair in enumerate(listed, start=1)
        if (text := pair[side]) is not None
    }


def _differs_in_documents(texts: tuple[str | None, str | None], numbers: tuple[_Numbers, _Numbers]) -> bool:
    """Whether two values differ in documents that are shown, and in nothing else. Raises InputError."""
    parts = [list(_parts(text or "", known)) for text, known in zip(texts, numbers, strict=True)]
    outlines = [[part for part in side if part != 0] for side in parts]
    is_shown = any(isinstance(part, int) for side in parts for part in side)
    ends = {text.endswith("\n") for text in texts if text is not None}
    return is_shown and outlines[0] == outlines[1] and len(ends) == 1


def _parts(text: str, numbers: _Numbers) -> Iterator[str | int]:
    """The documents of a text, those that are shown as their numbers, and what stands between them.

    Raises InputError where the documents do not stand in the text as they are.
    """
    at = 0
    for document in documents.split(text):
        body = document.removesuffix("\n")
        start = text.find(body, at)
        if start < 0:
            raise InputError("the text is no plain series of documents")
        yield from _between(text[at:start])
        yield numbers.get(document, body)
        at = start + len(body)
    yield from _between(text[at:])


def _between(text: str) -> Iterator[str]:
    """The lines that are neither blank nor a bare separator."""
    yield from (line for line in text.split("\n") if line.strip() and line.strip() != "---")
