"""The digests of successive trees are those of docs/FORMAT.md, computed over the whole of each tree."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping

import pygit2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitsnap.archive.content_digest import ContentDigests
from gitsnap.archive.trees import Folders, write_tree
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import BlobId

# Names whose order differs between files and folders: "/" sorts after "." and "-", and before "0".
_NAMES = st.sampled_from(["a", "a-", "a.b", "a0", "b", "é"])
_TREES = st.dictionaries(
    st.lists(_NAMES, min_size=1, max_size=3).map("/".join), st.sampled_from([b"", b"x", b"y"]), max_size=8
)


def _without_conflicts(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files whose paths are not folders of other files."""
    return {path: content for path, content in files.items() if not any(o.startswith(f"{path}/") for o in files)}


def _expected(files: Mapping[str, bytes]) -> str:
    lines = sorted((os.fsencode(path), hashlib.sha256(content).hexdigest()) for path, content in files.items())
    return hashlib.sha256(b"".join(path + b"\0" + digest.encode() + b"\n" for path, digest in lines)).hexdigest()


def _write(repository: pygit2.Repository, files: Mapping[str, bytes]) -> str:
    blobs = {path: BlobId(str(repository.create_blob(content))) for path, content in files.items()}
    kinds = {b"tree": pygit2.enums.ObjectType.TREE}
    return write_tree(blobs, lambda kind, content: str(repository.write(kinds[kind], content)))


@settings(max_examples=150, deadline=None)
@given(st.lists(_TREES.map(_without_conflicts), min_size=1, max_size=6))
def test_digests_of_successive_trees_are_those_of_each_tree(trees: list[dict[str, bytes]]) -> None:
    """Files and folders that come, go, change, and return; and the numbers of files by folder."""
    with tempfile.TemporaryDirectory() as folder:
        repository = pygit2.init_repository(folder, bare=True)
        digests = ContentDigests(repository, Folders(repository))
        for files in trees:
            digest, counts = digests.digest(_write(repository, files))
            assert digest == _expected(files)
            tops = [path.split("/")[0] for path in files if "/" in path]
            assert counts == {top: tops.count(top) for top in tops}


def test_a_damaged_tree_changes_no_later_digest() -> None:
    """A tree with a missing blob is an error. The digests of the trees after it are right."""
    with tempfile.TemporaryDirectory() as folder:
        repository = pygit2.init_repository(folder, bare=True)
        digests = ContentDigests(repository, Folders(repository))
        first, last = {"a/x": b"1", "b/y": b"2", "c": b"3"}, {"a/x": b"4", "b/y": b"2", "c": b"3"}
        damaged_blobs = {path: BlobId(str(repository.create_blob(content))) for path, content in last.items()}
        damaged_blobs["b/y"] = BlobId("1" * 40)
        damaged = write_tree(
            damaged_blobs, lambda _kind, content: str(repository.write(pygit2.enums.ObjectType.TREE, content))
        )
        assert digests.digest(_write(repository, first))[0] == _expected(first)
        with pytest.raises(ArchiveError):
            digests.digest(damaged)
        assert digests.digest(_write(repository, last))[0] == _expected(last)
        assert digests.digest(_write(repository, first))[0] == _expected(first)
