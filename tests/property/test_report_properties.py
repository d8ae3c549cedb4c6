"""Reports of random periods: the changed rows of each comparison, and nothing else.

GITSNAP_REPORT_CASES sets another number of cases.
"""

from __future__ import annotations

import os
from collections import Counter
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitsnap.core.model import Sample
from gitsnap.diff.comparison import compare
from gitsnap.diff.rows import ManagementRow
from gitsnap.format import path_of
from gitsnap.history.moments import Period
from gitsnap.history.timeline import Scope
from gitsnap.history.timeline_reader import read_timeline
from gitsnap.render.report import ArchiveProof, Report, render_report
from gitsnap.sveltos.filters import Filters
from gitsnap.sveltos.matching import ClusterRef
from tests.property.test_row_properties import _edited, _worlds
from tests.support.report_pages import MemoryPeriod, PageChange, page_changes, read_page
from tests.support.trees import MemoryTree, build
from tests.support.world_objects import Noise, objects
from tests.support.worlds import CLUSTERS

CASES = int(os.environ.get("GITSNAP_REPORT_CASES", "60"))
_settings = settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
_MANAGER = "kubectl-edit"
_Entry = tuple[Sample, MemoryTree]


@st.composite
def _periods(draw: st.DrawFn) -> MemoryPeriod:
    """Return up to four samples: of configurations that differ in a few edits, or have the same commit."""
    world = draw(_worlds)
    period = MemoryPeriod(manager=_MANAGER)
    period.add(build(objects(world, Noise(0))))
    for number in range(draw(st.integers(1, 3))):
        if draw(st.integers(0, 4)) == 0:
            last, tree = period.entries[-1]
            period.add(tree, commit=int(last.commit, 16))
            continue
        world = draw(_edited(world))
        period.add(build(objects(world, Noise(number, hashes=draw(st.booleans())))))
    return period


def _page(period: MemoryPeriod, scope: Scope) -> dict[str, PageChange]:
    timeline = read_timeline(period, Period(), scope)
    report = Report("hourly", timeline, "", (), ArchiveProof(len(period.entries)), "1.0")
    return page_changes(read_page(render_report(report)))


def _managed_row(resource_type: str, namespace: str, name: str) -> str:
    return f"{resource_type.removeprefix('/')} {namespace}{'/' if namespace else ''}{name}"


def _expected(
    before: tuple[Sample, MemoryTree], after: tuple[Sample, MemoryTree], filters: Filters
) -> PageChange | None:
    """Return the change that the comparison of two samples asks for."""
    comparison = compare(before[1], after[1], filters=filters)
    if before[0].commit == after[0].commit or not comparison:
        return None
    clusters: dict[tuple[str, str, str], set[str]] = {}
    for row in comparison.rows:
        shown = str(row.action), _managed_row(row.resource_type, row.namespace, row.name), row.note
        clusters.setdefault(shown, set()).add(row.cluster)
    managed: Counter[tuple[str, ...]] = Counter(
        (action, name, ", ".join(sorted(at)), note) for (action, name, note), at in clusters.items()
    )
    paths = {path for files in after[1].areas.values() for path in files}
    return PageChange(
        managed,
        Counter(_management_row(row, paths) for row in comparison.management),
        {
            diff.title: diff.text.removesuffix("\n").split("\n")[2:]
            for diff in comparison.raw_diffs(before[0].tag, after[0].tag)
        },
    )


def _management_row(row: ManagementRow, paths: set[str]) -> tuple[str, str, str, str]:
    author = f"by {_MANAGER}" if path_of(row.key) in paths else ""
    return str(row.action), _managed_row(row.resource_type, row.namespace, row.name), author, row.message


def _all_expected(period: MemoryPeriod, filters: Filters = Filters()) -> dict[str, PageChange]:  # noqa: B008 - frozen
    found = {
        after[0].tag.rpartition("/")[2]: _expected(before, after, filters) for before, after in pairwise(period.entries)
    }
    return {stamp: change for stamp, change in reversed(found.items()) if change}


@_settings
@given(_periods())
def test_a_report_has_the_rows_and_lines_of_each_comparison(period: MemoryPeriod) -> None:
    """Every row and every line of every diff, each once, newest change first."""
    actual = _page(period, Scope())

    assert list(actual.items()) == list(_all_expected(period).items())


@_settings
@given(_periods(), st.sampled_from(CLUSTERS))
def test_a_report_of_a_cluster_has_the_rows_of_its_diff(period: MemoryPeriod, cluster: ClusterRef) -> None:
    """``--cluster`` selects what ``gitsnap diff --cluster`` selects."""
    actual = _page(period, Scope(clusters=(str(cluster),)))

    assert list(actual.items()) == list(_all_expected(period, Filters(clusters=(str(cluster),))).items())


@_settings
@given(_periods(), st.data())
def test_a_report_of_an_object_has_its_rows_and_no_others(period: MemoryPeriod, data: st.DataObject) -> None:
    """``--object``: the rows of the object, in each change that has one, and the lines of the object alone."""
    whole = _page(period, Scope())
    keys = {
        row.key
        for before, after in pairwise(period.entries)
        if before[0].commit != after[0].commit
        for row in compare(before[1], after[1]).management
    }
    if not keys:
        return
    key = data.draw(st.sampled_from(sorted(keys)))

    actual = _page(period, Scope(objects=(key,)))

    name = _managed_row(key.kind.resource_type, key.namespace, key.name)
    assert {stamp: change.management for stamp, change in actual.items()} == {
        stamp: rows
        for stamp, change in whole.items()
        if (rows := Counter({row: count for row, count in change.management.items() if row[1] == name}))
    }
    assert all(not change.managed and len(change.diffs) <= 1 for change in actual.values())
