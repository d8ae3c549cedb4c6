"""JSON and YAML output; the shapes are an interface (docs/SCRIPTING.md).

This module must not know the shapes: it writes what it is given.
"""

from __future__ import annotations

import json
from typing import Any

from gitsnap.format import encode


def as_json(value: Any) -> str:
    """Indented JSON with a trailing newline; non-ASCII text as it is."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def as_yaml(value: Any) -> str:
    """YAML in the form that archives use."""
    return encode(value).decode()
