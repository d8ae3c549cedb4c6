"""JSON and YAML output; the shapes are an interface (docs/SCRIPTING.md).

What acts on a terminal, or is not seen, is written as an escape: a reader of JSON or YAML gets the same value.
This module must not know the shapes: it writes what it is given.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from typing import Any

from gitsnap.format import encode
from gitsnap.render.text import NOT_ASCII, UNSAFE


def as_json(value: Any, *, ascii_only: bool = False) -> str:
    """Indented JSON with a trailing newline; ``ascii_only``: for a stream that does not take every character."""
    text = json.dumps(value, indent=2, ensure_ascii=ascii_only)
    return UNSAFE.sub(_json_escape, text) + "\n"


def json_line(value: Any) -> str:
    """JSON in one line, without a line break at its end."""
    return UNSAFE.sub(_json_escape, json.dumps(value, ensure_ascii=False))


def as_yaml(value: Any, *, ascii_only: bool = False) -> str:
    """YAML in the form that archives use, except for texts that need escapes: those are in double quotes."""
    needs = NOT_ASCII if ascii_only else UNSAFE
    text = encode(value).decode()
    return _with_escapes(value, needs) if needs.search(text) else text


def _json_escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]


def _with_escapes(value: Any, needs: re.Pattern[str]) -> str:
    """As encoded, with the texts that need escapes replaced: first by names of their own, then by their quoted form."""
    token, hidden = secrets.token_hex(8), list[str]()

    def stand_in(text: str) -> str:
        """A plain word in place of a text."""
        if not needs.search(text):
            return text
        hidden.append(text)
        return f"text{len(hidden):09}x{token}"

    encoded = encode(_mapped(value, stand_in)).decode()
    return re.sub(rf"text(\d{{9}})x{token}", lambda match: _quoted(hidden[int(match[1]) - 1], needs), encoded)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): _mapped(item, change) for key, item in sorted(value.items())}
    return [_mapped(item, change) for item in value] if isinstance(value, list) else value


def _quoted(text: str, needs: re.Pattern[str]) -> str:
    """In double quotes, with escapes that YAML 1.1 and YAML 1.2 have in common."""
    quoted = json.dumps(text, ensure_ascii=False)
    return needs.sub(lambda match: _yaml_escape(ord(match[0])), quoted)


def _yaml_escape(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
