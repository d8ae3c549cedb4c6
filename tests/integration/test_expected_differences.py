"""``gitsnap diff --expect``: differences that are known and allowed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import gitsnap
from tests.support.typed import NEW_VALUE, OLD_VALUE, TypedPlace, config_map, secret

_SERVICE = """\
  web.yaml: |
    # {comment}
    apiVersion: v1
    kind: Service
    metadata:
      name: web
      namespace: web
    spec:
      type: {type}
      ports:
      - port: {port}
"""
_WEB = 'data["web.yaml"][Service/web/web]'
_ROW = "management:\n- {resourceType: /ConfigMap, name: database"


def _service(comment: str = "web", *, type_: str = "ClusterIP", port: int = 80) -> str:
    return config_map("database", "a: 1", _SERVICE.format(comment=comment, type=type_, port=port))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> TypedPlace:
    """The second sample has another type and port of a Service, another label, another Secret and another ConfigMap."""
    place = TypedPlace(tmp_path_factory.mktemp("story"))
    place.write("database", _service())
    place.run("capture --snapshot hourly")
    place.write("database", _service(type_="NodePort", port=8080).replace("app: database", "app: other"))
    place.write("password", secret(NEW_VALUE))
    place.write("frontend", config_map("frontend", "b: 2"))
    place.run("capture --snapshot hourly")
    return place


def _diff(place: TypedPlace, text: str, *words: str, code: int = 0) -> Any:
    (place.folder / "allowed.yaml").write_text(text)
    line = ("diff", "--storage", "storage", "--expect", "allowed.yaml", *(words or ("-o", "json")))
    done = gitsnap(place.folder, *line, code=code)
    for value in (OLD_VALUE, NEW_VALUE, "correct-horse", "battery-staple"):
        assert value not in done.stdout + done.stderr
    return json.loads(done.stdout) if not words else done


def _rows(answer: Any) -> list[tuple[str, str]]:
    return [(row["name"], row["message"]) for row in answer["management"]]


_OTHERS = [("frontend", "data.text"), ("password", "data.password")]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (f"['{_WEB}.spec']", "metadata.labels.app"),
        (f"['{_WEB}.spec.type', '{_WEB}.spec.ports[80].port', '{_WEB}.spec.ports[8080].port']", "metadata.labels.app"),
        (f"['{_WEB}.spec.type', '{_WEB}.spec.ports[*]']", "metadata.labels.app"),
        (f"['{_WEB}.spec.type']", "both"),
        ("[metadata.labels.app]", "data.web.yaml"),
        ("[metadata.labels]", "data.web.yaml"),
        ("[metadata.lab]", "both"),
        ("[metadata.*]", "data.web.yaml"),
        ("[data.web.yaml, metadata]", ""),
        ("[{path: metadata.labels.app, from: database, to: other}]", "data.web.yaml"),
        ("[{path: metadata.labels.app, from: database, to: another}]", "both"),
        ("[{path: metadata.labels.app, to: other}, data]", ""),
    ],
)
def test_fields_of_an_object(story: TypedPlace, fields: str, message: str) -> None:
    """The row names the fields that are not allowed. The row disappears if all fields are allowed."""
    answer = _diff(story, f"{_ROW}, fields: {fields}}}\n")
    message = "data.web.yaml, metadata.labels.app" if message == "both" else message
    assert _rows(answer) == [*([("database", message)] if message else []), *_OTHERS]
    assert [row["name"] for row in answer["expected"]["management"]] == ([] if message else ["database"])


def test_rows_and_the_whole_answer(story: TypedPlace) -> None:
    """If all rows are allowed, the exit code is 0, and the answer says that the differences were expected."""
    everything = "management:\n- resourceType: /ConfigMap\n  reason: other sizes\n- name: pass*\n  action: modified\n"
    done = _diff(story, everything, "--exit-code")
    assert done.stdout == "no unexpected changes detected\n"
    assert done.stderr.endswith("3 expected differences not shown (allowed.yaml)\n")
    assert _diff(story, everything, "--exit-code", "--raw-diff").stdout == "no unexpected changes detected\n"
    assert _diff(story, everything, "-o", "name").stdout == ""
    assert _diff(story, everything.replace("modified", "deleted"), "--exit-code", code=1).stdout != done.stdout
    raw = _diff(story, f"{_ROW}}}\n", "--raw-diff").stdout
    assert "NodePort" not in raw
    assert "+  text: 'b: 2'" in raw.replace('"', "'")


def test_an_expectation_that_matches_no_more(story: TypedPlace) -> None:
    """The line, the row and the field are named, and --exit-code gives 1. Filters make no expectation outdated."""
    text = (
        "management:\n- name: database\n- name: frontend\n- name: password\n- name: gone\n  reason: old\n"
        "- name: database\n  fields: [data.web.yaml, spec.gone]\nclusters:\n- cluster: default/*\n"
    )
    done = _diff(story, text, "--exit-code", code=1)
    assert done.stdout == "no unexpected changes detected\n"
    assert "warning: allowed.yaml:5: the row {name: gone} matches no difference any more\n" in done.stderr
    assert "allowed.yaml:7: the field spec.gone of the row {name: database} matches no difference" in done.stderr
    assert "allowed.yaml:10: the row {cluster: default/*} matches no difference" in done.stderr
    answer = _diff(story, text)
    assert [(entry["line"], entry["field"], entry["reason"]) for entry in answer["unmatched"]] == [
        (5, None, "old"),
        (7, "spec.gone", ""),
        (10, None, ""),
    ]
    assert "matches no difference" not in _diff(story, text, "--exit-code", "-n", "default").stderr


def test_the_rows_of_an_answer_are_a_file(story: TypedPlace) -> None:
    """A document of `diff -o json` lists expectations that allow exactly its differences."""
    answer = json.loads(gitsnap(story.folder, "diff", "--storage", "storage", "-o", "json", code=0).stdout)
    file = json.dumps({part: answer[part] for part in ("clusters", "management")})
    result = _diff(story, file)
    assert result["clusters"] == result["management"] == result["unmatched"] == []
    assert {part: answer[part] for part in ("clusters", "management")} == result["expected"]


def test_a_comment_is_a_difference_of_the_text(tmp_path: Path) -> None:
    """An allowed field of a document does not allow another comment."""
    place = TypedPlace(tmp_path)
    for comment in ("old", "new"):
        place.write("database", _service(comment))
        place.run("capture --snapshot hourly")
    answer = _diff(place, f"{_ROW}, fields: ['{_WEB}.spec']}}\n")
    assert _rows(answer) == [("database", "data.web.yaml")]
    assert [entry["field"] for entry in answer["unmatched"]] == [f"{_WEB}.spec"]
    assert _rows(_diff(place, f"{_ROW}, fields: [data.web.yaml]}}\n")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- name: a", "is not a mapping of clusters and management"),
        ("managment: []", "the key managment is not known"),
        ("management:\n- nam: a", "allowed.yaml:2: the key nam is not known"),
        ("management:\n- name: 1", "allowed.yaml:2: name is not a text"),
        ("management:\n- a", "a row of management is a mapping"),
        ("management:\n- reason: a", "allowed.yaml:2: the row names nothing"),
        ("management:\n- name: a\n  fields: spec", "fields is not a list of paths"),
        ("management:\n- name: a\n  fields: []", "fields is not a list of paths"),
        ("management:\n- name: a\n  fields: [{form: 1}]", "a field is a path"),
        ("management:\n- name: a\n  fields: [{path: b, form: 1}]", "the key form is not known"),
        ("clusters:\n- cluster: a\n  fields: [b]", "the key fields is not known"),
        ("management: []\n---\nclusters: []", "there are 2 documents"),
        ("a: [", "allowed.yaml"),
    ],
)
def test_a_file_that_is_not_valid(story: TypedPlace, text: str, message: str) -> None:
    """The message names the file, and the line of the row."""
    done = _diff(story, f"{text}\n", "--exit-code", code=3)
    assert message in done.stderr
    assert done.stdout == ""


def test_other_refusals(story: TypedPlace) -> None:
    """A file that does not exist, and decrypted values."""
    words = ("diff", "--storage", "storage", "--expect")
    assert "cannot read none.yaml" in gitsnap(story.folder, *words, "none.yaml", code=3).stderr
    done = gitsnap(story.folder, *words, "none.yaml", "--raw-diff", "--decrypt", code=2)
    assert "exclude each other" in done.stderr


_PAIRS = (("encrypt", "encrypt"), ("redact", "encrypt"), ("encrypt", "redact"), ("plaintext", "encrypt"),
          ("redact", "plaintext"))  # fmt: skip


def _pair(place: TypedPlace, modes: tuple[str, str], values: tuple[str, str] = (OLD_VALUE, OLD_VALUE)) -> None:
    """Make two archives, each with its own keys. A second Secret has a value that never differs."""
    for name, mode, value in zip(("staging", "production"), modes, values, strict=True):
        place.write("password", secret(value).replace("\ndata:\n", f"\ndata:\n  same: {OLD_VALUE}\n"))
        words = ["capture", "--snapshot", "hourly", "--storage", name, "--from-dir", "cluster", "--create"]
        gitsnap(place.folder, *words, "--secrets-mode", mode, code=0)


def _compare(place: TypedPlace, *words: str, code: int) -> subprocess.CompletedProcess[str]:
    archives = ("--archive", "staging/hourly", "--archive", "production/hourly")
    done = gitsnap(place.folder, "diff", *archives, *words, code=code)
    for value in (OLD_VALUE, NEW_VALUE, "correct-horse", "battery-staple", "gitsnap:hmac"):
        assert value not in done.stdout + done.stderr
    return done


def _identities(place: TypedPlace, *files: str) -> list[str]:
    """The options for the identities that exist: only the mode encrypt has one."""
    return [f"--identity={file}" for file in files if (place.folder / file).exists()]


_OWN = ("staging/.keys/hourly/identity.txt", "production/.keys/hourly/identity.txt")


@pytest.mark.parametrize("modes", _PAIRS)
def test_secrets_of_two_archives(tmp_path: Path, modes: tuple[str, str]) -> None:
    """Who has the keys of both archives sees which values differ, and none of the values."""
    place = TypedPlace(tmp_path)
    _pair(place, modes)
    keys = _identities(place, *_OWN)
    if "encrypt" not in modes:
        keys = [f"--identity={_any_identity(place)}"]
    without = _compare(place, code=13)
    assert "no changes detected in what could be compared" in without.stdout
    assert "cannot tell: Secret" in without.stderr
    assert "--identity" in without.stderr
    assert "no changes detected\n" in _compare(place, *keys, code=0).stdout
    assert "cannot tell" not in _compare(place, "--exit-code", *keys, code=0).stderr

    _pair(place, modes, (OLD_VALUE, NEW_VALUE))
    done = _compare(place, "-o", "json", *keys, code=0)
    assert _rows(json.loads(done.stdout)) == [("password", "data.password")]
    raw = _compare(place, "--raw-diff", *keys, code=0).stdout
    assert [line.strip() for line in raw.splitlines() if "password: " in line] == [
        "-  password: (not shown, before)",
        "+  password: (not shown, after)",
    ]
    (tmp_path / "allowed.yaml").write_text("management: [{name: password, fields: [data.password]}]\n")
    allowed = _compare(place, "--expect", "allowed.yaml", "--exit-code", *keys, code=0)
    assert "no unexpected changes detected" in allowed.stdout
    assert "cannot be compared" not in allowed.stderr
    (tmp_path / "allowed.yaml").write_text("management: [{name: password, fields: [data.same]}]\n")
    assert "data.password" in _compare(place, "--expect", "allowed.yaml", "--exit-code", *keys, code=1).stdout


def _any_identity(place: TypedPlace) -> str:
    """The identity of a third archive."""
    words = ["capture", "--snapshot", "hourly", "--storage", "third", "--from-dir", "cluster", "--create"]
    gitsnap(place.folder, *words, code=0)
    return "third/.keys/hourly/identity.txt"


def test_secrets_of_two_archives_without_the_keys(tmp_path: Path) -> None:
    """Without the keys of both archives the answer says so: neither `no changes` nor a change."""
    place = TypedPlace(tmp_path)
    _pair(place, ("redact", "redact"), (OLD_VALUE, NEW_VALUE))
    identity = f"--identity={_any_identity(place)}"
    (tmp_path / "allowed.yaml").write_text("management: [{name: password, fields: [data.password]}]\n")
    for words in ((), ("--expect", "allowed.yaml")):
        done = _compare(place, identity, *words, code=13)
        assert "Secrets cannot be compared" in done.stderr
        assert "password" not in done.stdout
        assert "in what could be compared" in done.stdout
    (tmp_path / "production/.keys").rename(tmp_path / "elsewhere")
    assert "Secrets cannot be compared: " in _compare(place, identity, code=13).stderr
