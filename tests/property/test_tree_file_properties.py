"""The paths that differ between two trees are the same with known folders and with paths only."""

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
    # Where there is a file there cannot be a folder.
    lambda files: {
        path: blob for path, blob in files.items() if not any(other.startswith(f"{path}/") for other in files)
    }
)


class _Foldered(dict[str, BlobId]):
    """Files whose folders are known (ports.FolderIndex)."""

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


def _made(make: Callable[[dict[str, BlobId]], Mapping[str, BlobId]], files: dict[str, str]) -> Mapping[str, BlobId]:
    return make({path: BlobId(blob) for path, blob in files.items()})


@given(before=_FILES, after=_FILES)
def test_what_differs(before: dict[str, str], after: dict[str, str]) -> None:
    """Folders are added, removed, changed, or replaced by files."""
    expected = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))

    assert differing_paths(_made(dict, before), _made(dict, after)) == expected
    assert differing_paths(_made(_Foldered, before), _made(_Foldered, after)) == expected
    assert differing_paths(_made(_Foldered, before), _made(dict, after)) == expected


@given(files=_FILES)
def test_what_is_of_a_kind(files: dict[str, str]) -> None:
    """Only files in a folder of the kind inside a folder of a namespace."""
    expected = sorted(path for path in files if path.count("/") == 2 and path.split("/")[1] == "ConfigMap")

    for make in (dict, _Foldered):
        assert PathsByKind(_made(make, files)).paths(Kind("", "ConfigMap")) == expected
