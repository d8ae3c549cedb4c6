"""Bits flipped, ends cut off, files emptied or gone, anywhere in an archive: found, said of the right sample, no worse.

Some files are damaged in one of four ways; with GITSNAP_EVERY_POINT=1 (scripts/soak) all in each, at several places.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitsnap import archive
from gitsnap.archive import GitArchive, object_writer
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import Area, Kind, SecretsInfo, SecretsMode, TreeInfo, Trigger
from gitsnap.core.ports import SampleDraft
from gitsnap.format import encode

_EVERY = os.environ.get("GITSNAP_EVERY_POINT", "") == "1"
_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_INFO = TreeInfo("hourly", "hourly", (Kind("", "ConfigMap"),), SecretsInfo(SecretsMode.OMIT))
_SAMPLES = 3
_TRIED = 14
_WAYS = ("flipped", "cut off", "emptied", "gone")

_Content = Mapping[str, bytes] | None
"""Path -> content of a sample, None of one that cannot be read."""


def _take(to: GitArchive, text: str) -> None:
    with to.writer() as writer:
        texts = {"changes": text, "stays": "the same"}
        files = {f"default/ConfigMap/{name}.yaml": writer.store(encode({"data": one})) for name, one in texts.items()}
        writer.record(SampleDraft(_INFO, {Area.CONFIGURATION: files}, _NOON, Trigger.MANUAL, "cluster-1"))


def _contents(of: GitArchive) -> dict[str, _Content]:
    found: dict[str, _Content] = {}
    for sample in of.samples():
        try:
            tree = of.tree(sample)
            found[sample.tag] = {path: tree.read(blob) for path, blob in tree.all_files.items()}
        except ArchiveError:
            found[sample.tag] = None
    return found


def _damages(whole: Path, chance: random.Random) -> list[tuple[Path, str]]:
    """Files of git, and what befalls each."""
    git_folder = whole / ".git"
    files = [git_folder / "HEAD", git_folder / "index", git_folder / "gitsnap-worktree"]
    files += sorted(file for part in ("objects", "refs") for file in (git_folder / part).rglob("*") if file.is_file())
    every = [(file, way) for file in files for way in _WAYS]
    return every * 3 if _EVERY else chance.sample(every, _TRIED)


def _damage(file: Path, way: str, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    file.chmod(0o600)
    if way == "flipped":
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    elif way == "cut off":
        del content[len(content) // 2 :]
    elif way == "emptied":
        content.clear()
    file.write_bytes(content)
    if way == "gone":
        file.unlink()


@pytest.mark.parametrize("layout", ["loose", "packs"])
def test_damage_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    """No read gives wrong bytes; what cannot be read any more is found; one more capture harms no other sample."""
    if layout == "packs":
        monkeypatch.setattr(object_writer, "_MOST_LOOSE", 2)
    whole = tmp_path / "whole"
    (tmp_path / "made").mkdir()
    made = archive.create_archive(tmp_path / "made", "hourly")
    for number in range(_SAMPLES):
        _take(made, str(number))
    shutil.copytree(made.location, whole)
    expected = _contents(archive.open_archive_at(whole))
    assert len(expected) == _SAMPLES
    chance = random.Random(layout)
    found = 0

    # libgit2 shares packs between repositories of one path: each damage gets a path of its own.
    for number, (file, way) in enumerate(_damages(whole, chance)):
        place = tmp_path / str(number)
        shutil.copytree(whole, place / "hourly")
        _damage(place / "hourly" / file.relative_to(whole), way, chance)
        try:
            found += _check_damaged(place / "hourly", expected)
        except Exception as error:
            raise AssertionError(f"{file.relative_to(whole)} {way}: {error}") from error
        shutil.rmtree(place)

    print(f"{layout}: {number + 1} damages, {found} of them took a sample")
    assert found


def _check_damaged(folder: Path, expected: Mapping[str, _Content]) -> bool:
    """Whether a sample was lost by the damage."""
    if not (folder / ".git" / "HEAD").exists():
        with pytest.raises(ArchiveError, match="cannot be opened"):
            archive.open_archive_at(folder)
        return False
    damaged = archive.open_archive_at(folder)
    now = _contents(damaged)
    assert all(content in (None, expected[tag]) for tag, content in now.items())
    lost = [tag for tag in expected if now.get(tag) is None]
    wrong = [finding for finding in damaged.check() if finding.wrong]
    told = " ".join(f"{finding.subject} {finding.message}" for finding in wrong)
    # That the newest tag was removed can only be told by a remote (docs/SECURITY.md).
    newest_is_gone = lost == [max(expected)] and max(expected) not in now
    assert newest_is_gone or all(tag in told for tag in lost), wrong
    try:
        _take(damaged, "one more")
    except ArchiveError as error:
        # What the next sample would be built on is damaged: that is said in words.
        _check_refused(error, lost)
    after = _contents(archive.open_archive_at(folder))
    assert all(after[tag] == content for tag, content in now.items() if content is not None)
    assert all(after[tag] is not None for tag in after.keys() - expected.keys())
    return bool(lost)


def _check_refused(error: ArchiveError, lost: list[str]) -> None:
    assert lost or "HEAD is damaged" in error.message
    assert error.hint
