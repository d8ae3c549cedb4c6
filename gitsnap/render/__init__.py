"""Turns values into text: tables, JSON, YAML, colored diffs, plans. Nothing here prints."""

from gitsnap.core.escapes import one_line, visible
from gitsnap.render.structured import as_json, as_yaml, json_line
from gitsnap.render.table import render_table
from gitsnap.render.terminal_text import cut, folded, paint_diff, shortened, wrapped

__all__ = [
    "as_json",
    "as_yaml",
    "cut",
    "folded",
    "json_line",
    "one_line",
    "paint_diff",
    "render_table",
    "shortened",
    "visible",
    "wrapped",
]
