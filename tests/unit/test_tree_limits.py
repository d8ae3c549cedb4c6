"""Trees that no sample has are errors: too many files and folders, which a walk would never end, or another order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pygit2
import pytest
from pygit2.enums import ObjectType

from gitsnap.archive import trees
from gitsnap.archive.content_digest import ContentDigests
from gitsnap.archive.findings import changed_files
from gitsnap.archive.trees import Folders
from gitsnap.core.errors import ArchiveError

_READERS: dict[str, Callable[[pygit2.Repository, str], object]] = {
    "files": lambda repository, tree: Folders(repository).files(tree),
    "digest": lambda repository, tree: ContentDigests(repository).digest(tree),
}


@pytest.fixture
def repository(tmp_path: Path) -> pygit2.Repository:
    """An empty repository."""
    return pygit2.init_repository(tmp_path, bare=True)


def _tree(repository: pygit2.Repository, *entries: tuple[bytes, bytes, bytes]) -> bytes:
    content = b"".join(mode + b" " + name + b"\0" + child for mode, name, child in entries)
    return repository.write(ObjectType.TREE, content).raw


def _nested(repository: pygit2.Repository, leaf: bytes) -> str:
    """A tree that holds ``leaf`` a thousand times, in three levels of ten folders."""
    for _ in range(3):
        leaf = _tree(repository, *((b"40000", b"%d" % number, leaf) for number in range(10)))
    return leaf.hex()


@pytest.mark.parametrize("reader", _READERS)
@pytest.mark.parametrize("content", ["nothing", "a file", "a submodule"])
def test_folders_count_as_files_do(
    repository: pygit2.Repository, monkeypatch: pytest.MonkeyPatch, reader: str, content: str
) -> None:
    """Six tree objects stand for a thousand folders, or for a million with six levels. They may have no file at all."""
    monkeypatch.setattr(trees, "_MOST_ENTRIES", 900)
    leaves = {
        "nothing": [],
        "a file": [(b"100644", b"a", repository.create_blob(b"x").raw)],
        "a submodule": [(b"160000", b"a", b"\1" * 20)],
    }
    with pytest.raises(ArchiveError, match="too many files or folders"):
        _READERS[reader](repository, _nested(repository, _tree(repository, *leaves[content])))


def test_successive_trees_are_counted_anew(repository: pygit2.Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and folders that come, change and go do not add up over many samples."""
    blobs = [repository.create_blob(b"%d" % number).raw for number in range(8)]

    def sample(number: int, files: int) -> str:
        folder = _tree(repository, *((b"100644", b"%02d" % name, blobs[number % 8]) for name in range(files)))
        other = _tree(repository, (b"100644", b"a", blobs[(number // 3) % 8]))
        folders = [(b"40000", b"a", folder), (b"40000", b"b", other), (b"40000", b"c", other)]
        return _tree(repository, *folders[: 2 + number % 2]).hex()

    monkeypatch.setattr(trees, "_MOST_ENTRIES", 3 + 9 + 2)
    digests = ContentDigests(repository)
    for number in range(40):
        digests.digest(sample(number, 5 + number % 5))
    with pytest.raises(ArchiveError, match="too many files or folders"):
        digests.digest(sample(41, 10))


@pytest.mark.parametrize("reader", _READERS)
def test_a_tree_in_another_order_than_that_of_git_is_damaged(repository: pygit2.Repository, reader: str) -> None:
    """git does not find a file that is not in its place. The order is that of the paths: a folder ends with a slash."""
    blob = repository.create_blob(b"x").raw
    file, folder = (b"100644", b"a.b", blob), (b"40000", b"a", _tree(repository, (b"100644", b"c", blob)))
    assert _READERS[reader](repository, _tree(repository, file, folder).hex())
    with pytest.raises(ArchiveError, match="damaged"):
        _READERS[reader](repository, _tree(repository, folder, file).hex())


def test_the_working_tree_is_not_compared_with_such_a_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git would walk through all folders, and has no limit."""
    repository = pygit2.init_repository(tmp_path)
    (tmp_path / "a").touch()
    author = pygit2.Signature("a", "a@example.com", 0, 0)
    tree = pygit2.Oid(hex=_nested(repository, _tree(repository)))
    repository.create_commit("HEAD", author, author, "bomb", tree, [])
    monkeypatch.setattr(trees, "_MOST_ENTRIES", 900)
    (finding,) = changed_files(repository)
    assert (finding.wrong, finding.subject) == (False, "working tree")
    assert "too many files or folders" in finding.message
