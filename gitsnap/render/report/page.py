"""Renders a report.

The page needs no script and loads nothing. A policy in the page forbids every other style, script and address.
"""

from __future__ import annotations

from functools import lru_cache

from gitsnap.render.report import texts
from gitsnap.render.report.environment import Environment, asset, content_source, make_environment
from gitsnap.render.report.lanes import Axis
from gitsnap.render.report.values import Report

_PACKAGE = "gitsnap.render.report"

MOST_LINKS = 40
"""The largest number of changes that the entry of a cluster or a profile links to."""
ALL_LINKS = 4_000
"""The number of links that the entries of clusters, or of profiles, share. Each entry has at least one."""
MOST_ENTRIES = 1_000
"""The largest number of clusters, and of profiles."""
MOST_LINES = 20
"""The largest number of lines of a reason."""
MOST_NAMES = 5
"""The largest number of clusters that a row names."""
MOST_OBJECTS = 60
"""The largest number of objects that the plan of a rollback names."""
MOST_FINDINGS = 50
"""The largest number of findings of a verification."""


def render_report(report: Report) -> str:
    """Return the page of a report. It contains no lone surrogates, so it can be encoded as UTF-8."""
    style, script = asset(_PACKAGE, "style.css"), asset(_PACKAGE, "script.js")
    return _environment().get_template("report.html").render(
        report=report,
        timeline=report.timeline,
        proof=report.proof,
        version=report.version,
        style=style,
        script=script,
        policy=f"default-src 'none'; style-src '{content_source(style)}'; script-src '{content_source(script)}'; "
        "base-uri 'none'; form-action 'none'",
        links_of_each=_links_of_each,
        axis=Axis(report.timeline),
        most_entries=MOST_ENTRIES,
        most_lines=MOST_LINES,
        most_names=MOST_NAMES,
        most_objects=MOST_OBJECTS,
        most_findings=MOST_FINDINGS,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = make_environment()
    environment.globals |= {
        "clusters_of": texts.clusters,
        "profiles_of": texts.profiles,
        "object_count": texts.object_count,
        "counted": texts.counted,
        "activity_of": texts.activity,
        "unchanged_clusters": texts.unchanged_clusters,
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
