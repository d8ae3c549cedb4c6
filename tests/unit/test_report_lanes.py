"""The lanes of a report: a row of time with a mark for each change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gitsnap.core.model import ChangeCounts, IncompleteKind, IncompleteReason, Kind, Substitute, Trigger
from gitsnap.history.moments import Period
from gitsnap.history.timeline import IncompleteRun, OlderChanges, PeriodChange, Scope, Timeline
from gitsnap.render.report import render_report
from gitsnap.render.report.lanes import WIDTH, Axis, Band
from tests.support.hostile_reports import report_of
from tests.support.report_pages import sample_of

_MINUTES = 1000
"""One unit of a lane is a minute."""


def _timeline(**fields: object) -> Timeline:
    first, last = sample_of(0, minutes=0), sample_of(1, minutes=_MINUTES)
    return replace(Timeline(Period(), Scope(), first=first, last=last, samples=2), **fields)  # type: ignore[arg-type]


def _change(minutes: int, trigger: Trigger = Trigger.SCHEDULE) -> PeriodChange:
    return PeriodChange(sample_of(2, minutes=minutes, trigger=trigger), sample_of(1, minutes=0))


def test_each_change_has_a_mark_at_its_time() -> None:
    """Marks of rollbacks are separate. Changes at nearly the same time share a mark."""
    changes = [_change(1000), _change(500, Trigger.AFTER_ROLLBACK), _change(101), _change(100), _change(0)]
    lane = Axis(_timeline()).lane(changes, 1)
    assert lane.changes == "M0 2v12M100 2v12M1000 2v12"
    assert lane.rollbacks == "M500 2v12"


def test_many_lanes_have_coarser_marks() -> None:
    """The size of a page is bounded: a thousand lanes with a change in each minute."""
    changes = [_change(minute) for minute in range(0, 1001, 3)]
    axis = Axis(_timeline())
    assert axis.lane(changes, 1).changes.count("M") == WIDTH // 4 + 1
    assert axis.lane(changes, 1000).changes.count("M") <= 31


def test_a_single_sample_has_a_mark_in_the_middle() -> None:
    """A period without a length has no positions."""
    timeline = replace(_timeline(), last=_timeline().first)
    assert Axis(timeline).lane([_change(0)], 1).changes == "M500 2v12"
    assert Axis(replace(timeline, first=None, last=None)).incomplete() == []


def test_changes_after_the_last_sample_belong_to_the_time_of_the_page() -> None:
    """Follow mode records changes after the last sample."""
    timeline = _timeline(changes=(_change(2 * _MINUTES),))

    assert (timeline.start, timeline.end) == (sample_of(1, minutes=0).time, sample_of(2, minutes=2 * _MINUTES).time)
    assert Axis(timeline).lane([_change(_MINUTES)], 1).changes == "M500 2v12"
    end = f"{timeline.end:%Y-%m-%dT%H:%M:%SZ}"
    report = replace(report_of("text", errors=False), timeline=timeline)
    assert f'datetime="{end}"' in _masthead(render_report(report))


def _masthead(page: str) -> str:
    return page[page.index('class="period"') : page.index('class="figures"')]


def _run(first: int, last: int) -> IncompleteRun:
    incomplete = IncompleteKind(Kind("", "ConfigMap"), Substitute.CARRIED, IncompleteReason.FORBIDDEN)
    return IncompleteRun(incomplete, sample_of(1, minutes=first), sample_of(2, minutes=last), 2)


@pytest.mark.parametrize(
    ("runs", "bands"),
    [
        ([(100, 200)], [Band(100, 100)]),
        ([(150, 300), (100, 200), (120, 130)], [Band(100, 200)]),
        ([(100, 100)], [Band(100, 4)]),
        ([(1000, 1000)], [Band(996, 4)]),
        ([(100, 200), (300, 400)], [Band(100, 100), Band(300, 100)]),
    ],
)
def test_incomplete_times(runs: list[tuple[int, int]], bands: list[Band]) -> None:
    """Overlapping times are one band, and each band can be seen."""
    assert Axis(_timeline(incomplete=tuple(_run(*run) for run in runs))).incomplete() == bands


def test_the_time_that_was_not_compared() -> None:
    """A lane without marks must not look like a time without changes."""
    older = OlderChanges(sample_of(1, minutes=0), sample_of(2, minutes=600), 3, ChangeCounts(0, 3, 0))
    assert Axis(_timeline(older=older)).unknown() == [Band(0, 600)]
    assert Axis(_timeline()).unknown() == []


def test_a_page_has_a_lane_for_each_cluster_and_profile() -> None:
    """The lanes are hidden from screen readers, because the links below say the same."""
    page = render_report(report_of("text"))
    assert page.count('<svg class="lane" aria-hidden="true"') == 2
    assert page.count('<path class="changed" d="M') == 2
    assert '<rect class="unknown"' in page
    assert '<rect class="incomplete" x=' in page
