"""What a capture learns from profiles that depend on each other."""

from __future__ import annotations

from gitsnap.capture.context import Knowledge
from gitsnap.core.model import JsonObject
from gitsnap.sveltos import kinds
from tests.support.trees import O, W, cluster, policy_ref, profile


def _wanted(*documents: JsonObject) -> set[str]:
    """The ConfigMaps that a capture of these objects asks for; Sveltos has reported nothing about them."""
    knowledge = Knowledge()
    for document in documents:
        lesson = knowledge.study({**document, "status": {}})
        if lesson is not None:
            knowledge.learn(lesson)
    knowledge.follow_dependents()
    return {f"{key.namespace}/{key.name}" for key in knowledge.wanted().get(kinds.CONFIG_MAP, ())}


def test_a_prerequisite_is_resolved_for_the_clusters_of_its_dependents() -> None:
    """By way of another profile, too, and only for clusters that a dependent matches."""
    clusters = [cluster(W, env="prod"), cluster(O, env="dev")]
    first = profile(
        "first", {"policyRefs": [policy_ref("own", namespace=""), policy_ref("{{ .Cluster.metadata.name }}")]}
    )
    middle = profile("middle", {"dependsOn": ["first"]})
    last = profile("last", {"dependsOn": ["middle"], "clusterSelector": {"matchLabels": {"env": "prod"}}})

    assert _wanted(*clusters, first, middle, last) == {"default/own", "default/west"}
    assert _wanted(*clusters, first, middle) == set()


def test_profiles_that_depend_on_each_other() -> None:
    """A circle ends, and a reference that is the same for all clusters is there once."""
    one = profile("one", {"dependsOn": ["other"], "policyRefs": [policy_ref("fixed")]})
    other = profile("other", {"dependsOn": ["one"], "clusterSelector": {"matchLabels": {"env": "prod"}}})

    assert _wanted(cluster(W, env="prod"), one, other) == {"default/fixed"}
