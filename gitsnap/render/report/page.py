"""Renders a report with Jinja2. The only module that imports Jinja2.

Every value in a page is escaped twice: characters that are invisible or change the direction of the text are made
visible (``core.escapes``), and then HTML is escaped. The page needs no script and loads nothing; a policy in the page
forbids every other style, script and address.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gitsnap.core.escapes import visible
from gitsnap.core.text import describe, plural
from gitsnap.render.report import texts
from gitsnap.render.report.values import Report

MOST_LINKS = 40
"""The largest number of changes that the entry of a cluster or a profile links to."""
ALL_LINKS = 4_000
"""The number of links that the entries of clusters, or of profiles, share. Each entry has at least one."""
MOST_ENTRIES = 1_000
"""The largest number of clusters, and of profiles."""
MOST_LINES = 20
"""The largest number of lines of a reason."""
MOST_CHARACTERS = 2_000
"""The largest number of characters of any value in the page."""
MOST_NAMES = 5
"""The largest number of clusters that a row names."""
MOST_OBJECTS = 60
"""The largest number of objects that the plan of a rollback names."""
MOST_FINDINGS = 50
"""The largest number of findings of a verification."""


def render_report(report: Report) -> str:
    """Return the page of a report. It contains no lone surrogates, so it can be encoded as UTF-8."""
    style, script = _asset("style.css"), _asset("script.js")
    return _environment().get_template("report.html").render(
        report=report,
        timeline=report.timeline,
        proof=report.proof,
        style=style,
        script=script,
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'",
        links_of_each=_links_of_each,
        most_entries=MOST_ENTRIES,
        most_lines=MOST_LINES,
        most_names=MOST_NAMES,
        most_objects=MOST_OBJECTS,
        most_findings=MOST_FINDINGS,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("gitsnap.render.report"),
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
    environment.globals |= {
        "clusters_of": texts.clusters,
        "profiles_of": texts.profiles,
        "object_count": texts.object_count,
        "counted": texts.counted,
        "day_links": texts.day_links,
        "scope_of": texts.scope,
        "left_out_of": texts.left_out,
        "diff_command": texts.diff_command,
        "without_changes": texts.without_changes,
        "verify_command": texts.verify_command,
    }
    return environment


def _links_of_each(entries: int) -> int:
    return max(1, min(MOST_LINKS, ALL_LINKS // max(entries, 1)))


def _made_visible(value: Any) -> Any:
    """Make every text safe to read, and short. Jinja2 calls this for each value in a page, before it escapes HTML."""
    if isinstance(value, Markup):
        return value
    text = str(value)
    if len(text) > MOST_CHARACTERS:
        text = f"{text[:MOST_CHARACTERS]} … ({len(text) - MOST_CHARACTERS} more characters)"
    return visible(text).replace("\n", "\\n")


@lru_cache(maxsize=2)
def _asset(name: str) -> Markup:
    """Return a file of the package as it stands in the page."""
    return Markup(files("gitsnap.render.report").joinpath("templates", name).read_text("utf-8"))  # noqa: S704 - our own


def _digest(content: str) -> str:
    """Return the source expression of a Content-Security-Policy that permits a content."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
