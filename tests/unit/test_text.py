"""Counts and keys of objects in messages."""

from __future__ import annotations

import pytest

from gitsnap.core.model import Kind, ObjectKey
from gitsnap.core.text import describe, plural


@pytest.mark.parametrize(
    ("count", "noun", "expected"),
    [
        (1, "sample", "1 sample"),
        (0, "sample", "0 samples"),
        (2, "managed cluster", "2 managed clusters"),
        (2, "match", "2 matches"),
        (3, "policy", "3 policies"),
        (3, "key", "3 keys"),
        (2, "class", "2 classes"),
        (2, "index", "2 indexes"),
    ],
)
def test_plural(count: int, noun: str, expected: str) -> None:
    """The singular for exactly one, and the regular endings of English plurals."""
    assert plural(count, noun) == expected


@pytest.mark.parametrize(
    ("key", "name", "description"),
    [
        (ObjectKey(Kind("", "ConfigMap"), "default", "database"), "default/database", "ConfigMap default/database"),
        (ObjectKey(Kind("config.projectsveltos.io", "ClusterProfile"), "", "web"), "web", "ClusterProfile web"),
    ],
)
def test_keys_in_messages(key: ObjectKey, name: str, description: str) -> None:
    """With the namespace, if there is one, and without the group of the kind."""
    assert key.namespaced_name == name
    assert describe(key) == description
