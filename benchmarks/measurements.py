"""Measures processes beside an API server: their own cost, and the cost to the server.

The ratios of a run can be compared with those of an earlier run (``baseline.json``), on another machine too.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.testbed.apiserver import ApiServer

BASELINE = Path(__file__).with_name("baseline.json")

_TOLERANCE = 1.15
"""A ratio that grew by more than this factor is reported. Two runs of one version differ by up to a tenth."""

_SMALLEST = 0.02
"""Growth below this ratio is not reported: it is a few hundredths of a second."""

_TICKS = os.sysconf("SC_CLK_TCK")
_CPU_FIELDS = slice(11, 13)
"""utime and stime, counted from the field after the name of the program (proc_pid_stat(5))."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The cost of one process."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds."""
    memory: float
    """Peak resident memory in MiB."""
    requests: int
    """Requests to the API server, without watches."""
    apiserver_cpu: float
    """CPU seconds of kube-apiserver meanwhile."""
    etcd_cpu: float
    """CPU seconds of etcd meanwhile."""
    server_memory: Mapping[str, float] = field(default_factory=dict)
    """Program -> its peak resident memory meanwhile, in MiB."""

    @property
    def server_cpu(self) -> float:
        """CPU seconds of kube-apiserver and etcd meanwhile."""
        return self.apiserver_cpu + self.etcd_cpu


class Meter:
    """Runs commands beside one API server and its etcd."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._processes = _find_processes(str(server.folder))
        # An installed package has compiled modules. Without them, the start of every command would take longer.
        self._environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def best(self, folder: Path, command: Sequence[str], repeated: int) -> Figures:
        """The run that took the least CPU time."""
        return least(self.run(folder, command) for _ in range(repeated))

    def run(self, folder: Path, command: Sequence[str]) -> Figures:
        """Run a command in a folder. Exits if the command fails."""
        before, cpu_before = self._requests(), self._cpu()
        for process in self._processes.values():
            (process / "clear_refs").write_text("5")  # resets VmHWM (proc_pid_clear_refs(5))
        started = time.perf_counter()
        child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env=self._environment)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        if status:
            raise SystemExit(f"{' '.join(command[:6])} … failed")
        cpu = {name: after - cpu_before[name] for name, after in self._cpu().items()}
        memory = {name: _peak_memory(process) for name, process in self._processes.items()}
        requests = self._requests() - before
        own_cpu, own_memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
        return Figures(wall, own_cpu, own_memory, requests, cpu["kube-apiserver"], cpu["etcd"], memory)

    def _cpu(self) -> dict[str, float]:
        """Program -> its CPU seconds since its start."""
        seconds = {}
        for name, process in self._processes.items():
            after_name = (process / "stat").read_text().rpartition(")")[2].split()
            seconds[name] = sum(map(int, after_name[_CPU_FIELDS])) / _TICKS
        return seconds

    def _requests(self) -> int:
        """The number of requests that the server has answered since its start, without those of this method."""
        status, text = self._server.request("GET", "/metrics")
        if status != 200:
            raise SystemExit(f"the API server refuses to return its metrics: status {status}")
        counters = re.findall(r"^apiserver_request_total\{([^}]*)\} (\S+)$", text, re.MULTILINE)
        left_out = re.compile(r'verb="WATCH"|subresource="/metrics"')
        return int(sum(float(value) for labels, value in counters if not left_out.search(labels)))


def least(runs: Iterable[Figures]) -> Figures:
    """The run that took the least CPU time: other processes disturb CPU time less than wall time."""
    return min(runs, key=lambda run: run.cpu)


def _find_processes(folder: str) -> dict[str, Path]:
    """The processes of kube-apiserver and etcd whose files are in a folder."""
    processes = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # the process has ended
            continue
        name = Path(arguments[0]).name
        if name in ("kube-apiserver", "etcd") and any(folder in argument for argument in arguments):
            processes[name] = process
    return processes


def _peak_memory(process: Path) -> float:
    match = re.search(r"^VmHWM:\s+(\d+) kB", (process / "status").read_text(), re.MULTILINE)
    return int(match[1]) / 1024 if match else 0.0


# Tables and the baseline ----------------------------------------------------------------------------------------------


def print_table(title: str, rows: Mapping[str, Figures]) -> None:
    """Print the figures of each row, and their ratios to the first row. The last ratio is that of both servers."""
    base = next(iter(rows.values()))
    print(f"\n{title}")
    print(
        f"{'':<24}{'wall s':>8}{'ratio':>7}{'CPU s':>8}{'ratio':>7}{'MiB':>7}{'requests':>10}"
        f"{'apiserver CPU s':>17}{'etcd CPU s':>12}{'ratio':>7}  server MiB"
    )
    for name, row in rows.items():
        memory = ", ".join(f"{program} {size:.0f}" for program, size in sorted(row.server_memory.items()))
        print(
            f"{name:<24}{row.wall:>8.2f}{row.wall / base.wall:>7.2f}{row.cpu:>8.2f}{row.cpu / base.cpu:>7.2f}"
            f"{row.memory:>7.0f}{row.requests:>10}{row.apiserver_cpu:>17.2f}{row.etcd_cpu:>12.2f}"
            f"{row.server_cpu / base.server_cpu:>7.2f}  {memory}"
        )


def ratios(rows: Mapping[str, Figures]) -> dict[str, dict[str, float]]:
    """The ratios of each row to the first row: wall time, CPU time, and CPU time of the server."""
    base = next(iter(rows.values()))
    return {
        name: {
            "wall": round(row.wall / base.wall, 3),
            "cpu": round(row.cpu / base.cpu, 3),
            "server": round(row.server_cpu / base.server_cpu, 3),
        }
        for name, row in rows.items()
    }


def read_baseline() -> dict[str, dict[str, dict[str, float]]]:
    """The committed ratios: table -> row -> ratio."""
    document: dict[str, dict[str, dict[str, float]]] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    return document


def save_baseline(tables: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Replace the tables that were measured in ``baseline.json``. Other tables stay."""
    document = {**read_baseline(), **tables}
    BASELINE.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")


def slower_rows(tables: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """One sentence for each CPU ratio that is larger than in the baseline. Wall times vary too much to be checked."""
    baseline = read_baseline()
    problems = []
    for title, rows in tables.items():
        if title not in baseline:
            problems.append(f"{title}: {BASELINE.name} has no such table; write it with --save")
            continue
        for name, row in rows.items():
            known = baseline[title].get(name, {})
            for ratio in ("cpu", "server"):
                before, now = known.get(ratio), row[ratio]
                if before is not None and now > before * _TOLERANCE and now - before > _SMALLEST:
                    problems.append(f"{title}: {name}: the {ratio} ratio is {now:.2f}; in the baseline {before:.2f}")
    return problems
