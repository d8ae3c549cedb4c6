"""Clusters that share a deployment or a difference get the same plan as with a comparison of their own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback.deployed_state import add_withdrawals
from gitsnap.rollback.plan import Plan, reductions
from gitsnap.rollback.plan.deployed_content import Deployment, Objects, Source
from gitsnap.rollback.plan.redeployment import Difference, Redeployment
from gitsnap.rollback.plan.unwritten_sources import KeptContent
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.references import Reference, references, render
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import custom, plan_of, sample_state

_CLUSTERS = [("n", "east"), ("n", "west"), ("m", "east")]
_NAME, _NAMESPACE = "{{ .Cluster.metadata.name }}", "{{ .Cluster.metadata.namespace }}"
_TEXTS = st.sampled_from(["a", "b", "n", _NAME, _NAME, _NAMESPACE, "{{ .Cluster.spec.unknown | quote }}"])
_OWN = {"kind": "ConfigMap", "namespace": "n", "name": _NAME}
_DOCUMENTS = ("", "x", "y", "x y", "broken", "refused", "program", _NAME)
_SELECTOR = {"clusterSelector": {"matchLabels": {"env": "fv"}}}

_REFERENCES = st.fixed_dictionaries(
    {"kind": st.just("ConfigMap"), "namespace": st.sampled_from(["n", "n", "m", "", _NAMESPACE]), "name": _TEXTS},
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
    optional={
        "kustomizationRefs": st.lists(_REFERENCES, max_size=1),
        "syncMode": st.sampled_from(["OneTime", "Continuous", "DryRun"]),
    },
)


def _config_map(namespace: str, name: str, documents: str) -> JsonObject:
    text = "---\n".join(
        {"broken": "a: [", "refused": "--- text"}[document]
        if document in ("broken", "refused")
        else f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: d-{document}, namespace: app}}\n"
        for document in documents.split()
    )
    annotations = {"annotations": {"projectsveltos.io/template": "ok"}} if "{{" in documents else {}
    if documents == "program":
        annotations = {"annotations": {"projectsveltos.io/lua": "ok"}}
    metadata = {"name": name, "namespace": namespace, **annotations}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"all.yaml": text}}


def _configuration(namespace: str, name: str) -> JsonObject:
    """The ClusterConfiguration that lists two documents and two releases of each profile."""
    resources = [
        {"kind": "ConfigMap", "group": "", "version": "v1", "namespace": "app", "name": f"d-{document}"}
        for document in ("x", "y")
    ]
    resources.append({**resources[0], "deploymentType": "Local"})
    releases = [{"releaseNamespace": "web", "namespace": "web", "releaseName": release} for release in ("a", name)]
    features = [{"featureID": feature, "resources": resources} for feature in ("Resources", "Kustomize")]
    features.append({"featureID": "Helm", "charts": releases})
    document = custom(kinds.CLUSTER_CONFIGURATION, f"sveltos--{name}", {}, namespace)
    del document["spec"]
    profiles = [{"clusterProfileName": profile, "Features": features} for profile in ("p", "q")]
    return document | {"status": {"clusterProfileResources": profiles}}


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[list[JsonObject], list[JsonObject]]:
    """The objects of a sample and of a cluster, half of them equal, and the reports of some clusters."""
    sample, live = draw(_states()), draw(_states())
    former = {ObjectKey.of(document): document for document in sample}
    same = draw(st.sets(st.sampled_from(sorted(former)), min_size=len(former) // 2))
    live = [document for document in live if ObjectKey.of(document) not in same]
    reports = [_configuration(namespace, name) for namespace, name in draw(st.sets(st.sampled_from(_CLUSTERS)))]
    return sample, [*live, *(former[key] for key in sorted(same)), *reports]


@st.composite
def _states(draw: st.DrawFn) -> list[JsonObject]:
    objects = [
        custom(kinds.SVELTOS_CLUSTER, name, {}, namespace, labels={"env": draw(st.sampled_from(["fv", "fv", "no"]))})
        for namespace, name in _CLUSTERS
    ]
    objects += [custom(kinds.CLUSTER_PROFILE, name, {**_SELECTOR, **draw(_SPECS)}) for name in ("p", "q")]
    for namespace in ("n", "m"):
        for name in draw(st.lists(st.sampled_from(["a", "b", "n", "east", "west"]), unique=True)):
            objects.append(_config_map(namespace, name, draw(st.sampled_from(_DOCUMENTS))))
    return objects


def _named(
    sample: dict[str, str],
    live: dict[str, str],
    *,
    reports: bool = False,
    optional: bool = True,
    env: str = "fv",
    **former: Any,
) -> tuple[list[JsonObject], list[JsonObject]]:
    """A profile that refers to the ConfigMaps a and b, and to the one with the name of the cluster: east or west.

    ``sample`` and ``live`` are the documents of ConfigMaps by name. ``reports``: whether the clusters have reports.
    ``env``: the label of the live clusters. ``former``: fields of the live profile.
    """
    named = [{"kind": "ConfigMap", "namespace": "n", "name": name, "optional": optional} for name in ("a", "b", _NAME)]
    chart = {"releaseNamespace": "web", "releaseName": _NAME, "helmChartAction": "Install", "chartName": "x/y"}
    written = {**_SELECTOR, "policyRefs": named, "helmCharts": [chart] if reports else []}
    written["kustomizationRefs"] = [_OWN] if reports else []
    archived, current = (
        [
            *(custom(kinds.SVELTOS_CLUSTER, name, {}, "n", labels={"env": label}) for name in ("east", "west")),
            custom(kinds.CLUSTER_PROFILE, "p", own),
            *(_config_map("n", name, documents) for name, documents in maps.items()),
        ]
        for maps, own, label in ((sample, written, "fv"), (live, {**written, **former}, env))
    )
    return archived, [*current, *(_configuration("n", name) for name in ("east", "west") if reports)]


class _OwnDeployments:
    """Evaluates the deployment to each cluster alone, with all its references, and shares nothing."""

    def __init__(self, profile: JsonObject, objects: Objects, views: Any, *shared: Any) -> None:
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

    failing_on = to


class _OwnDifferences:
    """Compares the deployments to each cluster alone."""

    def __init__(self, redeployment: Redeployment, old: _OwnDeployments, new: _OwnDeployments, sources: Any) -> None:
        del sources
        self._parts = redeployment, old, new

    def on(self, cluster: ClusterRef) -> tuple[Difference, KeptContent]:
        """The difference on a cluster, without other content."""
        redeployment, old, new = self._parts
        return Difference(redeployment, old.to(cluster), new.to(cluster)), KeptContent()


def _own_source(objects: Objects, reference: Reference) -> Source | None:
    document = objects.get(reference.target)
    return None if document is None else Source(reference.target, document, reference.local)


def _planned(sample: list[JsonObject], live: list[JsonObject]) -> Plan:
    cluster = MemoryCluster.of(live)
    plan = plan_of(sample_state(sample), [*cluster.objects.values()])
    return add_withdrawals(cluster, plan)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_pairs())
@example(_named({"a": "y", "east": "x"}, {"a": "x y", "east": "x"}))  # the own object of one cluster keeps a document
@example(_named({"a": "y", "east": "x"}, {"a": "x y", "east": "x"}, reports=True))
@example(_named({"a": "x", "b": "", "east": "x"}, {"a": "", "b": "x", "east": "x"}))  # a document moves
@example(_named({"a": "", "east": "program"}, {"a": "x", "east": "program"}, reports=True))
@example(_named({"a": "", "east": "refused"}, {"a": "x", "east": "refused"}, reports=True))
@example(_named({"east": "refused", "west": "refused"}, {}))  # the own objects are created
@example(_named({"east": "", "west": "x"}, {"east": "x", "west": "x y"}))  # the own objects are restored
@example(_named({"a": "", "b": ""}, {"a": "x", "b": ""}, optional=False))  # every cluster lacks its own object
@example(_named({"a": "", "east": "x"}, {"a": "y", "east": "x"}, reports=True))
@example(
    _named({"a": "x", "b": "y"}, {"a": "x", "b": "y"}, optional=False, env="no")
)  # the clusters join, and lack their own objects
@example(_named({"a": "x", "east": "x"}, {"a": "", "east": "x"}, policyRefs=[_OWN]))
@example(_named({"east": "x"}, {"east": "x"}, policyRefs=[])[::-1])  # the profile no longer names the own objects
@example(_named({"a": "", "east": "x"}, {"a": "x", "east": "x"}, reports=True))
def test_a_plan_is_that_of_a_comparison_for_each_cluster(pair: tuple[list[JsonObject], list[JsonObject]]) -> None:
    """Steps with effects, withdrawals, conflicts and uncertainties are equal."""
    sample, live = pair
    shared = _planned(sample, live)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reductions, "ProfileDeployments", _OwnDeployments)
        patch.setattr(reductions, "SharedDifferences", _OwnDifferences)
        patch.setattr(Difference, "withdraws", Difference._withdraws)
        patch.setattr(Objects, "source", _own_source)
        own = _planned(sample, live)
    assert shared.steps == own.steps
    assert shared.withdrawals == own.withdrawals
    assert shared.conflicts == own.conflicts
    assert shared.uncertainties == own.uncertainties
