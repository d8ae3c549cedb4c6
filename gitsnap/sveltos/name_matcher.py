"""Searches a text for many names as whole words: a text that contains the name of an object may refer to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_WORD = re.compile(rb"[a-z0-9.-]+")
"""The characters of nearly every object name. A name ends at the first other character."""

_WORD_BYTES = frozenset(byte.to_bytes() for byte in b"abcdefghijklmnopqrstuvwxyz0123456789.-")

_FEW = 40
"""Up to this number, each name is searched for in the text. For more, looking up each word of the text is faster."""


def words_of(text: bytes) -> frozenset[bytes]:
    """Return the words of a text. A name of these characters that a NameMatcher finds in the text is one of them."""
    return frozenset(_WORD.findall(text))


class NameMatcher:
    """Searches texts for a fixed set of names."""

    def __init__(self, names: Iterable[str]) -> None:
        encoded = {name.encode() for name in names}
        self._words = {name for name in encoded if _WORD.fullmatch(name)} if len(encoded) > _FEW else set()
        self._others = encoded - self._words

    def matches(self, text: bytes) -> bool:
        """Return whether the text contains a name that is not part of a longer word."""
        return any(True for _ in self.find(text))

    def find(self, text: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the position of each name that is not part of a longer word, and the name."""
        if self._words and not self._words.isdisjoint(_WORD.findall(text)):
            for match in _WORD.finditer(text):
                if match[0] in self._words:
                    yield match.start(), match[0]
        for name in self._others:
            # A search for plain bytes is several times faster than a regular expression.
            start = text.find(name)
            while start >= 0:
                end = start + len(name)
                if text[start - 1 : start] not in _WORD_BYTES and text[end : end + 1] not in _WORD_BYTES:
                    yield start, name
                start = text.find(name, start + 1)
