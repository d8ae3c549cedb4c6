"""Changes at a remote: pushed without a tag, verified there, read and restored through a URL, with later names."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitsnap.archive.remote import Remote, author_notes, clone, push
from gitsnap.core.changes import Author, AuthorSource
from gitsnap.core.model import CommitId
from gitsnap.format.change_message import AUTHOR_NOTES, author_note
from tests.support.commands import gitsnap
from tests.support.followed_archives import Followed, Story, story
from tests.support.remotes import bare_repository, refs_of

_CAROL = Author("carol", AuthorSource.AUDIT)
_DAVE = Author("dave", AuthorSource.AUDIT)


@dataclass
class Pushed:
    """A story and a remote that has all of it."""

    story: Story
    bare: Path

    @property
    def url(self) -> str:
        """The URL of the remote."""
        return f"file://{self.bare}"

    def push(self) -> str:
        """Push the archive; returns the output."""
        return gitsnap(self.story.folder, "push", "--storage", "s", "--to", self.url, code=0).stdout


@pytest.fixture
def pushed(tmp_path: Path) -> Pushed:
    """A story at a remote."""
    made = Pushed(story(tmp_path / "story"), bare_repository(tmp_path / "record.git"))
    assert made.push().startswith("hourly: pushed 2 samples and 3 changes, commit ")
    return made


def _note(git_folder: Path, commit: CommitId, author: Author) -> None:
    subprocess.run(
        ["git", "-c", "user.name=gitsnap", "-c", "user.email=gitsnap@localhost", f"--git-dir={git_folder}", "notes",
         f"--ref={AUTHOR_NOTES}", "add", "--force", "--message", author_note(author), commit],
        check=True, capture_output=True,
    )  # fmt: skip


def _authors(folder: Path, *words: str) -> list[str]:
    done = gitsnap(folder, "list", "--changes", *words, "-o", "json", code=0)
    return [change["author"]["name"] for change in json.loads(done.stdout)["changes"]]


def test_a_change_is_pushed_without_a_sample(pushed: Pushed) -> None:
    """A push of the branch suffices. Before the push, verify says how many changes the remote lacks."""
    commit = pushed.story.followed.change(27, "other", 5)
    words = ("verify", "--storage", "s", "--remote", pushed.url)
    lacking = gitsnap(pushed.story.folder, *words, code=0)
    assert f"note  hourly: 1 change is not at {pushed.url} yet" in lacking.stdout

    assert pushed.push().startswith("hourly: pushed 1 change, commit ")
    assert refs_of(pushed.bare)["refs/heads/hourly"] == commit
    assert "is not at" not in gitsnap(pushed.story.folder, *words, code=0).stdout
    assert pushed.push().startswith("hourly: up to date")


def _remote_check(pushed: Pushed) -> tuple[str, str]:
    words = ("status", "--storage", "s", "--from-dir", "cluster", "-o", "json")
    (archive,) = json.loads(gitsnap(pushed.story.folder, *words).stdout)["archives"]
    check = next(check for check in archive["checks"] if check["subject"] == "remote")
    return check["state"], check["message"]


@pytest.mark.parametrize("recorded", ["branch", "tags only"])
def test_status_counts_the_changes_that_the_remote_lacks(pushed: Pushed, recorded: str) -> None:
    """The count is also right after a push by an earlier gitsnap, which recorded only the tags."""
    record = pushed.story.followed.git_folder / "gitsnap-pushed"
    if recorded == "tags only":
        record.write_text("".join(line for line in record.read_text().splitlines(True) if "branch" not in line))
    state, message = _remote_check(pushed)
    if recorded == "branch":
        assert (state, message.partition(";")[0]) == ("ok", "all samples and changes were pushed")
    else:  # the change after the newest sample may have been pushed
        assert (state, message) == ("wrong", "1 change not pushed")

    pushed.story.followed.change(27, "other", 5)
    pushed.story.followed.change(28, "other", 6)
    lacking = 2 if recorded == "branch" else 3
    assert _remote_check(pushed) == ("wrong", f"{lacking} changes not pushed")
    pushed.story.followed.sample(30)
    assert _remote_check(pushed) == ("wrong", f"1 sample of 3 and {lacking} changes not pushed")
    pushed.push()
    assert _remote_check(pushed)[0] == "ok"


def test_changes_are_read_through_a_url(pushed: Pushed, tmp_path: Path) -> None:
    """A clone with untagged changes is complete, so nothing is reported as missing."""
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = gitsnap(tmp_path, "list", "--changes", "--archive", pushed.url, "-o", "name", code=0, **cache)
    made = pushed.story
    assert done.stdout.split() == [made.first, made.alice, made.late, made.second, made.bob]
    assert "missing" not in done.stderr

    newer = made.followed.change(30, "guestbook", 12)
    pushed.push()
    words = ("show", "@2026-01-01T12:31:00Z", "ClusterProfile/guestbook")
    shown = gitsnap(tmp_path, *words, "--archive", pushed.url, code=0, **cache)
    assert "tier: 12" in shown.stdout
    assert newer[:12] in shown.stderr


def test_a_plain_clone_lacks_nothing(pushed: Pushed, tmp_path: Path) -> None:
    """`git clone` fetches the branch and the tags."""
    subprocess.run(["git", "clone", "--quiet", "--branch", "hourly", pushed.url, tmp_path / "clone"], check=True)
    done = gitsnap(tmp_path, "list", "--changes", "--archive", "clone", code=0)
    verified = gitsnap(tmp_path, "verify", "--archive", "clone", code=0)

    assert "warning" not in done.stderr
    assert "3 changes" in verified.stdout


def test_a_rollback_through_a_url_goes_to_a_change(pushed: Pushed, tmp_path: Path) -> None:
    """The samples before and after the rollback are detached from the newest change, and are at the remote."""
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    made = pushed.story
    words = ("rollback", made.alice[:12], "--archive", pushed.url, "--from-dir", "cluster", "--yes")
    done = gitsnap(made.folder, *words, code=0, **cache)

    assert "rollback: 2 applied" in done.stdout
    assert refs_of(pushed.bare)["refs/heads/hourly"] == made.bob
    undo = ("undo", "--archive", pushed.url, "--from-dir", "cluster", "--yes")
    undone = gitsnap(made.folder, *undo, code=0, **cache)
    assert f"undoing the rollback to change {made.alice[:12]}" in undone.stderr
    assert "nothing wrong" in gitsnap(tmp_path, "verify", "--archive", pushed.url, code=0, **cache).stdout


def test_a_lost_volume_is_cloned_with_its_changes_and_names(pushed: Pushed, tmp_path: Path) -> None:
    """The clone has the changes after the newest sample, and the notes."""
    _note(pushed.story.followed.git_folder, pushed.story.late, _CAROL)
    pushed.push()
    (tmp_path / "new").mkdir()
    assert clone(Remote(pushed.url), tmp_path / "new", "hourly")

    expected = ["alice@example.com", "carol", "bob"]
    assert _authors(pushed.story.folder, "--storage", "s") == expected
    assert _authors(tmp_path, "--storage", "new") == expected
    verified = gitsnap(tmp_path, "verify", "--storage", "new", code=0)
    assert "note  hourly: 1 change has the name of the author from a note; no sample proves notes" in verified.stdout


def test_two_archives_with_one_remote_share_the_ref_of_the_names(tmp_path: Path) -> None:
    """Each push adds its names to the names of the other archive. No name is lost, and no push is forced."""
    bare = bare_repository(tmp_path / "record.git")
    archives = [Followed(tmp_path / name, prefix=name) for name in ("east", "west")]
    commits = []
    for followed in archives:
        followed.sample(0, guestbook=1)
        commits.append(followed.change(5, "guestbook", 2))
    for author in (_CAROL, _DAVE):
        for followed, commit in zip(archives, commits, strict=True):
            _note(followed.git_folder, commit, author)
            result = push(followed.git_folder, followed.archive.branch, Remote(f"file://{bare}"))
            assert result.notes_problem == ""

    shown = ["git", "-C", str(bare), "notes", f"--ref={AUTHOR_NOTES}", "show"]
    for commit in commits:
        text = subprocess.run([*shown, commit], capture_output=True, text=True, check=True).stdout
        assert "Gitsnap-Author: dave" in text
    before = refs_of(bare)[AUTHOR_NOTES]
    for followed in archives:
        assert not author_notes.push_author_notes(followed.git_folder, Remote(f"file://{bare}"))
    assert refs_of(bare)[AUTHOR_NOTES] == before


def test_a_remote_that_refuses_notes_gets_the_samples(pushed: Pushed) -> None:
    """Some servers permit branches and tags only. The push succeeds, and says what is missing."""
    hook = pushed.bare / "hooks" / "update"
    hook.write_text('#!/bin/sh\ncase "$1" in refs/notes/*) echo "no notes here" >&2; exit 1;; esac\n')
    hook.chmod(0o755)
    commit = pushed.story.followed.change(27, "other", 5)
    _note(pushed.story.followed.git_folder, commit, _CAROL)
    done = gitsnap(pushed.story.folder, "push", "--storage", "s", "--to", pushed.url, code=0)

    assert "warning: names of authors that became known later were not pushed" in done.stderr
    assert "no notes here" in done.stderr
    assert refs_of(pushed.bare)["refs/heads/hourly"] == commit
