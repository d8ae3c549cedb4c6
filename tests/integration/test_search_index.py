"""The index of ``gitsnap search``: the same answers as without it, after every change of the archive."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gitsnap.archive import GitArchive, open_archive_at
from gitsnap.history.changelog import ObjectPattern
from gitsnap.history.search import Match, search
from tests.support.commands import gitsnap
from tests.support.typed import NEW_VALUE, OLD_VALUE, TypedPlace, config_map, secret

_TEXTS = [
    "nginx:1.25",
    "nginx:1.26",
    "x: 0x1F",
    "true",
    "mode: 0400",
    "",
    "ä nginx",
    '\\"nginx\\"',
    "n" * 20000,
    "1.25",
]
_SEARCHED = ["nginx", "nginx:1.25", "1.25", "31", "256", "true", "database", "ä", "absent", "nnn", "hmac"]


def _archive(place: TypedPlace) -> GitArchive:
    return open_archive_at(place.folder / "storage/hourly")


def _index(place: TypedPlace) -> Path:
    return place.folder / "storage/hourly/.git/gitsnap-search"


def _git(place: TypedPlace, *words: str) -> None:
    subprocess.run(["git", "-C", str(place.folder / "storage/hourly"), *words], check=True, capture_output=True)


def _check(place: TypedPlace, text: str, **options: Any) -> list[Match]:
    """Search with and without the index. The answers are equal."""
    archive = _archive(place)
    assert archive.find_histories("x", ()) is not None, "the index is used"
    with_index = search(archive, text, ObjectPattern(), **options)
    archive.find_histories = lambda *_words: None  # type: ignore[method-assign]
    assert with_index == search(archive, text, ObjectPattern(), **options)
    return with_index


def test_random_histories(tmp_path: Path) -> None:
    """Also after samples are removed, after a commit by somebody else, and after the branch was reset."""
    chance = random.Random(7)
    place = TypedPlace(tmp_path)
    found = 0
    for number in range(12):
        for name in ("database", "frontend"):
            text = chance.choice(_TEXTS)
            place.write(name, config_map(name, text, f"  n: '{chance.randrange(3)}'\n"))
        place.write("password", secret(NEW_VALUE))
        place.run("capture --snapshot hourly")
        if number == 4:
            gitsnap(tmp_path, "forget", "latest~2", "--message", "m", "--yes", "--storage", "storage", code=0)
        if number == 6:
            (tmp_path / "storage/hourly/configuration/default/ConfigMap/other.yaml").write_text(
                config_map("other", "nginx")
            )
            _git(place, "add", ".")
            _git(place, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "other")
        if number == 9:
            _git(place, "update-ref", "refs/heads/hourly", "HEAD~3")
        found += sum(len(_check(place, text)) for text in chance.sample(_SEARCHED, 4))
    assert found > 20
    for text in _SEARCHED:
        _check(place, text)


@pytest.fixture
def place(tmp_path: Path) -> TypedPlace:
    """Two samples."""
    place = TypedPlace(tmp_path)
    place.write("database", config_map("database", "nginx:1.25"))
    place.run("capture --snapshot hourly")
    return place


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:0],
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"nginx:1.25", b"nginx:1.99"),
        lambda content: content.replace(b"gitsnap search 1", b"gitsnap search 2"),
        lambda content: b"\xff" + content[:99],
    ],
)
def test_a_damaged_index_is_made_anew(place: TypedPlace, damage: Any) -> None:
    """The answer is that of the history, and the next index is right."""
    (match,) = _check(place, "nginx:1.25")
    good = _index(place).read_bytes()
    _index(place).write_bytes(damage(good))
    assert _check(place, "nginx:1.25") == [match]
    assert _index(place).read_bytes() == good


def test_an_index_that_grew_is_the_same_as_a_new_one(place: TypedPlace) -> None:
    """New commits are added to the index."""
    for text in ("a", "b"):
        _check(place, text)
        place.write("database", config_map("database", text))
        place.run("capture --snapshot hourly")
    _check(place, "a")
    grown = _index(place).read_bytes()
    _index(place).unlink()
    _check(place, "a")
    assert _index(place).read_bytes() == grown


def test_a_branch_with_another_history_makes_a_new_index(place: TypedPlace) -> None:
    """The lines and versions of commits that are not in the history any more are not found."""
    assert len(_check(place, "nginx:1.25")) == 1
    _git(place, "reset", "--hard", "HEAD~1")
    (place.folder / "storage/hourly/configuration/default/ConfigMap/other.yaml").write_text(config_map("other", "new"))
    _git(place, "add", ".")
    _git(place, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "other")
    assert _check(place, "nginx:1.25") == []
    assert len(_check(place, "new")) == 1


def test_the_index_has_no_secret_values(tmp_path: Path) -> None:
    """Neither of a kind with a sensitive field, from before the field was sensitive, nor of a Secret in plaintext."""
    place = TypedPlace(tmp_path)
    place.write("database", config_map("database", "hidden-later"))
    place.run("capture --snapshot hourly")
    assert len(_check(place, "hidden-later")) == 1
    assert b"hidden-later" in _index(place).read_bytes()
    place.run("capture --snapshot hourly --accept-secrets-change --sensitive-field 'ConfigMap data[\"text\"]'")
    archive = _archive(place)
    sensitive = archive.tree(archive.samples()[-1]).info.secrets.sensitive_fields
    assert sensitive
    assert _check(place, "hidden-later", sensitive=sensitive) == []
    search(_archive(place), "hidden-later", ObjectPattern(), sensitive=sensitive)
    assert b"hidden-later" not in _index(place).read_bytes()
    place.run("capture --snapshot clear --create --secrets-mode plaintext")
    gitsnap(tmp_path, "search", OLD_VALUE, "--storage", "storage", "--snapshot", "clear", code=0)
    content = (tmp_path / "storage/clear/.git/gitsnap-search").read_bytes()
    assert b"database" in content
    assert OLD_VALUE.encode() not in content
    assert b"/Secret/" not in content


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another owner")
def test_an_archive_of_another_user_gets_no_index(place: TypedPlace) -> None:
    """The owner could not read the file. The answer comes from git."""
    os.chown(_index(place).parent, 65534, 65534)
    archive = _archive(place)
    assert archive.find_histories("nginx", ()) is None
    assert len(search(archive, "nginx:1.25", ObjectPattern())) == 1
    assert not _index(place).exists()
