"""``gitsnap search``: when a value came and went, over real commits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import gitsnap
from tests.support.typed import NEW_VALUE, TypedPlace, config_map, secret


@pytest.fixture
def place(tmp_path: Path) -> TypedPlace:
    """Four samples: a value comes, moves to another object, and goes."""
    place = TypedPlace(tmp_path)
    for database, frontend in (("image: web:1.25", '{"old": 1}'), ("a: 1", "image: web:1.25"), ("a: 1", "b: 1")):
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
    """The answer says what was searched, and what was not."""
    done = gitsnap(place.folder, "search", "web:9", "--storage", "storage", code=0)
    assert done.stdout == "nothing found\n"
    assert "searched 4 samples and all changes of storage/hourly since" in done.stderr
    assert "Secrets and the names of fields are not searched" in done.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--field", "spec.teir"), "no object ever had a field that begins with spec.teir; searched: ClusterProfile."),
        (("--field", "data.password"), "Secrets and sensitive fields are not searched"),
        (("--field", "spec.tier", "--kind", "ConfigMap"), "searched: ConfigMap; "),
        (("--kind", "ConfgMap/default/frontend"), "Did you mean ConfigMap/default/frontend?"),
        (("--kind", "ConfigMap/default/frontnd"), "Did you mean ConfigMap/default/frontend?"),
    ],
)
def test_a_field_or_an_object_that_never_existed(place: TypedPlace, words: tuple[str, ...], text: str) -> None:
    """Without the error, the answer would be that nothing was found."""
    failed = gitsnap(place.folder, "search", "web:1.25", "--storage", "storage", *words, code=4)
    assert failed.stdout == ""
    assert text in failed.stderr


def test_a_field_that_only_earlier_versions_had(place: TypedPlace) -> None:
    """It is no error. The path may be written in either form, and the heading names what was searched."""
    for words in ("--field", 'data["text"].old'), ("--field", "data.text.old"):
        done = gitsnap(place.folder, "search", "web:9", "--storage", "storage", *words, code=0)
        assert done.stdout == "nothing found\n"
        assert f"searched fields that begin with {words[1]} in 4 samples" in done.stderr


def test_secrets_are_not_searched(place: TypedPlace) -> None:
    """Neither by a value nor by the beginning of a fingerprint."""
    assert _search(place, NEW_VALUE) == []
    shown = gitsnap(place.folder, "show", "Secret/default/password", "--storage", "storage", code=0).stdout
    (fingerprint,) = [line.split()[-1] for line in shown.splitlines() if "password:" in line]
    assert _search(place, fingerprint[:12]) == []


@pytest.mark.parametrize("word", ["--secrets-mode plaintext", "--sensitive-field 'ConfigMap data[\"text\"]'"])
def test_secret_values_in_clear_are_not_searched(place: TypedPlace, word: str) -> None:
    """Values that the archive has in clear: in the mode plaintext, and from before the policy named the field."""
    clear = word if "plaintext" in word else ""
    place.write("database", config_map("database", "token: f00"))
    place.run(f"capture --snapshot clear --create {clear}")
    place.write("database", config_map("database", "token: f01"))
    place.write("password", secret("Zm9vLWJhcg=="))
    place.run(f"capture --snapshot clear --accept-secrets-change {word}")
    for value in (NEW_VALUE, "Zm9vLWJhcg==", *(() if clear else ("f00", "f01"))):
        assert _search(place, value, "--snapshot", "clear") == []


_DOCUMENT = """\
# a comment about it
apiVersion: v1
kind: Service
metadata: {name: web, namespace: prod}
spec: {mode: 0400, hex: 0x1F, thousands: 1_000, exponent: 12e2, trailing: 1.50, small: 0.00001, flag: Yes, none: ~,
  escaped: "ng\\u0069nx", slash: "a\\/b", joined: "web\\
  site", packed: !!binary cGFja2Vk}
"""
_WHOLE, _PART = 'data["a.yaml"]', 'data["a.yaml"][Service/prod/web].spec.'


@pytest.mark.parametrize("style", ["block", "quoted"])
def test_values_that_are_written_in_another_form(tmp_path: Path, style: str) -> None:
    """A value is found as `gitsnap blame` shows it, and as the document writes it; names and keys are found too."""
    place = TypedPlace(tmp_path)
    text = _DOCUMENT if style == "block" else f"{_DOCUMENT}# \x07"  # a control character: the archive quotes the text
    data = json.dumps({"a.yaml": text})
    head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: database, namespace: default}\n"
    place.write("database", f"{head}data: {data}\n")
    place.run("capture --snapshot hourly")
    shown = gitsnap(place.folder, "blame", "cm/database", "--storage", "storage", "-o", "json", code=0).stdout
    fields = {entry["field"]: entry["value"] for entry in json.loads(shown)["fields"]}
    if style == "quoted":  # no document: the text is one field
        assert [match["field"] for match in _search(place, "0x1F")] == [_WHOLE]
        return
    assert len([path for path in fields if path.startswith(_PART)]) == 12
    for path, value in fields.items():
        written = json.dumps(value) if not isinstance(value, str) else value
        assert path in [match["field"] for match in _search(place, written)], (path, written)
    for written in ("0400", "0x1F", "1_000", "12e2", "1.50", "Yes", "u0069nx", "a comment", "prod", "thousands"):
        assert [match["field"] for match in _search(place, written)] == [_WHOLE], written


def test_names_of_objects_are_searched(place: TypedPlace) -> None:
    """When an object came, and when it went."""
    (place.folder / "cluster/frontend.yaml").unlink()
    place.run("capture --snapshot hourly")
    (match,) = [match for match in _search(place, "frontend") if match["field"] == "metadata.name"]
    listed = json.loads(gitsnap(place.folder, "list", "--storage", "storage", "-o", "json", code=0).stdout)["samples"]
    assert (match["sample"], match["untilSample"]) == (listed[0]["tag"], listed[-1]["tag"])


def test_an_empty_value_is_refused(place: TypedPlace) -> None:
    """It would match every field."""
    assert "is empty" in gitsnap(place.folder, "search", "", "--storage", "storage", code=2).stderr
