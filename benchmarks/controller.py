"""Measures memory and CPU of the idle controller, and the cost of each sample.

    python benchmarks/controller.py [OBJECTS]      default: 10000

Runs `gitsnap controller` against a new API server with the objects of benchmarks/capture.py. Prints CPU seconds and
resident memory in MiB: idle for a minute without a Snapshot, idle for a minute with a yearly Snapshot, and for each of
ten requested samples. Ten objects change before each sample.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.capture import change, fill
from benchmarks.plain_mix import PlainMix
from tests.testbed import apiserver, binaries
from tests.testbed.apiserver import ApiServer
from tests.testbed.definitions import definitions

_PROJECT = Path(__file__).resolve().parents[1]
_SHARED = _PROJECT.parent / "shared"
_SNAPSHOTS = "/apis/utils.projectsveltos.io/v1beta1/snapshots"
_IDLE_SECONDS = 60
_SAMPLES = 10
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run the benchmark once."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory(prefix="gitsnap-benchmark-") as name:
        folder = Path(name)
        with apiserver.running(binaries.obtain(), folder / "server") as server:
            crd = yaml.safe_load((_PROJECT / "manifests/crd/utils.projectsveltos.io_snapshots.yaml").read_text())
            server.install([*definitions(_SHARED if _SHARED.is_dir() else None), crd])
            server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "gitsnap"}})
            mix = PlainMix(count)
            fill(server, mix)
            _measure(server, folder, mix, count)


def _measure(server: ApiServer, folder: Path, mix: PlainMix, count: int) -> None:
    storage = folder / "collection"
    storage.mkdir()
    command = [sys.executable, "-m", "gitsnap", "controller", "--kubeconfig", str(server.kubeconfig())]
    with subprocess.Popen(
        [*command, "--storage", str(storage), "--listen", "127.0.0.1:0"],
        cwd=_PROJECT,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            time.sleep(5)
            _idle(process.pid, "no Snapshot")
            spec = {"schedule": "@yearly", "storage": str(storage), "secrets": {"mode": "redact"}}
            body = {
                "apiVersion": "utils.projectsveltos.io/v1beta1",
                "kind": "Snapshot",
                "metadata": {"name": "bench"},
                "spec": spec,
            }
            server.ask("POST", _SNAPSHOTS, body)
            time.sleep(2)
            _idle(process.pid, "one Snapshot")
            print(f"\n{count} objects{'':>12}{'wall s':>8}{'CPU s':>8}{'MiB':>7}{'peak':>7}")
            for number in range(_SAMPLES):
                _sample(server, process.pid, mix, number)
        finally:
            process.terminate()


def _idle(process: int, situation: str) -> None:
    before = cpu_seconds(process)
    time.sleep(_IDLE_SECONDS)
    used = (cpu_seconds(process) - before) / _IDLE_SECONDS
    resident, _ = memory(process)
    print(f"idle, {situation:<14} {used * 1000:6.1f} ms of CPU per second, {resident:.0f} MiB")


def _sample(server: ApiServer, process: int, mix: PlainMix, number: int) -> None:
    change(server, mix, str(number))
    before, started = cpu_seconds(process), time.perf_counter()
    request = str(number)
    patch = {"metadata": {"annotations": {"gitsnap.io/capture-requested-at": request}}}
    server.ask("PATCH", f"{_SNAPSHOTS}/bench", patch, content_type="application/merge-patch+json")
    while True:
        status = server.ask("GET", f"{_SNAPSHOTS}/bench").get("status") or {}
        if status.get("lastHandledCaptureAt") == request:
            break
        if status.get("lastRunStatus") == "Failed":
            raise SystemExit(f"the sample failed: {status.get('failureMessage')}")
        time.sleep(0.05)
    wall = time.perf_counter() - started
    resident, peak = memory(process)
    print(f"sample {number + 1:<14}{wall:>8.2f}{cpu_seconds(process) - before:>8.2f}{resident:>7.0f}{peak:>7.0f}")


def cpu_seconds(process: int) -> float:
    """CPU seconds of a process (utime and stime in proc_pid_stat(5))."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(process: int) -> tuple[float, float]:
    """Present and peak resident memory in MiB."""
    values = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(values["VmRSS"].split()[0]) / 1024, int(values["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    main()
