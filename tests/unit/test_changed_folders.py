"""A log with a damaged folder is an error, also if only an older commit has the folder. Other logs are read."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pygit2
import pytest
from pygit2.enums import ObjectType

from gitsnap.archive.commit_history import read_log
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import CommitId

_FILE, _FOLDER = b"100644", b"40000"
_Entry = tuple[bytes, bytes, bytes]
_BRANCH = "hourly"

_DAMAGES: dict[str, list[tuple[bytes, bytes]]] = {
    "two files of one name": [(_FILE, b"a"), (_FILE, b"c"), (_FILE, b"c")],
    "a file and a folder of one name": [(_FILE, b"a"), (_FILE, b"c"), (_FOLDER, b"c")],
    "a file that is not in its place": [(_FILE, b"c"), (_FILE, b"a")],
    "a new file that is not in its place": [(_FILE, b"a"), (_FILE, b"c"), (_FILE, b"b")],
    "a folder with the name .git": [(_FOLDER, b".git"), (_FILE, b"a"), (_FILE, b"c")],
}
"""The entries of the folder ``configuration/default/``. Without damage these are the files ``a`` and ``c``."""


class _History:
    def __init__(self, folder: Path) -> None:
        self.repository = pygit2.init_repository(folder, bare=True)
        self.commits: list[str] = []

    def tree(self, entries: Sequence[_Entry]) -> bytes:
        """Write a tree object with entries in this order."""
        content = b"".join(mode + b" " + name + b"\0" + child for mode, name, child in entries)
        return self.repository.write(ObjectType.TREE, content).raw

    def folder(self, names: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Write a folder. Each entry has other content."""
        blobs = [self.repository.create_blob(b"%d" % number).raw for number in range(len(names))]
        children = [
            blob if mode == _FILE else self.tree([(_FILE, b"x", blob)])
            for (mode, _), blob in zip(names, blobs, strict=True)
        ]
        return self.tree([(*name, child) for name, child in zip(names, children, strict=True)])

    def commit(self, default: bytes) -> None:
        """Commit a tree with the folder ``configuration/default``."""
        root = self.tree([(_FOLDER, b"configuration", self.tree([(_FOLDER, b"default", default)]))])
        parent = f"parent {self.commits[-1]}\n" if self.commits else ""
        person = "gitsnap <gitsnap@localhost> 1600000000 +0000"
        content = f"tree {root.hex()}\n{parent}author {person}\ncommitter {person}\n\nsample {len(self.commits)}\n"
        self.commits.append(str(self.repository.write(ObjectType.COMMIT, content.encode())))
        self.repository.references.create(f"refs/heads/{_BRANCH}", self.commits[-1], force=True)

    def read(self, *, after: str = "") -> list[tuple[str, list[tuple[str, str]]]]:
        """Return the log: commit -> action and path of each file."""
        log = read_log(
            self.repository, _BRANCH, ["configuration"], newest=None, after=CommitId(after) if after else None
        )
        return [(commit.id, [(file.action, file.path) for file in commit.files]) for commit in log]


@pytest.mark.parametrize("position", ["first", "between", "newest"])
@pytest.mark.parametrize("damage", _DAMAGES)
def test_a_damaged_folder_is_named(tmp_path: Path, damage: str, position: str) -> None:
    """The error names the commit and the folder at every position of the commit."""
    history = _History(tmp_path)
    good, damaged = history.folder([(_FILE, b"a"), (_FILE, b"c")]), history.folder(_DAMAGES[damage])
    folders = {"first": [damaged, good], "between": [good, damaged, good], "newest": [good, damaged]}[position]
    for folder in folders:
        history.commit(folder)
    name = history.commits[folders.index(damaged)]
    with pytest.raises(ArchiveError, match=rf"the commit {name[:12]}: the folder configuration/default/ .* damaged"):
        history.read()


def test_histories_without_damage_are_read(tmp_path: Path) -> None:
    """Files and folders are added, changed and removed. A file becomes a folder of the same name."""
    history, chance = _History(tmp_path), random.Random(3)
    for _ in range(60):
        names = {b"%d" % chance.randrange(30): chance.choice((_FILE, _FILE, _FOLDER)) for _ in range(12)}
        ordered = sorted(names, key=lambda name: name + (b"/" if names[name] == _FOLDER else b""))
        history.commit(history.folder([(names[name], name) for name in ordered]))
    files: set[str] = set()
    for _, changes in reversed(history.read()):
        files -= {path for action, path in changes if action == "deleted"}
        files |= {path for action, path in changes if action == "added"}
    written = history.repository[history.repository.get(history.commits[-1]).tree_id]  # type: ignore[union-attr]
    index = pygit2.Index()
    index.read_tree(written)  # type: ignore[arg-type]
    assert files == {entry.path for entry in index}
    assert len(history.read(after=history.commits[-11])) == 10
