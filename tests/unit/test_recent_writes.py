"""Names from audit events that arrive beside follow mode: exact, at once or later, and never of the wrong user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gitsnap.capture.follow.authors import SeenWrite, Write
from gitsnap.core.changes import UNKNOWN_AUTHOR, Author, AuthorSource
from gitsnap.core.model import CommitId, ObjectKey
from gitsnap.history import recent_writes
from gitsnap.history.recent_writes import ArchiveNames, RecentWrites
from gitsnap.kube.audit_writes import AuditWrite
from gitsnap.sveltos.kinds import CONFIG_MAP

_NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
_KEY = ObjectKey(CONFIG_MAP, "default", "a")
_COMMIT = CommitId("c" * 40)


def _seen(version: str = "12", *, replaced: str = "11", deleted: bool = False, uid: str = "u") -> SeenWrite:
    """A write that a watch reported at noon."""
    return SeenWrite(_KEY, Write(deleted, uid, version, "", replaced), not replaced, _NOON)


def _event(
    author: str = "alice",
    version: str = "12",
    *,
    verb: str = "patch",
    after: float = -0.1,
    uid: str = "u",
    created: bool = False,
    certain: bool = True,
    subresource: str = "",
    name: str = "a",
) -> AuditWrite:
    """A write in an event that took 50 ms. ``after``: seconds from noon."""
    return AuditWrite(
        group="", resource="configmaps", namespace="default", name=name, subresource=subresource, verb=verb,
        author=author, received=_NOON + timedelta(seconds=after), completed=_NOON + timedelta(seconds=after + 0.05),
        uid=uid, version=version, created=created, certain=certain,
    )  # fmt: skip


def _no_op(author: str, after: float) -> AuditWrite:
    return _event(author, after=after)


_CASES: dict[str, tuple[SeenWrite, Sequence[AuditWrite], str]] = {
    "a patch": (_seen(), [_event()], "alice"),
    "no event": (_seen(), [], ""),
    "another version": (_seen(), [_event(version="13")], ""),
    "another object of this name": (_seen(), [_event(uid="other")], ""),
    "another object": (_seen(), [_event(name="b")], ""),
    "a creation": (_seen(replaced=""), [_event(verb="create", created=True)], "alice"),
    "an object that came into the list by a label": (_seen(replaced=""), [_event()], ""),
    "a deletion": (_seen(deleted=True), [_event(verb="delete", version="")], "alice"),
    "a deletion of the object before": (_seen(deleted=True), [_event(verb="delete", version="", uid="old")], ""),
    "two deletions, with a finalizer": (
        _seen(deleted=True),
        [_event("alice", "", verb="delete"), _event("bob", "", verb="delete", after=0.5)],
        "",
    ),
    "a write of the status": (_seen(), [_event(subresource="status", author="system:node:a")], ""),
    "a request that may have failed": (_seen(), [_event(certain=False)], ""),
    "a write without effect of another user": (_seen(), [_event(), _no_op("bob", 0.2)], ""),
    "a write without effect long afterwards": (_seen(), [_event(), _no_op("bob", 20)], "alice"),
    "a write without effect whose maker has not arrived": (_seen(), [_no_op("bob", 4)], ""),
    "the same, within the exactness of clocks": (_seen(), [_no_op("bob", 1)], "bob"),
    "a write of the version before": (_seen(), [_event(), _event("bob", "11", after=-1)], "alice"),
    "a version between, of another user": (_seen(replaced="10"), [_event(), _event("bob", "11", after=-1)], ""),
    "a version between, of the same user": (_seen(replaced="10"), [_event(), _event(version="11", after=-1)], "alice"),
    "no user name": (_seen(), [_event("")], ""),
}


@pytest.mark.parametrize("case", _CASES)
def test_a_name_for_a_commit_is_certain_or_absent(case: str) -> None:
    """A name may be wrong only if one of two requests within two seconds is missing."""
    seen, events, name = _CASES[case]
    writes = RecentWrites()
    writes.add(events, 0.0)
    assert writes.join(seen, at_once=True).author == name


def test_writes_are_forgotten_by_number_and_by_age() -> None:
    """A receiver runs for months, so its memory must not grow."""
    writes = RecentWrites(most=2, seconds=100)
    writes.add([_event(name=name) for name in "abc"], 0.0)
    assert writes.count(_seen()) == 0
    assert len(writes._by_place) == 2
    writes.add([], 101.0)
    assert not writes._by_place
    assert not writes._arrived


@pytest.fixture
def writes() -> RecentWrites:
    """Without writes."""
    return RecentWrites()


@pytest.fixture
def resolve(writes: RecentWrites) -> Callable[..., tuple[dict[str, str], int]]:
    """Records a change, lets events arrive, and returns the names and the number of doubtful commits."""

    def run(
        author: Author, seen: Sequence[SeenWrite], *arrivals: tuple[float, AuditWrite], until: float = 60.0
    ) -> tuple[dict[str, str], int]:
        clock = [0.0]
        names = ArchiveNames(writes, lambda author: author, clock=lambda: clock[0])
        names.note_recorded(_COMMIT, author, seen)
        late, doubtful = {}, 0
        waiting = list(arrivals)
        while clock[0] <= until:
            while waiting and waiting[0][0] <= clock[0]:
                writes.add([waiting.pop(0)[1]], clock[0])
            result = names.resolve()
            late.update(result.names)
            doubtful += len(result.doubtful)
            clock[0] += 1
        return {commit: str(author) for commit, author in late.items()}, doubtful

    return run


_MANAGER = Author("kubectl-edit", AuthorSource.MANAGER)
_ALICE = Author("alice", AuthorSource.AUDIT)
_Resolve = Callable[..., tuple[dict[str, str], int]]


@pytest.mark.parametrize("author", [_MANAGER, UNKNOWN_AUTHOR, Author("alice", AuthorSource.STAMP)])
def test_an_event_that_arrives_late_names_the_author(resolve: _Resolve, author: Author) -> None:
    """The name is in one note, written once."""
    assert resolve(author, [_seen()], (30.0, _event())) == ({_COMMIT: "alice (audit)"}, 0)


def test_a_version_of_several_writes_is_named_only_later(resolve: _Resolve, writes: RecentWrites) -> None:
    """The event of a write between the versions may still be on its way when a commit needs the name."""
    several = replace(_seen(), write=replace(_seen(replaced="10").write, is_single=False))
    writes.add([_event()], 0.0)
    assert writes.join(several, at_once=True).author == ""
    assert resolve(UNKNOWN_AUTHOR, [several]) == ({_COMMIT: "alice (audit)"}, 0)
    assert resolve(UNKNOWN_AUTHOR, [several], (1.0, _event("bob", "11", after=-1))) == ({}, 0)


def test_no_note_is_written_before_events_of_others_can_arrive(resolve: _Resolve) -> None:
    """Another API server sends its events seconds later. The name of a write without effect is not recorded."""
    assert resolve(_MANAGER, [_seen()], (1.0, _no_op("bob", 0.3)), (8.0, _event())) == ({}, 0)
    assert resolve(_MANAGER, [_seen()], (1.0, _event()), until=9.0) == ({}, 0)


def test_all_writes_of_a_change_must_have_one_author(resolve: _Resolve) -> None:
    """Several users may use the program of one field manager."""
    both = [_seen("12"), _seen("13", replaced="12")]
    assert resolve(_MANAGER, both, (1.0, _event(version="12")), (1.0, _event("bob", "13", after=0))) == ({}, 0)
    assert resolve(_MANAGER, both, (1.0, _event(version="12"))) == ({}, 0)


def test_a_name_that_is_recorded_already_gets_no_note(resolve: _Resolve) -> None:
    """The event arrived before the commit."""
    assert resolve(_ALICE, [_seen()], (0.0, _event())) == ({}, 0)


def test_a_name_that_later_events_contradict_is_reported_or_corrected(resolve: _Resolve) -> None:
    """The event of the author arrives after the event of a write without effect."""
    bob = Author("bob", AuthorSource.AUDIT)
    assert resolve(bob, [_seen()], (0.0, _no_op("bob", 1)), (5.0, _event())) == ({}, 1)


def test_a_name_that_later_events_correct_gets_a_note(resolve: _Resolve) -> None:
    """The write without effect came more than five seconds after the answer to the write."""
    bob = Author("bob", AuthorSource.AUDIT)
    assert resolve(bob, [_seen()], (0.0, _no_op("bob", 20)), (5.0, _event())) == ({_COMMIT: "alice (audit)"}, 0)


def test_changes_are_forgotten(writes: RecentWrites, resolve: _Resolve) -> None:
    """After fifteen minutes, only the audit log gives a name."""
    late = (recent_writes.KEPT_SECONDS + 2, _event())
    assert resolve(_MANAGER, [_seen()], late, until=recent_writes.KEPT_SECONDS + 20) == ({}, 0)
    assert writes.count(_seen()) == 1
