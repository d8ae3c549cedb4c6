"""The digests of successive trees are those of docs/FORMAT.md, computed over the whole of each tree."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping

import pygit2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pygit2.enums import ObjectType

from gitsnap.archive.content_digest import ContentDigests, TreeContents
from gitsnap.archive.trees import write_tree
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import BlobId

# Names whose order differs between files and folders: "/" sorts after "." and "-", and before "0".
_NAMES = st.sampled_from(["a", "a-", "a.b", "a0", "b", "é"])
_TREES = st.dictionaries(
    st.lists(_NAMES, min_size=1, max_size=3).map("/".join), st.sampled_from([b"", b"x", b"y"]), max_size=8
)


_FOLDER = b"40000"
_REGULAR = {b"100644", b"40000", b"040000"}
_NAMES_AND_ENTRIES = st.dictionaries(
    st.sampled_from([*(b"%c" % letter for letter in b"abcdefghijklmnop"), b"a-", b"a.b", b"a0", b"\xff"]),
    st.tuples(st.sampled_from([b"100644"] * 6 + [_FOLDER]), st.sampled_from([b"x", b"y"])),
    max_size=16,
)
_ENTRY = tuple[bytes, bytes, bytes]
"""Mode, name, and a text instead of the object id."""
# What git would not write: odd modes, forbidden names, a second entry of a name.
_ODD_ENTRIES = st.tuples(
    st.sampled_from([b"100644", b"40000", b"040000", b"100755", b"120000", b"160000"]),
    st.sampled_from([b"a", b"b", b"h", b"p", b"q", b"..", b".GIT", b"x/y"]),
    st.sampled_from([b"x", b"y"]),
)


@st.composite
def _versions(draw: st.DrawFn) -> list[tuple[list[_ENTRY], int]]:
    """Successive versions of a folder, each with the number of bytes that are missing at its end."""
    names = draw(_NAMES_AND_ENTRIES)
    versions = []
    for _ in range(draw(st.integers(2, 6))):
        for change in draw(st.lists(_NAMES_AND_ENTRIES.map(dict), max_size=1)):
            names |= dict(list(change.items())[:3])
        for name in draw(st.lists(st.sampled_from(sorted(names) or [b"-"]), max_size=2)):
            names.pop(name, None)
        entries = [(mode, name, text) for name, (mode, text) in names.items()]
        entries.sort(key=_sort_key)
        for entry in draw(st.one_of(st.just([]), st.just([]), st.lists(_ODD_ENTRIES, max_size=2))):
            entries.insert(draw(st.integers(0, len(entries))), entry)
        if draw(st.booleans()):
            entries.sort(key=_sort_key)
        versions.append((entries, draw(st.sampled_from([0] * 9 + [1, 21]))))
    return versions


def _sort_key(entry: _ENTRY) -> bytes:
    return entry[1] + b"/" * entry[0].endswith(_FOLDER)


def _without_conflicts(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files whose paths are not folders of other files."""
    return {path: content for path, content in files.items() if not any(o.startswith(f"{path}/") for o in files)}


def _expected(files: Mapping[str, bytes]) -> str:
    lines = sorted((os.fsencode(path), hashlib.sha256(content).hexdigest()) for path, content in files.items())
    return hashlib.sha256(b"".join(path + b"\0" + digest.encode() + b"\n" for path, digest in lines)).hexdigest()


def _write(repository: pygit2.Repository, files: Mapping[str, bytes]) -> str:
    blobs = {path: BlobId(str(repository.create_blob(content))) for path, content in files.items()}
    kinds = {b"tree": ObjectType.TREE}
    return write_tree(blobs, lambda kind, content: str(repository.write(kinds[kind], content)))


@settings(max_examples=150, deadline=None)
@given(st.lists(_TREES.map(_without_conflicts), min_size=1, max_size=6))
def test_digests_of_successive_trees_are_those_of_each_tree(trees: list[dict[str, bytes]]) -> None:
    """Files and folders that come, go, change, and return; and the numbers of files by folder."""
    with tempfile.TemporaryDirectory() as folder:
        repository = pygit2.init_repository(folder, bare=True)
        digests = ContentDigests(repository)
        for files in trees:
            contents = digests.digest(_write(repository, files))
            assert contents.digest == _expected(files)
            tops = [path.split("/")[0] for path in files if "/" in path]
            assert contents.files == {top: tops.count(top) for top in tops}


@pytest.fixture(scope="module")
def repository() -> Iterator[pygit2.Repository]:
    """A repository for all examples."""
    with tempfile.TemporaryDirectory() as folder:
        yield pygit2.init_repository(folder, bare=True)


@settings(max_examples=300, deadline=None)
@given(_versions())
def test_versions_of_a_folder_have_the_contents_that_a_first_reading_finds(
    repository: pygit2.Repository, versions: list[tuple[list[_ENTRY], int]]
) -> None:
    """After other trees, each tree has the contents, or the damage, that a reader of this tree alone finds."""
    digests = ContentDigests(repository)
    blobs = {text: repository.create_blob(text).raw for text in (b"x", b"y")}
    folders = {text: repository.write(ObjectType.TREE, b"100644 f\0" + blob).raw for text, blob in blobs.items()}
    for entries, missing in versions:
        raw = b"".join(
            mode + b" " + name + b"\0" + (folders if mode.endswith(_FOLDER) else blobs)[text]
            for mode, name, text in entries
        )
        folder = repository.write(ObjectType.TREE, raw[: len(raw) - missing]).raw
        tree = str(repository.write(ObjectType.TREE, b"40000 z\0" + folder))
        contents = _contents(digests, tree)
        assert contents == _contents(ContentDigests(repository), tree)
        if isinstance(contents, TreeContents):
            irregular = [f"z/{os.fsdecode(name)}" for mode, name, _ in entries if mode not in _REGULAR]
            assert list(contents.irregular) == irregular


def _contents(digests: ContentDigests, tree: str) -> TreeContents | str:
    try:
        return digests.digest(tree)
    except ArchiveError as error:
        return error.message


def test_a_damaged_tree_changes_no_later_digest() -> None:
    """A tree with a missing blob is an error. The digests of the trees after it are right."""
    with tempfile.TemporaryDirectory() as folder:
        repository = pygit2.init_repository(folder, bare=True)
        digests = ContentDigests(repository)
        first, last = {"a/x": b"1", "b/y": b"2", "c": b"3"}, {"a/x": b"4", "b/y": b"2", "c": b"3"}
        damaged_blobs = {path: BlobId(str(repository.create_blob(content))) for path, content in last.items()}
        damaged_blobs["b/y"] = BlobId("1" * 40)
        damaged = write_tree(damaged_blobs, lambda _kind, content: str(repository.write(ObjectType.TREE, content)))
        assert digests.digest(_write(repository, first)).digest == _expected(first)
        with pytest.raises(ArchiveError):
            digests.digest(damaged)
        assert digests.digest(_write(repository, last)).digest == _expected(last)
        assert digests.digest(_write(repository, first)).digest == _expected(first)
