"""The environment of all HTML pages: the report and the pages of ``gitsnap web``. The only module that imports Jinja2.

Every value in a page is escaped twice. First, characters that are invisible or change the direction of the text are
made visible (``core.escapes``). Then HTML is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gitsnap.core.escapes import visible
from gitsnap.core.text import describe, plural
from gitsnap.render.report import texts

__all__ = ["Environment", "as_markup", "asset", "content_source", "make_environment"]

MOST_CHARACTERS = 2_000
"""The largest number of characters of any value in a page."""

_PACKAGE = "gitsnap.render.report"


def make_environment(*packages: str) -> Environment:
    """Return the environment with the templates and filters of reports.

    ``packages``: packages with a folder ``templates`` whose templates come before those of the report.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in (*packages, _PACKAGE)]),
        autoescape=True,
        finalize=_made_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plural": plural,
        "describe": describe,
        "anchor": texts.anchor,
        "tag": texts.tag,
        "trigger": texts.trigger,
        "message": texts.message,
        "incomplete": texts.incomplete,
        "author": texts.author,
        "authors": texts.authors,
        "day": texts.day,
        "weekday": texts.weekday,
        "clock": texts.clock,
        "moment": texts.moment,
        "machine_time": texts.machine_time,
        "duration": texts.duration,
        "result": texts.result,
        "users": texts.users,
    }
    return environment


def as_markup(text: str) -> Markup:
    """Return text that a page contains unescaped. Never use text of an archive, a cluster or a user."""
    return Markup(text)  # noqa: S704 - our own


@lru_cache(maxsize=8)
def asset(package: str, name: str) -> Markup:
    """Return a file from the folder ``templates`` of a package, for use in a page without escaping."""
    return as_markup(files(package).joinpath("templates", name).read_text("utf-8"))


def content_source(content: str) -> str:
    """Return the source expression of a Content-Security-Policy that permits a content."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _made_visible(value: Any) -> Any:
    """Make every text safe to read, and short. Jinja2 calls this for each value in a page, before it escapes HTML."""
    if isinstance(value, Markup):
        return value
    text = str(value)
    if len(text) > MOST_CHARACTERS:
        text = f"{text[:MOST_CHARACTERS]} … ({len(text) - MOST_CHARACTERS} more characters)"
    return visible(text).replace("\n", "\\n")
