"""Prints one table of all figures that gitsnap promises: each beside its goal, and beside the committed baseline.

    python benchmarks/table.py [--only SECTION ...] [--history STORAGE] [--large] [--growth] [--check] [--save]

Sections, with their time on an idle machine of two cores: ``captures`` (both mixes, 10,000 objects, about 3 minutes
each), ``memory`` (matcher, plans and diffs of a fleet without a server, 1 minute), ``history`` (only with
``--history``, the storage of an archive as benchmarks/history.py makes it, 1 minute). The default is all. ``--growth``
adds the fleet with twice as many profiles and clusters, ``--large`` captures of 50,000 and of 100,000 objects of the
plain mix, which take about a quarter of an hour each. ``--check`` exits with 1 if a row is larger than in
baseline.json, ``--save`` writes the ratios of this run into that file.

A row of ``captures`` is a ratio to `kubectl get -o yaml` in the same run, and in CPU seconds as well if its goal is in
seconds. The other rows are CPU seconds; their ratio is that to a yardstick, a fixed piece of work in Python, so that
machines can be compared. The column *baseline* has the committed ratio of the row.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import capture, fleet, in_memory, plan
from benchmarks.measurements import ratios, read_baseline, save_baseline, slower_rows
from gitsnap.kube.label_index import LabelIndex
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef

_REPEATED = 3
_FINDINGS = 5
"""The exit code of `verify` with a finding: earlier versions of benchmarks/history.py did not write digests."""

_OBJECTS = 10_000
_CAPTURE_GOALS = {
    "first capture": {"wall": 0.25, "cpu": 0.20},
    "nothing changed": {"wall": 0.09, "cpu": 0.08},
    "ten objects changed": {"wall": 0.11, "cpu": 0.10},
}
"""Row -> column -> the largest ratio to `kubectl get -o yaml`."""

_GOALS_IN_SECONDS = {("fleet", "diff of ten changes"): 0.3}
"""Mix and row -> the largest number of CPU seconds."""

Ratios = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Row:
    """A figure: seconds of CPU, or a ratio to `kubectl get -o yaml`."""

    table: str
    name: str
    value: float
    ratio: float
    goal: float | None = None
    column: str = "cpu"


def main() -> None:
    """Measure the sections, print the table, and compare it with the baseline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=["captures", "memory", "history"], default=None)
    parser.add_argument("--history", type=Path, metavar="STORAGE")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    sections = options.only or ["captures", "memory", *(["history"] if options.history else [])]
    tables: dict[str, dict[str, dict[str, float]]] = {}
    rows: list[Row] = []
    if "memory" in sections:
        rows += measure(tables, "without a server", _in_memory(growth=options.growth))
    if "history" in sections:
        if options.history is None:
            parser.error("the section history needs --history STORAGE")
        rows += measure(tables, "a long history", _history(options.history))
    if "captures" in sections:
        rows += _captures(tables, growth=options.growth, large=options.large)
    print_rows(rows)
    if options.save:
        save_baseline(tables)
    problems = slower_rows(tables) if options.check else []
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(bool(problems))


def print_rows(rows: list[Row]) -> None:
    """Print each row beside its goal and its ratio in the baseline."""
    baseline = read_baseline()
    table = ""
    for row in rows:
        if row.table != table:
            table = row.table
            print(f"\n{table:<56}{'value':>8}{'goal':>7}{'':>7}{'ratio':>8}{'baseline':>10}")
        known = baseline.get(row.table, {}).get(row.name, {}).get(row.column)
        goal, verdict = ("", "") if row.goal is None else (f"{row.goal:.2f}", "ok" if row.value <= row.goal else "OVER")
        before = "" if known is None else f"{known:.3f}"
        name = f"{row.name}, {row.column}" if row.column != "cpu" or row.table[:5] in ("plain", "fleet") else row.name
        print(f"{name:<56}{row.value:>8.2f}{goal:>7}{verdict:>7}{row.ratio:>8.3f}{before:>10}")


# Captures -------------------------------------------------------------------------------------------------------------


def _captures(tables: dict[str, Any], *, growth: bool, large: bool) -> list[Row]:
    runs = [("plain", _OBJECTS, 1), ("fleet", _OBJECTS, 1)]
    runs += [("fleet", _OBJECTS, 2)] if growth else []
    runs += [("plain", 50_000, 1), ("plain", 100_000, 1)] if large else []
    rows = []
    for name, count, factor in runs:
        title = capture.title_of(name, count, factor)
        figures = capture.run(title, capture.MIXES[name](count, factor))
        tables[title] = ratios(figures)
        has_goals = count == _OBJECTS and factor == 1
        for row, of_row in tables[title].items():
            goals = _CAPTURE_GOALS.get(row, {}) if has_goals else {}
            rows += [
                Row(title, row, of_row[column], of_row[column], goals.get(column), column)
                for column in ("wall", "cpu", "server")
            ]
            if has_goals and (name, row) in _GOALS_IN_SECONDS:
                goal = _GOALS_IN_SECONDS[name, row]
                rows.append(Row(title, row, figures[row].cpu, of_row["cpu"], goal, "CPU seconds"))
    return rows


# CPU seconds ----------------------------------------------------------------------------------------------------------

Measured = Iterator[tuple[str, float, float | None]]
"""Name, CPU seconds and goal of each row."""


def measure(tables: dict[str, Any], table: str, measured: Measured) -> list[Row]:
    """The rows of a section, with their ratios to the yardstick; adds the ratios to ``tables``."""
    yardstick, rows = min(_seconds(_work) for _ in range(_REPEATED)), []
    print(f"yardstick of {table}: {yardstick:.2f} s", file=sys.stderr)
    for name, seconds, goal in measured:
        print(f"{name}: {seconds:.3f} s", file=sys.stderr, flush=True)
        rows.append(Row(table, name, seconds, seconds / yardstick, goal))
    tables[table] = {row.name: {"cpu": round(row.ratio, 3), "server": 0.0, "wall": 0.0} for row in rows}
    return rows


def _work() -> None:
    """The yardstick: JSON, sorting, dictionaries and hashing."""
    documents = [
        {"name": f"object-{number}", "labels": {f"key-{key}": key for key in range(10)}} for number in range(20_000)
    ]
    text = json.dumps(documents, sort_keys=True)
    names = {document["name"]: document for document in json.loads(text)}
    for name in sorted(names, reverse=True):
        hashlib.sha256(f"{name}{names[name]}".encode()).hexdigest()


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


_PLANS: Mapping[str, tuple[str, float | None]] = {
    "plan: 4,000 clusters and 100 profiles relabelled": ("relabelled", 5.0),
    "plan: 4,000 clusters and 1,000 profiles relabelled": ("relabelled, 1,000 profiles", None),
    "rollback --namespace: 500 profiles, 300 clusters": ("namespace", None),
    "rollback --namespace: a tenth names the cluster": ("namespace, a tenth", None),
    "rollback --namespace: all name the cluster": ("namespace, all", None),
    "rollback --namespace: all name, all deployed": ("namespace, all, deployed", None),
    "rollback --namespace: all name, all restored": ("namespace, all, restored", None),
}
"""Row -> plan of benchmarks/plan.py and goal."""


def _in_memory(*, growth: bool) -> Measured:
    yield from _matcher(2_000, 5_000)
    for row, (name, goal) in _PLANS.items():
        yield row, plan.measure(name)[0], goal
    for factor in (1, 2) if growth else (1,):
        folder = Path(tempfile.mkdtemp(prefix="gitsnap-benchmark-"))
        try:
            bench = in_memory.Bench(folder, _OBJECTS, factor, templated=True)
            title = f"fleet{f' times {factor}' if factor > 1 else ''}"
            yield f"{title}: first capture", _step(bench, "first", runs=1), None
            yield f"{title}: nothing changed", _step(bench, "unchanged"), None
            yield f"{title}: ten objects changed", _step(bench, "changed"), None
            yield f"{title}: diff of ten changes", _step(bench, "diff"), 0.3 if factor == 1 else None
            bench.relabelled = 200
            yield f"{title}: diff, 200 clusters relabelled", _step(bench, "relabelled"), 1.0 if factor == 1 else None
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _step(bench: in_memory.Bench, step: str, runs: int = _REPEATED) -> float:
    return min(in_memory.run(bench, step)[0] for _ in range(runs))


def _matcher(profiles: int, clusters: int) -> Measured:
    """All matches of a fleet from nothing, and again after the labels of ten clusters changed."""
    selectors = [fleet.selector(number) for number in range(profiles)]
    labels = [fleet.Fleet.labels_of(number) for number in range(clusters)]
    refs = [
        ClusterRef(kinds.SVELTOS_CLUSTER, f"team-{number % 200}", f"cluster-{number}") for number in range(clusters)
    ]
    index = LabelIndex[ClusterRef]()

    def build() -> None:
        for ref, own in zip(refs, labels, strict=True):
            index.add(ref, own)
        match()

    def match() -> None:
        for selector in selectors:
            index.select(selector)

    def change() -> None:
        for number in range(10):
            index.add(refs[number], {**labels[number], "wave": "changed"})
        match()

    yield "matcher: 2,000 profiles, 5,000 clusters, from nothing", _seconds(build), 1.0
    yield "matcher: after ten changes", _seconds(change), 0.02


_COMMANDS: Mapping[str, tuple[list[str], float | None]] = {
    "start-up": (["list", "--help"], None),
    "list": (["list"], 0.25),
    "diff of the newest two": (["diff"], 0.2),
    "diff of the first and the last": (["diff", "--from-sample", "{first}"], 0.7),
    "log of one object": (["log", "ConfigMap/team-1/map-1"], 0.2),
    "verify": (["verify"], 20.0),
    "verify since ten samples ago": (["verify", "--since", "{since}"], 1.0),
}
"""Row -> command and goal, for an archive that benchmarks/history.py made."""


def _history(storage: Path) -> Measured:
    """Commands on an archive with a long history. The commands write nothing but the index of samples."""
    archives = [folder for folder in storage.iterdir() if (folder / ".git").is_dir()]
    if len(archives) != 1:
        raise SystemExit(f"{storage} has {len(archives)} archives; one is needed")
    listed = ["git", "-C", archives[0], "for-each-ref", "--sort=refname", "--format=%(objectname)", "refs/tags"]
    tags = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split()
    values = {"first": f"latest~{len(tags) - 1}", "since": tags[-10]}
    for name, (arguments, goal) in _COMMANDS.items():
        command = [sys.executable, "-m", "gitsnap", *(argument.format(**values) for argument in arguments)]
        if name != "start-up":
            command += ["--storage", str(storage), "--snapshot", archives[0].name]
        runs = 1 if name == "verify" else _REPEATED
        yield name, min(_seconds_of_process(command) for _ in range(runs)), goal


def _seconds_of_process(command: list[str]) -> float:
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, _FINDINGS if "verify" in command else 0):
        raise SystemExit(f"{' '.join(command[2:5])} … failed")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
