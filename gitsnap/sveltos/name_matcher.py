"""Searches a text for many names as whole words: a text that contains the name of an object may refer to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

_WORD = re.compile(rb"[a-z0-9.-]+")
"""The characters of nearly every object name. A name ends at the first other character."""

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
            start = text.find(name)
            if start >= 0:
                yield from ((match.start(), name) for match in _whole_word(name).finditer(text, start))


@lru_cache(maxsize=1024)
def _whole_word(name: bytes) -> re.Pattern[bytes]:
    """The name where it is not part of a longer word. The pattern begins with the name, which is fast to search."""
    escaped = re.escape(name)
    return re.compile(escaped + rb"(?![a-z0-9.-])(?<![a-z0-9.-]" + escaped + rb")")
