"""Symbolic links in an archive: nothing is written through them to files elsewhere."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitsnap.archive import GitArchive, create_archive, open_archive
from gitsnap.core.errors import ArchiveError, GitsnapError
from gitsnap.core.model import Area, Kind, SecretsInfo, SecretsMode, TreeInfo, Trigger
from gitsnap.core.recording import SampleDraft
from gitsnap.format import encode

_KEPT = "somebody's own\n"
_FILES = ("config", "HEAD", "index", "packed-refs", "logs/HEAD", "logs/refs/heads/p", "refs/heads/p", "gitsnap.lock")
_FOLDERS = ("logs", "refs", "refs/heads", "refs/tags", "refs/tags/p", "objects", "objects/info", "objects/pack")


def _add_sample(archive: GitArchive, number: int) -> None:
    info = TreeInfo("p", "p", (Kind("", "ConfigMap"),), SecretsInfo(SecretsMode.OMIT))
    with archive.writer() as writer:
        files = {"default/ConfigMap/a.yaml": writer.store(encode({"data": str(number)}))}
        moment = datetime(2026, 1, number, tzinfo=UTC)
        writer.record(SampleDraft(info, {Area.CONFIGURATION: files}, moment, Trigger.MANUAL, "cluster-1"))


@pytest.mark.parametrize("name", [*_FILES, *_FOLDERS])
@pytest.mark.slow
def test_nothing_is_written_through_a_link(tmp_path: Path, name: str) -> None:
    """A planted link does not make a capture overwrite files of the user who captures."""
    archive = create_archive(tmp_path, "p")
    _add_sample(archive, 1)
    place, target = archive.git_folder / name, tmp_path / "elsewhere"
    if name in _FILES:
        place.unlink(missing_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_KEPT)
    elif place.exists():
        place.rename(target)
    else:
        target.mkdir()
        place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)
    before = _content(target)

    with pytest.raises(GitsnapError):
        _add_sample(open_archive(tmp_path, "p"), 2)

    assert _content(target) == before


def test_the_link_is_named(tmp_path: Path) -> None:
    """The message says what to do."""
    archive = create_archive(tmp_path, "p")
    shutil.move(archive.git_folder / "config", tmp_path / "config")
    (archive.git_folder / "config").symlink_to(tmp_path / "config")

    with pytest.raises(ArchiveError, match=r"\.git/config is a symbolic link"), open_archive(tmp_path, "p").writer():
        pytest.fail("it is not written")


def test_an_archive_of_another_name_is_refused(tmp_path: Path) -> None:
    """A folder that was renamed holds the history of another policy."""
    create_archive(tmp_path, "victim")
    (tmp_path / "victim").rename(tmp_path / "own")

    with pytest.raises(ArchiveError, match="is that of victim, not of own"):
        create_archive(tmp_path, "own")


def _content(place: Path) -> dict[str, bytes]:
    files = [place] if place.is_file() else [file for file in sorted(place.rglob("*")) if file.is_file()]
    return {str(file): file.read_bytes() for file in files}
