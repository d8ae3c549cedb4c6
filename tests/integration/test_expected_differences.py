"""``gitsnap diff --expect``: differences that are known and allowed."""

from __future__ import annotations

import json
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
