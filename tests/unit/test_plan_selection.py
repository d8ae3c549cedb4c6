"""The names that a user types, resolved to objects of a sample."""

from __future__ import annotations

import pytest

from gitsnap.core.errors import NotFoundError, UsageError
from gitsnap.core.model import IncompleteKind, IncompleteReason, Kind, ObjectKey, Substitute
from gitsnap.rollback.plan import Selection, resolve
from gitsnap.sveltos import kinds

DATABASE = ObjectKey(kinds.CONFIG_MAP, "default", "database")
OTHER_DATABASE = ObjectKey(kinds.CONFIG_MAP, "team-a", "database")
PASSWORD = ObjectKey(kinds.SECRET, "default", "password")
GUESTBOOK = ObjectKey(kinds.CLUSTER_PROFILE, "", "guestbook")
BASE_A = ObjectKey(kinds.PROFILE, "team-a", "base")
BASE_B = ObjectKey(kinds.PROFILE, "team-b", "base")
WEST = ObjectKey(kinds.SVELTOS_CLUSTER, "default", "west")
WEST_CAPI = ObjectKey(kinds.CAPI_CLUSTER, "team-a", "west")
UPGRADE = ObjectKey(kinds.CLASSIFIER, "", "upgrade")
ACCESS = ObjectKey(kinds.ROLE_REQUEST, "", "access")
KEYS = frozenset(
    {DATABASE, OTHER_DATABASE, PASSWORD, GUESTBOOK, BASE_A, BASE_B, WEST, WEST_CAPI, UPGRADE, ACCESS},
)


def test_no_name_selects_everything() -> None:
    """Without a name the whole sample is selected."""
    assert resolve(Selection(), KEYS) == KEYS


def test_a_namespace_selects_its_content_and_clusters() -> None:
    """`--namespace` alone selects ConfigMaps, Secrets and clusters there, and no Profile."""
    assert resolve(Selection(namespaces=("team-a",)), KEYS) == {OTHER_DATABASE, WEST_CAPI}


def test_names_are_united() -> None:
    """Several names select the union of their objects."""
    selection = Selection(clusterprofiles=("guestbook",), classifiers=("upgrade",), rolerequests=("access",))
    assert resolve(selection, KEYS) == {GUESTBOOK, UPGRADE, ACCESS}


def test_a_clusterprofile_selects_nothing_else() -> None:
    """A named ClusterProfile is rolled back alone (defect 6 of the old tool: it never matched, and all else did)."""
    assert resolve(Selection(clusterprofiles=("guestbook",)), KEYS) == {GUESTBOOK}


@pytest.mark.parametrize("typed", ["base", "team-a/base"])
def test_a_namespace_narrows_a_name(typed: str) -> None:
    """`--namespace` beside a name restricts the namespace of that name, and adds nothing."""
    assert resolve(Selection(namespaces=("team-a",), profiles=(typed,)), KEYS) == {BASE_A}


def test_a_namespace_does_not_hide_cluster_scoped_objects() -> None:
    """`--namespace` does not restrict objects without a namespace."""
    assert resolve(Selection(namespaces=("team-a",), clusterprofiles=("guestbook",)), KEYS) == {GUESTBOOK}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("sveltos--west", WEST),
        ("capi--west", WEST_CAPI),
        ("default/west", WEST),
        ("team-a/capi--west", WEST_CAPI),
    ],
)
def test_a_cluster_is_named_as_the_diff_prints_it(typed: str, expected: ObjectKey) -> None:
    """A cluster may be given with its type, its namespace, or both."""
    assert resolve(Selection(clusters=(typed,)), KEYS) == {expected}


@pytest.mark.parametrize(
    ("selection", "candidates"),
    [
        (Selection(profiles=("base",)), ("team-a/base", "team-b/base")),
        (Selection(clusters=("west",)), ("SveltosCluster.lib.projectsveltos.io/default/west", "team-a/west")),
        (Selection(resources=("configmap/database",)), ("ConfigMap/default/database", "ConfigMap/team-a/database")),
    ],
)
def test_an_ambiguous_name_is_refused_with_the_candidates(selection: Selection, candidates: tuple[str, ...]) -> None:
    """A name that matches two objects selects neither of them."""
    with pytest.raises(UsageError) as caught:
        resolve(selection, KEYS)
    assert all(candidate in caught.value.message for candidate in candidates)


@pytest.mark.parametrize(
    "typed",
    [
        "ConfigMap/default/database",
        "configmap/default/database",
        "configmaps/default/database",
    ],
)
def test_a_resource_is_named_by_kind_or_plural(typed: str) -> None:
    """`--resource` takes the kind in any case and the plural."""
    assert resolve(Selection(resources=(typed,)), KEYS) == {DATABASE}


@pytest.mark.parametrize("kind", ["ClusterProfile", "clusterprofiles", "ClusterProfile.config.projectsveltos.io"])
def test_a_resource_is_named_with_its_group(kind: str) -> None:
    """`--resource` takes a kind with its group, and no namespace where the kind has none."""
    assert resolve(Selection(resources=(f"{kind}/guestbook",)), KEYS) == {GUESTBOOK}


def test_a_kind_that_a_policy_adds_can_be_named() -> None:
    """A kind that gitsnap does not know is found among the objects of the sample."""
    quota = ObjectKey(Kind("", "ResourceQuota"), "team-a", "compute")
    assert resolve(Selection(resources=("resourcequotas/compute",)), KEYS | {quota}) == {quota}


def test_an_unknown_name_suggests_the_nearest() -> None:
    """A typing error selects nothing, and the message has the right name."""
    with pytest.raises(NotFoundError, match="--clusterprofile guestbok") as caught:
        resolve(Selection(clusterprofiles=("guestbok",)), KEYS)
    assert "guestbook" in caught.value.hint


def test_an_unknown_namespace_suggests_the_nearest() -> None:
    """A namespace without objects in the sample is an error."""
    with pytest.raises(NotFoundError, match="tean-a") as caught:
        resolve(Selection(namespaces=("tean-a",)), KEYS)
    assert "team-a" in caught.value.hint


def test_an_unknown_kind_suggests_the_nearest() -> None:
    """An unknown kind is an error, not an empty selection."""
    with pytest.raises(NotFoundError, match="no such kind") as caught:
        resolve(Selection(resources=("clusterprofil/guestbook",)), KEYS)
    assert "ClusterProfile" in caught.value.hint


def test_reports_of_sveltos_are_never_selected() -> None:
    """The inventory cannot be rolled back, even by name."""
    with pytest.raises(UsageError, match="never rolled back"):
        resolve(Selection(resources=("clustersummary/default/x",)), KEYS)


@pytest.mark.parametrize("typed", ["database", "ConfigMap/", "a/b/c/d", ""])
def test_a_resource_without_kind_or_name_is_refused(typed: str) -> None:
    """The message of `--resource` shows the expected form."""
    with pytest.raises(UsageError, match="--resource"):
        resolve(Selection(resources=(typed,)), KEYS)


def test_a_namespace_that_contradicts_another_is_refused() -> None:
    """`--namespace a --profile b/x` is a contradiction, not an empty selection."""
    with pytest.raises(UsageError, match="outside"):
        resolve(Selection(namespaces=("team-b",), profiles=("team-a/base",)), KEYS)


def test_a_kind_missing_in_the_sample_is_reported() -> None:
    """An object of a missing kind is not just "no such object"."""
    missing = IncompleteKind(kinds.EVENT_TRIGGER, Substitute.MISSING, IncompleteReason.FORBIDDEN)
    with pytest.raises(NotFoundError, match="could not read EventTrigger"):
        resolve(Selection(resources=("eventtrigger/deploy",)), KEYS, incomplete=(missing,))


def test_a_kind_without_objects_is_reported() -> None:
    """If there are no candidates, the hint lists none."""
    with pytest.raises(NotFoundError) as caught:
        resolve(Selection(resources=("set/x",)), KEYS)
    assert caught.value.hint == "It has no object of that kind."
