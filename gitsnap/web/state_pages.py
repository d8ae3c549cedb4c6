"""The pages about samples and changes: the contents of a sample, a diff of two samples, and a rollback."""

from __future__ import annotations

import shlex
from bisect import bisect_left
from itertools import islice
from typing import Any

from gitsnap.core.errors import InputError, NotFoundError, UsageError
from gitsnap.core.model import Area, ObjectKey, Sample
from gitsnap.core.ports import Tree
from gitsnap.core.states import ChangeState, State, cluster_of, incomplete_of
from gitsnap.core.text import plural
from gitsnap.diff.comparison import compare
from gitsnap.diff.rows import Comparison
from gitsnap.format import decode_object, key_of, shown_key
from gitsnap.format.constants import EXTENSION
from gitsnap.format.tree_files import differing_paths
from gitsnap.history.change_finder import Changes
from gitsnap.history.purpose import purpose
from gitsnap.history.timeline import Limits, PeriodChange
from gitsnap.history.timeline_reader import fields_to_leave_out, summarize
from gitsnap.render.web.addresses import diff_address, state_address, state_name
from gitsnap.web.answers import LINE_LENGTH, MOST_LINES, Asked, Page, Redirect
from gitsnap.web.documents import Document
from gitsnap.web.site import SiteArchive

MOST_DIFFERENCES = 500
"""The largest number of differing objects that are compared for a page."""
_MOST_REPORTS = 3_000
"""The same for reports of Sveltos: a change of one profile can change two reports for each managed cluster."""
_MOST_LISTED = 200
_MOST_RAW_DIFF = 2_000_000
"""The largest number of characters of the raw diffs in JSON."""
_LIMITS = Limits(rows=500, all_rows=1_000, lines=MOST_LINES, line_length=LINE_LENGTH, diff_size=400_000)
_MOST_OBJECTS = 500
"""The largest number of objects that the page of a sample lists."""


def sample(archive: SiteArchive, asked: Asked) -> Page | Redirect:
    """Return the page of a sample or a change: its place in the history, and its objects."""
    state = _state(archive, asked)
    if asked.names[0] != state_name(state):
        return Redirect(state_address(archive.name, state))
    tree = archive.tree(state)
    files = tree.files(Area.CONFIGURATION)
    wanted = asked.query.get("q", "").casefold()
    paths = [path for path in files if not wanted or wanted in _readable(path)]
    keys = [key for path in paths[:_MOST_OBJECTS] if (key := archive.key_at(path, state)) is not None]

    def document() -> Document:
        exact = (
            key_of(path) or ObjectKey.of(decode_object(tree.read(blob), f"{Area.CONFIGURATION}/{path}"))
            for path, blob in files.items()
        )
        return asked.documents.objects_document(state, exact)

    before = _state_before(archive, state)
    values = {
        "state": state,
        "before": before,
        "changed": archive.count_changed(before, state) if before is not None else 0,
        "incomplete": incomplete_of(state),
        "cluster": cluster_of(state),
        "mode": tree.info.secrets.mode,
        "purpose": purpose(state) if isinstance(state, Sample) else "",
        "groups": _by_namespace(keys),
        "objects": len(files),
        "matching": len(paths),
        "left_out": max(len(paths) - _MOST_OBJECTS, 0),
        "q": asked.query.get("q", ""),
    }
    return Page("sample.html", _title(state), document, values)


def _readable(path: str) -> str:
    """Return the path of an object in readable form, for a filter by name."""
    key = shown_key(path) if "%" in path else None
    return (f"{key.namespace}/{key.kind}/{key.name}" if key else path.removesuffix(EXTENSION)).casefold()


def _by_namespace(keys: list[ObjectKey]) -> dict[str, list[ObjectKey]]:
    groups: dict[str, list[ObjectKey]] = {}
    for key in keys:
        groups.setdefault(key.namespace, []).append(key)
    return groups


def _title(state: State) -> str:
    return f"Change {state.moment}" if isinstance(state, ChangeState) else f"Sample {state_name(state)}"


def _state(archive: SiteArchive, asked: Asked) -> State:
    if len(asked.names) != 1:
        raise NotFoundError("the address of a sample ends with its name", hint="The timeline has the names.")
    return archive.state(asked.names[0])


def _state_before(archive: SiteArchive, state: State) -> State | None:
    """Return the sample or the change before a state, None for the first one."""
    if isinstance(state, ChangeState):
        return Changes(archive).state_before(state)
    samples = archive.samples()
    earlier = [other for other in _neighbours(archive, state) if other.order < state.order]
    if earlier:
        return earlier[-1]
    return None if not samples or samples[0] == state else _older_sample(archive, state)


def _neighbours(archive: SiteArchive, state: Sample) -> list[ChangeState]:
    """Return the changes between the sample before a sample and the sample."""
    older = _older_sample(archive, state)
    if state.metadata.detached_from is not None or (older and older.metadata.detached_from is not None):
        return []
    return Changes(archive).between(older, state)


def _older_sample(archive: SiteArchive, state: Sample) -> Sample | None:
    samples = archive.samples()
    position = bisect_left(samples, state.order, key=lambda other: other.order)
    return samples[position - 1] if position else None


def choose_diff(archive: SiteArchive, asked: Asked) -> Redirect:
    """Return the address of the diff that the form of the timeline asks for; the older side comes first."""
    names = [asked.query.get(name, "") for name in ("from", "to")]
    if not all(names):
        raise UsageError("a diff needs two samples: choose one under From and one under To")
    before, after = map(archive.state, names)
    return Redirect(diff_address(archive.name, before, after))


def diff(archive: SiteArchive, asked: Asked) -> Page | Redirect:
    """Return the diff of two samples or changes."""
    if not asked.names:
        return choose_diff(archive, asked)
    if len(asked.names) != 2:
        raise NotFoundError("the address of a diff ends with the names of two samples", hint="The timeline has them.")
    before, after = map(archive.state, asked.names)
    if asked.names != (state_name(before), state_name(after)):
        return Redirect(diff_address(archive.name, before, after))
    values = _difference(archive, before, after)
    return Page(
        "diff.html",
        "Diff",
        lambda: _document(asked, before, after, values),
        {**values, "before": before, "after": after},
    )


def _difference(archive: SiteArchive, before: State, after: State) -> dict[str, Any]:
    """Return the comparison and its summary. If too many objects differ, return the names of these objects instead."""
    command = f"gitsnap diff {before.tag} {after.tag} --raw-diff --snapshot {shlex.quote(archive.policy)}"
    trees = archive.tree(before), archive.tree(after)
    if has_too_many_differences(*trees):
        paths = differing_paths(*(tree.files(Area.CONFIGURATION) for tree in trees))
        keys = [key for path in islice(paths, _MOST_LISTED) if (key := archive.key_at(path, after, before)) is not None]
        return {"comparison": None, "change": None, "differing": len(paths), "keys": keys, "command": command}
    hidden = archive.listed.hidden
    comparison = compare(*trees, left_out=fields_to_leave_out(hidden, trees))
    change: PeriodChange = summarize(archive, before, after, comparison, hidden=hidden, limits=_LIMITS)
    return {"comparison": comparison, "change": change, "differing": 0, "keys": [], "command": command}


def has_too_many_differences(before: Tree, after: Tree) -> bool:
    """Return whether a comparison of two trees would take too long for a page."""
    limits = {Area.CONFIGURATION: MOST_DIFFERENCES, Area.INVENTORY: _MOST_REPORTS}
    return any(len(differing_paths(before.files(area), after.files(area))) > most for area, most in limits.items())


def _document(asked: Asked, before: State, after: State, values: dict[str, Any]) -> Document:
    comparison: Comparison | None = values["comparison"]
    if comparison is None:
        raise InputError(
            f"{plural(values['differing'], 'object')} or their reports differ: too many to compare for a page",
            hint=f"The command line has no such limit: {values['command']}",
        )
    raw, size, left_out = [], 0, 0
    for text in comparison.raw_diffs(before.tag, after.tag):
        size += len(text.text)
        if size > _MOST_RAW_DIFF:
            left_out += 1
        else:
            raw.append({"title": text.title, "text": text.text})
    return {
        "kind": "Diff",
        "from": _state_document(asked, before),
        "to": _state_document(asked, after),
        **asked.documents.row_documents(comparison),
        "notComparable": [asked.documents.skipped_document(skipped) for skipped in comparison.not_comparable],
        "rawDiff": raw,
        **({"rawDiffLeftOut": left_out} if left_out else {}),
    }


def _state_document(asked: Asked, state: State) -> Document:
    if isinstance(state, ChangeState):
        return asked.documents.change_document(state)
    return asked.documents.sample_document(state)


def rollback(archive: SiteArchive, asked: Asked) -> Page | Redirect:
    """Return the page of a rollback to a sample: the differences from the newest sample, and the commands.

    A plan needs the cluster, and ``gitsnap web`` never connects to a cluster.
    """
    state = _state(archive, asked)
    if asked.names[0] != state_name(state):
        return Redirect(state_address(archive.name, state, "rollback"))
    newest = archive.newest()
    values = _difference(archive, newest, state)
    name = state.moment if isinstance(state, ChangeState) else state.tag
    command = f"gitsnap rollback {name} --snapshot {shlex.quote(archive.policy)}"
    shown = {**values, "before": newest, "after": state, "state": state, "rollback_command": command}
    return Page("rollback.html", "Rollback", lambda: _document(asked, newest, state, values), shown)
