"""A capture without objects is refused, or reported by the exit code."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from gitsnap.archive import list_archives
from tests.support.commands import gitsnap

_SHOP = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop", "namespace": "default"}}'
_EMPTY = {
    "an empty folder": {},
    "no YAML": {"notes.txt": "notes", "dump.yaml.gz": "x", "README": ""},
    "empty documents": {"a.yaml": "---\n# a comment\n---\n", "b.yaml": ""},
    "an empty list": {"a.json": '{"apiVersion": "v1", "kind": "List", "items": []}'},
    "hidden files": {".hidden.json": _SHOP, ".git/a.json": _SHOP},
}
_POD = _SHOP.replace("ConfigMap", "Pod").replace("shop", "pod")


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def _capture(folder: Path, *words: str, code: int) -> subprocess.CompletedProcess[str]:
    (folder / "storage").mkdir(exist_ok=True)
    (folder / "cluster").mkdir(exist_ok=True)
    return gitsnap(folder, "capture", "--from-dir", "cluster", "--storage", "storage", *words, code=code)


@pytest.mark.parametrize("kind", _EMPTY)
def test_a_folder_without_objects(tmp_path: Path, kind: str) -> None:
    """No sample, archive or key is created. --allow-empty takes the sample."""
    _write(tmp_path / "cluster", _EMPTY[kind])

    done = _capture(tmp_path, code=22)

    assert "no .yaml, .yml or .json file in cluster holds one" in done.stderr
    assert "--allow-empty" in done.stderr
    assert list((tmp_path / "storage").iterdir()) == []
    _capture(tmp_path, "--allow-empty", code=0)
    assert len(list_archives(tmp_path / "storage")[0].samples()) == 1


@pytest.mark.parametrize("document", [_SHOP, _POD])
def test_objects_of_other_kinds_only(tmp_path: Path, document: str) -> None:
    """The message says how many objects the folder has, and that --resources adds kinds."""
    _write(tmp_path / "cluster", {"a.json": document})

    done = _capture(tmp_path, code=22)

    assert "holds 1 object, and none is captured" in done.stderr
    assert "--resources" in done.stderr


def test_a_folder_that_is_not_mounted(tmp_path: Path) -> None:
    """An archive with objects gets no empty sample from a folder, and the message names the newest sample."""
    _write(tmp_path / "cluster", {"a.json": _SHOP, "b.json": _POD})
    _capture(tmp_path, "--resources", "ConfigMap", code=0)
    (tmp_path / "cluster" / "a.json").unlink()

    done = _capture(tmp_path, code=22)

    assert "has 1 object." in done.stderr
    (tmp_path / "cluster" / "b.json").unlink()
    _capture(tmp_path, code=22)
    assert len(list_archives(tmp_path / "storage")[0].samples()) == 1


def test_a_filter_that_matches_nothing(tmp_path: Path) -> None:
    """The entry is named. A kind without a filter may have no object."""
    _write(tmp_path / "cluster", {"a.json": _SHOP})
    resources = ("ConfigMap in nope", "ConfigMap in default", "Pod", "Service with app=web")

    done = _capture(tmp_path, *(word for entry in resources for word in ("--resources", entry)), "-o", "json", code=0)

    assert json.loads(done.stdout)["notMatched"] == ["ConfigMap in nope", "Service with app=web"]
    assert "no object matches the entry 'ConfigMap in nope'" in done.stderr
    refused = _capture(tmp_path, "--resources", "ConfigMap in nope", code=22)
    assert "no object matches the entry 'ConfigMap in nope'" in refused.stderr
    assert "Pod" not in done.stderr


def test_a_kind_that_is_not_served(tmp_path: Path) -> None:
    """The sample is taken, with exit code 13."""
    _write(tmp_path / "cluster", {"a.json": _SHOP})

    done = _capture(tmp_path, "--resources", "ConfigMap", "--resources", "Deploymnt.example.com", code=13)

    assert "does not serve the kind Deploymnt.example.com" in done.stderr


def test_what_changed_is_named(tmp_path: Path) -> None:
    """The first sample: objects of each kind. Later: deleted, modified and added objects, the first ten by name."""
    objects = {f"{number}.json": _SHOP.replace("shop", f"shop-{number:02}") for number in range(14)}
    _write(tmp_path / "cluster", objects)
    first = _capture(tmp_path, "--resources", "ConfigMap", code=0)
    assert first.stdout.splitlines()[1:] == ["  14 ConfigMap"]

    changed = objects["1.json"].replace('"metadata"', '"data": {"a": "b"}, "metadata"')
    _write(tmp_path / "cluster", {"13.json": objects["13.json"].replace("shop-13", "a:y"), "1.json": changed})
    second = _capture(tmp_path, code=0)
    assert second.stdout.splitlines()[1:] == [
        "  - ConfigMap/default/shop-13",
        "  ~ ConfigMap/default/shop-01",
        "  + ConfigMap/default/a:y",
    ]

    for number in range(2, 14):
        (tmp_path / "cluster" / f"{number}.json").unlink()
    third = _capture(tmp_path, "-o", "json", code=0)
    assert len(json.loads(third.stdout)["changed"]) == 12
    _write(tmp_path / "cluster", objects)
    fourth = _capture(tmp_path, code=0)
    assert len(fourth.stdout.splitlines()) == 12
    assert fourth.stdout.splitlines()[-1] == "  and 3 more: gitsnap diff --storage storage"
    assert _capture(tmp_path, code=0).stdout.count("\n") == 1


def test_the_diff_that_a_capture_proposes_works(tmp_path: Path) -> None:
    """The policy may be named in a file, and the storage may hold other archives."""
    (tmp_path / "hourly.yaml").write_text(
        "apiVersion: utils.projectsveltos.io/v1beta1\nkind: Snapshot\nmetadata: {name: hourly}\n"
        'spec: {schedule: "0 * * * *", resources: [{kind: ConfigMap}]}\n'
    )
    _write(tmp_path / "cluster", {"0.json": _SHOP})
    _capture(tmp_path, "--resources", "ConfigMap", "--snapshot", "daily", code=0)
    _capture(tmp_path, "--file", "hourly.yaml", "--create", code=0)
    _write(tmp_path / "cluster", {f"{number}.json": _SHOP.replace("shop", f"shop-{number}") for number in range(1, 13)})

    done = _capture(tmp_path, "--file", "hourly.yaml", code=0)

    command = done.stdout.splitlines()[-1].partition(": ")[2]
    assert command == "gitsnap diff --snapshot hourly --storage storage"
    assert "shop-12" in gitsnap(tmp_path, *command.split()[1:], code=0).stdout


def test_a_malformed_recipient_is_named_first(tmp_path: Path) -> None:
    """The error comes before any comparison with the archive, and before anything is created."""
    _write(tmp_path / "cluster", {"a.json": _SHOP})
    for recipient in ("foo", "ssh-ed25519 AAAA"):
        done = _capture(tmp_path, "--resources", "ConfigMap", "--recipient", recipient, code=7)
        assert "is not a recipient" in done.stderr
    assert list((tmp_path / "storage").iterdir()) == []
    _capture(tmp_path, "--resources", "ConfigMap", code=0)

    for recipient in ("foo", "ssh-ed25519 AAAA"):
        done = _capture(tmp_path, "--recipient", recipient, code=7)
        assert "is not a recipient" in done.stderr
        assert "does not agree" not in done.stderr
