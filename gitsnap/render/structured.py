"""JSON and YAML output. Callers define the shapes, which are an interface (docs/SCRIPTING.md).

Characters that act on a terminal, or that are invisible, are written as escapes. A JSON or YAML parser reads the same
value.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Any

from gitsnap.core.escapes import not_ascii, unsafe_character
from gitsnap.format import encode


def as_json(value: Any, *, ascii_only: bool = False) -> str:
    """Indented JSON with a trailing newline. ``ascii_only`` escapes all other characters."""
    text = json.dumps(value, indent=2, ensure_ascii=ascii_only)
    return unsafe_character().sub(_json_escape, text) + "\n"


def json_line(value: Any) -> str:
    """JSON on one line, without a trailing newline."""
    return unsafe_character().sub(_json_escape, json.dumps(value, ensure_ascii=False))


def as_yaml(value: Any, *, ascii_only: bool = False) -> str:
    """YAML in the form of the archive. Strings that need escapes are in double quotes.

    ``ascii_only`` escapes all other characters.
    """
    unsafe = not_ascii() if ascii_only else unsafe_character()
    text = encode(value).decode()
    return _with_escapes(value, unsafe) if unsafe.search(text) else text


def _json_escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]


def _with_escapes(value: Any, unsafe: re.Pattern[str]) -> str:
    """The YAML of a value, in which strings with unsafe characters are replaced by placeholders, then by quotes."""
    token, replaced = os.urandom(8).hex(), list[str]()

    def placeholder(text: str) -> str:
        """A plain word in place of a string with unsafe characters."""
        if not unsafe.search(text):
            return text
        replaced.append(text)
        return f"text{len(replaced):09}x{token}"

    encoded = encode(_mapped(value, placeholder)).decode()
    return re.sub(rf"text(\d{{9}})x{token}", lambda match: _quoted(replaced[int(match[1]) - 1], unsafe), encoded)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): _mapped(item, change) for key, item in sorted(value.items())}
    return [_mapped(item, change) for item in value] if isinstance(value, list) else value


def _quoted(text: str, unsafe: re.Pattern[str]) -> str:
    """A string in double quotes, with escapes that YAML 1.1 and YAML 1.2 have in common."""
    quoted = json.dumps(text, ensure_ascii=False)
    return unsafe.sub(lambda match: _yaml_escape(ord(match[0])), quoted)


def _yaml_escape(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
