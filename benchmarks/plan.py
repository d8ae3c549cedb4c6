"""Measures plans of a rollback over a large fleet, without an API server; prints CPU seconds.

    python benchmarks/plan.py [--profile PLAN]

``relabelled``: every one of 4,000 clusters gets the label ``ring`` for ``wave``, the selectors of 100 profiles change
with it, and every ConfigMap has other contents. Each profile loses all its clusters between two steps, so all are held.
``relabelled, 1,000 profiles``: the same with 1,000 profiles. ``namespace``: `rollback --namespace` of 500 ConfigMaps of
500 profiles, each of which matches all of 300 clusters; every other ConfigMap loses a document. A tenth of the profiles
has a reference that names the cluster. ``--profile`` prints the functions that took the most time in one plan.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import time
from collections.abc import Callable, Iterable
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


def namespace(clusters: int, profiles: int) -> Callable[[], Plan]:
    """The plan of `rollback --namespace` for the ConfigMaps of profiles that match all clusters."""
    fleet = [
        custom(kinds.SVELTOS_CLUSTER, f"c{number}", {}, "fleet", labels={"env": "fv"}) for number in range(clusters)
    ]
    fleet += [_profile(number, {"env": "fv"}, templated=number % 10 == 0) for number in range(profiles)]
    reported = range(0, profiles, max(1, profiles // 40))
    live = [
        *fleet,
        *(_config_map(number, [f"d0-{number}", f"d1-{number}"]) for number in range(profiles)),
        *(_configuration(f"c{number}", reported) for number in range(clusters)),
    ]
    sample = [
        *fleet,
        *(
            _config_map(number, [f"d{part}-{number}" for part in range(1 + number % 2 * 2)])
            for number in range(profiles)
        ),
    ]
    return _planning(live, sample, Selection(namespaces=(_NAMESPACE,)))


PLANS: dict[str, Callable[[], Callable[[], Plan]]] = {
    "relabelled": lambda: relabelled(4000, 100),
    "relabelled, 1,000 profiles": lambda: relabelled(4000, 1000),
    "namespace": lambda: namespace(300, 500),
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


def main() -> None:
    """Measure all plans, or profile one plan."""
    if sys.argv[1:2] == ["--profile"]:
        plan, profile = PLANS[sys.argv[2]](), cProfile.Profile()
        profile.runcall(plan)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(60)
        return
    for name, prepare in PLANS.items():
        plan = prepare()
        started = time.process_time()
        plan()
        print(f"{name:<32}{time.process_time() - started:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
