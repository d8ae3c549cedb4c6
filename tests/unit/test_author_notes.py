"""Notes with names that became known later, as gitsnap and plain git read and write them."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pygit2
import pytest

from gitsnap import archive
from gitsnap.archive import GitArchive, author_notes
from gitsnap.core.changes import Author, AuthorSource
from gitsnap.core.errors import ConflictError
from gitsnap.core.model import Area, CommitId, Kind, ObjectKey, SecretsInfo, SecretsMode, TreeInfo, Trigger
from gitsnap.core.recording import SampleDraft
from gitsnap.format.change_message import parse_author_note
from tests.support.changes import write_change

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_KEY = ObjectKey(Kind("", "ConfigMap"), "default", "a")
_INFO = TreeInfo("hourly", "hourly", (_KEY.kind,), SecretsInfo(SecretsMode.OMIT))
_ALICE, _BOB = (Author(name, AuthorSource.AUDIT) for name in ("alice", "bob"))
_REF = "refs/notes/gitsnap-authors"


@pytest.fixture
def hourly(tmp_path: Path) -> GitArchive:
    """An archive with one sample."""
    made = archive.create_archive(tmp_path, "hourly")
    with made.writer() as writer:
        writer.record(SampleDraft(_INFO, {Area.CONFIGURATION: {}}, _NOON, Trigger.MANUAL, "cluster-1"))
    return made


def _changes(of: GitArchive, count: int) -> list[CommitId]:
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}}
    return [
        write_change(of, {_KEY: {**document, "data": {"number": str(number)}}}, version=number).commit
        for number in range(count)
    ]


def _git(of: GitArchive, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", of.location, "-c", "user.name=x", "-c", "user.email=x@example.com", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _authors(of: GitArchive) -> dict[CommitId, Author | None]:
    return {commit: parse_author_note(text) for commit, text in of.author_notes().items()}


def test_notes_are_read_by_gitsnap_and_by_git(hourly: GitArchive) -> None:
    """The commits stay as they are, and a second name replaces the first."""
    first, second = _changes(hourly, 2)
    head = _git(hourly, "rev-parse", "HEAD")
    hourly.note_authors({first: _ALICE}, time=_NOON)
    hourly.note_authors({first: _BOB, second: _ALICE}, time=_NOON)

    assert _authors(hourly) == {first: _BOB, second: _ALICE}
    assert _git(hourly, "notes", "--ref=gitsnap-authors", "show", first) == (
        "Gitsnap-Author: bob\nGitsnap-Author-Source: audit\n"
    )
    assert "Gitsnap-Author: bob" in _git(hourly, "log", "--notes=gitsnap-authors")
    assert _git(hourly, "rev-parse", "HEAD") == head
    assert _git(hourly, "status", "--porcelain") == ""
    assert _git(hourly, "fsck", "--strict") == ""
    assert _git(hourly, "rev-list", "--count", _REF).strip() == "2"


def test_the_same_names_again_write_nothing(hourly: GitArchive) -> None:
    """Equal notes make no commit."""
    (commit,) = _changes(hourly, 1)
    for _ in range(2):
        hourly.note_authors({commit: _ALICE}, time=_NOON)
    assert _git(hourly, "rev-list", "--count", _REF).strip() == "1"


def test_a_commit_has_one_note_wherever_git_put_it(hourly: GitArchive) -> None:
    """git spreads many notes over folders. No old name remains in any folder."""
    commits = _changes(hourly, 300)
    for commit in commits[:2]:
        _git(hourly, "notes", "--ref=gitsnap-authors", "add", "-m", "Gitsnap-Author: x", commit)
    hourly.note_authors(dict.fromkeys(commits[1:], _ALICE), time=_NOON)
    _git(hourly, "notes", "--ref=gitsnap-authors", "add", "-f", "-m", "Gitsnap-Author: y", commits[2])
    hourly.note_authors({commits[2]: _BOB}, time=_NOON)

    assert len(_git(hourly, "notes", "--ref=gitsnap-authors", "list").splitlines()) == 300
    paths = _git(hourly, "ls-tree", "-r", "--name-only", _REF).splitlines()
    assert sorted(path.replace("/", "") for path in paths) == sorted(commits)
    assert "Gitsnap-Author: x" in hourly.author_notes()[commits[0]]
    assert _authors(hourly)[commits[1]] == _ALICE
    assert _authors(hourly)[commits[2]] == _BOB


def test_notes_of_another_process_are_not_overwritten(hourly: GitArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """git does not use the writer's lock, so the ref moves only if it has not moved since it was read."""
    first, second = _changes(hourly, 2)
    hourly.note_authors({first: _ALICE}, time=_NOON)
    move = author_notes._move

    def interrupted(repository: pygit2.Repository, head: str | None, commit: str) -> None:
        _git(hourly, "notes", "--ref=gitsnap-authors", "add", "-m", "Gitsnap-Author: x", second)
        move(repository, head, commit)

    monkeypatch.setattr(author_notes, "_move", interrupted)
    with pytest.raises(ConflictError, match="another process wrote"):
        hourly.note_authors({first: _BOB}, time=_NOON)
    assert _authors(hourly)[first] == _ALICE
    assert "Gitsnap-Author: x" in hourly.author_notes()[second]


@pytest.mark.parametrize(
    "name", ["a\nGitsnap-Author-Source: stamp", "x\u202e", "ß %41", " ", "a" * 1_000_000, "\ud800"]
)
def test_a_hostile_name_is_one_line(hourly: GitArchive, name: str) -> None:
    """A name cannot add a line, and cannot act on a terminal."""
    (commit,) = _changes(hourly, 1)
    hourly.note_authors({commit: Author(name, AuthorSource.AUDIT)}, time=_NOON)

    text = hourly.author_notes()[commit]
    assert text.isascii()
    assert len(text.splitlines()) == 2
    assert len(text) < 1000
    author = _authors(hourly)[commit]
    assert author is not None
    assert author.source is AuthorSource.AUDIT
    assert author.name == name or len(name) > 256
