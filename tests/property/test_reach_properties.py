"""A diff reads few files to find what a change reaches. The results are those of a full evaluation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.diff import management_rows as management_rows_module
from gitsnap.diff.changed_objects import ChangedObjects, find_changes
from gitsnap.diff.cluster_reports import ClusterReport
from gitsnap.diff.comparability import find_comparability
from gitsnap.diff.comparison import compare
from gitsnap.diff.deployment_references import DeploymentReferences
from gitsnap.diff.deployments import Deployments
from gitsnap.diff.management_rows import management_rows
from gitsnap.diff.reached_deployments import DEPLOYING_KINDS, ReachedDeployments, clusters_of
from gitsnap.sveltos import kinds
from gitsnap.sveltos.content_cache import ContentCache
from gitsnap.sveltos.documents import RENDERED_ANNOTATIONS
from gitsnap.sveltos.matching import ClusterRef, selects
from gitsnap.sveltos.references import references
from gitsnap.sveltos.tree_view import TreeView
from tests.support.plans import custom
from tests.support.trees import build, cluster, config_map, deployed_by, inventory_of, policy_ref, profile

T = TypeVar("T")

_CLUSTERS = [
    ClusterRef(kinds.SVELTOS_CLUSTER, namespace, name) for namespace in ("a", "b") for name in ("east", "west")
]
_SELECTORS = (
    *({"matchLabels": {key: value}} for key in ("env", "zone") for value in "ab"),
    {"matchLabels": {"env": "a", "zone": "b"}},
    *({"matchExpressions": [{"key": "env", "operator": operator, "values": ["a"]}]} for operator in ("In", "NotIn")),
    *({"matchExpressions": [{"key": "zone", "operator": operator}]} for operator in ("Exists", "DoesNotExist")),
    *("env=a", "!zone", "env notin (a)", "zone!=b", "env in", "zone"),
    {},
)
_NAMES = ("first", "second", "{{ .Cluster.metadata.labels.map }}", "{{ .Cluster.metadata.name }}")
"""Names in ``policyRefs``. There are ConfigMaps with the names first and second."""


def _some(random: Random, values: Sequence[T], most: int) -> list[T]:
    return random.sample(values, random.randint(0, most))


def _labels(random: Random) -> dict[str, str]:
    """The label ``map`` occurs in templates only, the others in selectors only."""
    values = {"env": "ab", "zone": "ab", "map": ("first", "second")}
    return {key: random.choice(values[key]) for key in _some(random, sorted(values), 3)}


def _cluster_refs(refs: Iterable[ClusterRef]) -> list[JsonObject]:
    version = "lib.projectsveltos.io/v1beta1"
    return [
        {"apiVersion": version, "kind": ref.kind.name, "namespace": ref.namespace, "name": ref.name} for ref in refs
    ]


def _policy_refs(random: Random, most: int) -> list[JsonObject]:
    return [policy_ref(name, namespace=random.choice(["a", "b", ""])) for name in _some(random, _NAMES, most)]


def _spec(random: Random) -> JsonObject:
    spec: JsonObject = {"clusterSelector": random.choice(_SELECTORS), "policyRefs": _policy_refs(random, 2)}
    if random.random() < 0.3:
        spec["clusterRefs"] = _cluster_refs(_some(random, _CLUSTERS, 2))
    if random.random() < 0.3:
        spec["setRefs"] = ["group"]
    if random.random() < 0.3:
        path = random.choice(["base", "{{ .Cluster.metadata.labels.map }}"])
        spec["kustomizationRefs"] = [policy_ref("first", namespace=random.choice(["a", ""]), path=path)]
    if random.random() < 0.3:
        values = random.choice(["a: {{ .Cluster.metadata.labels.map }}\n", "b: second\n\nc: {{ .Cluster }}\n"])
        chart = {"releaseName": "agent", "releaseNamespace": "agent", "chartVersion": random.choice("12")}
        spec["helmCharts"] = [{**chart, "values": values}]
    if random.random() < 0.3:
        spec["extraLabels"] = {"x": random.choice("ab")}
    if random.random() < 0.3:
        spec["patchesFrom"] = [policy_ref("second", namespace=random.choice(["b", ""]))]
    return spec


def _report(random: Random, ref: ClusterRef) -> JsonObject:
    """The report of a cluster: resources of some profiles, and a release of one of them."""
    entries = []
    for name in _some(random, "pqr", 2):
        resources = _some(random, ["/Namespace x", "/ConfigMap x/y"], 2)
        chart = {"releaseName": "agent", "namespace": "agent", "chartVersion": random.choice("12")}
        charts = [chart] if random.random() < 0.5 else []
        entries.append(deployed_by(name, *resources, charts=charts, namespaced=name == "r"))
    return inventory_of(ref, *entries)


def _configuration(random: Random) -> dict[str, JsonObject]:
    """The objects of one side, by a name of their own."""
    objects = {f"cluster {ref}": cluster(ref, **_labels(random)) for ref in _CLUSTERS if random.random() < 0.8}
    for name, namespace in (("p", ""), ("q", ""), ("r", "a")):
        if random.random() < 0.8:
            matching = _some(random, _CLUSTERS, 2)
            objects[f"profile {name}"] = profile(name, _spec(random), *matching, namespace=namespace)
    trigger = custom(kinds.EVENT_TRIGGER, "t", {"sourceClusterSelector": random.choice(_SELECTORS)})
    trigger["spec"] |= {"eventSourceName": "s", "policyRefs": _policy_refs(random, 1)}
    destinations = {"destinationMatchingClusterRefs": _cluster_refs(_some(random, _CLUSTERS, 1))}
    objects["trigger"] = {**trigger, "status": destinations}
    for namespace in ("a", "b"):
        for name in ("first", "second"):
            marks = {"annotations": {RENDERED_ANNOTATIONS[0]: "ok"}} if random.random() < 0.3 else {}
            text = random.choice(["v", "w", "{{ .Cluster.metadata.labels.env }}"])
            content = {"x.yaml": f"kind: Namespace\napiVersion: v1\nmetadata:\n  name: x\n  labels:\n    x: {text}\n"}
            objects[f"map {namespace} {name}"] = config_map(name, content, namespace, **marks)
    objects |= {f"report {ref}": _report(random, ref) for ref in _CLUSTERS if random.random() < 0.8}
    for kind, namespace in ((kinds.CLUSTER_SET, ""), (kinds.SET, "a")):
        rules = {"clusterSelector": random.choice(_SELECTORS), "maxReplicas": random.randint(1, 4)}
        status = {"selectedClusterRefs": _cluster_refs(_some(random, _CLUSTERS, 2))}
        objects[f"set {namespace}"] = {**custom(kind, "group", rules, namespace), "status": status}
    return objects


def _two_sides(seed: int) -> tuple[TreeView, TreeView]:
    """A configuration, and the same with a few objects of another one.

    The seed makes all draws independent. Hypothesis prefers simple draws, and most of its configurations were equal.
    """
    random = Random(seed)
    before, other = _configuration(random), _configuration(random)
    after = dict(before)
    clusters = [name for name in sorted(before.keys() | other.keys()) if name.startswith("cluster")]
    others = sorted((before.keys() | other.keys()) - set(clusters))
    for name in (*_some(random, clusters, 2), *_some(random, others, 3)):
        after.pop(name, None)
        if name in other:
            after[name] = other[name]
    cache = ContentCache()
    return TreeView(build(before.values()), cache), TreeView(build(after.values()), cache)


_SEEDS = st.integers(0, 2**32)


def _find_changes(before: TreeView, after: TreeView) -> ChangedObjects:
    return find_changes(before, after, find_comparability(before.tree, after.tree))


@settings(max_examples=300)
@given(_SEEDS)
def test_the_profiles_that_start_and_stop_matching(seed: int) -> None:
    """The messages of clusters, compared with an evaluation of every profile for all clusters of both sides."""
    before, after = _two_sides(seed)
    changes = list(_find_changes(before, after).by_key.values())
    rows = {(row.namespace, row.name): row.message for row in management_rows(before, after, changes)}
    selected_before, selected = _selected(before, before), _selected(after, after)
    by_old_labels = _selected(after, before)
    for change in changes:
        if change.key.kind not in kinds.CLUSTER_KINDS:
            continue
        ref = ClusterRef.of_key(change.key)
        started, stopped = set[str](), set[str]()
        for key, clusters in selected.items():
            if key not in by_old_labels or (key not in selected_before and before.holds(key)):
                continue
            old, former = ref in by_old_labels[key], ref in selected_before.get(key, ())
            if ref in clusters and not (old or former or ref in before.reported_clusters(key)):
                started.add(key.name)
            if old and former and ref not in clusters:
                stopped.add(key.name)
        message = rows.get((ref.namespace, ref.name), "")
        assert _named(message, "now matched by ") == started
        assert _named(message, "no longer matched by ") == stopped


def _selected(side: TreeView, labels: TreeView) -> dict[ObjectKey, frozenset[ClusterRef]]:
    """The clusters that each profile certainly selects, by the labels of another side. No set of it has a status."""
    outdated = () if side is labels else side.sets.keys()
    result = {}
    for kind in kinds.PROFILE_KINDS:
        for path in side.paths(kind):
            document = side.object_at(path) or {}
            selection = selects(document, dict(labels.cluster_labels), side.sets, outdated=outdated)
            if selection.certain:
                result[ObjectKey.of(document)] = selection.clusters
    return result


def _named(message: str, words: str) -> set[str]:
    """The profiles that a message names after some words."""
    parts = [part for part in message.split("; ") if part.startswith(words)]
    return {name for part in parts for name in re.findall(r"Profile (?:a/)?(\w+)", part)}


@settings(max_examples=200)
@given(_SEEDS)
def test_the_deployments_that_a_change_reaches(seed: int) -> None:
    """Compared with an evaluation of every profile and producer for each of its clusters.

    A changed cluster that a profile names in ``clusterRefs`` may count as a reached target for the other clusters.
    """
    before, after = _two_sides(seed)
    changed = _find_changes(before, after)
    reached = ReachedDeployments(changed, DeploymentReferences(changed)).by_cluster

    assert all(profiles == sorted(set(profiles)) for profiles in reached.values())
    for key in _deploying(before) & _deploying(after):
        for ref in _CLUSTERS:
            targets = _changed_targets(changed, key, ref)
            is_deployed = ref in clusters_of(before, key) & clusters_of(after, key)
            is_changed = key in changed.by_key
            is_affected = is_changed or _is_rendered_anew(changed, key, ref)
            if is_deployed and (is_affected or any(target.kind not in kinds.CLUSTER_KINDS for target in targets)):
                assert key in reached[ref]
            may_be_affected = is_changed or _may_be_rendered_anew(changed, key, ref)
            if not is_deployed or not (may_be_affected or targets):
                assert key not in reached.get(ref, ())
    assert {key for profiles in reached.values() for key in profiles} <= _deploying(before) & _deploying(after)
    assert reached.keys() <= set(_CLUSTERS)


@settings(max_examples=100)
@given(_SEEDS)
def test_the_changes_of_a_deployment(seed: int) -> None:
    """The changes that are kept for all clusters of a profile are those of a comparison for each cluster alone."""
    before, after = _two_sides(seed)
    changed = _find_changes(before, after)
    deployments = Deployments(changed)

    for key in sorted(_deploying(before) & _deploying(after)):
        for ref in _CLUSTERS:
            alone = Deployments(changed)
            assert deployments.changes(key, ref) == alone._find_changes(key, ref)
            assert deployments.changed_patches(key, ref) == alone.changed_patches(key, ref)


@settings(max_examples=200)
@given(_SEEDS)
def test_searches_only_save_time(seed: int) -> None:
    """If all reports of the reached clusters and all profiles are decoded, the comparison has the same result."""
    before, after = (side.tree for side in _two_sides(seed))
    searched = compare(before, after)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClusterReport, "_may_contain", lambda *_: True)
        patch.setattr(management_rows_module, "_Terms", _EveryProfile)
        decoded = compare(before, after)

    assert searched == decoded


class _EveryProfile:
    """The words of a relabelled cluster, found in every profile."""

    def add(self, *_: object) -> None:
        """Add nothing."""

    def search(self) -> None:
        """Return no search, so that all profiles are decoded."""


def test_a_setting_that_is_a_template_is_compared_for_each_cluster() -> None:
    """A cluster that was relabelled gets another path of a kustomization, and another cluster does not."""
    east, west = _CLUSTERS[:2]
    path = "{{ .Cluster.metadata.labels.map }}"
    spec: JsonObject = {"kustomizationRefs": [policy_ref("first", namespace="a", path=path)]}
    objects = [profile("p", spec, east, west), config_map("first", {}, "a"), cluster(east, map="first")]
    cache = ContentCache()
    before, after = (TreeView(build([*objects, cluster(west, map=value)]), cache) for value in ("first", "second"))
    changed = _find_changes(before, after)
    deployments = Deployments(changed)
    key = ObjectKey(kinds.CLUSTER_PROFILE, "", "p")

    assert [deployments.changes(key, ref).kustomizations for ref in (east, west)] == [frozenset(), {key}]


def _deploying(side: TreeView) -> set[ObjectKey]:
    return {key for kind in DEPLOYING_KINDS for path in side.paths(kind) if (key := side.key_at(path)) is not None}


def _is_rendered_anew(changed: ChangedObjects, key: ObjectKey, ref: ClusterRef) -> bool:
    """Whether the cluster changed, and the profile is a template or refers to a source that is a template."""
    after, document = changed.after, changed.after.get(key) or {}
    targets = (reference.target for reference in references(document, (ref,), after.cluster_object))
    marked = any(_is_marked(after.get(target)) for target in targets if target.kind == kinds.CONFIG_MAP)
    return ref in changed.clusters and ("{{" in str(document) or marked)


def _may_be_rendered_anew(changed: ChangedObjects, key: ObjectKey, ref: ClusterRef) -> bool:
    text = str(changed.after.get(key))
    marked = [path for path in changed.after.paths(kinds.CONFIG_MAP) if _is_marked(changed.after.object_at(path))]
    named = any(f"'name': '{path.rpartition('/')[2].removesuffix('.yaml')}'" in text for path in marked)
    return ref in changed.clusters and ("{{" in text or named)


def _changed_targets(changed: ChangedObjects, key: ObjectKey, ref: ClusterRef) -> set[ObjectKey]:
    """The changed objects to which a profile refers for a cluster on one of the sides."""
    return {
        reference.target
        for side in changed.sides
        for reference in references(side.get(key) or {}, (ref,), side.cluster_object)
        if reference.unresolved is None and reference.target in changed.by_key
    }


def _is_marked(document: JsonObject | None) -> bool:
    annotations: dict[str, Any] = ((document or {}).get("metadata") or {}).get("annotations") or {}
    return bool(annotations)
