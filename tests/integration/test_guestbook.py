"""The main workflow on the command line, as a user types it, on a real API server."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from gitsnap.demo import manifests
from tests.support.commands import gitsnap
from tests.support.controllers import kubectl
from tests.testbed.apiserver import ApiServer

_PROFILES = "/apis/config.projectsveltos.io/v1beta1/clusterprofiles"
_CLUSTERS = "/apis/lib.projectsveltos.io/v1beta1/namespaces/default/sveltosclusters"
_DATABASE = """\
# kept in a raw diff
apiVersion: v1
kind: Service
metadata:
  name: redis-follower
  namespace: test
spec:
  selector:
    app: redis
"""


def _gitsnap(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return gitsnap(folder, *arguments, PYTHONDEVMODE="", NO_COLOR="1")


def _deploy(api: ApiServer) -> None:
    api.ask(
        "POST",
        _CLUSTERS,
        {
            "apiVersion": "lib.projectsveltos.io/v1beta1",
            "kind": "SveltosCluster",
            "metadata": {"name": "clusterapi-workload", "labels": {"env": "fv"}},
            "spec": {},
        },
    )
    references = [{"kind": "ConfigMap", "name": "database", "namespace": "default"}]
    api.ask(
        "POST",
        _PROFILES,
        {
            "apiVersion": "config.projectsveltos.io/v1beta1",
            "kind": "ClusterProfile",
            "metadata": {"name": "guestbook"},
            "spec": {"clusterSelector": {"matchLabels": {"env": "fv"}}, "policyRefs": references},
        },
    )
    _write_database(api, "POST", "/api/v1/namespaces/default/configmaps", _DATABASE)


def _write_database(api: ApiServer, method: str, path: str, content: str) -> None:
    document: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "database"}}
    api.ask(method, path, {**document, "data": {"database.yaml": content}})


def test_capture_diff_and_rollback(api: ApiServer, tmp_path: Path) -> None:
    """A broken selector shows as a change of the ConfigMap, and a rollback restores the same configuration."""
    _deploy(api)
    server = ["--kubeconfig", str(api.kubeconfig())]
    first = _gitsnap(tmp_path, "capture", "--snapshot", "hourly", *server)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("hourly/")
    tree = _tree_id(tmp_path)

    _write_database(
        api, "PUT", "/api/v1/namespaces/default/configmaps/database", _DATABASE.replace("app: redis", "app: broken")
    )
    second = _gitsnap(tmp_path, "capture", "--snapshot", "hourly", *server)
    assert "1 modified" in second.stdout
    assert _tree_id(tmp_path) != tree

    report = json.loads(_gitsnap(tmp_path, "diff", "--output", "json", "--from-sample", "latest~1").stdout)
    assert [(row["name"], row["action"], row["message"]) for row in report["management"]] == [
        ("database", "modified", "data.database.yaml")
    ]
    refused = _gitsnap(tmp_path, "rollback", "--sample", "latest~1", *server)
    assert refused.returncode == 14
    assert "--yes" in refused.stderr

    done = _gitsnap(tmp_path, "rollback", "--sample", "latest~1", "--yes", *server)
    assert done.returncode == 0, done.stderr
    assert "updated ConfigMap default/database" in done.stdout
    after = _gitsnap(tmp_path, "capture", "--snapshot", "hourly", *server)
    assert "unchanged" in after.stdout
    assert _tree_id(tmp_path) == tree


_DUMPED = (
    "namespaces,configmaps,secrets,clusterprofiles.config.projectsveltos.io,clusters.cluster.x-k8s.io,"
    "clusterconfigurations.config.projectsveltos.io,clustersummaries.config.projectsveltos.io"
)
_STORY_ROW = "| default/capi--clusterapi-workload | /Service      | test      | redis-follower | modified |         |"


def _apply(api: ApiServer, text: str) -> None:
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", kubeconfig=api.kubeconfig(), stdin=text)


def _report(api: ApiServer, *, revision: int, time: str) -> None:
    """Write the reports that Sveltos writes after a deployment. The status needs a request of its own."""
    for document in manifests.inventory(revision=revision, time=time):
        _apply(api, json.dumps({field: value for field, value in document.items() if field != "status"}))
        plural = f"{document['kind'].lower()}s".replace("summarys", "summaries")
        path = f"/apis/config.projectsveltos.io/v1beta1/namespaces/default/{plural}/{document['metadata']['name']}"
        status = {"status": document["status"]}
        api.ask("PATCH", f"{path}/status", status, content_type="application/merge-patch+json")


def test_the_story_on_a_server_and_on_a_dump_of_it(api: ApiServer, tmp_path: Path) -> None:
    """A broken selector is one row, and the raw diff keeps its comment. A dump gives the same trees."""
    documents = [manifests.CLUSTER.partition("---\n")[2].partition("---\n")[2], manifests.PROFILE, manifests.FRONTEND]
    _apply(api, "---\n".join([*documents, manifests.DATABASE, manifests.CREDENTIALS.format(password="hidden")]))
    live, dumped = tmp_path / "live", tmp_path / "dumped"
    broken = manifests.DATABASE.removesuffix("app: redis\n") + "app: nobody\n"
    for step, database in enumerate((manifests.DATABASE, broken)):
        _apply(api, database)
        _report(api, revision=step, time=f"2026-01-01T00:0{step}:00Z")
        kubeconfig = api.kubeconfig()
        (tmp_path / "dump").mkdir(exist_ok=True)
        text = kubectl("get", _DUMPED, "-A", "-o", "yaml", kubeconfig=kubeconfig)
        (tmp_path / "dump" / "all.yaml").write_text(text)
        for folder, source in ((live, ["--kubeconfig", str(kubeconfig)]), (dumped, ["--from-dir", "../dump"])):
            folder.mkdir(exist_ok=True)
            taken = _gitsnap(folder, "capture", "--snapshot", "hourly", "--secrets-mode", "omit", *source)
            assert taken.returncode == 0, taken.stderr
        assert _tree_id(live) == _tree_id(dumped)

    for folder in (live, dumped):
        rows = [line for line in _gitsnap(folder, "diff").stdout.splitlines() if "capi--" in line]
        assert rows == [_STORY_ROW]
        raw = _gitsnap(folder, "diff", "--raw-diff").stdout
        assert raw.count("--- /Service test/redis-follower from hourly/") == 1
        assert "+    app: nobody" in raw
        assert raw.count("\n--- ") == 0  # no other document


def test_a_user_without_rights_gets_an_error(api: ApiServer, tmp_path: Path) -> None:
    """Every request is answered with 403: the error has its exit code, and nothing is written."""
    nobody = api.new_user()

    done = _gitsnap(tmp_path, "capture", "--kubeconfig", str(api.kubeconfig(nobody)))

    assert done.returncode == 9
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_forbidden_kind_is_carried_forward(api: ApiServer, tmp_path: Path) -> None:
    """A refused list never counts as a deletion: the objects stay, and message and exit code report the kind."""
    _deploy(api)
    storage = ["--snapshot", "hourly"]
    assert _gitsnap(tmp_path, "capture", *storage, "--kubeconfig", str(api.kubeconfig())).returncode == 0
    tree = _tree_id(tmp_path)
    user = api.new_user(
        {"apiGroups": [""], "resources": ["namespaces", "configmaps", "secrets"], "verbs": ["get", "list"]},
        {"apiGroups": ["lib.projectsveltos.io", "cluster.x-k8s.io"], "resources": ["*"], "verbs": ["list"]},
    )

    done = _gitsnap(tmp_path, "capture", *storage, "--kubeconfig", str(api.kubeconfig(user)))

    assert done.returncode == 13, done.stderr
    assert "ClusterProfile.config.projectsveltos.io could not be read (forbidden)" in done.stderr
    assert _tree_id(tmp_path) == tree
    strict = _gitsnap(tmp_path, "capture", *storage, "--require-complete", "--kubeconfig", str(api.kubeconfig(user)))
    assert strict.returncode == 12


def test_the_demo_runs_to_its_end(tmp_path: Path) -> None:
    """Every command succeeds, the broken Service is found, and no password is shown or stored."""
    done = _gitsnap(tmp_path, "demo", "story")

    assert done.returncode == 0, done.stderr
    assert "| test      | redis-follower | modified |         |\n" in done.stdout
    assert "\nuse --raw-diff option to see diff\n" in done.stdout
    assert "no changes detected" in done.stdout
    assert "correct-horse" not in done.stdout
    for file in (tmp_path / "story" / "archive").rglob("*"):
        assert not file.is_file() or b"correct-horse" not in file.read_bytes()


def _tree_id(folder: Path) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder / "hourly"), "rev-parse", "hourly:configuration"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
