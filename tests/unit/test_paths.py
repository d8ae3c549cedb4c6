"""Paths of objects in an archive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.core.model import Kind, ObjectKey
from gitsnap.format import path_of, paths

_CONFIG_MAP = Kind("", "ConfigMap")


@pytest.mark.parametrize(
    ("key", "path"),
    [
        (ObjectKey(_CONFIG_MAP, "default", "database"), "default/ConfigMap/database.yaml"),
        (
            ObjectKey(Kind("config.projectsveltos.io", "ClusterProfile"), "", "guestbook"),
            "_cluster/ClusterProfile.config.projectsveltos.io/guestbook.yaml",
        ),
        (ObjectKey(_CONFIG_MAP, "default", "system:Admin"), "default/ConfigMap/system%3A%41dmin.yaml"),
        (ObjectKey(_CONFIG_MAP, "default", "con"), "default/ConfigMap/%63on.yaml"),
        (ObjectKey(_CONFIG_MAP, "default", "../../etc/passwd"), "default/ConfigMap/%2E.%2F..%2Fetc%2Fpasswd.yaml"),
        (ObjectKey(_CONFIG_MAP, "default", ".git"), "default/ConfigMap/%2Egit.yaml"),
    ],
)
def test_paths(key: ObjectKey, path: str) -> None:
    """These paths are part of the format and never change for version 1."""
    assert path_of(key) == path


_NAMES = st.one_of(st.text(min_size=1, max_size=12), st.text(alphabet="aA%.~é", min_size=1, max_size=300))


@given(_NAMES, _NAMES)
def test_two_objects_never_share_a_path(first: str, second: str) -> None:
    """Not even on a file system that folds case. Each component has at most 255 bytes."""
    paths = [path_of(ObjectKey(_CONFIG_MAP, "default", name)) for name in (first, second)]

    assert (paths[0].lower() == paths[1].lower()) == (first == second)
    assert all(
        len(part.encode()) <= 255 and part not in (".", "..", ".git") for path in paths for part in path.split("/")
    )


@given(
    st.from_regex(r"(?:con|nul|com1|[A-Z_.a-b-]{0,3})[.a-b-]{0,3}", fullmatch=True)
    | st.integers(240, 260).map("a".__mul__)
)
def test_plain_names_have_the_general_form(name: str) -> None:
    """The file name of a name without encoded characters is the one that the general rules give."""
    assert paths.file_of(name) == paths._component(name, ".yaml")
