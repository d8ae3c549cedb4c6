"""Renders the pages of ``gitsnap web``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gitsnap import __version__
from gitsnap.core.states import author_text
from gitsnap.render.report.environment import Environment, as_markup, asset, make_environment
from gitsnap.render.report.page import MOST_LINES, MOST_NAMES
from gitsnap.render.structured import json_line
from gitsnap.render.terminal_text import cut
from gitsnap.render.web import addresses

_PACKAGE = "gitsnap.render.web"
_REPORT = "gitsnap.render.report"
USER_MARK = "\0user\0"
"""A placeholder for the name of the user. In all other values of a page, this character is made visible."""


def render_page(template: str, values: Mapping[str, Any]) -> str:
    """Return a page. It contains no lone surrogates, so it can be encoded as UTF-8."""
    return _environment().get_template(template).render(values)


@lru_cache(maxsize=1)
def static_files() -> Mapping[str, tuple[str, bytes]]:
    """Return the files that pages load: name -> media type and content."""
    style = asset(_REPORT, "style.css") + asset(_PACKAGE, "web.css")
    return {
        "style.css": ("text/css; charset=utf-8", style.encode()),
        "script.js": ("text/javascript; charset=utf-8", asset(_PACKAGE, "web.js").encode()),
        "icon.svg": ("image/svg+xml", asset(_PACKAGE, "icon.svg").encode()),
    }


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = make_environment(_PACKAGE)
    environment.globals |= {
        "version": __version__,
        "user_mark": as_markup(USER_MARK),
        "most_lines": MOST_LINES,
        "most_names": MOST_NAMES,
        "address": addresses.address,
        "state_address": addresses.state_address,
        "state_name": addresses.state_name,
        "diff_address": addresses.diff_address,
        "object_address": addresses.object_address,
        "cluster_address": addresses.cluster_address,
        "author_text": author_text,
    }
    environment.filters |= {"value_text": _value_text}
    return environment


def _value_text(value: Any, longest: int = 160) -> str:
    """Return the value of a field on one line."""
    return cut(value if isinstance(value, str) and value else json_line(value), longest)
