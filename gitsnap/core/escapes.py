"""Escapes the characters of untrusted text that act on a terminal, change the text direction, or are invisible."""

from __future__ import annotations

import re

_UNSAFE = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f"
)
"""Characters, except LF and tab, that act on a terminal, change the text direction, or are invisible.

The joiners U+200C and U+200D are allowed, because names in Persian and emoji need them."""

UNSAFE = re.compile(f"[{_UNSAFE}]")
_NOT_IN_A_LINE = re.compile(rf"[{_UNSAFE}\t\n]")
NOT_ASCII = re.compile(rf"[{_UNSAFE}\x80-\U0010ffff]")
"""Characters to escape for a stream that accepts ASCII only."""


def visible(text: str) -> str:
    """A text of several lines with its unsafe characters escaped. LF and tab are kept."""
    return text if text.isprintable() else UNSAFE.sub(_escape, text)


def one_line(text: str) -> str:
    """A text as one line that is safe for a terminal: like ``visible``, with LF and tab escaped as well."""
    return text if text.isprintable() else _NOT_IN_A_LINE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] in "\t\n":
        return "\\t" if match[0] == "\t" else "\\n"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
