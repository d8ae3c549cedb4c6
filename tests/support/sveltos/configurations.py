"""Random management clusters: clusters, sets, and profiles of both kinds with content, in every mode of Sveltos.

This module must not be imported by the package.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from gitsnap.core.model import JsonObject
from gitsnap.rollback.readiness import CACHE_SECONDS
from gitsnap.sveltos import kinds
from tests.support.plans import custom
from tests.support.sveltos.lags import Lags
from tests.support.sveltos.selector_strategies import CLUSTER_REFS, CLUSTERS, LABEL_MAPS, NAMESPACES, SELECTORS
from tests.support.sveltos.stage import chart, config_map, managed, ref

_PAUSED = "profile.projectsveltos.io/paused"
_CONTENTS = ("c1", "c2", "c3", "c4")
SHARED = "moving"
"""A resource that several ConfigMaps may contain."""

_policy_refs = st.lists(
    st.builds(
        lambda name, optional: ref(name, namespace="one", **({"optional": True} if optional else {})),
        st.sampled_from(_CONTENTS),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda reference: reference["name"],
)
_charts = st.lists(st.sampled_from(("1.0.0", "2.0.0")), max_size=1)
_modes = st.sampled_from(["Continuous"] * 7 + ["OneTime", "DryRun"])
_leaves = st.sampled_from(["WithdrawPolicies"] * 4 + ["LeavePolicies"])
_limits = st.sampled_from([{}, {"maxReplicas": 1}, {"maxReplicas": 2}, {"maxReplicas": 4}, {"maxReplicas": 4}])


@st.composite
def _spec(draw: st.DrawFn, *, sets: bool = False) -> JsonObject:
    spec: JsonObject = {"clusterSelector": draw(SELECTORS)}
    if draw(st.integers(0, 4)) == 0:
        spec["clusterRefs"] = draw(CLUSTER_REFS)
    return {**spec, **draw(_limits)} if sets else spec


@st.composite
def _profile(draw: st.DrawFn, kind: Any, name: str, others: tuple[str, ...], namespace: str = "") -> JsonObject:
    spec = draw(_spec())
    spec["policyRefs"] = draw(_policy_refs)
    spec["setRefs"] = draw(st.lists(st.sampled_from(("s", "t")), max_size=1))
    if spec["setRefs"] and draw(st.integers(0, 1)):
        spec["clusterSelector"] = {"matchLabels": {}}
    if others and draw(st.integers(0, 3)) == 0:
        spec["dependsOn"] = [draw(st.sampled_from(others))]
    charts = draw(_charts)
    if charts:
        spec["helmCharts"] = [chart(f"{name}{namespace}", charts[0])]
    spec["syncMode"], spec["stopMatchingBehavior"] = draw(_modes), draw(_leaves)
    annotations = draw(st.sampled_from([{}, {}, {}, {}, {_PAUSED: "true"}]))
    return custom(kind, name, spec, namespace, **({"annotations": annotations} if annotations else {}))


def _some(*names: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), unique=True)


@st.composite
def configurations(draw: st.DrawFn) -> list[JsonObject]:
    """Two clusters in each of two namespaces, sets, profiles, and the ConfigMaps that the profiles refer to.

    No Profile has the name of a ClusterProfile, because Sveltos confuses the two when it looks for dependents.
    """
    objects = [managed(name, namespace) for namespace in NAMESPACES for name in CLUSTERS]
    for document in objects:
        document["metadata"]["labels"] = draw(LABEL_MAPS)
    objects += [custom(kinds.CLUSTER_SET, name, draw(_spec(sets=True))) for name in draw(_some("s", "t"))]
    objects += [custom(kinds.SET, name, draw(_spec(sets=True)), "one") for name in draw(_some("s", "t"))]
    for name in draw(_some("p", "q", "r")):
        objects.append(draw(_profile(kinds.CLUSTER_PROFILE, name, tuple("pqr"[: "pqr".index(name)]))))
    for name in draw(_some("m", "n")):
        objects.append(draw(_profile(kinds.PROFILE, name, tuple("mn"[: "mn".index(name)]), "one")))
    for name in draw(_some(*_CONTENTS)):
        own = draw(st.lists(st.sampled_from((f"{name}-a", f"{name}-b")), min_size=1, unique=True))
        shared = [SHARED] if draw(st.integers(0, 5)) == 0 else []
        objects.append(config_map(name, *own, *shared, namespace="one"))
    return objects


@st.composite
def lags(draw: st.DrawFn, most: float = 2.0) -> Lags:
    """Delays of each cache, queue and worker: none, milliseconds or seconds.

    A label or selector reaches the caches of Sveltos within the time that a rollback allows (docs/ROLLBACK.md).
    """
    if most >= CACHE_SECONDS:
        raise ValueError(f"a rollback assumes that no cache is {CACHE_SECONDS} seconds behind")
    scale = st.sampled_from((0.0, 0.01, 0.1, 0.5, most))
    cached = ("SveltosCluster", "Set", "ClusterSet", "Profile", "ClusterProfile", "ClusterSummary", "ConfigMap")
    names = [*(f"cache {kind}" for kind in cached), *(f"queue {kind}" for kind in cached), "cache", "queue"]
    names += ["deploy", "sync"]
    return Lags(seed=draw(st.integers(0, 9)), bounds={name: (0.0, draw(scale)) for name in names})
