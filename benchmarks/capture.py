"""Compares captures and a diff with `kubectl get -o yaml` of the same kinds in one run; prints ratios.

    python benchmarks/capture.py [--mix plain|fleet|both] [--growth N ...] [--check] [--save] [OBJECTS ...]

Default: both mixes, growth 1, 10000 objects. Fills a new API server (see tests/testbed) with Sveltos objects of the
plain mix (plain_mix.py), with few namespaces, or of a fleet (fleet.py), with 200 namespaces and many selectors.
`--growth 1 2` measures the fleet a second time with twice as many profiles and twice as many clusters. `--check` exits
with 1 if a ratio is larger than in baseline.json, `--save` writes the ratios of this run into that file.

Needs kubectl on PATH. The figures are those of whole processes: wall and CPU seconds, peak memory in MiB, requests as
the server counts them, and CPU and memory of kube-apiserver and etcd meanwhile. Most commands run three times, and the
run with the least CPU time counts. kubectl runs once from 50,000 objects on. Two floors show what no implementation
can avoid: listing the same kinds in pages without decoding them, and writing as many files of the same sizes as the
first capture. Nothing is deleted during the run: on ext4 a new file takes up to ten times as long shortly after many
deletions.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import ssl
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.fleet import PLURALS, Entry, Fleet
from benchmarks.measurements import Figures, Meter, least, print_table, ratios, save_baseline, slower_rows
from benchmarks.plain_mix import PlainMix
from tests.testbed import apiserver, binaries
from tests.testbed.apiserver import ApiServer
from tests.testbed.definitions import definitions

_SHARED = Path(__file__).resolve().parents[2] / "shared"
MIXES = {"plain": PlainMix, "fleet": Fleet}
_WRITERS = 8
_REPEATED = 3
_LARGE = 50_000
"""The number of objects from which on kubectl runs once: at 100,000 objects, a run takes more than a minute."""

_SAMPLES = 20
_START = """
import sys
import gitsnap.cli.app
from gitsnap.cluster.api.kubeconfig import connect
from gitsnap.sveltos.kinds import BY_KIND
print(connect(known_kinds=BY_KIND, kubeconfig=sys.argv[1], context="").info().version)
"""
"""Does what every command that reads a cluster does first."""
_CONTINUE = re.compile(rb'"continue":"([^"]+)"')
_HEAD_BYTES = 4096
"""Length of the parts of a response that may hold the metadata of the list: its beginning or, for custom resources, its
end."""

Mix = PlainMix | Fleet


def main() -> None:
    """Run the benchmark for each mix, growth and number of objects."""
    floors = {"lists": floor_of_lists, "files": floor_of_files}
    if sys.argv[1:2] and sys.argv[1] in floors:
        floors[sys.argv[1]](*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mix", choices=[*MIXES, "both"], default="both")
    parser.add_argument("--growth", type=int, nargs="+", default=[1])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--save", action="store_true")
    parser.add_argument("objects", type=int, nargs="*", default=[10_000])
    options = parser.parse_args()
    tables = {}
    for name in MIXES if options.mix == "both" else [options.mix]:
        for growth in options.growth if name == "fleet" else [1]:
            for count in options.objects:
                title = title_of(name, count, growth)
                tables[title] = ratios(run(title, MIXES[name](count, growth)))
    if options.save:
        save_baseline(tables)
    problems = slower_rows(tables) if options.check else []
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(bool(problems))


def title_of(mix: str, count: int, growth: int) -> str:
    """The title of a table, also in baseline.json."""
    return f"{mix}, {count} objects" + (f", profiles and clusters times {growth}" if growth > 1 else "")


def run(title: str, mix: Mix) -> dict[str, Figures]:
    """Measure one mix on a server of its own; prints the table and returns the figures of its rows."""
    folder = Path(tempfile.mkdtemp(prefix="gitsnap-benchmark-"))
    try:
        with apiserver.running(binaries.obtain(), folder / "server") as server:
            server.install(definitions(_SHARED if _SHARED.is_dir() else None))
            fill(server, mix)
            rows, size, grown = _measure(server, folder, mix, kubectl_runs=1 if mix.count >= _LARGE else _REPEATED)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print_table(title, rows)
    print(f"repository: {size / 1e6:.1f} MB, +{grown / 1e3:.0f} kB after {_SAMPLES} samples of ten changes each")
    return rows


def _measure(server: ApiServer, folder: Path, mix: Mix, *, kubectl_runs: int) -> tuple[dict[str, Figures], int, int]:
    """The figures by row, the size of the repository after the first capture, and its growth, in bytes."""
    meter = Meter(server)
    kubeconfig = str(server.kubeconfig())
    gitsnap = [sys.executable, "-m", "gitsnap"]
    capture = [*gitsnap, "capture", "--snapshot", "bench", "--kubeconfig", kubeconfig]
    kubectl = ["kubectl", "--kubeconfig", kubeconfig, "get", ",".join(mix.kinds), "-A", "-o"]
    this_script = [sys.executable, str(Path(__file__).resolve())]
    lists = [*this_script, "lists", server.url, str(server.ca), server.admin.token, ",".join(mix.kinds)]
    meter.run(folder, [*kubectl, "name"])  # the first lists after a start of the server are slow
    rows = {
        "kubectl get -o yaml": meter.best(folder, [*kubectl, "yaml"], kubectl_runs),
        "kubectl get -o json": meter.best(folder, [*kubectl, "json"], kubectl_runs),
        "floor: lists alone": meter.best(folder, lists, _REPEATED),
    }
    firsts, floors = [], []
    for number in range(_REPEATED):
        run_folder = folder / f"{number}"
        run_folder.mkdir()
        firsts.append(meter.run(run_folder, capture))
        files = [*this_script, "files", str(run_folder / "bench"), str(folder / f"files-{number}")]
        floors.append(meter.run(run_folder, files))
    rows |= {"floor: files alone": least(floors), "first capture": least(firsts)}
    folder = run_folder
    size = _bytes(folder / "bench" / ".git")
    rows["nothing changed"] = meter.best(folder, capture, _REPEATED)
    changed = []
    for number in range(_SAMPLES):
        change(server, mix, f"{number}")
        changed.append(meter.run(folder, capture))
    rows["ten objects changed"] = least(changed)
    grown = _bytes(folder / "bench" / ".git") - size
    rows["diff of ten changes"] = meter.best(folder, [*gitsnap, "diff", "--snapshot", "bench"], _REPEATED)
    rows["list"] = meter.best(folder, [*gitsnap, "list"], _REPEATED)
    connecting = [sys.executable, "-c", _START, kubeconfig]
    rows["start-up with the client"] = meter.best(folder, connecting, _REPEATED)
    rows["--help"] = meter.best(folder, [*gitsnap, "--help"], _REPEATED)
    return rows, size, grown


def floor_of_files(archive: str, folder: str) -> None:
    """Write files of the same number, names and sizes as the working tree of an archive into another folder."""
    for directory, folders, names, source in os.fwalk(archive):
        if ".git" in folders:
            folders.remove(".git")
        target = folder + directory.removeprefix(archive)
        Path(target).mkdir()
        for name in names:
            descriptor = os.open(f"{target}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(descriptor, bytes(os.stat(name, dir_fd=source).st_size))
            os.close(descriptor)


def floor_of_lists(url: str, ca: str, token: str, kinds: str) -> None:
    """List the same kinds in pages of 500 without decoding them; prints the size of the responses."""
    host, _, port = url.removeprefix("https://").partition(":")
    connection = http.client.HTTPSConnection(host, int(port), context=ssl.create_default_context(cafile=ca), timeout=60)
    total = 0
    for kind in kinds.split(","):
        version = PLURALS[kind]
        path = f"/api/v1/{kind}" if version == "v1" else f"/apis/{version}/{kind}"
        next_page = ""
        while True:
            connection.request("GET", f"{path}?limit=500{next_page}", headers={"Authorization": f"Bearer {token}"})
            response = connection.getresponse().read()
            total += len(response)
            match = _CONTINUE.search(response[:_HEAD_BYTES]) or _CONTINUE.search(response[-_HEAD_BYTES:])
            if match is None:
                break
            next_page = f"&continue={match[1].decode()}"
    print(f"{total / 1e6:.1f} MB of lists", file=sys.stderr)


def change(server: ApiServer, mix: Mix, value: str) -> None:
    """Change ten objects of a mix."""
    for path, patch in mix.changes():
        document = json.loads(json.dumps(patch).replace("{}", value))
        server.ask("PATCH", path, document, content_type="application/merge-patch+json")


def fill(server: ApiServer, mix: Mix) -> None:
    """Create the objects of a mix, and their namespaces."""
    for number in range(mix.namespaces):
        server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": mix.namespace(number)}})
    work: Iterator[Entry] = mix.objects()
    lock = threading.Lock()
    problems: list[str] = []

    def write() -> None:
        connection = _connect(server)
        while not problems:
            with lock:
                entry = next(work, None)
            if entry is None:
                return
            problems.extend(_create(connection, server, entry))

    writers = [threading.Thread(target=write) for _ in range(_WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    if problems:
        raise SystemExit(problems[0])


def _create(connection: http.client.HTTPSConnection, server: ApiServer, entry: Entry) -> Iterator[str]:
    """Create an object with its status. Yields a message if the server refuses it."""
    status, answer = _send(connection, server, "POST", entry.path, entry.document)
    if status != 201:
        yield f"{entry.path}: {status} {answer!r}"
    elif entry.status is not None:
        live, path = {**answer, "status": entry.status}, f"{entry.path}/{entry.name}/status"
        status, answer = _send(connection, server, "PUT", path, live)
        if status != 200:
            yield f"{path}: {status} {answer!r}"


def _connect(server: ApiServer) -> http.client.HTTPSConnection:
    host, _, port = server.url.removeprefix("https://").partition(":")
    context = ssl.create_default_context(cafile=str(server.ca))
    return http.client.HTTPSConnection(host, int(port), context=context, timeout=60)


def _send(
    connection: http.client.HTTPSConnection, server: ApiServer, method: str, path: str, document: Any
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {server.admin.token}", "Content-Type": "application/json"}
    connection.request(method, path, json.dumps(document), headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
