"""Measures plans of a rollback over a large fleet, without an API server. Prints CPU seconds and the peak memory.

    python benchmarks/plan.py [--profile PLAN | --growth]

``relabelled``: every one of 4,000 clusters gets the label ``ring`` for ``wave``, the selectors of 100 profiles change
with it, and every ConfigMap has other contents. Each profile loses all its clusters between two steps, so all are held.
``relabelled, 1,000 profiles``: the same with 1,000 profiles. ``namespace``: `rollback --namespace` of 500 ConfigMaps of
500 profiles, each of which matches all of 300 clusters; every other ConfigMap loses a document. The other names say
which profiles have a second, optional reference that names the cluster. No such object exists, or every cluster has
such an object. The plan does not write these objects (``deployed``) or writes them (``restored``).

Each plan runs in a process of its own and, as in a command, without Python's search for cycles. ``--profile`` prints
the functions that took the most time in one plan, ``--growth`` measures nine sizes for each kind of reference.
"""

from __future__ import annotations

import cProfile
import gc
import pstats
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gitsnap.core.model import JsonObject
from gitsnap.rollback.deployed_state import add_withdrawals
from gitsnap.rollback.plan import Plan, Selection
from gitsnap.sveltos import kinds
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import custom, plan_of, sample_state

_NAMESPACE = "team"


def relabelled(clusters: int, profiles: int) -> Callable[[], Plan]:
    """The plan if the labels of all clusters and the selectors of all profiles changed together."""

    def state(label: str) -> list[JsonObject]:
        return [
            *(
                custom(
                    kinds.SVELTOS_CLUSTER,
                    f"c{number}",
                    {},
                    f"team-{number % 50}",
                    labels={"env": "fv", label: f"{number % profiles}", "n": f"{number % 100}"},
                )
                for number in range(clusters)
            ),
            *(
                _profile(number, {"env": "fv", label: f"{number}"}, templated=number % 10 == 0)
                for number in range(profiles)
            ),
            *(_config_map(number, [f"d-{number}"], label) for number in range(profiles)),
        ]

    return _planning(state("wave"), state("ring"), Selection())


def namespace(clusters: int, profiles: int, *, templated: int = 0, own: str = "") -> Callable[[], Plan]:
    """The plan of `rollback --namespace` for the ConfigMaps of profiles that match all clusters.

    Every ``templated``-th profile has a reference that names the cluster; none if ``templated`` is 0. ``own``: whether
    each cluster has the object of this reference: ``deployed``, ``restored``, or ``""`` for no object.
    """
    fleet = [
        custom(kinds.SVELTOS_CLUSTER, f"c{number}", {}, "fleet", labels={"env": "fv"}) for number in range(clusters)
    ]
    fleet += [
        _profile(number, {"env": "fv"}, templated=bool(templated) and number % templated == 0)
        for number in range(profiles)
    ]
    reported = range(0, profiles, max(1, profiles // 40))
    live = [
        *fleet,
        *(_config_map(number, [f"d0-{number}", f"d1-{number}"]) for number in range(profiles)),
        *(_configuration(f"c{number}", reported) for number in range(clusters)),
        *(_own_map(number, "x") for number in range(clusters if own else 0)),
    ]
    sample = [
        *fleet,
        *(
            _config_map(number, [f"d{part}-{number}" for part in range(1 + number % 2 * 2)])
            for number in range(profiles)
        ),
        *(_own_map(number, "y" if own == "restored" else "x") for number in range(clusters if own else 0)),
    ]
    return _planning(live, sample, Selection(namespaces=(_NAMESPACE,)))


PLANS: dict[str, Callable[[], Callable[[], Plan]]] = {
    "relabelled": lambda: relabelled(4000, 100),
    "relabelled, 1,000 profiles": lambda: relabelled(4000, 1000),
    "namespace": lambda: namespace(300, 500),
    "namespace, a tenth": lambda: namespace(300, 500, templated=10),
    "namespace, all": lambda: namespace(300, 500, templated=1),
    "namespace, all, deployed": lambda: namespace(300, 500, templated=1, own="deployed"),
    "namespace, all, restored": lambda: namespace(300, 500, templated=1, own="restored"),
}
_GROWTH: dict[str, Callable[[], Callable[[], Plan]]] = {
    f"{profiles:>5} profiles, {clusters} clusters, {name}": partial(namespace, clusters, profiles, templated=templated)
    for name, templated in (("none", 0), ("a tenth", 10), ("all", 1))
    for profiles in (250, 500, 1000)
    for clusters in (150, 300, 600)
}


def _planning(live: list[JsonObject], sample: list[JsonObject], selection: Selection) -> Callable[[], Plan]:
    cluster = MemoryCluster.of(live)
    archived, objects = sample_state(sample), [*cluster.objects.values()]
    return lambda: add_withdrawals(cluster, plan_of(archived, objects, selection))


def _profile(number: int, labels: JsonObject, *, templated: bool) -> JsonObject:
    references = [{"kind": "ConfigMap", "namespace": _NAMESPACE, "name": f"map-{number}"}]
    if templated:
        name = "{{ .Cluster.metadata.name }}-x"
        references.append({"kind": "ConfigMap", "namespace": _NAMESPACE, "name": name, "optional": True})
    spec = {"clusterSelector": {"matchLabels": labels}, "policyRefs": references}
    return custom(kinds.CLUSTER_PROFILE, f"p{number}", spec)


def _own_map(number: int, value: str) -> JsonObject:
    """The ConfigMap to which a reference that names the cluster leads."""
    document = _config_map(number, [f"own-{number}"], value)
    return {**document, "metadata": {"name": f"c{number}-x", "namespace": _NAMESPACE}}


def _config_map(number: int, documents: Iterable[str], value: str = "x") -> JsonObject:
    texts = [
        f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: app\ndata:\n  a: {value}\n"
        for name in documents
    ]
    metadata = {"name": f"map-{number}", "namespace": _NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"all.yaml": "---\n".join(texts)}}


def _configuration(cluster: str, profiles: Iterable[int]) -> JsonObject:
    """The ClusterConfiguration of a cluster, with two documents of each profile."""

    def report(number: int) -> JsonObject:
        resources = [
            {"kind": "ConfigMap", "group": "", "version": "v1", "namespace": "app", "name": f"d{part}-{number}"}
            for part in (0, 1)
        ]
        features = [{"featureID": "Resources", "resources": resources}]
        return {"clusterProfileName": f"p{number}", "Features": features}

    document = custom(kinds.CLUSTER_CONFIGURATION, f"sveltos--{cluster}", {}, "fleet")
    del document["spec"]
    return document | {"status": {"clusterProfileResources": [report(number) for number in profiles]}}


def measure(name: str) -> tuple[float, int]:
    """CPU seconds of a plan, and the peak memory of its process in MiB."""
    command = [sys.executable, __file__, "--measure", name]
    seconds, memory = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), int(memory)


def main() -> None:
    """Measure all plans, or profile one plan."""
    plans = PLANS | _GROWTH
    if sys.argv[1:2] == ["--profile"]:
        plan, profile = plans[sys.argv[2]](), cProfile.Profile()
        profile.runcall(plan)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(60)
    elif sys.argv[1:2] == ["--measure"]:
        plan = plans[sys.argv[2]]()
        gc.disable()
        started = time.process_time()
        plan()
        seconds = time.process_time() - started
        print(f"{seconds:.3f}", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    else:
        for name in _GROWTH if sys.argv[1:2] == ["--growth"] else PLANS:
            seconds, memory = measure(name)
            print(f"{name:<40}{seconds:>8.2f} s{memory:>6} MiB", flush=True)


if __name__ == "__main__":
    main()
