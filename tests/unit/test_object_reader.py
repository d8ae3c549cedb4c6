"""archive.object_reader: an object that cannot be read raises ArchiveError, and no call hangs."""

from __future__ import annotations

import os
from pathlib import Path

import pygit2
import pytest

from gitsnap.archive.commit_objects import read_commit
from gitsnap.archive.object_reader import read_blob, read_object
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import BlobId


@pytest.fixture
def repository(tmp_path: Path) -> pygit2.Repository:
    """A repository with a named pipe below its git directory."""
    made = pygit2.init_repository(tmp_path / "archive")
    os.mkfifo(Path(made.path, "pipe"))
    return made


@pytest.mark.parametrize(
    "name",
    ["", "a", "f" * 40, "g" * 40, "F" * 40, "f" * 39, "f" * 41, "../pipe", "../" + "/" * 33 + "pipe", "a\0b", "\udcff"],
)
def test_an_id_without_an_object(repository: pygit2.Repository, name: str) -> None:
    """A text that is not the id of an object, as a planted ref, commit or state file may hold."""
    for read in (lambda: read_object(repository, name, "the object x"), lambda: read_commit(repository, name)):
        with pytest.raises(ArchiveError, match="is missing from the archive or damaged"):
            read()
    with pytest.raises(ArchiveError):
        read_blob(repository, BlobId(name))


def test_an_object_of_another_kind(repository: pygit2.Repository) -> None:
    """A tree is neither a file nor a commit."""
    tree = str(repository.TreeBuilder().write())

    with pytest.raises(ArchiveError, match="is not a file"):
        read_blob(repository, BlobId(tree))
    with pytest.raises(ArchiveError, match="is missing from the archive or damaged"):
        read_commit(repository, tree)


@pytest.mark.parametrize("kept", range(1, 30, 4))
def test_a_truncated_object(repository: pygit2.Repository, kept: int) -> None:
    """libgit2 would read the file in an endless loop."""
    blob = str(repository.create_blob(os.urandom(100)))
    file = Path(repository.path, "objects", blob[:2], blob[2:])
    content = file.read_bytes()
    file.chmod(0o600)
    file.write_bytes(content[:kept])

    with pytest.raises(ArchiveError, match="its end is missing"):
        read_blob(repository, BlobId(blob))


def test_the_content_of_a_file(repository: pygit2.Repository) -> None:
    """Byte for byte."""
    content = bytes(range(256))

    assert read_blob(repository, BlobId(str(repository.create_blob(content)))) == content
