"""Values that are equal in Python and differ for an API server: commands distinguish them, on both kinds of cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gitsnap.core.model import JsonObject
from gitsnap.core.objects import same_json
from gitsnap.format import load_documents
from tests.support.commands import gitsnap
from tests.testbed.apiserver import ApiServer

_BEFORE: JsonObject = {"enabled": True, "off": False, "list": [1, 0, {"deep": True}], "same": 3, "null": {"a": 1}}
_AFTER: JsonObject = {"enabled": 1, "off": 0, "list": [True, False, {"deep": 1}], "same": 3, "null": {"a": 1}}
_FIELDS = ("spec.enabled", "spec.list[0]", "spec.list[2].deep")


class _Place:
    """A cluster with one custom resource of a kind without a schema, and an archive."""

    def __init__(self, folder: Path, api: ApiServer | None) -> None:
        self.folder = folder
        self._api = api
        self._group, self._kind, self._plural = api.install_late_kind() if api else ("late.test", "Late", "lates")
        self.name = f"{self._kind}.{self._group}/default/one"
        self.resources = f"{self._kind}.{self._group}"
        if api is None:
            (folder / "cluster").mkdir()
            self._where = ("--from-dir", "cluster")
        else:
            self._where = ("--kubeconfig", str(api.kubeconfig()))
        (folder / "storage").mkdir()

    def put(self, spec: JsonObject) -> None:
        """Create or replace the object."""
        document: dict[str, Any] = {
            "apiVersion": f"{self._group}/v1",
            "kind": self._kind,
            "metadata": {"name": "one", "namespace": "default"},
            "spec": spec,
        }
        if self._api is None:
            (self.folder / "cluster" / "one.json").write_text(json.dumps(document))
            return
        collection = f"/apis/{self._group}/v1/namespaces/default/{self._plural}"
        status, answer = self._api.request("GET", f"{collection}/one")
        if status == 200:
            document["metadata"]["resourceVersion"] = answer["metadata"]["resourceVersion"]
            self._api.ask("PUT", f"{collection}/one", document)
        else:
            self._api.ask("POST", collection, document)

    def spec(self) -> Any:
        """Return the spec of the object in the cluster."""
        if self._api is None:
            (document,) = load_documents((self.folder / "cluster" / "one.json").read_text(), "one.json")
            return document["spec"]
        path = f"/apis/{self._group}/v1/namespaces/default/{self._plural}/one"
        return self._api.ask("GET", path)["spec"]

    def run(self, *words: str, code: int = 0, live: bool = True) -> str:
        """Run a command. Return its output."""
        where = self._where if live else ()
        done = gitsnap(self.folder, *words, "--snapshot", "hourly", "--storage", "storage", *where)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(params=["folder", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> _Place:
    """Two samples that differ only in the types of values."""
    place = _Place(tmp_path, request.getfixturevalue("api") if request.param == "server" else None)
    place.put(_BEFORE)
    place.run("capture", "--resources", place.resources)
    place.put(_AFTER)
    place.run("capture")
    return place


def test_a_rollback_restores_the_types(place: _Place) -> None:
    """The rollback changes the types back. A second rollback has nothing to do."""
    back = ("rollback", "--sample", "latest~1", "--resource", place.name, "--yes")

    output = place.run(*back)

    assert "nothing to do" not in output
    assert all(field in output for field in _FIELDS)
    assert same_json(place.spec(), _BEFORE)
    # The rollback took two samples, so its target is now latest~3.
    assert "nothing to do" in place.run("rollback", "--sample", "latest~3", "--resource", place.name, "--yes")


def test_a_diff_has_a_row_and_a_log_names_the_fields(place: _Place) -> None:
    """The exit code reports differences."""
    assert "Late" in place.run("diff", "--exit-code", code=1, live=False)
    assert "spec.enabled" in place.run("log", place.name, live=False)


def test_the_live_cluster_is_compared_by_types(place: _Place) -> None:
    """A write that changes only a type is a change: the next sample has another tree."""
    place.put(_BEFORE)

    assert "modified" in place.run("capture")
    assert "Late" in place.run("diff", "--from-sample", "latest~1", "--exit-code", code=1, live=False)
