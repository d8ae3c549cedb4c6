"""Searches a text for many names as whole words: a text that contains the name of an object may refer to it."""

from __future__ import annotations

import re
from collections.abc import Iterable

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
        alternatives = b"|".join(map(re.escape, sorted(self._others)))
        self._whole = re.compile(rb"(?<![a-z0-9.-])(?:" + alternatives + rb")(?![a-z0-9.-])")

    def matches(self, text: bytes) -> bool:
        """Return whether the text contains a name that is not part of a longer word."""
        if self._words and not self._words.isdisjoint(_WORD.findall(text)):
            return True
        # A search for plain bytes is several times faster than the expression, so it runs first.
        return any(name in text for name in self._others) and self._whole.search(text) is not None
