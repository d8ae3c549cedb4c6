"""``gitsnap blame``: the origin of fields over the samples of an archive."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import gitsnap
from tests.support.typed import NEW_VALUE, OLD_VALUE, TypedPlace, config_map, secret

_OBJECT = "ConfigMap/default/database"


@pytest.fixture
def place(tmp_path: Path) -> TypedPlace:
    """Four samples of a ConfigMap: created, a label added, the text changed, the label removed."""
    place = TypedPlace(tmp_path)
    for text, extra in (("a: 1", "binaryData: {more: YQ==}\n"), ("a: 2", "binaryData: {more: YQ==}\n"), ("a: 2", "")):
        place.write("database", config_map("database", text, extra))
        place.write("password", secret(NEW_VALUE if text == "a: 2" else OLD_VALUE))
        place.run("capture --snapshot hourly")
    return place


def _samples(place: TypedPlace) -> list[str]:
    listed = json.loads(gitsnap(place.folder, "list", "--storage", "storage", "-o", "json", code=0).stdout)
    return [sample["tag"] for sample in listed["samples"]]


def _blame(place: TypedPlace, *words: str, code: int = 0) -> dict[str, Any]:
    done = gitsnap(place.folder, "blame", *words, "--storage", "storage", "-o", "json", code=code)
    return {entry["field"]: entry for entry in json.loads(done.stdout)["fields"]}


def test_each_field_has_its_sample_and_its_former_value(place: TypedPlace) -> None:
    """Deleted fields are shown on request."""
    first, second, third, fourth = _samples(place)
    fields = _blame(place, _OBJECT)
    assert {name: entry["sample"] for name, entry in fields.items()} == {
        "data.text": third,
        "metadata.labels.app": first,
    }
    assert fields["data.text"]["before"] == "a: 1"
    assert not fields["metadata.labels.app"]["existed"]

    removed = _blame(place, _OBJECT, "--deleted")["binaryData.more"]
    assert (removed["deleted"], removed["sample"], removed["before"]) == (True, fourth, "YQ==")
    earlier = _blame(place, _OBJECT, "--sample", second)
    assert earlier["binaryData.more"]["sample"] == second
    assert earlier["data.text"]["sample"] == first


_PROFILE = """
apiVersion: config.projectsveltos.io/v1beta1
kind: ClusterProfile
metadata: {name: charts}
spec:
  helmCharts: [%s]
"""
_CHART = "{releaseName: %s, releaseNamespace: web, chartVersion: %s}"


def test_a_field_can_be_named_as_log_names_it(tmp_path: Path) -> None:
    """`blame`, `search` and `bisect` find an element by its position, and answer with its name."""
    place = TypedPlace(tmp_path)
    for version in ("v1", "v2"):
        place.write("charts", _PROFILE % ", ".join([_CHART % ("other", "v1"), _CHART % ("nginx", version)]))
        place.run("capture --snapshot hourly")
    where = ("--storage", "storage", "-o", "json")
    newest = json.loads(gitsnap(place.folder, "log", "ClusterProfile/charts", *where, code=0).stdout)["changes"][0]
    written = newest["fields"]
    assert written == "spec.helmCharts[1].chartVersion"
    name = "spec.helmCharts[web/nginx].chartVersion"

    assert list(_blame(place, "ClusterProfile/charts", written)) == [name]
    assert {*_blame(place, "ClusterProfile/charts", "spec.helmCharts[1]")} > {name}
    search = json.loads(gitsnap(place.folder, "search", "v", "--field", written, *where, code=0).stdout)
    assert [(match["field"], match["value"]) for match in search["matches"]] == [(name, "v1"), (name, "v2")]
    gitsnap(place.folder, "search", "absent", "--field", written, *where, code=0)
    wrong = gitsnap(place.folder, "search", "absent", "--field", "spec.helmCharts[2]", *where, code=4).stderr
    assert "no object ever had a field that begins with spec.helmCharts[2]" in wrong
    words = ("--good", "latest~1", "--bad", "latest", "--field", "ClusterProfile/charts", f"{written}=v2")
    assert json.loads(gitsnap(place.folder, "bisect", *words, *where, code=0).stdout)["first"]


def test_the_table(place: TypedPlace) -> None:
    """The line above the table names the object, the sample and the archive."""
    done = gitsnap(place.folder, "blame", _OBJECT, "data", "--storage", "storage", code=0)
    assert f"ConfigMap default/database in {_samples(place)[-1]}" in done.stderr
    (row,) = [line for line in done.stdout.splitlines() if "data.text" in line]
    assert [cell.strip() for cell in row.strip("|").split("|")][1] == "a: 2"
    assert "metadata.labels" not in done.stdout


def test_a_value_of_a_secret_is_never_shown(place: TypedPlace) -> None:
    """The date of the change is shown, but neither the value nor its fingerprint."""
    shown = gitsnap(place.folder, "blame", "Secret/default/password", "--storage", "storage", code=0).stdout
    assert "(secret)" in shown
    assert OLD_VALUE not in shown
    assert NEW_VALUE not in shown


@pytest.mark.parametrize("mode", ["plaintext", "encrypt"])
def test_values_that_the_archive_has_in_clear_are_never_shown(place: TypedPlace, mode: str) -> None:
    """In the mode plaintext, after another mode followed it, and from before a policy named the field as sensitive."""
    place.run("capture --snapshot clear --secrets-mode plaintext --create")
    place.write("password", secret(OLD_VALUE))
    place.write("database", config_map("database", "token: f00"))
    encrypt = "--secrets-mode encrypt --sensitive-field 'ConfigMap data[\"text\"]' --accept-secrets-change"
    place.run(f"capture --snapshot clear {encrypt if mode == 'encrypt' else ''}")
    hidden = [OLD_VALUE, NEW_VALUE, *(("a: 2", "f00") if mode == "encrypt" else ())]
    for words in (("Secret/default/password",), (_OBJECT, "--deleted"), ("latest~1", _OBJECT)):
        for form in ("table", "json", "yaml"):
            done = gitsnap(
                place.folder, "blame", *words, "--storage", "storage", "--snapshot", "clear", "-o", form, code=0
            )
            assert "since" in done.stdout.lower()
            for value in hidden:
                assert value not in done.stdout + done.stderr
    fields = _blame(place, "Secret/default/password", "--snapshot", "clear")
    assert fields["data.password"]["existed"], "the change itself is shown"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((_OBJECT, "spec"), 4, "has no field spec"),
        ((_OBJECT, "data.txt"), 4, "data.text"),
        (("ConfigMap/default/absent",), 4, "the sample has no ConfigMap/default/absent"),
        (("database",), 2, "KIND"),
    ],
)
def test_names_that_do_not_exist(place: TypedPlace, words: tuple[str, ...], code: int, message: str) -> None:
    """The error names the missing object or field, and the nearest name."""
    assert message in gitsnap(place.folder, "blame", *words, "--storage", "storage", code=code).stderr


def test_a_shallow_clone_says_where_its_history_begins(place: TypedPlace) -> None:
    """A field that is older than the clone has no invented date."""
    url = f"file://{place.folder / 'storage/hourly'}"
    subprocess.run(["git", "clone", "--quiet", "--depth", "2", url, place.folder / "clone"], check=True)
    subprocess.run(["git", "-C", place.folder / "clone", "fetch", "--quiet", "--tags", "--depth", "2"], check=True)
    done = gitsnap(place.folder, "blame", _OBJECT, "--archive", "clone", "-o", "json", code=0)
    fields = {entry["field"]: entry for entry in json.loads(done.stdout)["fields"]}
    assert fields["metadata.labels.app"]["since"] == "(before this copy)"
    assert "this clone is shallow" in done.stderr
