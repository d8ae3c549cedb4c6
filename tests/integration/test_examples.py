"""Published Sveltos examples on a real API server: captured from the server, and from a dump of the server."""

from __future__ import annotations

import itertools
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gitsnap import archive
from gitsnap.archive import GitArchive
from gitsnap.capture import Request, capture, tree_info
from gitsnap.core.model import Area, Kind, ObjectKey, SecretsMode, Trigger
from gitsnap.core.ports import Cluster
from gitsnap.diff.comparison import compare
from gitsnap.format import decode, load_documents
from gitsnap.policy import snapshot
from gitsnap.policy.snapshot import Policy
from gitsnap.sveltos.kinds import BY_KIND, CAPTURED_KINDS
from tests.support import adapters
from tests.support.commands import gitsnap
from tests.support.controllers import kubectl
from tests.support.trees import MemoryTree, build
from tests.testbed import binaries
from tests.testbed.apiserver import ApiServer

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _post(api: ApiServer, document: dict[str, Any]) -> int:
    kind = Kind.of(document)
    row = BY_KIND[kind]
    root = f"/apis/{document['apiVersion']}" if kind.group else "/api/v1"
    place = f"/namespaces/{document['metadata'].get('namespace', 'default')}" if row.namespaced else ""
    return api.request("POST", f"{root}{place}/{row.plural}?fieldValidation=Strict", document)[0]


def _capture(source: Cluster, storage: Path) -> GitArchive:
    storage.mkdir()
    made = archive.create_archive(storage, "all")
    everything: Policy = snapshot.default("all")
    info = tree_info(
        Policy(everything.name, secrets_mode=SecretsMode.PLAINTEXT, secrets_set=True), branch="all", keeper=None
    )
    capture(source, made, Request(info, None, _NOON, Trigger.MANUAL))
    return made


def _tree_id(of: GitArchive) -> str:
    command = ["git", "-C", of.location, "rev-parse", "HEAD:configuration"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _dump(api: ApiServer, folder: Path) -> None:
    """Write the captured kinds as lists, one file a kind, as `kubectl get -A -o json` prints them."""
    folder.mkdir()
    (folder / "namespaces.json").write_text(json.dumps(_as_list(api, "/api/v1/namespaces", "v1", "Namespace")))
    for kind in CAPTURED_KINDS:
        row = BY_KIND[kind]
        version = f"{kind.group}/{row.versions[0]}" if kind.group else "v1"
        root = f"/apis/{version}" if kind.group else "/api/v1"
        listed = _as_list(api, f"{root}/{row.plural}", version, kind.name)
        if listed["items"]:
            (folder / f"{row.plural}.json").write_text(json.dumps(listed))


def _as_list(api: ApiServer, path: str, version: str, kind: str) -> dict[str, Any]:
    items = [{"apiVersion": version, "kind": kind, **item} for item in api.ask("GET", path)["items"]]
    return {"apiVersion": "v1", "kind": "List", "items": items}


@pytest.mark.parametrize("server", ["api", "old_api"])
def test_server_and_dump_give_the_same_tree(
    request: pytest.FixtureRequest, server: str, shared: Path, tmp_path: Path
) -> None:
    """A capture of a cluster and a capture of its dump have the same configuration/, in both eras."""
    api: ApiServer = request.getfixturevalue(server)
    assert _post_examples(api, shared) > 20
    _dump(api, tmp_path / "dump")

    live = _capture(adapters.connect(kubeconfig=str(api.kubeconfig())), tmp_path / "live")
    dumped = _capture(adapters.open_directory(tmp_path / "dump"), tmp_path / "dumped")

    assert live.samples()[0].metadata.objects == dumped.samples()[0].metadata.objects > 20
    assert _tree_id(live) == _tree_id(dumped)
    assert live.samples()[0].metadata.consistency == "exact"


def _post_examples(api: ApiServer, shared: Path) -> int:
    """Create the examples. Return how many objects the server accepted."""
    accepted = 0
    for file in sorted([*(shared / "examples" / "sveltos").glob("*.yaml"), shared / "guestbook/clusterprofile.yaml"]):
        for document in load_documents(file.read_bytes(), file.name):
            if Kind.of(document) in BY_KIND:
                accepted += _post(api, document) == 201
    for name in ("database", "frontend"):
        content = (shared / "guestbook" / f"{name}.yaml").read_text()
        metadata = {"name": name, "namespace": "default"}
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {f"{name}.yaml": content}}
        accepted += _post(api, document) == 201
    return accepted


def test_kubectl_applies_the_output_of_show(api: ApiServer, shared: Path, tmp_path: Path) -> None:
    """`kubectl apply` accepts the output of `gitsnap show --all --decrypt`, which has every object of the sample."""
    assert _post_examples(api, shared) > 20
    secret = {
        "metadata": {"name": "s", "namespace": "default"},
        "type": "addons.projectsveltos.io/cluster-profile",
        "stringData": {"a": "b"},
    }
    api.ask("POST", "/api/v1/namespaces/default/secrets", secret)
    kubeconfig = api.kubeconfig()
    words = ["--snapshot", "hourly", "--kubeconfig", str(kubeconfig), "-o", "json"]
    sample = json.loads(gitsnap(tmp_path, "capture", *words, code=0).stdout)["sample"]
    shown = gitsnap(tmp_path, "show", "--all", "--decrypt", code=0).stdout

    applied = kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", kubeconfig=kubeconfig, stdin=shown
    )  # fmt: skip

    lines = applied.splitlines()
    assert len(lines) == sample["objects"]
    assert [line for line in lines if " (server dry run)" not in line] == []


@pytest.mark.parametrize("command", ["apply", "apply --server-side --force-conflicts", "create", "replace"])
def test_no_server_takes_fingerprints_for_values(api: ApiServer, tmp_path: Path, command: str) -> None:
    """An object with fingerprints is neither created nor changed. Other objects are applied."""
    suffix = command.replace(" --", "-")
    for kind in ("here", "gone"):
        metadata = {"name": f"{kind}-{suffix}", "namespace": "default"}
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"password": "hunter2"}}
        api.ask("POST", "/api/v1/namespaces/default/configmaps", document)
    kubeconfig = api.kubeconfig()
    gitsnap(
        tmp_path, "capture", "--snapshot", "hourly", "--kubeconfig", str(kubeconfig),
        "--resources", "ConfigMap in default", "--sensitive-field", "ConfigMap data.password", code=0,
    )  # fmt: skip
    api.ask("DELETE", f"/api/v1/namespaces/default/configmaps/gone-{suffix}")
    names = [f"ConfigMap/default/{kind}-{suffix}" for kind in ("here", "gone")]
    folder = binaries.find()
    assert folder is not None
    for name in names:
        shown = gitsnap(tmp_path, "show", name, "-o", "json" if command == "replace" else "table", code=0)
        assert "fingerprints in place of values" in shown.stderr
        words = [str(folder / "kubectl"), "--kubeconfig", str(kubeconfig), *command.split(), "-f", "-"]
        refused = subprocess.run(words, input=shown.stdout, capture_output=True, text=True, check=False)
        assert refused.returncode != 0, refused.stdout + refused.stderr

    listed = api.ask("GET", "/api/v1/namespaces/default/configmaps")["items"]
    values = {
        item["metadata"]["name"]: item["data"]["password"] for item in listed if suffix in item["metadata"]["name"]
    }
    assert values == {f"here-{suffix}": "hunter2"}


def test_diffs_between_examples(shared: Path) -> None:
    """A diff between any two examples has no add-on rows, and each object has one row."""
    trees = {}
    for file in sorted((shared / "examples" / "sveltos").glob("*.yaml")):
        parsed = load_documents(file.read_bytes(), file.name)
        documents = [document for document in parsed if document and Kind.of(document) in BY_KIND]
        for document in documents:
            if BY_KIND[Kind.of(document)].namespaced:
                document["metadata"].setdefault("namespace", "default")
        trees[file.name] = build(documents)
    assert len(trees) > 20

    for (old, before), (new, after) in itertools.combinations(trees.items(), 2):
        comparison = compare(before, after)
        rows = [(row.resource_type, row.namespace, row.name) for row in comparison.management]
        keys = [_keys(tree) for tree in (before, after)]
        assert not comparison.rows, (old, new)
        assert len(rows) == len(set(rows))
        assert keys[0] ^ keys[1] <= set(rows) <= keys[0] | keys[1], (old, new)


def _keys(tree: MemoryTree) -> set[tuple[str, str, str]]:
    documents = [decode(tree.read(blob)) for blob in tree.files(Area.CONFIGURATION).values()]
    keys = [ObjectKey.of(document) for document in documents]
    return {(f"{key.kind.group}/{key.kind.name}", key.namespace, key.name) for key in keys}


def test_a_document_of_ten_megabytes(tmp_path: Path) -> None:
    """A dump may have a document of ten megabytes. A capture reads and archives the document."""
    (tmp_path / "dump").mkdir()
    profile = {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterProfile",
        "metadata": {"name": "large", "annotations": {"text": "x" * 10_000_000}},
        "spec": {},
    }
    (tmp_path / "dump" / "large.json").write_text(json.dumps(profile))

    made = _capture(adapters.open_directory(tmp_path / "dump"), tmp_path / "storage")

    assert made.samples()[0].metadata.objects == 1
