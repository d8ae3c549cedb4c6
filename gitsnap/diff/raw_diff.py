"""Raw diffs: the texts of documents and objects that differ, and unified diffs of them.

An object is written as the archive writes it, with one line for each line of its texts.
Callers mask the values of Secrets; this module does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gitsnap.core.model import JsonObject
from gitsnap.diff.unified import unified_diff
from gitsnap.format import encode

_QUOTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""Characters for which the archive writes a text of several lines as one quoted line (docs/FORMAT.md)."""
_FIRST_STAND_IN = 0xF0000
"""The first private-use character that replaces such a character. The archive writes these as they are."""


@dataclass(frozen=True, slots=True, order=True)
class TextPair:
    """The two texts of a document or object; None on a side without it."""

    title: str
    """``/Service test/redis-follower``."""
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class RawDiff:
    """A unified diff of one document or object."""

    title: str
    text: str
    """The diff with its two header lines. The last line ends with a newline."""


def raw_diffs(pairs: Iterable[TextPair], before_label: str, after_label: str) -> Iterator[RawDiff]:
    """Return the unified diff of each pair whose lines differ. The labels name the two sides: tags, or ``live``."""
    for pair in pairs:
        title = pair.title.replace("\n", "\\n")  # the name of a ClusterRole may contain a line break
        headers = (f"{title} from {label}" for label in (before_label, after_label))
        if text := unified_diff(pair.before, pair.after, *headers):
            yield RawDiff(pair.title, text)


def object_texts(title: str, before: JsonObject | None, after: JsonObject | None) -> TextPair:
    """Return two objects as texts. Objects that differ have texts that differ."""
    texts = _by_lines(before), _by_lines(after)
    if texts[0] == texts[1] and before is not None and after is not None:
        texts = encode(before).decode(), encode(after).decode()
    return TextPair(title, *texts)


def _by_lines(document: JsonObject | None) -> str | None:
    """Return an object as the archive writes it, but with every text of several lines as a block of lines.

    The archive writes a text with control characters, such as CRLF line ends, as one quoted line. These characters are
    therefore replaced before the object is written, and restored afterwards.
    """
    if document is None:
        return None
    stand_ins: dict[str, str] = {}
    replaced = _replace_characters(document, stand_ins)
    text = encode(replaced).decode()
    return text.translate({ord(stand_in): char for char, stand_in in stand_ins.items()}) if stand_ins else text


def _replace_characters(value: Any, stand_ins: dict[str, str]) -> Any:
    """Replace the characters of _QUOTED in texts of several lines. New stand-ins are added to ``stand_ins``."""
    if isinstance(value, dict):
        return {name: _replace_characters(entry, stand_ins) for name, entry in value.items()}
    if isinstance(value, list):
        return [_replace_characters(entry, stand_ins) for entry in value]
    if not isinstance(value, str) or "\n" not in value:
        return value
    return _QUOTED.sub(lambda match: stand_ins.setdefault(match[0], chr(_FIRST_STAND_IN + len(stand_ins))), value)
