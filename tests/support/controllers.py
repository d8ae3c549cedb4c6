"""The controller as a child process that is installed from the manifests and has only the rights that they grant.

This module must not be imported by the package.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitsnap.archive import open_archive
from gitsnap.core.model import Sample
from tests.testbed import binaries
from tests.testbed.apiserver import ApiServer, User

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
SNAPSHOTS = "/apis/utils.projectsveltos.io/v1beta1/snapshots"
PROFILES = "/apis/config.projectsveltos.io/v1beta1/clusterprofiles"
CLUSTER_SCOPED = (
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas",
    "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations",
)
"""The kinds of the manifests whose objects have no namespace."""

SERVICE_ACCOUNT = "system:serviceaccount:gitsnap:gitsnap"


def kubectl(*arguments: str, kubeconfig: Path, stdin: str | None = None) -> str:
    """The standard output of kubectl, which must succeed."""
    folder = binaries.find()
    assert folder is not None
    done = subprocess.run(
        [folder / "kubectl", "--kubeconfig", kubeconfig, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


@dataclass
class Installation:
    """The manifests on an API server, with the controllers and Snapshots that use them."""

    api: ApiServer
    folder: Path
    processes: list[ControllerProcess] = field(default_factory=list)

    def apply(self, overlay: str = "base") -> None:
        """Run `kubectl apply -k` with strict validation of every field."""
        kubectl(
            "apply", "--server-side", "--validate=strict", "-k", str(MANIFESTS / overlay),
            kubeconfig=self.api.kubeconfig(),
        )  # fmt: skip
        wait_for(lambda: self.api.request("GET", SNAPSHOTS)[0] == 200, "the kind Snapshot to be served")

    def token_kubeconfig(self, *, server: str = "") -> Path:
        """A kubeconfig with a token of the ServiceAccount. ``server`` replaces the API server's own URL."""
        path = "/api/v1/namespaces/gitsnap/serviceaccounts/gitsnap/token"
        answer = self.api.ask("POST", path, {"spec": {"expirationSeconds": 3600}})
        user = User("gitsnap", str(answer["status"]["token"]))
        return self.api.kubeconfig(user, cluster={"server": server} if server else None)

    def start(
        self,
        *,
        server: str = "",
        storage: Path | None = None,
        name: str = "gitsnap-0",
        grace: float = 10.0,
        verbose: bool = False,
        environment: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
        program: Callable[[Path, Mapping[str, str]], Sequence[str | Path]] | None = None,
    ) -> ControllerProcess:
        """Start a controller under the ServiceAccount.

        Args:
            server: A URL in place of the API server's own.
            storage: The folder of the archives; the installation's if None.
            name: The name of its pod.
            grace: Seconds for the end.
            verbose: Whether to log each step.
            environment: Additional variables.
            flags: Additional flags.
            program: Returns the command that starts gitsnap, from the kubeconfig and the variables. None: this Python.
        """
        process = ControllerProcess(
            self.token_kubeconfig(server=server),
            storage or self.storage,
            log=self.folder / f"log-{len(self.processes)}",
            name=name,
            words=("--grace-seconds", str(grace), *(("--verbose",) if verbose else ()), *flags),
            environment=environment or {},
            program=program or _this_python,
        )
        self.processes.append(process)
        return process

    @property
    def storage(self) -> Path:
        """The folder of the archives."""
        folder = self.folder / "collection"
        folder.mkdir(exist_ok=True)
        return folder

    def snapshot(self, name: str, spec: dict[str, Any], **metadata: Any) -> None:
        """Create a Snapshot. Its storage is the storage of the installation unless the spec sets another."""
        document = {
            "apiVersion": "utils.projectsveltos.io/v1beta1",
            "kind": "Snapshot",
            "metadata": {"name": name, **metadata},
            "spec": {"storage": str(self.storage), **spec},
        }
        self.api.ask("POST", SNAPSHOTS, document)

    def change(self, name: str, patch: dict[str, Any]) -> None:
        """Merge a patch into a Snapshot."""
        self.api.ask("PATCH", f"{SNAPSHOTS}/{name}", patch, content_type="application/merge-patch+json")

    def request_sample(self, name: str, value: str) -> None:
        """Request a sample with the annotation that OPERATIONS.md describes."""
        self.change(name, {"metadata": {"annotations": {"gitsnap.io/capture-requested-at": value}}})

    def profile(self, name: str, *, tier: int) -> None:
        """Create a ClusterProfile, or change the tier of the existing ClusterProfile."""
        spec = {"clusterSelector": {"matchLabels": {"env": "demo"}}, "tier": tier}
        document = {
            "apiVersion": "config.projectsveltos.io/v1beta1",
            "kind": "ClusterProfile",
            "metadata": {"name": name},
            "spec": spec,
        }
        if self.api.request("POST", PROFILES, document)[0] == 409:
            patch = {"spec": {"tier": tier}}
            self.api.ask("PATCH", f"{PROFILES}/{name}", patch, content_type="application/merge-patch+json")

    def samples(self, policy: str, *, storage: Path | None = None) -> list[Sample]:
        """The samples of an archive, oldest first. Empty if there is no archive yet."""
        folder = storage or self.storage
        return list(open_archive(folder, policy).samples()) if (folder / policy / ".git").exists() else []

    def status(self, name: str) -> dict[str, Any]:
        """The status of a Snapshot. Empty if the Snapshot has no status yet."""
        status: dict[str, Any] = self.api.ask("GET", f"{SNAPSHOTS}/{name}").get("status") or {}
        return status

    def condition(self, name: str, wanted: str) -> tuple[str, str]:
        """Status and reason of a condition. Empty strings if there is no such condition."""
        for item in self.status(name).get("conditions") or ():
            if item["type"] == wanted:
                return item["status"], item["reason"]
        return "", ""

    def events(self, name: str) -> list[tuple[str, str]]:
        """Reason and note of the Events about a Snapshot, oldest first."""
        items = self.api.ask("GET", "/apis/events.k8s.io/v1/namespaces/default/events")["items"]
        mine = [item for item in items if item["regarding"]["name"] == name]
        return [(item["reason"], item["note"]) for item in sorted(mine, key=lambda item: str(item["eventTime"]))]

    def remove(self) -> None:
        """Kill the processes, and delete the objects that the clean-up of the test's API server does not cover."""
        for process in self.processes:
            process.kill()
        for item in self.api.ask("GET", SNAPSHOTS)["items"]:
            name = item["metadata"]["name"]
            self.change(name, {"metadata": {"finalizers": None}})
            self.api.request("DELETE", f"{SNAPSHOTS}/{name}")
        for path in CLUSTER_SCOPED:
            for item in self.api.ask("GET", path)["items"]:
                if item["metadata"]["name"].startswith("gitsnap-"):
                    self.api.ask("DELETE", f"{path}/{item['metadata']['name']}")
        root = "/apis/rbac.authorization.k8s.io/v1"
        for kind in ("roles", "rolebindings"):
            self.api.request("DELETE", f"{root}/namespaces/default/{kind}/gitsnap-events")
        self.api.request("DELETE", "/apis/coordination.k8s.io/v1/namespaces/gitsnap/leases")
        self.api.request("DELETE", "/apis/events.k8s.io/v1/namespaces/default/events")


class ControllerProcess:
    """A running `gitsnap controller`."""

    def __init__(
        self,
        kubeconfig: Path,
        storage: Path,
        *,
        log: Path,
        name: str,
        words: Sequence[str],
        environment: Mapping[str, str],
        program: Callable[[Path, Mapping[str, str]], Sequence[str | Path]],
    ) -> None:
        self._log = log
        own = {"POD_NAME": name, "POD_NAMESPACE": "gitsnap", "GITSNAP_STORAGE": str(storage)}
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    *program(kubeconfig, own), "controller",
                    "--kubeconfig", kubeconfig, "--listen", "127.0.0.1:0", *words,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **own, **environment},
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def log(self) -> list[dict[str, Any]]:
        """The log so far. Each line must be JSON."""
        lines = self._log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    @property
    def port(self) -> int:
        """The port of the probes and the metrics. Waits until the controller listens."""
        wait_for(lambda: any("port" in line["message"] for line in self.log), "the controller to listen")
        return int(next(line["message"] for line in self.log if "port" in line["message"]).split()[-1])

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a probe or of the metrics."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str, policy: str) -> float | None:
        """The value of the first series of a metric for a policy, None if there is no series."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(f"{name}{{") and f'policy="{policy}"' in line:
                return float(line.rpartition(" ")[2])
        return None

    def signal_stop(self) -> None:
        """Send SIGTERM, as a kubelet does."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 30.0) -> int:
        """Wait until the process ends, and return its exit code."""
        return self._process.wait(seconds)

    def terminate(self, *, seconds: float = 30.0) -> int:
        """Send SIGTERM, and return the exit code."""
        self.signal_stop()
        return self.wait(seconds)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()
        self._process.wait()


def _this_python(_kubeconfig: Path, _variables: Mapping[str, str]) -> list[str]:
    return [sys.executable, "-m", "gitsnap"]


def wait_for(condition: Callable[[], object], what: str, *, seconds: float = 30.0) -> None:
    """Wait until a condition holds. A failure names ``what``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.1)
