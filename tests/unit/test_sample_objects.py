"""The objects of a sample that selected objects refer to."""

from __future__ import annotations

from gitsnap.core.model import Area, ObjectKey
from gitsnap.format import path_of
from gitsnap.rollback.sample_objects import SampleObjects
from gitsnap.sveltos import kinds
from tests.support.trees import O, W, build, cluster, config_map, policy_ref, profile

_BASE = ObjectKey(kinds.CLUSTER_PROFILE, "", "base")
_NAMED_AFTER_CLUSTER = {"policyRefs": [policy_ref("{{ .Cluster.metadata.name }}")]}


def _references(*, depends_on: list[str]) -> list[ObjectKey]:
    """The references of the profile ``base``, beside a profile for the cluster W that depends on others."""
    dependent = profile("app", {"clusterSelector": {"matchLabels": {"env": "prod"}}, "dependsOn": depends_on})
    tree = build([cluster(W, env="prod"), cluster(O, env="test"), profile("base", _NAMED_AFTER_CLUSTER, O), dependent])
    for ref in (W, O):
        file = config_map(ref.name, {"a": "1"})
        tree.put(Area.CONFIGURATION, path_of(ObjectKey.of(file)), file)
    return [reference.target for reference in SampleObjects(tree, None).referenced_by({_BASE})]


def test_references_are_resolved_for_the_clusters_of_the_status() -> None:
    """A name that contains the name of the cluster stands for an object of each cluster."""
    assert _references(depends_on=[]) == [ObjectKey(kinds.CONFIG_MAP, "default", O.name)]


def test_references_are_resolved_for_the_clusters_of_dependent_profiles() -> None:
    """Sveltos deploys a prerequisite on the clusters of its dependents, which its status may lack."""
    assert _references(depends_on=["base"]) == [ObjectKey(kinds.CONFIG_MAP, "default", ref.name) for ref in (O, W)]
