"""Clusters that share a deployment or a difference get the same plan as with a comparison of their own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitsnap.core.model import JsonObject
from gitsnap.rollback.deployed_state import add_withdrawals
from gitsnap.rollback.plan import Plan, reductions
from gitsnap.rollback.plan.deployed_content import Deployment, Objects, ProfileDeployments, Source
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.references import Reference, references, render
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import custom, plan_of, sample_state

_CLUSTERS = [("n", "east"), ("n", "west"), ("m", "east")]
_NAME, _NAMESPACE = "{{ .Cluster.metadata.name }}", "{{ .Cluster.metadata.namespace }}"
_TEXTS = st.sampled_from(["a", "b", "n", _NAME, _NAMESPACE, "{{ .Cluster.spec.unknown | quote }}"])
_DOCUMENTS = ("", "x", "y", "x y", "broken", _NAME)

_REFERENCES = st.fixed_dictionaries(
    {"kind": st.just("ConfigMap"), "namespace": st.sampled_from(["n", "m", "", _NAMESPACE]), "name": _TEXTS},
    optional={"optional": st.booleans(), "deploymentType": st.sampled_from(["Local", "Remote"])},
)
_CHARTS = st.fixed_dictionaries(
    {
        "releaseNamespace": st.sampled_from(["web", _NAMESPACE]),
        "releaseName": _TEXTS,
        "helmChartAction": st.sampled_from(["Install", "Uninstall"]),
        "chartName": st.just("x/y"),
    }
)
_SPECS = st.fixed_dictionaries(
    {"policyRefs": st.lists(_REFERENCES, max_size=3), "helmCharts": st.lists(_CHARTS, max_size=2)},
    optional={"syncMode": st.sampled_from(["OneTime", "Continuous", "DryRun"])},
)


def _config_map(namespace: str, name: str, documents: str) -> JsonObject:
    text = "---\n".join(
        "a: ["
        if document == "broken"
        else f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: d-{document}, namespace: app}}\n"
        for document in documents.split()
    )
    annotations = {"annotations": {"projectsveltos.io/template": "ok"}} if "{{" in documents else {}
    metadata = {"name": name, "namespace": namespace, **annotations}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"all.yaml": text}}


def _configuration(namespace: str, name: str) -> JsonObject:
    """The ClusterConfiguration that lists two documents and two releases of each profile."""
    resources = [
        {"kind": "ConfigMap", "group": "", "version": "v1", "namespace": "app", "name": f"d-{document}"}
        for document in ("x", "y")
    ]
    releases = [{"releaseNamespace": "web", "namespace": "web", "releaseName": release} for release in ("a", name)]
    features = [{"featureID": "Resources", "resources": resources}, {"featureID": "Helm", "charts": releases}]
    document = custom(kinds.CLUSTER_CONFIGURATION, f"sveltos--{name}", {}, namespace)
    del document["spec"]
    profiles = [{"clusterProfileName": profile, "Features": features} for profile in ("p", "q")]
    return document | {"status": {"clusterProfileResources": profiles}}


@st.composite
def _states(draw: st.DrawFn) -> list[JsonObject]:
    objects = [
        custom(kinds.SVELTOS_CLUSTER, name, {}, namespace, labels={"env": draw(st.sampled_from(["fv", "fv", "no"]))})
        for namespace, name in _CLUSTERS
    ]
    selector = {"clusterSelector": {"matchLabels": {"env": "fv"}}}
    objects += [custom(kinds.CLUSTER_PROFILE, name, {**selector, **draw(_SPECS)}) for name in ("p", "q")]
    for namespace in ("n", "m"):
        for name in draw(st.lists(st.sampled_from(["a", "b", "n", "east"]), unique=True)):
            objects.append(_config_map(namespace, name, draw(st.sampled_from(_DOCUMENTS))))
    return objects


class _OwnDeployments(ProfileDeployments):
    """Evaluates the deployment to each cluster alone, and shares nothing."""

    depend_on_clusters = True

    def __init__(self, profile: JsonObject, objects: Objects, views: Any, shared: Any) -> None:
        del shared
        self._parts = profile, objects, views

    def to(self, cluster: ClusterRef) -> Deployment:
        """The deployment to a cluster."""
        profile, objects, views = self._parts
        releases: set[tuple[str, str]] | None = set()
        for chart in profile["spec"].get("helmCharts") or ():
            if chart["helmChartAction"] != "Uninstall" and releases is not None:
                names = [render(chart[field], cluster, views) for field in ("releaseNamespace", "releaseName")]
                releases = None if None in names else releases | {(str(names[0]), str(names[1]))}
        own = tuple(references(profile, (cluster,), views))
        return Deployment(profile, own, None if releases is None else frozenset(releases), objects)


def _own_source(objects: Objects, reference: Reference) -> Source | None:
    document = objects.get(reference.target)
    return None if document is None else Source(reference.target, document, reference.local)


def _planned(sample: list[JsonObject], live: list[JsonObject]) -> Plan:
    cluster = MemoryCluster.of([*live, *(_configuration(namespace, name) for namespace, name in _CLUSTERS)])
    plan = plan_of(sample_state(sample), [*cluster.objects.values()])
    return add_withdrawals(cluster, plan)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_states(), _states())
def test_a_plan_is_that_of_a_comparison_for_each_cluster(sample: list[JsonObject], live: list[JsonObject]) -> None:
    """Steps with effects, withdrawals, conflicts and uncertainties are equal."""
    shared = _planned(sample, live)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reductions, "ProfileDeployments", _OwnDeployments)
        patch.setattr(Objects, "source", _own_source)
        own = _planned(sample, live)
    assert shared.steps == own.steps
    assert shared.withdrawals == own.withdrawals
    assert shared.conflicts == own.conflicts
    assert shared.uncertainties == own.uncertainties
