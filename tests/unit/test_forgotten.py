"""Samples that a user removes: the record in the archive and in the next tag, and the samples that are protected."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pygit2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap import archive
from gitsnap.archive import GitArchive, removal
from gitsnap.archive.remote import Remote, push
from gitsnap.archive.remote.verify import compare_history
from gitsnap.capture import prune
from gitsnap.core.errors import ArchiveError, ConflictError, RefusedError
from gitsnap.core.forgotten_sample import ForgottenSample
from gitsnap.core.model import Area, Kind, Sample, SecretsInfo, SecretsMode, TagId, TreeInfo, Trigger
from gitsnap.core.recording import SampleDraft
from gitsnap.format import (
    encode,
    forgotten_from_bytes,
    forgotten_lines,
    forgotten_to_bytes,
    parse_forgotten,
    parse_tag_message,
    tag_message,
)
from gitsnap.policy.retention import Rules
from gitsnap.policy.snapshot import Retention

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_INFO = TreeInfo("hourly", "hourly", (Kind("", "ConfigMap"),), SecretsInfo(SecretsMode.OMIT))
_USERS = st.one_of(
    st.text(max_size=8), st.sampled_from(["", "-----BEGIN PGP SIGNATURE-----", "a b", "x\nGitsnap-Time: 1"])
)
_REMOVED = st.builds(
    ForgottenSample,
    tag=st.from_regex(r"hourly/2026-01-01T1\d-00-00Z", fullmatch=True),
    tag_id=st.from_regex(r"[0-9a-f]{40}", fullmatch=True).map(TagId),
    time=st.integers(0, 3).map(lambda minutes: _NOON + timedelta(minutes=minutes)),
    user=_USERS,
    message=_USERS,
)


@pytest.fixture
def hourly(tmp_path: Path) -> GitArchive:
    """An archive with five manual samples, numbered from 1."""
    created = archive.create_archive(tmp_path, "hourly")
    for _ in range(5):
        _take(created)
    return created


def _take(to: GitArchive, trigger: Trigger = Trigger.MANUAL, target: TagId | None = None) -> Sample:
    number = (to.samples()[-1].sequence if to.samples() else 0) + 1
    with to.writer() as writer:
        files = {"default/ConfigMap/a.yaml": writer.store(encode({"data": str(number)}))}
        moment = _NOON + number * timedelta(hours=1)
        draft = SampleDraft(_INFO, {Area.CONFIGURATION: files}, moment, trigger, "cluster-1", target=target)
        return writer.record(draft).sample


def _forget(of: GitArchive, *numbers: int, message: str = "") -> None:
    with of.writer() as writer:
        prune.forget(writer, _numbered(of, *numbers), time=_NOON, user="alice", message=message)


def _numbered(of: GitArchive, *numbers: int) -> list[Sample]:
    return [sample for sample in of.samples() if sample.sequence in numbers]


def _sequences(of: GitArchive) -> list[int]:
    return [sample.sequence for sample in of.samples()]


def _notes(of: GitArchive) -> list[str]:
    findings = of.check()
    assert not [finding for finding in findings if finding.wrong], findings
    return [finding.message for finding in findings if "forget" in finding.message]


@given(st.lists(_REMOVED, max_size=6, unique=True))
def test_a_record_is_read_as_it_was_written(samples: list[ForgottenSample]) -> None:
    """Users and messages are any text, in the blob as well as in a tag, and cannot add a line."""
    assert sorted(forgotten_from_bytes(forgotten_to_bytes(samples))) == sorted(samples)
    lines = forgotten_lines(samples)
    assert sorted(parse_forgotten(lines)) == sorted(samples)
    assert all(value.isascii() and value.isprintable() for _, value in lines)


@pytest.mark.parametrize(
    "content",
    [b"", b"format 2\n", b"format 1\nnonsense\n", b"format 1\nForgotten: never by:x\n", b"\xff\n",
     b"format 1\nForgotten-Sample: " + b"a" * 40 + b" hourly/x\n"],
)  # fmt: skip
def test_a_damaged_record_is_an_error(content: bytes) -> None:
    """A record that cannot be read must not count as a record without samples."""
    with pytest.raises(ArchiveError, match="forgotten samples"):
        forgotten_from_bytes(content)


def test_the_next_tag_says_who_removed_which_samples(hourly: GitArchive) -> None:
    """Before that, `verify` reads the record of the archive; afterwards it reads the tag. Nothing is wrong."""
    gone = _numbered(hourly, 2, 3)
    _forget(hourly, 2, message="CHG-1")
    _forget(hourly, 3)

    assert _sequences(hourly) == [1, 4, 5]
    by = "removed with `gitsnap forget` by alice on 2026-01-01 12:00:00 UTC"
    notes = [f"{gone[1].tag} was {by}", f"{gone[0].tag} was {by}: CHG-1"]
    assert _notes(hourly) == notes
    metadata = _take(hourly).metadata
    assert metadata.pruned.startswith("2 ")
    assert sorted(parse_forgotten(metadata.extra)) == [
        ForgottenSample(gone[0].tag, gone[0].tag_id, _NOON, "alice", "CHG-1"),
        ForgottenSample(gone[1].tag, gone[1].tag_id, _NOON, "alice", ""),
    ]
    assert _notes(hourly) == notes
    assert not parse_forgotten(_take(hourly).metadata.extra), "each removal is told once"
    assert _notes(hourly) == notes


def test_a_sample_that_retention_removes_has_no_user(hourly: GitArchive) -> None:
    """Of a forgotten and a pruned sample before the same tag, the lines have only the forgotten sample."""
    _forget(hourly, 2)
    scheduled = [_take(hourly, Trigger.SCHEDULE) for _ in range(3)]
    _forget(hourly, 4)
    with hourly.writer() as writer:
        removed = [each.sample for each in prune.prune(writer, Rules(Retention(keep_last=1))) if not each.keep]
    assert [sample.tag for sample in removed] == [sample.tag for sample in scheduled[:2]]

    metadata = _take(hourly).metadata

    assert metadata.pruned.startswith("3 ")
    assert [sample.tag for sample in parse_forgotten(metadata.extra)] == ["hourly/2026-01-01T16-00-00Z"]
    assert not [finding for finding in hourly.check() if finding.wrong]


def test_a_removal_that_was_killed_before_the_tags_names_nobody(
    hourly: GitArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is durable before the first tag is deleted. A sample that still exists does not count as removed."""

    def killed(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(removal, "_delete", killed)
        with pytest.raises(KeyboardInterrupt):
            _forget(hourly, 2)
    assert _sequences(hourly) == [1, 2, 3, 4, 5]
    assert _notes(hourly) == []
    metadata = _take(hourly).metadata
    assert (metadata.pruned, metadata.extra) == ("", ())


def test_a_reader_that_does_not_know_the_lines(hourly: GitArchive) -> None:
    """The lines are additional keys. The count and the digest of removed samples do not change."""
    _forget(hourly, 2)
    metadata = _take(hourly).metadata

    text = tag_message(metadata)

    assert parse_tag_message("\n".join(line for line in text.split("\n") if "Forgotten" not in line)).pruned
    assert text.count("Gitsnap-Forgotten: ") == text.count("Gitsnap-Forgotten-Sample: ") == 1


@pytest.mark.parametrize("number", range(1, 9))
def test_protected_samples(hourly: GitArchive, number: int) -> None:
    """The newest sample, a marked sample, and the two samples that an unfinished rollback needs are refused."""
    target = hourly.samples()[1].tag_id
    before = _take(hourly, Trigger.BEFORE_ROLLBACK, target)
    _take(hourly)
    _take(hourly)
    with hourly.writer() as writer:
        writer.mark(hourly.samples()[3])
    reasons = {
        2: "target of an unfinished rollback",
        4: "marked by gitsnap keep",
        before.sequence: "taken before an unfinished rollback",
        8: "newest sample",
    }

    if number not in reasons:
        _forget(hourly, number)
        assert number not in _sequences(hourly)
        return
    with pytest.raises(RefusedError, match=reasons[number]):
        _forget(hourly, *{1, number})
    assert _sequences(hourly) == list(range(1, 9)), "all are removed, or none"


def test_a_mark_that_was_removed_and_a_rollback_that_was_finished(hourly: GitArchive) -> None:
    """A mark and an unfinished rollback protect a sample only until they end."""
    target = hourly.samples()[1]
    before = _take(hourly, Trigger.BEFORE_ROLLBACK, target.tag_id)
    _take(hourly, Trigger.AFTER_ROLLBACK)
    _take(hourly)
    with hourly.writer() as writer:
        writer.mark(target)
        writer.unmark(target)

    _forget(hourly, target.sequence, before.sequence)

    assert _sequences(hourly) == [1, 3, 4, 5, 7, 8]


def _remote_tags(folder: Path) -> list[str]:
    listed = subprocess.run(["git", "-C", str(folder), "tag"], capture_output=True, text=True, check=True)
    return listed.stdout.split()


def test_the_remote(hourly: GitArchive, tmp_path: Path) -> None:
    """`verify --remote` has a note about a sample that only the remote has; `push --prune` removes it there."""
    pygit2.init_repository(str(tmp_path / "remote.git"), bare=True)
    remote = Remote(str(tmp_path / "remote.git"))
    push(hourly.git_folder, "hourly", remote)
    forgotten = _numbered(hourly, 2)[0].tag
    _forget(hourly, 2)

    findings = _compare(hourly, hourly.samples(), remote)
    assert [(finding.wrong, "no longer here" in finding.message) for finding in findings] == [(False, True)]
    assert push(hourly.git_folder, "hourly", remote).removed == 0
    assert forgotten in _remote_tags(tmp_path / "remote.git")
    _take(hourly)
    assert push(hourly.git_folder, "hourly", remote, prune=True).removed == 1
    assert forgotten not in _remote_tags(tmp_path / "remote.git")
    assert not _compare(hourly, hourly.samples(), remote)


def _compare(of: GitArchive, samples: Sequence[Sample], remote: Remote) -> list[archive.findings.Finding]:
    return compare_history(of.git_folder, "hourly", samples, remote)


def _kill_removal(hourly: GitArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill `gitsnap forget` after it recorded the removal of the second sample, and before it removed the tag."""

    def killed(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(removal, "_delete", killed)
        with pytest.raises(KeyboardInterrupt):
            _forget(hourly, 2, message="killed")


def test_a_killed_removal_before_another_one(hourly: GitArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the missing sample counts, although the record names both."""
    _kill_removal(hourly, monkeypatch)
    with hourly.writer() as writer:
        writer.remove(_numbered(hourly, 3))

    metadata = _take(hourly).metadata

    assert metadata.pruned.startswith("1 ")
    assert metadata.extra == ()
    assert _notes(hourly) == []


def test_a_killed_removal_before_retention(hourly: GitArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retention removes the sample later: the tag must not say that the user of the killed command removed it."""
    _kill_removal(hourly, monkeypatch)
    with hourly.writer() as writer:
        writer.remove(_numbered(hourly, 2))
    assert _notes(hourly) == []

    metadata = _take(hourly).metadata

    assert metadata.pruned.startswith("1 ")
    assert metadata.extra == ()
    assert _notes(hourly) == []


def test_samples_that_another_user_removed_meanwhile(hourly: GitArchive) -> None:
    """Two users choose samples at the same time. The second removal removes nothing, and records nothing."""
    chosen = _numbered(hourly, 3, 4)
    _forget(hourly, 2, 3, message="first")
    with (
        hourly.writer() as writer,
        pytest.raises(ConflictError, match=r"nothing was removed: another process has removed hourly/2026-01-01T15"),
    ):
        prune.forget(writer, chosen, time=_NOON, user="bob", message="second")

    assert _sequences(hourly) == [1, 4, 5]
    assert len(_notes(hourly)) == 1
    metadata = _take(hourly).metadata
    assert metadata.pruned.startswith("2 ")
    assert [sample.user for sample in parse_forgotten(metadata.extra)] == ["alice", "alice"]
    assert len(_notes(hourly)) == 1
