"""Measures follow mode under load: the time from the answer to a write until the change is durable in the archive.

    python benchmarks/follow.py [OBJECTS [RATE [SECONDS]]]      default: 2000 50 120

Runs `gitsnap follow` with a quiet time of 0 against a new API server with the objects of benchmarks/capture.py. Twenty
writers with own tokens change ConfigMaps, RATE changes a second together. Prints p50 and p99 of that time, how many
writes have a commit of their own, how many were replaced by a later write before the commit, and how many are in two
commits; CPU idle and under load, and memory. Then ten changes a minute are made for two minutes, once beside follow
mode and once with a capture each minute.
"""

from __future__ import annotations

import http.client
import json
import re
import resource
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple, Self

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.capture import change, fill
from benchmarks.controller import cpu_seconds, memory
from benchmarks.plain_mix import PlainMix
from tests.testbed import apiserver, binaries
from tests.testbed.apiserver import ApiServer, User
from tests.testbed.definitions import definitions

_PROJECT = Path(__file__).resolve().parents[1]
_SHARED = _PROJECT.parent / "shared"
_WRITERS = 20
_IDLE_SECONDS = 20
_CATCH_UP_SECONDS = 120
_RULE = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}
_OBJECT = re.compile(r"^Gitsnap-Object: (\S+) (\d+) ", re.MULTILINE)


class _Write(NamedTuple):
    uid: str
    version: int
    answered: float


def main() -> None:
    """Run the benchmark once."""
    words = [*sys.argv[1:], *("2000", "50", "120")[len(sys.argv) - 1 :]]
    count, rate, seconds = map(int, words)
    with tempfile.TemporaryDirectory(prefix="gitsnap-benchmark-") as name:
        folder = Path(name)
        with apiserver.running(binaries.obtain(), folder / "server") as server:
            server.install(definitions(_SHARED if _SHARED.is_dir() else None))
            mix = PlainMix(count)
            fill(server, mix)
            with _Follow(server, folder) as follow:
                follow.idle()
                _load(server, follow, count * 6 // 10, rate, seconds)
                _slow_changes(server, mix, folder, follow)


class _Follow:
    """`gitsnap follow` as a process, and when its archive got which commit."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.repository = folder / "archives" / "bench"
        self._log = folder / "follow.log"
        words = ["follow", "--snapshot", "bench", "--storage", str(folder / "archives"), "--create"]
        words += ["--kubeconfig", str(server.kubeconfig()), "--secrets-mode", "redact", "--quiet-seconds", "0"]
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gitsnap", *words], cwd=folder, stdout=output, stderr=output
            )
        self.heads: list[tuple[float, str]] = []
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        while b"stop with Ctrl-C" not in self._log.read_bytes():
            if self.process.poll() is not None:
                raise SystemExit(self._log.read_text())
            time.sleep(0.1)
        threading.Thread(target=self._watch_head, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.process.terminate()
        self.process.wait(30)

    def _watch_head(self) -> None:
        path, last = self.repository / ".git" / "refs" / "heads" / "bench", ""
        while not self._ended.wait(0.01):
            head = path.read_text().strip() if path.exists() else ""
            if head and head != last:
                self.heads.append((time.perf_counter(), head))
                last = head

    def git(self, *words: str) -> str:
        """The output of a git command in the archive."""
        done = subprocess.run(["git", "-C", str(self.repository), *words], capture_output=True, text=True, check=True)
        return done.stdout

    def idle(self) -> None:
        """Print CPU and memory while nothing happens."""
        time.sleep(5)
        before = cpu_seconds(self.process.pid)
        time.sleep(_IDLE_SECONDS)
        used = (cpu_seconds(self.process.pid) - before) / _IDLE_SECONDS
        print(f"idle: {used * 1000:.1f} ms of CPU per second, {memory(self.process.pid)[0]:.0f} MiB", flush=True)


def _load(server: ApiServer, follow: _Follow, maps: int, rate: int, seconds: int) -> None:
    users = [server.new_user(_RULE) for _ in range(_WRITERS)]
    writes: list[_Write] = []
    before, started = cpu_seconds(follow.process.pid), time.perf_counter()
    threads = [
        threading.Thread(target=_write, args=(server, user, number, maps, rate, started, seconds, writes))
        for number, user in enumerate(users)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    used = (cpu_seconds(follow.process.pid) - before) / took
    newest: dict[str, int] = {}
    for write in writes:
        newest[write.uid] = max(newest.get(write.uid, 0), write.version)
    commits = _commits(follow, newest)
    print(f"load: {len(writes)} writes in {took:.0f} s to {len(newest)} objects by {_WRITERS} users")
    print(f"      {used * 1000:.0f} ms of CPU per second, peak {memory(follow.process.pid)[1]:.0f} MiB")
    _print_delays(writes, commits)


def _write(
    server: ApiServer, user: User, number: int, maps: int, rate: int, started: float, seconds: int, writes: list[_Write]
) -> None:
    context = ssl.create_default_context(cafile=str(server.ca))
    connection = http.client.HTTPSConnection(server.url.removeprefix("https://"), context=context, timeout=60)
    headers = {"Authorization": f"Bearer {user.token}", "Content-Type": "application/merge-patch+json"}
    step = 0
    while (due := started + (step * _WRITERS + number) / rate) < started + seconds:
        time.sleep(max(due - time.perf_counter(), 0))
        index = (step * _WRITERS + number) * 7 % maps
        path = f"/api/v1/namespaces/{PlainMix.namespace(index % 20)}/configmaps/cm-{index}?fieldManager={user.name}"
        connection.request("PATCH", path, json.dumps({"data": {"changed": f"{number} {step}"}}), headers)
        answer = connection.getresponse()
        metadata = json.loads(answer.read())["metadata"]
        writes.append(_Write(metadata["uid"], int(metadata["resourceVersion"]), time.perf_counter()))
        step += 1


def _commits(follow: _Follow, newest: dict[str, int]) -> list[tuple[float, str, int]]:
    """Time, uid and version of each object of each commit, as soon as all writes are committed."""
    end = time.perf_counter() + _CATCH_UP_SECONDS
    while True:
        commits: list[tuple[float, str, int]] = []
        previous = f"{follow.heads[0][1]}^"
        for moment, head in list(follow.heads):
            text = follow.git("log", "--format=%B", f"{previous}..{head}") if previous[-1] != "^" else ""
            commits += [(moment, uid, int(version)) for uid, version in _OBJECT.findall(text)]
            previous = head
        reached = {uid: version for _, uid, version in sorted(commits, key=lambda commit: commit[2])}
        if all(reached.get(uid) == version for uid, version in newest.items()):
            return commits
        if time.perf_counter() > end:
            lost = sum(reached.get(uid) != version for uid, version in newest.items())
            print(f"LOST: the last write of {lost} objects has no commit after {_CATCH_UP_SECONDS} s")
            return commits
        time.sleep(2)


def _print_delays(writes: list[_Write], commits: list[tuple[float, str, int]]) -> None:
    by_uid: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for moment, uid, version in commits:
        by_uid[uid].append((version, moment))
    named = Counter((uid, version) for _, uid, version in commits)
    delays, own = [], 0
    for write in writes:
        entries = sorted(by_uid[write.uid])
        position = bisect_left(entries, (write.version, 0.0))
        if position < len(entries):
            own += entries[position][0] == write.version
            delays.append(entries[position][1] - write.answered)
    delays.sort()
    doubled = sum(count > 1 for count in named.values())
    print(f"      {own} writes have a commit that names them, {len(delays) - own} were replaced before the commit,")
    print(f"      {len(writes) - len(delays)} have none, {doubled} are in two commits")
    for share in (50, 99):
        print(f"      p{share} from the answer to the durable commit: {delays[len(delays) * share // 100 - 1]:.2f} s")
    print(f"      longest: {delays[-1]:.2f} s", flush=True)


def _slow_changes(server: ApiServer, mix: PlainMix, folder: Path, follow: _Follow) -> None:
    """Compare follow mode with a capture each minute, at ten changes a minute."""
    before = cpu_seconds(follow.process.pid)
    for minute in range(2):
        change(server, mix, f"follow {minute}")
        time.sleep(60)
    followed = cpu_seconds(follow.process.pid) - before
    words = ["capture", "--snapshot", "each-minute", "--storage", str(folder / "captures"), "--create"]
    words += ["--kubeconfig", str(server.kubeconfig()), "--secrets-mode", "redact"]
    command = [sys.executable, "-m", "gitsnap", *words]
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    before = usage.ru_utime + usage.ru_stime
    for minute in range(2):
        change(server, mix, f"capture {minute}")
        subprocess.run(command, cwd=folder, capture_output=True, check=True)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    captured = usage.ru_utime + usage.ru_stime - before
    print(f"ten changes a minute: follow mode {followed / 2:.2f} s of CPU a minute, a capture {captured / 2:.2f} s")


if __name__ == "__main__":
    main()
