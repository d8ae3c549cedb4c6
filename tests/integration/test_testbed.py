"""The test bed: the guarantees that other tests rely on."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gitsnap.sveltos.kinds import CLUSTER_PROFILE, KINDS
from tests.testbed import binaries
from tests.testbed.apiserver import ApiServer
from tests.testbed.fixtures import clean


def test_every_kind_is_served(sveltos_api: ApiServer) -> None:
    """Each kind that gitsnap knows can be listed, with each version of the definitions."""
    groups = {row.kind.group for row in KINDS if row.kind.group}

    served = {
        (group, resource["kind"])
        for group in groups
        for version in sveltos_api.ask("GET", f"/apis/{group}")["versions"]
        for resource in sveltos_api.ask("GET", f"/apis/{group}/{version['version']}")["resources"]
    }

    assert {(row.kind.group, row.kind.name) for row in KINDS if row.kind.group} <= served


def test_a_user_has_only_the_granted_rights(api: ApiServer) -> None:
    """The RBAC of the server applies to test users."""
    user = api.new_user({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]})

    assert api.request("GET", "/api/v1/configmaps", user=user)[0] == 200
    assert api.request("GET", "/api/v1/secrets", user=user)[0] == 403


def test_clean_deletes_all_objects_of_a_test(api: ApiServer, new_namespace: Callable[[], str]) -> None:
    """Objects, objects with a finalizer, and namespaces of a test are deleted."""
    namespace = new_namespace()
    path = f"/apis/{CLUSTER_PROFILE.group}/v1beta1/clusterprofiles"
    profile = {
        "apiVersion": f"{CLUSTER_PROFILE.group}/v1beta1",
        "kind": "ClusterProfile",
        "metadata": {"name": "held", "finalizers": ["gitsnap.test/hold"]},
        "spec": {},
    }
    api.ask("POST", path, profile)
    api.ask("POST", f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": "one"}})

    clean(api)

    assert api.ask("GET", path)["items"] == []
    assert api.request("GET", f"/api/v1/namespaces/{namespace}")[0] == 404


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a program that its parent died")
def test_nothing_survives_a_killed_test_run(api_server: ApiServer, tmp_path: Path) -> None:
    """Server and etcd end with the process that started them, even if this process is killed."""
    del api_server  # ensures that the binaries exist
    folder = binaries.find()
    script = textwrap.dedent(f"""
        from pathlib import Path
        from tests.testbed import apiserver
        with apiserver.running(Path({str(folder)!r}), Path({str(tmp_path)!r})) as server:
            print(server.url, flush=True)
            import time; time.sleep(60)
    """)
    run = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], env=dict(os.environ)
    )
    assert run.stdout is not None
    with run, run.stdout:
        assert run.stdout.readline().startswith(b"https://127.0.0.1:")
        assert len(_processes_in(tmp_path)) == 2
        run.kill()

    deadline = time.monotonic() + 10
    while _processes_in(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _processes_in(tmp_path) == []


def _processes_in(folder: Path) -> list[str]:
    """The command lines of running processes that name a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"={folder}" in command:
                found.append(command)
    return found
