"""Finds out whether one of many names stands in a text, as a whole word: who may refer to an object.

This module must not know what the texts are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORD = re.compile(rb"[a-z0-9.-]+")
"""What names of objects are made of, nearly always; a name ends where no more of it can follow."""

_FEW = 40
"""So many names are looked for one by one; of more it is quicker to look up each word of the text."""


class Names:
    """Names that are looked for in texts."""

    def __init__(self, names: Iterable[str]) -> None:
        given = {name.encode() for name in names}
        self._words = {name for name in given if _WORD.fullmatch(name)} if len(given) > _FEW else set()
        self._others = given - self._words
        listed = b"|".join(map(re.escape, sorted(self._others)))
        self._whole = re.compile(rb"(?<![a-z0-9.-])(?:" + listed + rb")(?![a-z0-9.-])")

    def stand_in(self, text: bytes) -> bool:
        """Whether the text holds one of them that is no part of a longer word."""
        if self._words and not self._words.isdisjoint(_WORD.findall(text)):
            return True
        # Searching for plain bytes first is several times faster than the expression that looks for whole names.
        return any(name in text for name in self._others) and self._whole.search(text) is not None
