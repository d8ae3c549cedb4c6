"""Differing paths of two trees are the same with and without an index of folders."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from gitsnap.core.model import BlobId, Kind
from gitsnap.format.tree_files import PathsByKind, differing_paths

_NAMES = st.sampled_from(["a", "b", "ConfigMap", "Secret"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)
_FILES = st.dictionaries(_PATHS, st.sampled_from("12")).map(
    # A path cannot be both a file and a folder.
    lambda files: {
        path: blob for path, blob in files.items() if not any(other.startswith(f"{path}/") for other in files)
    }
)


class _WithFolders(dict[str, BlobId]):
    """Files with an index of folders (ports.FolderIndex)."""

    def folder(self, path: str) -> Mapping[str, tuple[str, bool]]:
        """Name -> id, and whether the entry is a folder."""
        below: dict[str, dict[str, str]] = {}
        for file, blob in self.items():
            if file.startswith(path):
                name, _, rest = file.removeprefix(path).partition("/")
                below.setdefault(name, {})[rest] = blob
        return {
            name: (hashlib.sha256(repr(sorted(rest.items())).encode()).hexdigest(), "" not in rest)
            for name, rest in below.items()
        }


def _build(make: Callable[[dict[str, BlobId]], Mapping[str, BlobId]], files: dict[str, str]) -> Mapping[str, BlobId]:
    return make({path: BlobId(blob) for path, blob in files.items()})


@given(before=_FILES, after=_FILES)
def test_differing_paths(before: dict[str, str], after: dict[str, str]) -> None:
    """Folders are added, removed, changed, or replaced by files."""
    expected = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))

    assert differing_paths(_build(dict, before), _build(dict, after)) == expected
    assert differing_paths(_build(_WithFolders, before), _build(_WithFolders, after)) == expected
    assert differing_paths(_build(_WithFolders, before), _build(dict, after)) == expected


@given(files=_FILES)
def test_paths_of_a_kind(files: dict[str, str]) -> None:
    """The files of a kind are in a folder of the kind inside a folder of a namespace."""
    expected = sorted(path for path in files if path.count("/") == 2 and path.split("/")[1] == "ConfigMap")

    for make in (dict, _WithFolders):
        assert PathsByKind(_build(make, files)).paths(Kind("", "ConfigMap")) == expected
