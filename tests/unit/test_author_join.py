"""When a write of an audit log is that of a change: examples. tests/property searches for counter-examples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gitsnap.core.changes import ChangedObject
from gitsnap.core.model import Kind, ObjectKey
from gitsnap.history.author_join import Coverage, Miss, RecordedVersion, Verdict, join_object
from gitsnap.kube.audit_writes import AuditWrite

_KEY = ObjectKey(Kind("", "ConfigMap"), "default", "database")
_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_DAY = Coverage(_NOON - timedelta(hours=12), _NOON + timedelta(hours=12))
_SHORT = Coverage(_NOON + timedelta(minutes=29), _NOON + timedelta(hours=12))


def _version(
    action: str = "modified", *, version: str = "20", minutes: float = 30, late: bool = False
) -> RecordedVersion:
    """A version that follow mode saw some minutes after the sample of noon."""
    changed = ChangedObject(_KEY, "uid", version if action != "deleted" else "")
    return RecordedVersion(changed, action, _NOON, _NOON + timedelta(minutes=minutes), is_seen_at_once=not late)


def _write(author: str, *, minutes: float, version: str = "", verb: str = "patch", **more: Any) -> AuditWrite:
    """A write some minutes after noon."""
    time = _NOON + timedelta(minutes=minutes)
    return AuditWrite(
        group="",
        resource="configmaps",
        namespace="default",
        name="database",
        subresource=more.pop("subresource", ""),
        verb=verb,
        author=author,
        received=time,
        completed=time,
        uid=more.pop("uid", "uid"),
        version=version,
        **more,
    )


_ALICE = _write("alice", minutes=29.95, version="20")
_CASES: dict[str, tuple[RecordedVersion, list[AuditWrite], Coverage, str | Miss]] = {
    "the version": (_version(), [_ALICE], _SHORT, "alice"),
    "another version": (_version(version="21"), [_ALICE], _SHORT, Miss.NO_VERSION),
    "another uid": (_version(), [_write("alice", minutes=29.95, version="20", uid="other")], _SHORT, Miss.NO_VERSION),
    "no write": (_version(), [], _DAY, Miss.NO_WRITE),
    "no write, and another time": (_version(), [], Coverage(_NOON, _NOON), Miss.NOT_COVERED),
    "a version of long ago, which the log does not cover": (
        _version(),
        [_write("alice", minutes=20, version="20")],
        Coverage(_NOON + timedelta(minutes=15), _DAY.last),
        Miss.NO_WRITE,
    ),
    "a late version, covered": (_version(late=True), [_write("alice", minutes=5, version="20")], _DAY, "alice"),
    "a late version, not covered": (_version(late=True), [_ALICE], _SHORT, Miss.NO_VERSION),
    "an earlier write by another user": (
        _version(),
        [_write("bob", minutes=29, version="19"), _ALICE],
        _DAY,
        Miss.SEVERAL,
    ),
    "an earlier write before the sample": (_version(), [_write("bob", minutes=-5, version="9"), _ALICE], _DAY, "alice"),
    "a later write by another user": (_version(), [_ALICE, _write("bob", minutes=31, version="21")], _DAY, "alice"),
    "a later answer with the same version": (
        _version(),
        [_ALICE, _write("bob", minutes=40, version="20")],
        _DAY,
        "alice",
    ),
    "an answer with the same version at the same time": (
        _version(),
        [_ALICE, _write("bob", minutes=29.96, version="20")],
        _DAY,
        Miss.SEVERAL,
    ),
    "a request of another user without an answer": (
        _version(),
        [_write("bob", minutes=29.9, uid="", certain=False), _ALICE],
        _DAY,
        Miss.SEVERAL,
    ),
    "a write of the status by another user": (
        _version(),
        [_write("system:node:a", minutes=29.9, version="19", subresource="status"), _ALICE],
        _DAY,
        "alice",
    ),
    "a creation": (_version("added"), [_write("alice", minutes=29.95, version="20", created=True)], _SHORT, "alice"),
    "an object that existed, and was written after the reference": (
        _version("added"),
        [_ALICE],
        _DAY,
        Miss.NOT_CREATED,
    ),
    "an object that existed, in a late change": (_version("added", late=True), [_ALICE], _DAY, Miss.UNFIT),
    "a deletion": (_version("deleted"), [_write("alice", minutes=29.95, verb="delete")], _SHORT, "alice"),
    "an eviction": (
        _version("deleted"),
        [_write("alice", minutes=29.95, verb="create", subresource="eviction")],
        _SHORT,
        "alice",
    ),
    "deletions by two users": (
        _version("deleted"),
        [_write(name, minutes=29.95, verb="delete") for name in ("alice", "bob")],
        _SHORT,
        Miss.SEVERAL,
    ),
    "a deletion of another object of that name": (
        _version("deleted"),
        [_write("alice", minutes=29.95, verb="delete", uid="other")],
        _SHORT,
        Miss.NO_VERSION,
    ),
    "a user without a name": (_version(), [_write("", minutes=29.95, version="20")], _SHORT, Miss.NO_NAME),
}


@pytest.mark.parametrize("case", _CASES)
def test_a_name_is_certain_or_absent(case: str) -> None:
    """The log may lack writes."""
    version, writes, coverage, expected = _CASES[case]
    (verdict,) = join_object([version], writes, coverage, complete=False)
    assert (verdict.author or verdict.miss) == expected


def _join_complete(*writes: AuditWrite, versions: list[RecordedVersion] | None = None) -> list[Verdict]:
    return join_object(versions or [_version()], writes, _DAY, complete=True)


def test_the_only_author_of_a_complete_log_is_named_without_a_version() -> None:
    """The log has the level Metadata. A dry run that the log does not tell from a write makes the author uncertain."""
    alice, bob = (_write(name, minutes=10, uid="") for name in ("alice", "bob"))

    assert _join_complete(alice) == [Verdict("alice")]
    assert [verdict.miss for verdict in _join_complete(alice, bob)] == [Miss.SEVERAL]
    assert [verdict.miss for verdict in _join_complete()] == [Miss.NO_WRITE]


def test_the_order_of_a_complete_log_names_the_authors_of_several_versions() -> None:
    """There are as many requests as versions, one after another."""
    versions = [_version(version="20", minutes=10), _version(version="21", minutes=30)]
    alice, bob = _write("alice", minutes=9, uid=""), _write("bob", minutes=29, uid="")

    assert [verdict.author for verdict in _join_complete(alice, bob, versions=versions)] == ["alice", "bob"]
    assert [verdict.author for verdict in _join_complete(alice, bob, bob, versions=versions)] == ["alice", ""]
    close = _write("bob", minutes=9.05, uid="")
    assert [verdict.author for verdict in _join_complete(alice, close, versions=versions)] == ["", ""]
