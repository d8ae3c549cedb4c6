"""`gitsnap follow` as a process on a real API server. The package must not import this."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.sveltos import kinds
from tests.support.commands import gitsnap
from tests.support.controllers import wait_for
from tests.support.followers import config_map, profile
from tests.support.interruption import Switch
from tests.testbed.apiserver import ApiServer

MAPS = "/api/v1/namespaces/default/configmaps"
_PROFILES = "/apis/config.projectsveltos.io/v1beta1/clusterprofiles"
NAMES = ("a", "b", "c")


class Following:
    """`gitsnap follow` as a process, and the archive that it writes."""

    def __init__(self, api: ApiServer, folder: Path, *, server: str = "") -> None:
        """``server``: the URL of a proxy in front of the API server, by plain HTTP."""
        self._api = api
        self.folder = folder
        self.repository = folder / "archives" / "hourly"
        self.switch = Switch(int(api.url.rpartition(":")[2]))
        cluster = {"server": server, "certificate-authority": None}
        if not server:
            cluster = {"server": f"https://127.0.0.1:{self.switch.port}"}
        self._config = str(api.kubeconfig(cluster=cluster))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, environment: Mapping[str, str] | None = None) -> None:
        """Start the process, and wait until it follows."""
        words = ["follow", "--snapshot", "hourly", "--storage", "archives", "--create", "--kubeconfig", self._config]
        words += ["--secrets-mode", "omit", "--quiet-seconds", "0.3"]
        lines = self.log().count("stop with Ctrl-C")
        with (self.folder / "follow.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gitsnap", *words],
                cwd=self.folder,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        wait_for(lambda: self.log().count("stop with Ctrl-C") > lines or self._has_ended(), "follow to start")

    def _has_ended(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        return False

    def kill(self) -> None:
        """End the process as a power loss does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """End the process with Ctrl-C; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def log(self) -> str:
        """All that the processes have printed."""
        path = self.folder / "follow.log"
        return path.read_text() if path.exists() else ""

    def git(self, *words: str) -> str:
        """The output of a git command in the archive."""
        done = subprocess.run(["git", "-C", str(self.repository), *words], capture_output=True, text=True, check=True)
        return done.stdout

    def text(self, name: str) -> str:
        """The text of a ConfigMap in the newest commit."""
        shown = subprocess.run(
            ["git", "-C", str(self.repository), "show", f"HEAD:configuration/default/ConfigMap/{name}.yaml"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return shown.stdout.rpartition("text: ")[2].strip().strip('"')

    def capture(self) -> str:
        """What a capture of all objects says."""
        words = ["--snapshot", "hourly", "--storage", "archives", "--kubeconfig", str(self._api.kubeconfig()), "--full"]
        return gitsnap(self.folder, "capture", *words, code=0).stdout


@contextmanager
def following(api: ApiServer, folder: Path, *, server: str = "") -> Iterator[Following]:
    """A process that follows three ConfigMaps and the profile that refers to them. ``server``: the URL of a proxy."""
    for name in NAMES:
        api.ask("POST", f"{MAPS}?fieldManager=setup", config_map(name, "0"))
    references = [ObjectKey(kinds.CONFIG_MAP, "default", name) for name in NAMES]
    api.ask("POST", f"{_PROFILES}?fieldManager=setup", profile("p", references, "x"))
    process = Following(api, folder, server=server)
    try:
        process.start()
        yield process
    finally:
        if process.process is not None and process.process.poll() is None:
            process.kill()
        process.switch.close()
        for name in NAMES:
            api.request("DELETE", f"{MAPS}/{name}")


def write(api: ApiServer, name: str, text: str, manager: str) -> JsonObject:
    """Change the text of a ConfigMap."""
    path = f"{MAPS}/{name}?fieldManager={manager}"
    answer: JsonObject = api.ask("PATCH", path, {"data": {"text": text}}, content_type="application/merge-patch+json")
    return answer


def wait_for_text(process: Following, name: str, text: str) -> None:
    """Wait until the newest commit has the text of a ConfigMap."""
    wait_for(lambda: process.text(name) == text, f"{name}: {text}\n{process.log()}", seconds=60)


def check_archive(process: Following) -> None:
    """The newest commit is what a full capture finds. No object has a state twice, and git finds nothing wrong."""
    assert "unchanged" in process.capture()
    for name in NAMES:
        path = f"configuration/default/ConfigMap/{name}.yaml"
        texts = process.git("log", "-p", "--reverse", "--format=", "--", path).splitlines()
        values = [int(line.rpartition(" ")[2].strip('"')) for line in texts if line.startswith("+  text:")]
        assert values == sorted(set(values)), name
    assert process.git("fsck", "--strict", "--no-dangling") == ""
