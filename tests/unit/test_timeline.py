"""The timeline of a period: what its limits leave out, gaps, incomplete samples, and days or months."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from gitsnap.core.changes import UNKNOWN_AUTHOR, Change, Revision
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import (
    Area,
    CommitId,
    IncompleteKind,
    IncompleteReason,
    Kind,
    ObjectKey,
    Sample,
    SecretsMode,
    SensitiveField,
    Substitute,
    Trigger,
)
from gitsnap.core.ports import Tree
from gitsnap.core.states import State
from gitsnap.history.moments import Period
from gitsnap.history.timeline import FollowCheck, Limits, Scope, Timeline
from gitsnap.history.timeline_reader import read_timeline
from gitsnap.sveltos import kinds
from tests.support.report_pages import MemoryPeriod, sample_of
from tests.support.samples import NOON
from tests.support.trees import (
    W,
    build,
    cluster,
    config_map,
    deployed_by,
    inventory_of,
    policy_ref,
    profile,
    secret,
    tree_info,
)

_ALL = Period()


def _configuration(port: int, *names: str, password: str = "") -> list[dict[str, object]]:
    """A ClusterProfile that deploys ConfigMaps, each with a Service with a port."""
    services = {
        name: f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: web\nspec:\n  port: {port}\n"
        for name in names
    }
    refs = [policy_ref(name) for name in names]
    more = [secret("password", {"password": password})] if password else []
    refs += [policy_ref("password", "Secret")] if password else []
    return [
        cluster(W),
        profile("web", {"policyRefs": refs}, W),
        inventory_of(W, deployed_by("web", *(f"Service web/{name}" for name in names))),
        *(config_map(name, {"service.yaml": text}) for name, text in services.items()),
        *more,
    ]


def _period(count: int, *names: str) -> MemoryPeriod:
    """Return samples in which every Service has another port."""
    period = MemoryPeriod()
    for number in range(count):
        period.add(build(_configuration(number, *names)))
    return period


def _read(period: MemoryPeriod, *, scope: Scope = Scope(), **limits: int) -> Timeline:  # noqa: B008 - frozen
    return read_timeline(period, _ALL, scope, limits=Limits(**limits))


def _number(state: State) -> int:
    assert isinstance(state, Sample)
    return state.sequence


def test_the_newest_changes_come_first_and_the_older_ones_are_counted() -> None:
    """With a limit, the older samples with changes are named with their objects."""
    timeline = _read(_period(5, "a"), changes=2)

    assert [_number(change.sample) for change in timeline.changes] == [5, 4]
    assert timeline.older is not None
    assert (_number(timeline.older.first), _number(timeline.older.last), timeline.older.samples) == (2, 3, 2)
    assert (timeline.samples, timeline.commits, timeline.without_rows) == (5, 4, 0)
    assert _read(_period(5, "a")).older is None


def test_rows_and_lines_beyond_a_limit_are_counted() -> None:
    """What is shown and what is left out add up to the whole."""
    period = _period(2, "a", "b", "c")
    whole = _read(period).changes[0]
    assert (len(whole.objects), len(whole.managed), len(whole.diffs)) == (3, 3, 3)

    by_change = _read(period, rows=2).changes[0]
    assert (len(by_change.objects), by_change.objects_left_out) == (2, 1)
    assert (len(by_change.managed), by_change.managed_left_out) == (2, 1)

    together = _read(period, all_rows=4).changes[0]
    assert (len(together.objects), len(together.managed), together.managed_left_out) == (3, 1, 2)

    short = _read(period, lines=3).changes[0]
    assert [(len(excerpt.lines), excerpt.left_out) for excerpt in short.diffs] == [
        (3, len(excerpt.lines) - 3) for excerpt in whole.diffs
    ]
    cut = _read(period, line_length=3).changes[0]
    assert all(excerpt.shortened and all(len(line) <= 5 for line in excerpt.lines) for excerpt in cut.diffs)

    few = _read(period, diff_size=1).changes[0]
    assert (len(few.diffs), few.diffs_left_out) == (1, 2)
    assert few.clusters == whole.clusters == (str(W),)
    assert few.profiles == whole.profiles


def test_the_first_sample_of_a_period_is_compared_with_the_sample_before_the_period() -> None:
    """The change of the first sample belongs to the period."""
    period = _period(3, "a")
    last = period.samples()[-1]

    timeline = read_timeline(period, Period(since=last.time), Scope())

    assert [_number(change.before) for change in timeline.changes] == [2]
    assert timeline.before == period.samples()[1]


def test_a_damaged_sample_is_a_change_with_a_problem() -> None:
    """It is not said to have no change, and the others are read."""
    period = _period(3, "a")

    class Damaged(MemoryPeriod):
        def tree(self, state: State) -> Tree:
            if _number(state) == 3:
                raise ArchiveError("the tree of the third sample is missing")
            return super().tree(state)

    timeline = _read(Damaged(period.entries))

    assert [change.problem for change in timeline.changes] == ["the tree of the third sample is missing", ""]


def test_a_sample_with_a_reason_and_without_a_change_is_kept() -> None:
    """The reason is part of the record of the period."""
    period = _period(2, "a")
    period.add(period.entries[-1][1], commit=2, message="CHG-7: looked, and changed nothing")

    timeline = _read(period)

    assert [sample.metadata.message for sample in timeline.quiet] == ["CHG-7: looked, and changed nothing"]


_FORBIDDEN = IncompleteKind(kinds.CLUSTER_PROFILE, Substitute.CARRIED, IncompleteReason.FORBIDDEN)
_MISSING = IncompleteKind(Kind("", "ConfigMap"), Substitute.MISSING, IncompleteReason.UNREACHABLE)


def _with_samples(samples: Sequence[Sample]) -> Timeline:
    tree = build([])
    return _read(MemoryPeriod([(sample, tree) for sample in samples]))


@pytest.mark.parametrize(
    ("incomplete", "runs"),
    [
        ([[], []], []),
        ([[_FORBIDDEN], [_FORBIDDEN], []], [(_FORBIDDEN, 1, 2, 2)]),
        ([[_FORBIDDEN], [], [_FORBIDDEN]], [(_FORBIDDEN, 1, 1, 1), (_FORBIDDEN, 3, 3, 1)]),
        ([[_FORBIDDEN], [_MISSING, _FORBIDDEN]], [(_FORBIDDEN, 1, 2, 2), (_MISSING, 2, 2, 1)]),
    ],
)
def test_incomplete_kinds_are_given_by_runs_of_samples(
    incomplete: list[list[IncompleteKind]], runs: list[tuple[IncompleteKind, int, int, int]]
) -> None:
    """A run ends where a sample is complete again."""
    timeline = _with_samples(
        [sample_of(number, commit=1, incomplete=kinds_) for number, kinds_ in enumerate(incomplete, 1)]
    )

    assert [(run.incomplete, run.first.sequence, run.last.sequence, run.samples) for run in timeline.incomplete] == runs
    assert timeline.incomplete_samples == sum(map(bool, incomplete))


@pytest.mark.parametrize(
    ("minutes", "gaps", "interval"),
    [
        ([0, 20], [], 0),
        ([0, 20, 500], [], 0),
        ([0, 20, 40, 60], [], 20),
        ([0, 20, 40, 80, 100], [], 20),  # twice the usual time
        ([0, 20, 40, 81, 101], [(40, 81)], 20),
        ([0, 90, 110, 130, 400, 420, 440], [(0, 90), (130, 400)], 20),
    ],
)
def test_long_times_without_a_sample_are_gaps(minutes: list[int], gaps: list[tuple[int, int]], interval: int) -> None:
    """A gap is more than twice the usual time. Too few samples have no usual time."""
    timeline = _with_samples([sample_of(number, commit=1, minutes=at) for number, at in enumerate(minutes, 1)])

    times = [NOON + timedelta(minutes=at) for gap in gaps for at in gap]
    assert [sample.time for gap in timeline.gaps for sample in (gap.before, gap.after)] == times
    assert timeline.interval == interval * 60


def test_a_gap_has_the_number_of_changes_that_follow_mode_recorded() -> None:
    """Such a time is not unknown: the changes are commits."""
    period = MemoryPeriod()
    tree = build([])
    for number, at in enumerate([0, 20, 40, 200, 220], 1):
        period.add(tree, commit=1, minutes=at)
        if number in {1, 3}:
            times = [NOON + timedelta(minutes=at + minute) for minute in range(number)]
            period.between[period.entries[-1][0].tag] = [
                Change(CommitId("1".zfill(40)), None, UNKNOWN_AUTHOR, time, (Revision("1"),), False, (), "m")
                for time in times
            ]

    for since in (None, NOON + timedelta(minutes=100)):
        timeline = read_timeline(period, Period(since=since), Scope())
        assert [gap.changes for gap in timeline.gaps] == ([3] if since is None else [])

    assert read_timeline(period, _ALL, Scope()).made == 4


def test_samples_tell_what_follow_mode_missed() -> None:
    """The tag of a sample has the number of objects. Other words, of a later version, are not counted."""
    lines = ["complete", "missed 3", "missed", "missed x", "later", ""]
    samples = []
    for number, line in enumerate(lines, 1):
        sample = sample_of(number, commit=1)
        extra = (("Followed", line),) if line else ()
        metadata = replace(sample.metadata, extra=extra)
        samples.append(Sample(sample.tag, sample.tag_id, sample.commit, metadata))

    timeline = _with_samples(samples)

    assert (timeline.follow_checks, timeline.missed) == (2, (FollowCheck(samples[1], 3),))


def test_removed_samples_are_counted() -> None:
    """The numbers of samples tell how many were removed between two of them."""
    timeline = _with_samples([sample_of(number, commit=1, sequence=at) for number, at in ((1, 1), (2, 5), (3, 6))])

    assert timeline.removed == 3


def test_a_long_period_has_months() -> None:
    """A hundred days are days, more are months; both without a hole."""
    days = [0, 99], [0, 100], [0, 400]
    labels = [
        [
            entry.label
            for entry in _with_samples(
                [sample_of(number, commit=1, minutes=day * 1440) for number, day in enumerate(each, 1)]
            ).activity
        ]
        for each in days
    ]

    assert (len(labels[0]), labels[0][0], labels[0][-1]) == (100, "2026-01-01", "2026-04-10")
    assert labels[1] == ["2026-01", "2026-02", "2026-03", "2026-04"]
    assert labels[2][-1] == "2027-02"
    assert len(labels[2]) == 14


def test_the_activity_counts_each_sample_once() -> None:
    """Samples, changes, incomplete samples and rollbacks of a day."""
    samples = [
        sample_of(1, commit=1),
        sample_of(2, commit=2, incomplete=[_MISSING]),
        sample_of(3, commit=2, trigger=Trigger.BEFORE_ROLLBACK),
        sample_of(4, commit=3, trigger=Trigger.AFTER_ROLLBACK),
        sample_of(5, commit=3, minutes=3 * 1440),
    ]

    activity = _with_samples(samples).activity

    counts = [(day.samples, day.changed, day.incomplete, day.rollbacks) for day in activity]
    assert counts == [(4, 2, 1, 1), (0, 0, 0, 0), (0, 0, 0, 0), (1, 0, 0, 0)]


def _changes_at(*minutes: int) -> list[Change]:
    """Changes of follow mode, some minutes after noon."""
    return [
        Change(CommitId(f"{9000 + number:040x}"), None, UNKNOWN_AUTHOR, time, (Revision("1"),), False, (), "m")
        for number, time in enumerate(NOON + timedelta(minutes=minute) for minute in minutes)
    ]


def test_the_activity_counts_the_changes_of_follow_mode() -> None:
    """Changes count on days without a sample and after the last sample. Samples with changes are counted apart."""
    period = MemoryPeriod()
    period.add(build([]), commit=1, minutes=0)
    period.between[period.add(build([]), commit=1, minutes=30).tag] = _changes_at(31, 32, 2 * 1440)

    timeline = read_timeline(period, _ALL, Scope(), limits=Limits(changes=0))

    assert [(day.samples, day.changed, day.made, day.changes) for day in timeline.activity] == [
        (2, 0, 2, 2),
        (0, 0, 0, 0),
        (0, 0, 1, 1),
    ]


def test_managed_clusters_of_the_scope_are_known() -> None:
    """The timeline has the clusters of the last sample that are registered, or that have a report of Sveltos."""
    period = MemoryPeriod()
    gone, registered, reported = (replace(W, name=name) for name in ("gone", "registered", "reported"))
    period.add(build([cluster(gone)]))
    period.add(build([cluster(registered), inventory_of(reported, deployed_by("p", "/Service web/a"))]))

    assert _read(period).clusters == tuple(map(str, (registered, reported)))
    assert _read(period, scope=Scope(clusters=("reported",))).clusters == (str(reported),)


def test_a_profile_has_the_changes_of_what_it_refers_to() -> None:
    """``--profile``: the ConfigMap and the clusters of the profile, and no other profile."""
    other = ObjectKey(kinds.CLUSTER_PROFILE, "", "other")
    web = ObjectKey(kinds.CLUSTER_PROFILE, "", "web")
    period = MemoryPeriod()
    for number in range(3):
        mine = _configuration(min(number, 1), "a")
        others = [profile("other", {"policyRefs": [policy_ref("b")]}), config_map("b", {"c": str(number)})]
        period.add(build([*mine, *others]))

    of_web = _read(period, scope=Scope(profiles=(web,)))
    of_other = _read(period, scope=Scope(profiles=(other,)))

    assert [_number(change.sample) for change in of_web.changes] == [2]
    assert [row.key.name for row in of_web.changes[0].objects] == ["a"]
    assert [row.clusters for row in of_web.changes[0].managed] == [(str(W),)]
    assert [[row.key.name for row in change.objects] for change in of_other.changes] == [["b"], ["b"]]
    assert not [row for change in of_other.changes for row in change.managed]
    assert of_web.without_rows == 1


def test_values_of_secrets_and_hidden_fields_are_not_in_the_timeline() -> None:
    """Also where an older sample holds the field in plain text, and where the archive holds Secrets in plain text."""
    hidden = SensitiveField(Kind("", "ConfigMap"), "data.*")
    period = MemoryPeriod()
    for number in range(2):
        objects = _configuration(number, "a", password=f"canary-{number}")
        period.add(build(objects, info=tree_info(mode=SecretsMode.PLAINTEXT)))

    files = period.entries[1][1].files(Area.CONFIGURATION)
    shown = str(_read(period))
    left_out = str(read_timeline(period, _ALL, Scope(), hidden=[hidden]))

    assert base64.b64encode(b"canary-1") in period.entries[1][1].read(files["default/Secret/password.yaml"])
    for form in ("canary-1", base64.b64encode(b"canary-1").decode()):
        assert form not in shown
    assert "(not shown, after)" in shown
    assert "port: 1" in shown
    assert "port: 1" not in left_out


def test_the_files_of_an_object_decide_without_a_comparison() -> None:
    """``--object``: a period of samples in which the object did not change is read without opening a tree's files."""
    period = _period(4, "a")
    key = ObjectKey(kinds.CLUSTER_PROFILE, "", "web")

    timeline = _read(period, scope=Scope(objects=(key,)), comparisons=1)

    assert timeline.changes == ()
    assert timeline.older is None
    assert timeline.without_rows == 3
    assert sum(tree.reads for _, tree in period.entries) == 0
    assert all(tree.files(Area.CONFIGURATION) for _, tree in period.entries)
