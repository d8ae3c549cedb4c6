"""Follow mode on a real API server: every write becomes a commit of its manager, through kills, cuts and compaction."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.sveltos import kinds
from tests.support.commands import gitsnap
from tests.support.controllers import wait_for
from tests.support.followers import config_map, profile
from tests.support.interruption import Switch
from tests.testbed.apiserver import ApiServer

_MAPS = "/api/v1/namespaces/default/configmaps"
_PROFILES = "/apis/config.projectsveltos.io/v1beta1/clusterprofiles"
_NAMES = ("a", "b", "c")


class _Following:
    """`gitsnap follow` as a process, and the archive that it writes."""

    def __init__(self, api: ApiServer, folder: Path) -> None:
        self._api = api
        self.folder = folder
        self.repository = folder / "archives" / "hourly"
        self.switch = Switch(int(api.url.rpartition(":")[2]))
        server = f"https://127.0.0.1:{self.switch.port}"
        self._config = str(api.kubeconfig(cluster={"server": server}))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = ["follow", "--snapshot", "hourly", "--storage", "archives", "--create", "--kubeconfig", self._config]
        words += ["--secrets-mode", "omit", "--quiet-seconds", "0.3"]
        lines = self.log().count("stop with Ctrl-C")
        with (self.folder / "follow.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gitsnap", *words], cwd=self.folder, stdout=output, stderr=output
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
        path = self.folder / "follow.log"
        return path.read_text() if path.exists() else ""

    def git(self, *words: str) -> str:
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
def _following(api: ApiServer, folder: Path) -> Iterator[_Following]:
    for name in _NAMES:
        api.ask("POST", f"{_MAPS}?fieldManager=setup", config_map(name, "0"))
    references = [ObjectKey(kinds.CONFIG_MAP, "default", name) for name in _NAMES]
    api.ask("POST", f"{_PROFILES}?fieldManager=setup", profile("p", references, "x"))
    following = _Following(api, folder)
    try:
        following.start()
        yield following
    finally:
        if following.process is not None and following.process.poll() is None:
            following.kill()
        following.switch.close()
        for name in _NAMES:
            api.request("DELETE", f"{_MAPS}/{name}")


def _write(api: ApiServer, name: str, text: str, manager: str) -> JsonObject:
    path = f"{_MAPS}/{name}?fieldManager={manager}"
    answer: JsonObject = api.ask("PATCH", path, {"data": {"text": text}}, content_type="application/merge-patch+json")
    return answer


def _wait_for_text(following: _Following, name: str, text: str) -> None:
    wait_for(lambda: following.text(name) == text, f"{name}: {text}\n{following.log()}", seconds=60)


def test_each_write_is_a_commit_of_its_manager_and_the_tree_is_that_of_a_capture(
    api: ApiServer, tmp_path: Path
) -> None:
    """In the order of the writes. A capture afterwards finds nothing that the changes lack."""
    with _following(api, tmp_path) as following:
        time.sleep(1.1)  # managedFields have whole seconds
        for number, manager in enumerate(("alice", "bob", "carol"), 1):
            _write(api, "a", str(number), manager)
            _wait_for_text(following, "a", str(number))
            time.sleep(1.1)
        api.ask("DELETE", f"{_MAPS}/b")
        wait_for(lambda: "1 ConfigMap deleted" in following.git("log", "-1", "--format=%s"), "the deletion")
        assert following.git("log", "-4", "--format=%an").split() == ["unknown", "carol", "bob", "alice"]
        assert "Gitsnap-Seen" not in following.git("log", "--format=%B")
        assert following.stop() == 0
        assert "unchanged" in following.capture()
        assert following.git("fsck", "--strict", "--no-dangling") == ""


def test_nothing_is_lost_or_doubled_by_kills_cuts_and_compaction(api: ApiServer, tmp_path: Path) -> None:
    """The archive tells where the next process continues."""
    with _following(api, tmp_path) as following:
        number = 0
        for fault in ("kill", "cut", "kill", "down", "kill and compact", "cut"):
            for name in _NAMES:
                number += 1
                written = _write(api, name, str(number), "writer")
            if fault.startswith("kill"):
                time.sleep(0.3 * (number % 4))
                following.kill()
                number += 1
                written = _write(api, "c", str(number), "writer")
                if fault == "kill and compact":
                    api.compact(written["metadata"]["resourceVersion"])
                following.start()
            else:
                following.switch.off()
                number += 1
                _write(api, "c", str(number), "writer")
                if fault == "down":
                    time.sleep(2)
                following.switch.on()
            _wait_for_text(following, "c", str(number))

        assert following.stop() == 0, following.log()
        assert "unchanged" in following.capture()
        texts = following.git("log", "-p", "--reverse", "--format=", "--", "configuration/default/ConfigMap/c.yaml")
        values = [int(line.rpartition(" ")[2].strip('"')) for line in texts.splitlines() if line.startswith("+  text:")]
        assert values == sorted(set(values))
        assert following.git("fsck", "--strict", "--no-dangling") == ""
