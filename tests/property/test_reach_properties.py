"""A diff reads few files to find what a change reaches. The results are those of a full evaluation."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.diff.changed_objects import ChangedObjects, find_changes
from gitsnap.diff.deployment_references import DeploymentReferences
from gitsnap.diff.management_rows import management_rows
from gitsnap.diff.reached_deployments import DEPLOYING_KINDS, ReachedDeployments, clusters_of
from gitsnap.sveltos import kinds
from gitsnap.sveltos.documents import RENDERED_ANNOTATIONS
from gitsnap.sveltos.matching import ClusterRef, selects
from gitsnap.sveltos.references import references
from gitsnap.sveltos.tree_view import ContentCache, TreeView
from tests.support.plans import custom
from tests.support.trees import build, cluster, config_map, policy_ref, profile

_CLUSTERS = [
    ClusterRef(kinds.SVELTOS_CLUSTER, namespace, name) for namespace in ("a", "b") for name in ("east", "west")
]
_LABELS = st.dictionaries(st.sampled_from(["env", "zone"]), st.sampled_from("ab"), max_size=2)
_TERM = st.builds(
    lambda key, operator, values: {"key": key, "operator": operator, "values": values},
    st.sampled_from(["env", "zone"]),
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.lists(st.sampled_from("ab"), min_size=1, max_size=2),
)
_SELECTOR = st.one_of(
    st.fixed_dictionaries({"matchLabels": _LABELS}),
    st.fixed_dictionaries({"matchExpressions": st.lists(_TERM, max_size=2)}),
    st.sampled_from(["env=a", "!zone", "env notin (a)", "env in", "zone"]),
)
_MAP_REFERENCES = st.builds(
    policy_ref,
    st.sampled_from(["first", "second", "{{ .Cluster.metadata.labels.env }}", "{{ .Cluster.metadata.name }}"]),
    namespace=st.sampled_from(["a", "b", ""]),
)


def _cluster_refs(refs: list[ClusterRef]) -> list[JsonObject]:
    version = "lib.projectsveltos.io/v1beta1"
    return [
        {"apiVersion": version, "kind": ref.kind.name, "namespace": ref.namespace, "name": ref.name} for ref in refs
    ]


_SOME_CLUSTERS = st.lists(st.sampled_from(_CLUSTERS), max_size=2)


@st.composite
def _spec(draw: st.DrawFn) -> JsonObject:
    spec: JsonObject = {"clusterSelector": draw(_SELECTOR), "policyRefs": draw(st.lists(_MAP_REFERENCES, max_size=2))}
    if draw(st.booleans()):
        spec["clusterRefs"] = _cluster_refs(draw(_SOME_CLUSTERS))
    if draw(st.booleans()):
        spec["setRefs"] = ["group"]
    return spec


@st.composite
def _configuration(draw: st.DrawFn) -> dict[str, JsonObject]:
    """The objects of one side, by a name of their own."""
    objects = {f"cluster {ref}": cluster(ref, **draw(_LABELS)) for ref in _CLUSTERS if draw(st.integers(0, 5))}
    for name, namespace in (("p", ""), ("q", ""), ("r", "a")):
        if draw(st.integers(0, 5)):
            objects[f"profile {name}"] = profile(name, draw(_spec()), *draw(_SOME_CLUSTERS), namespace=namespace)
    trigger = custom(kinds.EVENT_TRIGGER, "t", {"sourceClusterSelector": draw(_SELECTOR), "eventSourceName": "s"})
    trigger["spec"]["policyRefs"] = draw(st.lists(_MAP_REFERENCES, max_size=1))
    objects["trigger"] = trigger
    for namespace in ("a", "b"):
        for name in ("first", "second"):
            marks = {"annotations": {RENDERED_ANNOTATIONS[0]: "ok"}} if draw(st.booleans()) else {}
            content = {"x.yaml": draw(st.sampled_from("vw"))}
            objects[f"map {namespace} {name}"] = config_map(name, content, namespace, **marks)
    for kind, namespace in ((kinds.CLUSTER_SET, ""), (kinds.SET, "a")):
        rules = {"clusterSelector": draw(_SELECTOR), "maxReplicas": draw(st.integers(1, 4))}
        status = {"selectedClusterRefs": _cluster_refs(draw(_SOME_CLUSTERS))}
        objects[f"set {namespace}"] = {**custom(kind, "group", rules, namespace), "status": status}
    return objects


@st.composite
def _two_sides(draw: st.DrawFn) -> tuple[TreeView, TreeView]:
    """A configuration, and the same with a few objects of another one."""
    before, other = draw(_configuration()), draw(_configuration())
    after = dict(before)
    for name in draw(st.lists(st.sampled_from(sorted(before.keys() | other.keys())), max_size=4)):
        after.pop(name, None)
        if name in other:
            after[name] = other[name]
    cache = ContentCache()
    return TreeView(build(before.values()), cache), TreeView(build(after.values()), cache)


@given(_two_sides())
def test_the_profiles_that_start_and_stop_matching(sides: tuple[TreeView, TreeView]) -> None:
    """The messages of clusters, compared with an evaluation of every profile for all clusters of both sides."""
    before, after = sides
    changes = find_changes(before, after, frozenset())
    rows = {(row.namespace, row.name): row.message for row in management_rows(before, after, changes)}
    selected_before, selected = _selected(before, before), _selected(after, after)
    by_old_labels = _selected(after, before)
    for change in changes:
        if change.key.kind not in kinds.CLUSTER_KINDS:
            continue
        ref = ClusterRef(change.key.kind, change.key.namespace, change.key.name)
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
    outdated = () if side is labels else side._sets.keys()
    result = {}
    for kind in kinds.PROFILE_KINDS:
        for path in side.paths(kind):
            document = side.object_at(path) or {}
            selection = selects(document, dict(labels.cluster_labels), side._sets, outdated=outdated)
            if selection.certain:
                result[ObjectKey.of(document)] = selection.clusters
    return result


def _named(message: str, words: str) -> set[str]:
    """The profiles that a message names after some words."""
    parts = [part for part in message.split("; ") if part.startswith(words)]
    return {name for part in parts for name in re.findall(r"Profile (?:a/)?(\w+)", part)}


@given(_two_sides())
def test_the_deployments_that_a_change_reaches(sides: tuple[TreeView, TreeView]) -> None:
    """Compared with an evaluation of every profile and producer for each of its clusters."""
    before, after = sides
    changed = ChangedObjects(before, after, find_changes(before, after, frozenset()), frozenset())
    reached = ReachedDeployments(changed, DeploymentReferences(changed))

    expected: dict[ClusterRef, list[ObjectKey]] = {}
    for key in sorted(_deploying(before) & _deploying(after)):
        for ref in clusters_of(before, key) & clusters_of(after, key):
            if _may_be_rendered_anew(changed, key, ref) or (key in reached.profiles and _is_reached(changed, key, ref)):
                expected.setdefault(ref, []).append(key)
    assert reached.by_cluster == expected


def _deploying(side: TreeView) -> set[ObjectKey]:
    return {key for kind in DEPLOYING_KINDS for path in side.paths(kind) if (key := side.key_at(path)) is not None}


def _may_be_rendered_anew(changed: ChangedObjects, key: ObjectKey, ref: ClusterRef) -> bool:
    text = str(changed.after.get(key))
    marked = [path for path in changed.after.paths(kinds.CONFIG_MAP) if _is_marked(changed.after.object_at(path))]
    named = any(f"'name': '{path.rpartition('/')[2].removesuffix('.yaml')}'" in text for path in marked)
    return ref in changed.clusters and ("{{" in text or named)


def _is_reached(changed: ChangedObjects, key: ObjectKey, ref: ClusterRef) -> bool:
    targets = (
        reference.target
        for side in changed.sides
        for reference in references(side.get(key) or {}, (ref,), side.cluster_object)
        if reference.unresolved is None
    )
    return key in changed.by_key or any(target in changed.by_key for target in targets)


def _is_marked(document: JsonObject | None) -> bool:
    annotations: dict[str, Any] = ((document or {}).get("metadata") or {}).get("annotations") or {}
    return bool(annotations)
