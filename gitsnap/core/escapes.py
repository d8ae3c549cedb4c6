"""Escapes the characters of untrusted text that act on a terminal, change the text direction, or are invisible."""

from __future__ import annotations

import re
from functools import cache

_UNSAFE = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f"
)
"""Characters, except LF and tab, that act on a terminal, change the text direction, or are invisible.

The joiners U+200C and U+200D are allowed, because names in Persian and emoji need them."""


@cache
def unsafe_character(further: str = "") -> re.Pattern[str]:
    """The pattern of an unsafe character, or of one of ``further``, which is a part of a character class.

    A pattern takes two milliseconds to compile, and most output needs none.
    """
    return re.compile(f"[{_UNSAFE}{further}]")


def not_ascii() -> re.Pattern[str]:
    """The pattern of a character to escape for a stream that accepts ASCII only."""
    return unsafe_character(r"\x80-\U0010ffff")


def visible(text: str) -> str:
    """A text of several lines with its unsafe characters escaped. LF and tab are kept."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return unsafe_character().sub(_escape, text)


def one_line(text: str) -> str:
    """A text as one line that is safe for a terminal: like ``visible``, with LF and tab escaped as well."""
    return text if text.isprintable() else unsafe_character(r"\t\n").sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] in "\t\n":
        return "\\t" if match[0] == "\t" else "\\n"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
