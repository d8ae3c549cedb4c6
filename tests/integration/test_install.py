"""The commands of docs/INSTALL.md and of "Moving an archive", in their order, on an API server without gitsnap."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitsnap import __version__
from gitsnap.archive import open_archive
from scripts.packaging.build import Build
from scripts.packaging.manifests import build_chart
from tests.support.controllers import CLUSTER_SCOPED, MANIFESTS, PROFILES, SNAPSHOTS, Installation, wait_for
from tests.support.remotes import bare_repository
from tests.testbed import apiserver, binaries
from tests.testbed.apiserver import ApiServer
from tests.testbed.definitions import definitions
from tests.testbed.fixtures import SHARED

_ROOT = MANIFESTS.parent
_UNINSTALL_RELEASE = "helm uninstall gitsnap --namespace gitsnap"
_NEEDS_A_NODE = "kubectl -n gitsnap rollout"
"""A command about the pod. The test server has no node, so the test runs the controller itself."""
_IN_THE_POD = "kubectl -n gitsnap exec gitsnap-0 -- gitsnap "
_POD = """\
#!/bin/sh
export KUBECONFIG={kubeconfig} GITSNAP_STORAGE={storage}
exec {python} -m gitsnap "$@"
"""
"""`gitsnap` with the rights and the storage of the pod, in place of `kubectl exec`."""
_AGE_KEYGEN = """\
#!{python}
import sys
from pathlib import Path
from pyrage import x25519
if sys.argv[1] == "-o":
    Path(sys.argv[2]).write_text(str(x25519.Identity.generate()))
else:
    print(x25519.Identity.from_str(Path(sys.argv[2]).read_text()).to_public())
"""
"""`age-keygen -o FILE` and `age-keygen -y FILE`, for machines that lack the program."""


@pytest.fixture
def fresh_server(api_server: ApiServer, tmp_path: Path) -> Iterator[ApiServer]:
    """A separate server without gitsnap, with a profile that refers to a Secret.

    ``api_server`` skips where there are no binaries.
    """
    del api_server
    folder = binaries.find()
    assert folder is not None
    with apiserver.running(folder, tmp_path / "server") as server:
        server.install(definitions(SHARED if SHARED.is_dir() else None))
        secret = {"metadata": {"name": "password"}, "type": "addons.projectsveltos.io/cluster-profile"}
        server.ask("POST", "/api/v1/namespaces/default/secrets", {**secret, "stringData": {"password": "hidden"}})
        reference = {"kind": "Secret", "namespace": "default", "name": "password"}
        spec = {"clusterSelector": {"matchLabels": {"env": "fv"}}, "policyRefs": [reference]}
        profile = {"apiVersion": "config.projectsveltos.io/v1beta1", "kind": "ClusterProfile"}
        server.ask("POST", PROFILES, {**profile, "metadata": {"name": "guestbook"}, "spec": spec})
        yield server


def _blocks(document: str) -> list[str]:
    """Return the shell commands of a Markdown text, block by block, without indentation."""
    return [
        textwrap.dedent(block) for block in re.findall(r"^ *```sh\n(.*?)^ *```$", document, re.MULTILINE | re.DOTALL)
    ]


def _folder(tmp_path: Path) -> Path:
    """Create a folder with the checkout ``gitsnap``. Its Snapshots use a local storage instead of the pod's volume."""
    folder = tmp_path / "work"
    shutil.copytree(MANIFESTS, folder / "gitsnap" / "manifests")
    for file in (folder / "gitsnap/manifests").rglob("snapshot.yaml"):
        file.write_text(file.read_text().replace("/collection", str(tmp_path / "collection")))
    keygen = tmp_path / "bin" / "age-keygen"
    keygen.parent.mkdir()
    keygen.write_text(_AGE_KEYGEN.format(python=sys.executable))
    keygen.chmod(0o755)
    return folder


def _write_pod_command(tmp_path: Path, installation: Installation) -> None:
    file = tmp_path / "bin" / "pod-gitsnap"
    kubeconfig, storage = installation.token_kubeconfig(), installation.storage
    file.write_text(_POD.format(kubeconfig=kubeconfig, storage=storage, python=sys.executable))
    file.chmod(0o755)


def _section(document: str, heading: str, end: str) -> str:
    """Return the text of a document from a heading to the next heading."""
    assert f"{heading}\n" in document
    return document.partition(f"{heading}\n")[2].partition(end)[0]


def _remaining(server: ApiServer) -> list[str]:
    """Return the names of objects of the installation, except those that hold data."""
    paths = [
        *CLUSTER_SCOPED,
        *(f"/apis/rbac.authorization.k8s.io/v1/{kind}" for kind in ("roles", "rolebindings")),
        "/apis/apps/v1/statefulsets", "/apis/networking.k8s.io/v1/networkpolicies", "/api/v1/services",
        "/api/v1/serviceaccounts",
    ]  # fmt: skip
    items = [item for path in paths for item in server.ask("GET", path)["items"]]
    return [item["metadata"]["name"] for item in items if item["metadata"]["name"].startswith("gitsnap")]


@pytest.mark.parametrize("program", ["Helm", "kustomize"])
def test_the_commands_of_the_document_install_gitsnap_and_take_the_first_sample(
    fresh_server: ApiServer, helm: Path, tmp_path: Path, program: str
) -> None:
    """The commands run unchanged and in order. The controller has the rights of the installed ServiceAccount.

    Commands in the pod run with the same rights. `status` finds nothing wrong there, and the commands that need the
    fingerprint key take it from the Secret that the Snapshot names. The commands of docs/UPGRADE.md then uninstall the
    controller, and leave the CRD and the archives.
    """
    document = (_ROOT / "docs/INSTALL.md").read_text()
    commands = _blocks(_section(document, f"## In the cluster, with {program}", "\n##"))
    commands += _blocks(_section(document, "### The first sample", "\n##"))
    uninstall = _UNINSTALL_RELEASE if program == "Helm" else _blocks((_ROOT / "docs/UPGRADE.md").read_text())[0]
    binary_folder = binaries.find()
    assert binary_folder is not None
    folder = _folder(tmp_path)
    build_chart(Build(__version__, 1_700_000_000, folder, tmp_path))
    installation = Installation(fresh_server, tmp_path)
    environment = {
        **os.environ,
        "KUBECONFIG": str(fresh_server.kubeconfig()),
        "PATH": f"{tmp_path / 'bin'}:{helm.parent}:{binary_folder}:{os.environ['PATH']}",
    }

    def run(script: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{script}{done.stdout}{done.stderr}"
        return done.stdout

    assert len(commands) == 4
    try:
        for number, block in enumerate(commands):
            lines = [line for line in block.splitlines() if not line.startswith(_NEEDS_A_NODE)]
            script = "\n".join(lines).replace(_IN_THE_POD, "pod-gitsnap ")
            assert script.strip()
            output = run(script.replace("/collection", str(installation.storage)))
            if number == 0:
                installation.start()
                _write_pod_command(tmp_path, installation)
        assert "nothing wrong in what was checked; not checked: Secrets" in output
        for command in ("drift --exit-code", "capture", "rollback latest --dry-run"):
            run(f"pod-gitsnap {command}")
        run(uninstall)
    finally:
        for process in installation.processes:
            process.kill()

    assert [sample.metadata.trigger for sample in installation.samples("hourly")] == ["manual", "manual"]
    assert fresh_server.request("GET", SNAPSHOTS)[0] == 200  # the definition of the kind stays
    assert _remaining(fresh_server) == []
    assert not (tmp_path / "collection" / ".keys").exists()


def test_an_archive_moves_from_a_laptop_to_the_controller(fresh_server: ApiServer, tmp_path: Path) -> None:
    """The commands of docs/OPERATIONS.md, in order. The controller continues the laptop's samples with its key."""
    document = (_ROOT / "docs/OPERATIONS.md").read_text()
    blocks = _blocks(document.partition("## Moving an archive")[2].partition("\n## ")[0])
    binary_folder = binaries.find()
    assert binary_folder is not None
    installation = Installation(fresh_server, tmp_path)
    installation.apply()
    remote = f"file://{bare_repository(tmp_path / 'record.git')}"
    laptop = tmp_path / "laptop"
    laptop.mkdir()
    environment = {
        **os.environ,
        "KUBECONFIG": str(fresh_server.kubeconfig()),
        "PATH": f"{Path(sys.executable).parent}:{binary_folder}:{os.environ['PATH']}",
        "RECORD_URL": remote,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }

    def run(script: str, code: int = 0) -> str:
        script = script.replace("/collection", str(installation.storage))
        done = subprocess.run(
            ["bash", "-euc", script], cwd=laptop, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, f"{script}{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    run("gitsnap capture --snapshot hourly; gitsnap capture")
    begun = list(open_archive(laptop, "hourly").samples())
    assert len(blocks) == 4
    try:
        installation.start(flags=("--allow-local-push",))
        for block in blocks:
            run(block)
        wait_for(lambda: installation.condition("hourly", "Pushed") == ("True", "Pushed"), "the push")
    finally:
        for process in installation.processes:
            process.kill()

    samples = installation.samples("hourly")
    assert samples[:2] == begun
    assert len(samples) == 3
    assert samples[2].commit == begun[1].commit  # the same fingerprints
    identity = "--identity .keys/hourly/identity.txt"
    assert "nothing wrong" in run("gitsnap verify --archive $RECORD_URL")
    shown = run(f"gitsnap show --archive $RECORD_URL --decrypt Secret/default/password {identity}")
    assert base64.b64encode(b"hidden").decode() in shown
    run("gitsnap capture")
    assert "another archive of hourly is pushed there" in run("gitsnap push --to $RECORD_URL", 18)
