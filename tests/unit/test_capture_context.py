"""The context of a capture: references of profiles that depend on each other."""

from __future__ import annotations

from gitsnap.capture.context import CaptureContext
from gitsnap.core.model import JsonObject
from gitsnap.core.objects import KubeObject
from gitsnap.sveltos import kinds
from tests.support.trees import O, W, cluster, policy_ref, profile


def _referenced(*documents: JsonObject) -> set[str]:
    """The ConfigMaps that these objects refer to, without any status from Sveltos."""
    context = CaptureContext()
    for document in documents:
        facts = context.facts_of(KubeObject.of({**document, "status": {}}))
        if facts is not None:
            context.add(facts)
    context.add_dependent_clusters()
    return {key.namespaced_name for key in context.referenced_objects().get(kinds.CONFIG_MAP, ())}


def test_a_prerequisite_is_resolved_for_the_clusters_of_its_dependents() -> None:
    """This includes indirect dependents, and only the clusters that a dependent matches."""
    clusters = [cluster(W, env="prod"), cluster(O, env="dev")]
    first = profile(
        "first", {"policyRefs": [policy_ref("own", namespace=""), policy_ref("{{ .Cluster.metadata.name }}")]}
    )
    middle = profile("middle", {"dependsOn": ["first"]})
    last = profile("last", {"dependsOn": ["middle"], "clusterSelector": {"matchLabels": {"env": "prod"}}})

    assert _referenced(*clusters, first, middle, last) == {"default/own", "default/west"}
    assert _referenced(*clusters, first, middle) == set()


def test_profiles_that_depend_on_each_other() -> None:
    """A circle of dependencies ends. A reference that is the same on all clusters is resolved once."""
    first = profile("one", {"dependsOn": ["other"], "policyRefs": [policy_ref("fixed")]})
    other = profile("other", {"dependsOn": ["one"], "clusterSelector": {"matchLabels": {"env": "prod"}}})

    assert _referenced(cluster(W, env="prod"), first, other) == {"default/fixed"}
