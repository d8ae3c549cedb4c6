"""The entries of a report that did not change are read once, with the same result as reading both reports."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gitsnap.core.model import Kind, ObjectKey
from gitsnap.diff.cluster_reports import ClusterReport
from gitsnap.diff.resource_entries import ResourceEntries
from gitsnap.sveltos.inventory import LOCAL, REMOTE, DeployedResource
from gitsnap.sveltos.kinds import CLUSTER_PROFILE

_NAMES = st.sampled_from(["a", "b", "c"])
_KINDS = st.sampled_from([Kind("", "ConfigMap"), Kind("apps", "Deployment")])
_PROFILES = st.builds(ObjectKey, st.just(CLUSTER_PROFILE), st.just(""), _NAMES)
_ENTRIES = st.lists(
    st.builds(
        DeployedResource,
        kind=_KINDS,
        namespace=_NAMES,
        name=_NAMES,
        deployment_type=st.sampled_from([LOCAL, REMOTE]),
        profile=_PROFILES,
        feature=st.sampled_from(["Resources", "Kustomize"]),
    ),
    max_size=12,
)


@given(_ENTRIES)
def test_one_list_gives_the_same_as_two_equal_lists(entries: list[DeployedResource]) -> None:
    """Slots, entries and order are the same."""
    reports = [ClusterReport(lambda: entries) for _ in range(2)]
    shared, separate = ResourceEntries(reports[0], reports[0]), ResourceEntries(*reports)

    assert shared.are_same
    assert not separate.are_same
    assert (shared.old, shared.new, shared.all) == (separate.old, separate.new, separate.all)
    assert shared.in_both == separate.in_both
    for both in (shared, separate):
        assert not [*both.only_old, *both.only_new, *both.other_profiles()]
    assert shared.by_name == separate.by_name
    assert [shared.of(slot) for slot in shared.all] == [separate.of(slot) for slot in separate.all]


@given(_KINDS, _KINDS, _NAMES, _NAMES)
def test_keys_that_are_equal_have_one_hash(first: Kind, second: Kind, namespace: str, name: str) -> None:
    """A hash of name and namespace is consistent with the equality of keys, which compares the kind as well."""
    left, right = ObjectKey(first, namespace, name), ObjectKey(second, namespace, name)

    assert (left == right) == (first == second)
    assert left != right or hash(left) == hash(right)
    assert len({left, right}) == (1 if first == second else 2)
