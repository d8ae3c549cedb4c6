"""Measures captures and a diff of a fleet without an API server; prints CPU seconds, the best of three.

    python benchmarks/in_memory.py [OBJECTS [GROWTH ...]]      default: 10000 1 2
    python benchmarks/in_memory.py --profile STEP [OBJECTS [GROWTH]]

The objects are those of benchmarks/fleet.py, kept as JSON in this process. A list decodes them, as the API client does.
``GROWTH`` multiplies the profiles and the clusters. ``--profile`` prints the functions that took the most time in a
step: ``first``, ``unchanged``, ``changed``, ``diff`` or ``relabelled`` (a diff after a tenth of the clusters changed).
"""

from __future__ import annotations

import cProfile
import json
import pstats
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import fleet
from gitsnap import capture as sampling
from gitsnap.archive import GitArchive, create_archive
from gitsnap.cluster.semantics import merge_patch
from gitsnap.core.model import JsonObject, Kind, ObjectKey, ResourceType, SecretsMode, Trigger
from gitsnap.core.ports import Cluster, ClusterInfo, Page
from gitsnap.diff.comparison import compare
from gitsnap.policy import snapshot
from gitsnap.secrets import age
from gitsnap.sveltos import kinds

_PAGE = 500
_REPEATED = 3
_START = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = ("first", "unchanged", "changed", "diff", "relabelled")


class MemoryCluster:
    """The part of ``ports.Cluster`` that a capture uses. Lists are complete: no namespace is forbidden."""

    def __init__(self, entries: Iterable[fleet.Entry]) -> None:
        self._version = 1
        self._objects: dict[Kind, dict[str, dict[str, bytes]]] = {}
        self._paths: dict[str, tuple[Kind, str, str]] = {}
        self.requests: Counter[str] = Counter()
        """The lists that were requested, by plural."""
        for entry in entries:
            document = entry.document if entry.status is None else {**entry.document, "status": entry.status}
            key = ObjectKey.of(document)
            self._paths[f"{entry.path}/{entry.name}"] = key.kind, key.namespace, key.name
            self._write(document)

    def _write(self, document: JsonObject) -> None:
        self._version += 1
        key = ObjectKey.of(document)
        own = {"uid": f"{key.kind}/{key.namespaced_name}", "resourceVersion": str(self._version)}
        content = json.dumps({**document, "metadata": {**document["metadata"], **own}}).encode()
        self._objects.setdefault(key.kind, {}).setdefault(key.namespace, {})[key.name] = content

    def change(self, path: str, patch: JsonObject) -> None:
        """Apply a merge patch to the object at an API path."""
        kind, namespace, name = self._paths[path]
        self._write(merge_patch(json.loads(self._objects[kind][namespace][name]), patch))

    def info(self) -> ClusterInfo:
        """See ports.Cluster."""
        return ClusterInfo("c0ffee00-0000-4000-8000-000000000000", "https://memory", "memory", "v1.37.0")

    def resource_type(self, kind: Kind) -> ResourceType | None:
        """See ports.Cluster."""
        row = kinds.BY_KIND.get(kind)
        return ResourceType(kind, row.versions[0], row.plural, row.namespaced) if row is not None else None

    def list(
        self,
        resource: ResourceType,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        metadata_only: bool = False,
    ) -> Iterator[Page]:
        """See ports.Cluster."""
        del label_selector, resource_version
        self.requests[resource.plural] += 1
        field, _, value = field_selector.partition("=")
        by_namespace = self._objects.get(resource.kind, {})
        if field == "metadata.name":
            contents = [objects[value] for objects in self._in(by_namespace, namespace) if value in objects]
        else:
            contents = [content for objects in self._in(by_namespace, namespace) for content in objects.values()]
        for start in range(0, max(1, len(contents)), _PAGE):
            items = [json.loads(content) for content in contents[start : start + _PAGE]]
            if field == "type":
                items = [item for item in items if item.get("type") == value]
            if metadata_only:
                items = [{field: item[field] for field in ("apiVersion", "kind", "metadata")} for item in items]
            yield Page(items, str(self._version), whole=not metadata_only)

    @staticmethod
    def _in(by_namespace: dict[str, dict[str, bytes]], namespace: str) -> Iterable[dict[str, bytes]]:
        return [by_namespace.get(namespace, {})] if namespace else by_namespace.values()

    def reading_within(self, seconds: float) -> AbstractContextManager[None]:  # noqa: ARG002 - it answers at once
        """See ports.Cluster."""
        return nullcontext()

    def redact_errors_for(self, kinds: Iterable[Kind]) -> None:
        """See ports.Cluster."""


class Bench:
    """A fleet, an archive of it, and the steps to measure."""

    def __init__(self, folder: Path, count: int, growth: int, *, templated: bool = False) -> None:
        self._folder = folder
        self._fleet = fleet.Fleet(count, growth, templated=templated)
        self.relabelled = max(1, self._fleet.clusters // 10)
        """The number of clusters of which ``relabel`` changes a label."""
        self.cluster = MemoryCluster(self._fleet.objects())
        self._keeper = age.open_keeper(folder / "keys", mode=SecretsMode.ENCRYPT, create=True)
        self._info = sampling.tree_info(snapshot.default("bench"), branch="bench", keeper=self._keeper)
        self._archives = 0
        self._taken = 0
        self.archive: GitArchive

    def first(self) -> None:
        """Capture into a new archive."""
        self._archives += 1
        storage = self._folder / f"{self._archives}"
        storage.mkdir()
        self.archive = create_archive(storage, "bench")
        self.capture()

    def capture(self) -> None:
        """Take a sample."""
        self._taken += 1
        request = sampling.Request(self._info, self._keeper, _START + timedelta(minutes=self._taken), Trigger.MANUAL)
        cluster: Cluster = self.cluster  # type: ignore[assignment] - a capture calls no other method
        sampling.capture(cluster, self.archive, request)

    def change(self) -> None:
        """Change ten objects."""
        for path, patch in self._fleet.changes():
            self.cluster.change(path, json.loads(json.dumps(patch).replace("{}", str(self._taken))))

    def relabel(self) -> None:
        """Change a label of some clusters."""
        for number in range(0, self._fleet.clusters, max(1, self._fleet.clusters // self.relabelled)):
            namespace = self._fleet.namespace(number % self._fleet.namespaces)
            path = f"/apis/{fleet.LIB}/namespaces/{namespace}/sveltosclusters/cluster-{number}"
            self.cluster.change(path, {"metadata": {"labels": {"wave": str((number + self._taken) % 20)}}})

    def diff(self) -> None:
        """Compare the newest two samples."""
        before, after = self.archive.samples()[-2:]
        compare(self.archive.tree(before), self.archive.tree(after))


def main() -> None:
    """Measure all steps, or profile one step."""
    arguments = sys.argv[1:]
    step = ""
    if arguments[:1] == ["--profile"]:
        step, arguments = arguments[1], arguments[2:]
    numbers = [int(argument) for argument in arguments]
    count, growths = (numbers or [10_000])[0], numbers[1:] or ([1] if step else [1, 2])
    for growth in growths:
        folder = Path(tempfile.mkdtemp(prefix="gitsnap-benchmark-"))
        try:
            bench = Bench(folder, count, growth)
            if step:
                _profile(bench, step)
            else:
                _measure(bench, count, growth)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _measure(bench: Bench, count: int, growth: int) -> None:
    print(f"\n{count} objects, profiles and clusters times {growth}{'':>6}{'CPU s':>8}{'lists':>8}")
    for step in STEPS:
        best = min(run(bench, step) for _ in range(_REPEATED))
        print(f"{step:<43}{best[0]:>8.2f}{best[1]:>8}")


def run(bench: Bench, step: str, action: Callable[[Callable[[], None]], None] = lambda run: run()) -> tuple[float, int]:
    """Prepare a step and run it; returns CPU seconds and the number of lists."""
    prepared: dict[str, Callable[[], Any]] = {
        "changed": bench.change,
        "diff": bench.change,
        "relabelled": bench.relabel,
    }
    prepared.get(step, lambda: None)()
    if step in ("diff", "relabelled"):
        bench.capture()
    run = {"first": bench.first, "unchanged": bench.capture, "changed": bench.capture}.get(step, bench.diff)
    bench.cluster.requests.clear()
    started = time.process_time()
    action(run)
    return time.process_time() - started, bench.cluster.requests.total()


def _profile(bench: Bench, step: str) -> None:
    if step != "first":
        bench.first()
    profile = cProfile.Profile()
    run(bench, step, profile.runcall)
    pstats.Stats(profile).sort_stats("cumulative").print_stats(60)


if __name__ == "__main__":
    main()
