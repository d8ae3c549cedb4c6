"""Compares a capture and a diff with `kubectl get -o yaml` of the same kinds in one run; prints ratios.

    python benchmarks/capture.py [OBJECTS ...]      default: 1000 10000

Fills a new API server (see tests/testbed) with Sveltos objects: of ten objects about one is a ClusterProfile, one a
SveltosCluster, one a ClusterConfiguration, one a ClusterSummary and six are ConfigMaps. Needs kubectl on PATH. The
figures are those of whole processes: wall and CPU seconds, peak memory in MiB, and requests as the server counts them.
Most commands run three times, and the quickest run counts. Two floors show what no implementation can avoid: listing
the same kinds in pages without decoding them, and writing as many files of the same sizes as the first capture. Nothing
is deleted during the run: on ext4 a new file takes up to ten times as long shortly after many deletions.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.testbed import apiserver, binaries
from tests.testbed.apiserver import ApiServer
from tests.testbed.definitions import definitions

_SHARED = Path(__file__).resolve().parents[2] / "shared"
_WRITERS = 8
_CHANGED = 10
_REPEATED = 3
_SAMPLES = 20
_CONTINUE = re.compile(rb'"continue":"([^"]+)"')
_HEAD_BYTES = 4096
"""Length of the parts of a response that may hold the metadata of the list: its beginning or, for custom resources, its
end."""

_CONFIG = "config.projectsveltos.io/v1beta1"
_LIB = "lib.projectsveltos.io/v1beta1"
_CONFIG_KINDS = ("clusterprofiles", "clusterconfigurations", "clustersummaries")
_KINDS = "clusterprofiles,sveltosclusters,clusterconfigurations,clustersummaries,configmaps"


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
    """Requests to the API server."""


def main() -> None:
    """Run the benchmark for each number of objects."""
    floors = {"lists": floor_of_lists, "files": floor_of_files}
    if sys.argv[1:2] and sys.argv[1] in floors:
        floors[sys.argv[1]](*sys.argv[2:])
        return
    for count in [int(argument) for argument in sys.argv[1:]] or [1000, 10_000]:
        folder = Path(tempfile.mkdtemp(prefix="gitsnap-benchmark-"))
        try:
            with apiserver.running(binaries.obtain(), folder / "server") as server:
                server.install(definitions(_SHARED if _SHARED.is_dir() else None))
                fill(server, count)
                _measure(server, folder, count)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _measure(server: ApiServer, folder: Path, count: int) -> None:
    kubeconfig = str(server.kubeconfig())
    gitsnap = [sys.executable, "-m", "gitsnap"]
    capture = [*gitsnap, "capture", "--snapshot", "bench", "--kubeconfig", kubeconfig]
    kubectl = ["kubectl", "--kubeconfig", kubeconfig, "get", _KINDS, "-A", "-o", "yaml"]
    this_script = [sys.executable, str(Path(__file__).resolve())]
    lists = [*this_script, "lists", server.url, str(server.ca), server.admin.token]
    _run(server, folder, [*kubectl[:-1], "name"])  # the first lists after a start of the server are slow
    rows = [
        ("kubectl get -o yaml", _best(server, folder, kubectl)),
        ("floor: lists alone", _best(server, folder, lists)),
    ]
    firsts, floors = [], []
    for number in range(_REPEATED):
        run_folder = folder / f"{number}"
        run_folder.mkdir()
        firsts.append(_run(server, run_folder, capture))
        files = [*this_script, "files", str(run_folder / "bench"), str(run_folder / "files")]
        floors.append(_run(server, run_folder, files))
    rows.append(("floor: files alone", _quickest(floors)))
    rows.append(("first capture", _quickest(firsts)))
    folder = run_folder
    size = _bytes(folder / "bench" / ".git")
    rows.append(("unchanged capture", _best(server, folder, capture)))
    changed = []
    for number in range(_SAMPLES):
        change(server, f"{number}")
        changed.append(_run(server, folder, capture))
    rows.append((f"after {_CHANGED} changes", _quickest(changed)))
    grown = _bytes(folder / "bench" / ".git") - size
    rows.append((f"diff of {_CHANGED} changes", _best(server, folder, [*gitsnap, "diff", "--snapshot", "bench"])))
    rows.append(("list", _best(server, folder, [*gitsnap, "list"])))
    rows.append(("--help", _best(server, folder, [*gitsnap, "--help"])))
    _print(count, rows)
    print(f"repository: {size / 1e6:.1f} MB, +{grown / 1e3:.0f} kB after {_SAMPLES} samples of {_CHANGED} changes each")


def floor_of_files(archive: str, folder: str) -> None:
    """Write files of the same number, names and sizes as the working tree of an archive into another folder."""
    for directory, _, names in os.walk(archive):
        if ".git" in Path(directory).relative_to(archive).parts:
            continue
        target = Path(folder, Path(directory).relative_to(archive))
        target.mkdir(parents=True)
        for name in names:
            (target / name).write_bytes(b" " * Path(directory, name).stat().st_size)


def floor_of_lists(url: str, ca: str, token: str) -> None:
    """List the same kinds in pages of 500 without decoding them; prints the size of the responses."""
    host, _, port = url.removeprefix("https://").partition(":")
    connection = http.client.HTTPSConnection(host, int(port), context=ssl.create_default_context(cafile=ca), timeout=60)
    total = 0
    for kind in _KINDS.split(","):
        group = _CONFIG if kind in _CONFIG_KINDS else _LIB if kind == "sveltosclusters" else ""
        next_page = ""
        while True:
            path = f"/apis/{group}/{kind}" if group else f"/api/v1/{kind}"
            connection.request("GET", f"{path}?limit=500{next_page}", headers={"Authorization": f"Bearer {token}"})
            response = connection.getresponse().read()
            total += len(response)
            match = _CONTINUE.search(response[:_HEAD_BYTES]) or _CONTINUE.search(response[-_HEAD_BYTES:])
            if match is None:
                break
            next_page = f"&continue={match[1].decode()}"
    print(f"{total / 1e6:.1f} MB of lists", file=sys.stderr)


def change(server: ApiServer, value: str) -> None:
    """Write a value into ten ConfigMaps."""
    for number in range(_CHANGED):
        path = f"/api/v1/namespaces/ns-{number % 20}/configmaps/cm-{number}"
        server.ask("PATCH", path, {"data": {"changed": value}}, content_type="application/merge-patch+json")


def _print(count: int, rows: list[tuple[str, Figures]]) -> None:
    base = rows[0][1]
    print(f"\n{count} objects")
    print(f"{'':<22}{'wall s':>8}{'ratio':>8}{'CPU s':>8}{'ratio':>8}{'MiB':>7}{'requests':>10}")
    for name, row in rows:
        print(
            f"{name:<22}{row.wall:>8.2f}{row.wall / base.wall:>8.2f}{row.cpu:>8.2f}{row.cpu / base.cpu:>8.2f}"
            f"{row.memory:>7.0f}{row.requests:>10}"
        )


def _best(server: ApiServer, folder: Path, command: list[str]) -> Figures:
    return _quickest(_run(server, folder, command) for _ in range(_REPEATED))


def _quickest(runs: Iterable[Figures]) -> Figures:
    return min(runs, key=lambda run: run.wall)


def _run(server: ApiServer, folder: Path, command: list[str]) -> Figures:
    before = _requests(server)
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    if status:
        raise SystemExit(f"{' '.join(command[:6])} … failed")
    requests = _requests(server) - before - 1
    return Figures(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, requests)


def _requests(server: ApiServer) -> int:
    """The number of requests that the server has answered since its start, without watches."""
    status, _, text = _raw(server, "GET", "/metrics")
    if status != 200:
        raise SystemExit(f"the API server refuses to return its metrics: status {status}")
    counters = re.findall(r"^apiserver_request_total\{([^}]*)\} (\S+)$", text.decode(), re.MULTILINE)
    return int(sum(float(value) for labels, value in counters if 'verb="WATCH"' not in labels))


def _raw(server: ApiServer, method: str, path: str, body: Any = None) -> tuple[int, Any, bytes]:
    connection = _connection(server)
    headers = {"Authorization": f"Bearer {server.admin.token}", "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    return response.status, response.headers, response.read()


_local = threading.local()


def _connection(server: ApiServer) -> http.client.HTTPSConnection:
    if not hasattr(_local, "connection") or _local.url != server.url:
        host, _, port = server.url.removeprefix("https://").partition(":")
        context = ssl.create_default_context(cafile=str(server.ca))
        _local.connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=60)
        _local.url = server.url
    connection: http.client.HTTPSConnection = _local.connection
    return connection


def fill(server: ApiServer, count: int) -> None:
    """Create about ``count`` objects in twenty namespaces."""
    for number in range(20):
        _raw(server, "POST", "/api/v1/namespaces", {"metadata": {"name": f"ns-{number}"}})
    work = _objects(count)
    lock = threading.Lock()

    def write() -> None:
        while True:
            with lock:
                item = next(work, None)
            if item is None:
                return
            path, document, status = item
            code, _, response = _raw(server, "POST", path, document)
            if code != 201:
                raise SystemExit(f"{path}: {code} {response!r}")
            if status is not None:
                live = {**json.loads(response), "status": status}
                _raw(server, "PUT", f"{path}/{document['metadata']['name']}/status", live)

    writers = [threading.Thread(target=write) for _ in range(_WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()


def _objects(count: int) -> Iterator[tuple[str, dict[str, Any], dict[str, Any] | None]]:
    """The API path, document and status of each object. A tenth of the objects are profiles with six ConfigMaps each.

    An object has 3 kB on average.
    """
    tenth = count // 10
    for number in range(tenth):
        namespace = f"ns-{number % 20}"
        name = f"cluster-{number}"
        metadata = {"name": name, "namespace": namespace, "labels": {"group": f"g{number}"}}
        yield _entry(_LIB, "SveltosCluster", "sveltosclusters", metadata, spec={})
        references = [
            {"kind": "ConfigMap", "namespace": f"ns-{index % 20}", "name": f"cm-{index}"}
            for index in range(number * 6, number * 6 + 6)
        ]
        spec = {"clusterSelector": {"matchLabels": {"group": f"g{number}"}}, "policyRefs": references}
        yield _entry(_CONFIG, "ClusterProfile", "clusterprofiles", {"name": f"profile-{number}"}, spec=spec)
        labels = {"projectsveltos.io/cluster-name": name, "projectsveltos.io/cluster-type": "Sveltos"}
        entries = [
            {"group": "apps", "kind": "Deployment", "name": f"app-{index}", "namespace": "apps", "version": "v1",
             "lastAppliedTime": "2026-01-01T00:00:00Z"}
            for index in range(20)
        ]  # fmt: skip
        features = [{"featureID": "Resources", "resources": entries}]
        yield _entry(
            _CONFIG,
            "ClusterConfiguration",
            "clusterconfigurations",
            {"name": f"sveltos--{name}", "namespace": namespace, "labels": labels},
            status={"clusterProfileResources": [{"clusterProfileName": f"profile-{number}", "Features": features}]},
        )
        summary = {"clusterName": name, "clusterNamespace": namespace, "clusterType": "Sveltos"}
        yield _entry(
            _CONFIG,
            "ClusterSummary",
            "clustersummaries",
            {"name": f"profile-{number}-sveltos-{name}", "namespace": namespace, "labels": labels},
            spec={**summary, "clusterProfileSpec": spec},
            status={"featureSummaries": [{"featureID": "Resources", "hash": "aGFzaA==", "status": "Provisioned"}]},
        )
    for number in range(tenth * 6):
        data = {"app.yaml": "".join(f"key-{line}: value {number} {line}\n" for line in range(160))}
        metadata = {"name": f"cm-{number}", "namespace": f"ns-{number % 20}"}
        yield f"/api/v1/namespaces/{metadata['namespace']}/configmaps", {"metadata": metadata, "data": data}, None


def _entry(
    version: str,
    kind: str,
    plural: str,
    metadata: dict[str, Any],
    *,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
) -> tuple[str, dict[str, Any], dict[str, Any] | None]:
    scope = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    document = {"apiVersion": version, "kind": kind, "metadata": metadata}
    if spec is not None:
        document["spec"] = spec
    return f"/apis/{version}{scope}/{plural}", document, status


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
