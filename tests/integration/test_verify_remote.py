"""Checks beyond the archive: the remote must have the same history, and a pinned id must be in the chain."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gitsnap.archive import open_archive_at
from tests.support.commands import gitsnap
from tests.support.remotes import bare_repository

_PROFILE = (
    "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: a\nspec:\n  tier: {}\n"
)


class _Place:
    """An archive of three samples, and a repository to which it was pushed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.archive = folder / "hourly"
        (folder / "cluster").mkdir()
        self.remote = bare_repository(folder / "record.git")
        for _ in range(3):
            self.capture()
        self.push()

    def capture(self) -> None:
        tier = len(list(self.folder.glob("hourly/.git/refs/tags/hourly/*")))
        (self.folder / "cluster" / "a.yaml").write_text(_PROFILE.format(tier))
        words = ("capture", "--create", "--from-dir", "cluster", "--snapshot", "hourly", "--secrets-mode", "omit")
        gitsnap(self.folder, *words, code=0)

    def push(self) -> None:
        gitsnap(self.folder, "push", "--snapshot", "hourly", "--to", f"file://{self.remote}", code=0)

    def git(self, where: Path, *words: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@localhost")
        command = ["git", "-C", str(where), *identity, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def tags(self) -> list[str]:
        listed = json.loads(gitsnap(self.folder, "list", "-o", "json").stdout)["samples"]
        return [sample["tag"] for sample in listed]

    def verify(self, *more: str) -> tuple[int, dict[str, Any]]:
        words = ("verify", "--snapshot", "hourly", "-o", "json", "--remote", f"file://{self.remote}", *more)
        done = gitsnap(self.folder, *words)
        (archive,) = json.loads(done.stdout)["archives"]
        return done.returncode, archive

    def wrong(self) -> list[tuple[str, str]]:
        """Subject and message of each fault. Fails if the exit code does not agree."""
        code, archive = self.verify()
        listed = [(finding["subject"], finding["message"]) for finding in archive["findings"] if finding["wrong"]]
        assert code == (5 if listed else 0)
        return listed


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    """See _Place."""
    return _Place(tmp_path)


def test_the_same_history(place: _Place) -> None:
    """There are no findings. Samples that were not pushed yet are a note."""
    assert place.verify()[1]["findings"] == []
    place.capture()

    code, archive = place.verify()

    assert code == 0
    assert [finding["message"] for finding in archive["findings"]] == [f"1 sample is not at file://{place.remote} yet"]


def test_nothing_is_written(place: _Place) -> None:
    """A check adds no refs and no objects to the archive or the remote, even if the histories differ."""

    def state() -> list[str]:
        return [
            place.git(where, *words)
            for where in (place.archive, place.remote)
            for words in (("for-each-ref",), ("count-objects", "-v"))
        ]

    place.git(place.remote, "update-ref", "refs/heads/hourly", _forged(place))
    before = state()

    assert place.wrong()
    assert state() == before


def _forged(place: _Place) -> str:
    """Create a commit without parents in the remote."""
    tree = place.git(place.remote, "rev-parse", "hourly^{tree}")
    return place.git(place.remote, "commit-tree", tree, "-m", "another history")


def test_a_rewritten_remote(place: _Place) -> None:
    """The branch of the remote has another history."""
    place.git(place.remote, "update-ref", "refs/heads/hourly", _forged(place))

    ((subject, message),) = place.wrong()

    assert subject == "hourly"
    assert "another history from the beginning" in message


def test_a_shortened_remote(place: _Place) -> None:
    """The findings name the branch and each pushed sample that the remote lost."""
    place.git(place.remote, "update-ref", "refs/heads/hourly", "hourly~2")
    newest = place.tags()[-1]
    place.git(place.remote, "update-ref", "-d", f"refs/tags/{newest}")

    wrong = dict(place.wrong())

    assert "was put back" in wrong["hourly"]
    assert "has lost this sample" in wrong[newest]
    assert len(wrong) == 2


def test_an_emptied_remote(place: _Place) -> None:
    """The remote has no branch."""
    place.git(place.remote, "update-ref", "-d", "refs/heads/hourly")

    assert "has no branch" in dict(place.wrong())["hourly"]


def test_an_archive_that_was_reset(place: _Place) -> None:
    """The archive is consistent without its newest sample, but the remote has the sample."""
    newest = place.tags()[-1]
    place.git(place.archive, "update-ref", "-d", f"refs/tags/{newest}")
    place.git(place.archive, "reset", "--hard", "--quiet", "hourly~1")
    assert gitsnap(place.folder, "verify").returncode == 0
    other = place.folder / "restored"
    place.git(place.folder, "init", "--quiet", str(other))
    place.git(
        other, "fetch", "--quiet", f"file://{place.archive}", "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"
    )
    place.git(other, "checkout", "--quiet", "hourly")

    words = ("verify", "--archive", "restored", "--remote", f"file://{place.remote}", "-o", "json")
    done = gitsnap(place.folder, *words, code=5)

    (archive,) = json.loads(done.stdout)["archives"]
    faults = {finding["subject"]: finding["message"] for finding in archive["findings"] if finding["wrong"]}
    assert "has 1 commit more" in faults["hourly"]
    assert "never had it, or lost it" in faults[newest]


def test_a_tag_that_differs(place: _Place) -> None:
    """A tag of the remote has the same name and another object."""
    first, second, _ = place.tags()
    place.git(
        place.remote, "update-ref", f"refs/tags/{first}", place.git(place.remote, "rev-parse", f"refs/tags/{second}")
    )

    ((subject, message),) = place.wrong()

    assert subject == first
    assert "one was recreated" in message


def test_samples_removed_by_retention_are_a_note(place: _Place) -> None:
    """The remote may have samples that retention removed from the archive."""
    opened = open_archive_at(place.archive)
    with opened.writer() as writer:
        writer.remove(opened.samples()[:1])

    code, archive = place.verify()

    assert code == 0
    assert ["still has 1 sample" in finding["message"] for finding in archive["findings"]] == [True]


def test_an_unreachable_remote(place: _Place) -> None:
    """An unreachable remote is an error, not a finding."""
    remote = f"file://{place.folder}/none.git"

    done = gitsnap(place.folder, "verify", "--snapshot", "hourly", "--remote", remote, code=18)

    assert remote in done.stderr
    assert "finding" not in done.stdout


def test_a_pinned_id(place: _Place) -> None:
    """A later chain must contain an id that `verify` printed. A forged history does not contain the id."""
    pin = place.verify()[1]["newest"]["id"]
    place.capture()

    gitsnap(place.folder, "verify", "--snapshot", "hourly", "--pinned", pin, code=0)
    other = gitsnap(place.folder, "verify", "--snapshot", "hourly", "--pinned", "0" * 40, code=5)
    assert "no sample has the id" in other.stdout
    gitsnap(place.folder, "verify", "--snapshot", "hourly", "--pinned", "nonsense", code=2)
    place.git(place.archive, "update-ref", "-d", f"refs/tags/{place.tags()[-1]}")
    place.git(place.archive, "update-ref", "-d", f"refs/tags/{place.tags()[-1]}")
    place.git(place.archive, "reset", "--hard", "--quiet", "hourly~2")
    gitsnap(place.folder, "verify", "--snapshot", "hourly", code=0)
    gitsnap(place.folder, "verify", "--snapshot", "hourly", "--pinned", pin, code=5)


@pytest.mark.parametrize(
    ("options", "samples"),
    [(["--depth", "1"], 1), (["--depth", "2"], 2), (["--depth", "1", "--no-single-branch"], None)],
)
def test_a_shallow_clone(place: _Place, options: list[str], samples: int | None) -> None:
    """Samples that were not fetched are a note, with the command that fetches them."""
    place.git(place.folder, "clone", "-q", *options, "-b", "hourly", f"file://{place.remote}", "clone")

    done = gitsnap(place.folder, "verify", "--archive", "clone", "--remote", f"file://{place.remote}", "-o", "json")

    (archive,) = json.loads(done.stdout)["archives"]
    assert done.returncode == 13, archive
    assert not any(finding["wrong"] for finding in archive["findings"])
    if samples is not None:
        assert archive["samples"] == samples
        messages = " ".join(finding["message"] for finding in archive["findings"])
        assert "not in this shallow clone: `git fetch --unshallow --tags` fetches them" in messages
