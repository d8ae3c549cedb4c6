"""``gitsnap search`` over real commits: when a value appears and disappears."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import gitsnap
from tests.support.typed import NEW_VALUE, TypedPlace, config_map, secret


@pytest.fixture
def place(tmp_path: Path) -> TypedPlace:
    """Four samples: a value appears, moves to another object, and disappears."""
    place = TypedPlace(tmp_path)
    for database, frontend in (("image: web:1.25", "b: 1"), ("a: 1", "image: web:1.25"), ("a: 1", "b: 1")):
        place.write("database", config_map("database", database))
        place.write("frontend", config_map("frontend", frontend))
        place.write("password", secret(NEW_VALUE))
        place.run("capture --snapshot hourly")
    return place


def _search(place: TypedPlace, *words: str, code: int = 0) -> list[dict[str, Any]]:
    done = gitsnap(place.folder, "search", *words, "--storage", "storage", "-o", "json", code=code)
    return list(json.loads(done.stdout)["matches"])


def test_periods(place: TypedPlace) -> None:
    """Each period has the sample in which it began and the first sample without the value."""
    listed = json.loads(gitsnap(place.folder, "list", "--storage", "storage", "-o", "json", code=0).stdout)["samples"]
    tags = [sample["tag"] for sample in listed]
    matches = _search(place, "web:1.25")
    assert [(match["object"]["name"], match["field"], match["sample"], match["untilSample"]) for match in matches] == [
        ("database", "data.text", tags[1], tags[2]),
        ("frontend", "data.text", tags[2], tags[3]),
    ]
    assert [match["object"]["name"] for match in _search(place, "web:1.25", "--first")] == ["database"]
    assert [match["object"]["name"] for match in _search(place, "web:1.25", "--last")] == ["frontend"]
    assert _search(place, "web:1.25", "--kind", "ConfigMap/default/frontend") == matches[1:]
    assert _search(place, "web:1.25", "--kind", "ClusterProfile") == []
    assert _search(place, "web:1.25", "--field", "spec") == []


def test_a_value_that_is_nowhere(place: TypedPlace) -> None:
    """The answer names the searched samples, and says that Secrets are not searched."""
    done = gitsnap(place.folder, "search", "web:9", "--storage", "storage", code=0)
    assert done.stdout == "nothing found\n"
    assert "searched 4 samples of " in done.stderr
    assert "Secrets are not searched" in done.stderr


def test_secrets_are_not_searched(place: TypedPlace) -> None:
    """Neither a value of a Secret nor the beginning of a fingerprint is found."""
    assert _search(place, NEW_VALUE) == []
    shown = gitsnap(place.folder, "show", "Secret/default/password", "--storage", "storage", code=0).stdout
    (fingerprint,) = [line.split()[-1] for line in shown.splitlines() if "password:" in line]
    assert _search(place, fingerprint[:12]) == []


def test_an_empty_value_is_refused(place: TypedPlace) -> None:
    """An empty value would match every field."""
    assert "is empty" in gitsnap(place.folder, "search", "", "--storage", "storage", code=2).stderr
