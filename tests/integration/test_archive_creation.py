"""A new archive is created only on request. In a folder inside an archive, commands use that archive."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from gitsnap.archive import create_archive, find_enclosing, list_archives
from gitsnap.core.errors import ArchiveError
from tests.support import old_snapshots
from tests.support.commands import gitsnap

_CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop", "namespace": "default"}}
_FROM = ("--from-dir", "../cluster", "--resources", "ConfigMap")


class _Place:
    """A folder ``cluster`` with a ConfigMap, and a storage beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.storage = folder, folder / "storage"
        (folder / "cluster").mkdir()
        self.storage.mkdir()
        self.change("1")

    def change(self, value: str) -> None:
        """Give the ConfigMap another value."""
        (self.folder / "cluster" / "shop.json").write_text(json.dumps({**_CONFIG_MAP, "data": {"value": value}}))

    def capture(self, *words: str, folder: Path | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `gitsnap capture` in ``folder``, by default in the storage."""
        source = ("--from-dir", str(self.folder / "cluster"), "--resources", "ConfigMap")
        return gitsnap(folder or self.storage, "capture", *source, *words, code=code)

    def archives(self) -> dict[str, int]:
        """The number of samples in each archive of the storage."""
        return {archive.policy: len(archive.samples()) for archive in list_archives(self.storage)}

    def git_folders(self) -> list[str]:
        """Every git repository and every private key below the folder."""
        paths = [*self.folder.rglob(".git"), *self.folder.rglob("identity.txt")]
        return sorted(str(path.relative_to(self.folder)) for path in paths)


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    """See _Place."""
    return _Place(tmp_path)


def test_the_first_archive_needs_no_option(place: _Place) -> None:
    """An empty storage gets the archive `manual`, or the archive that the user names. The message has its path."""
    done = place.capture()

    assert place.archives() == {"manual": 1}
    assert f"created the archive {place.storage.resolve()}/manual" in done.stderr
    assert "created" not in place.capture().stderr


def test_the_only_archive_is_continued(place: _Place) -> None:
    """Without --snapshot no second archive is created."""
    place.capture("--snapshot", "hourly")
    place.change("2")

    place.capture()

    assert place.archives() == {"hourly": 2}


def test_several_archives_are_named(place: _Place) -> None:
    """Without --snapshot the error names the archives."""
    place.capture("--snapshot", "hourly")
    place.capture("--snapshot", "daily", "--create")

    done = place.capture(code=2)

    assert "--snapshot is needed" in done.stderr
    assert "daily, hourly" in done.stderr
    assert place.archives() == {"daily": 1, "hourly": 1}


def test_a_misspelt_policy_is_refused(place: _Place) -> None:
    """The message proposes the archive with a similar name, and nothing is created."""
    place.capture("--snapshot", "hourly")
    before = place.git_folders()

    done = place.capture("--snapshot", "hourli", code=4)

    assert "The nearest names: hourly. To create an archive, give --create." in done.stderr
    assert place.git_folders() == before
    assert "The nearest names: hourly." in gitsnap(place.storage, "diff", "--snapshot", "hourli", code=4).stderr


def test_the_policy_of_a_manifest(place: _Place) -> None:
    """The name in --file follows the same rule as --snapshot."""
    place.capture("--snapshot", "hourly")
    manifest = place.folder / "snapshot.json"
    document = {"apiVersion": "utils.projectsveltos.io/v1beta1", "kind": "Snapshot", "metadata": {"name": "hourli"}}
    manifest.write_text(json.dumps({**document, "spec": {}}))

    assert "hourly" in place.capture("-f", str(manifest), code=4).stderr
    place.capture("-f", str(manifest), "--create")

    assert place.archives() == {"hourli": 1, "hourly": 1}


@pytest.mark.parametrize("inside", ["", "configuration/default", ".git/refs"])
def test_inside_an_archive_that_archive_is_meant(place: _Place, inside: str) -> None:
    """In a folder inside an archive, every command uses that archive. Nothing is created in its working tree."""
    place.capture("--snapshot", "hourly")
    place.capture("--snapshot", "daily", "--create")
    before = place.git_folders()
    folder = place.storage / "hourly" / inside
    place.change("2")

    place.capture(folder=folder)
    place.capture("--snapshot", "hourly", folder=folder)
    place.capture("--storage", str(folder), folder=place.folder)
    refused = place.capture("--snapshot", "weekly", folder=folder, code=4)
    place.capture("--snapshot", "daily", folder=folder)

    assert place.archives() == {"daily": 2, "hourly": 4}
    assert place.git_folders() == before
    assert f"no archive weekly in {place.storage.resolve()}" in refused.stderr
    listed = json.loads(gitsnap(folder, "list", "-o", "json", code=0).stdout)["samples"]
    assert {sample["policy"] for sample in listed} == {"hourly"}
    assert "value" in gitsnap(folder, "log", "ConfigMap/default/shop", code=0).stdout
    other = json.loads(gitsnap(folder, "list", "--snapshot", "daily", "-o", "json", code=0).stdout)["samples"]
    assert {sample["policy"] for sample in other} == {"daily"}


def test_no_archive_inside_another(place: _Place) -> None:
    """Neither `capture --create` nor the demo creates an archive inside an archive."""
    place.capture("--snapshot", "hourly")
    before = place.git_folders()
    inside = place.storage / "hourly" / "configuration"

    place.capture("--snapshot", "weekly", "--create", folder=inside)
    demo = gitsnap(inside, "demo", code=6)

    with pytest.raises(ArchiveError, match="no archive may be inside another"):
        create_archive(inside, "monthly")
    assert "is inside the archive" in demo.stderr
    assert sorted(set(place.git_folders()) - set(before)) == [
        "storage/.keys/weekly/identity.txt",
        "storage/weekly/.git",
    ]


@pytest.mark.parametrize(
    ("storage", "code", "message"),
    [("missing/storage", 6, "does not exist"), ("used", 4, "that folder holds other files")],
)
def test_a_folder_that_is_no_storage(place: _Place, storage: str, code: int, message: str) -> None:
    """A volume that is not mounted and a mistyped folder do not become a storage without --create."""
    (place.folder / "used").mkdir()
    (place.folder / "used" / "notes.txt").write_text("notes")
    before = place.git_folders()

    done = place.capture("--storage", storage, "--snapshot", "hourly", folder=place.folder, code=code)

    assert message in done.stderr
    assert "--create" in done.stderr
    assert place.git_folders() == before
    place.capture("--storage", storage, "--snapshot", "hourly", "--create", folder=place.folder)
    assert (place.folder / storage / "hourly" / ".git").is_dir()


def test_the_input_of_a_capture_may_be_in_the_storage(tmp_path: Path) -> None:
    """A folder that holds only the captured dump counts as an empty storage."""
    place = _Place(tmp_path)
    place.storage.rmdir()

    gitsnap(tmp_path, "capture", "--from-dir", "cluster", "--resources", "ConfigMap", code=0)

    assert (tmp_path / "manual" / ".git").is_dir()


def test_an_archive_without_a_sample_is_no_obstacle(tmp_path: Path) -> None:
    """A first capture that found nothing to record leaves an archive. The next capture may use another policy."""
    place = _Place(tmp_path)
    place.storage.rmdir()
    gitsnap(tmp_path, "capture", "--from-dir", "cluster", code=22)
    assert (tmp_path / "manual" / ".git").is_dir()
    empty = gitsnap(tmp_path, "log", "cm/nothing", code=0)
    assert (empty.stdout, "note: the archive has no sample" in empty.stderr) == ("no changes found\n", True)

    gitsnap(tmp_path, "capture", "--from-dir", "cluster", "--snapshot", "ops", "--resources", "ConfigMap", code=0)
    refused = gitsnap(tmp_path, "capture", "--from-dir", "cluster", "--snapshot", "opps", code=4)

    assert "there is no archive opps" in refused.stderr
    assert "ops" in refused.stderr


def test_an_import_creates_no_second_archive(place: _Place) -> None:
    """The rule is the same as for a capture."""
    place.capture("--snapshot", "hourly")
    old_snapshots.write(place.folder / "old", "hourli", "2023-08-26:05:00:00")
    words = ("import", "--from", str(place.folder / "old"))

    assert "hourly" in gitsnap(place.storage, *words, code=4).stderr
    gitsnap(place.storage, *words, "--create", code=0)

    assert place.archives() == {"hourli": 1, "hourly": 1}


def _answer(folder: Path, answer: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run gitsnap with an answer to its question: stdin and stderr are a terminal."""
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    done = subprocess.run(
        [sys.executable, "-m", "gitsnap", *words], cwd=folder, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE,
        check=False,
    )  # fmt: skip
    os.close(theirs)
    os.close(ours)
    return done


@pytest.mark.parametrize(("answer", "code", "archives"), [("y", 0, ["daily", "hourly"]), ("n", 130, ["hourly"])])
def test_a_terminal_is_asked(place: _Place, answer: str, code: int, archives: list[str]) -> None:
    """The archive is created only if the answer is yes."""
    place.capture("--snapshot", "hourly")

    done = _answer(place.storage, answer, "capture", "--snapshot", "daily", *_FROM)

    assert done.returncode == code
    assert list(place.archives()) == archives


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a folder to another user")
def test_an_archive_above_of_another_user_is_refused(place: _Place) -> None:
    """Another user cannot plant an archive in a parent folder and decide how Secrets are stored."""
    place.capture("--snapshot", "hourly")
    inside = place.storage / "hourly" / "work"
    inside.mkdir()
    os.chown(place.storage / "hourly", 12345, -1)

    assert "belongs to another user" in place.capture(folder=inside, code=5).stderr
    with pytest.raises(ArchiveError, match="another user"):
        find_enclosing(inside)
    assert find_enclosing(place.storage / "hourly") == (place.storage / "hourly").resolve()


def test_another_repository_above_is_no_archive(place: _Place) -> None:
    """A storage inside a git repository of another kind is a storage."""
    subprocess.run(["git", "init", "-q", str(place.folder)], check=True)

    place.capture("--snapshot", "hourly")

    assert place.archives() == {"hourly": 1}
    assert find_enclosing(place.storage) is None


def test_a_link_to_nowhere_is_named(place: _Place) -> None:
    """The folder of the archive may be a link to a volume that is not mounted. Nothing is left in the storage."""
    (place.storage / "hourly").symlink_to("volume")

    done = place.capture("--snapshot", "hourly", "--create", code=6)

    assert "hourly is a symbolic link to volume, which does not exist" in done.stderr
    assert [path.name for path in place.storage.iterdir()] == ["hourly"]
