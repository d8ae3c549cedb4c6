"""The lines of a plan about objects outside the selection that differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gitsnap.core.errors import AccessDeniedError
from gitsnap.core.model import Area, IncompleteKind, IncompleteReason, JsonObject, ObjectKey, Substitute
from gitsnap.render.plan import nothing_text, plan_text
from gitsnap.rollback import prepare
from gitsnap.rollback.plan import Options, Plan, Relation, Selection, Unselected
from gitsnap.rollback.plan.unselected import resource_name
from gitsnap.rollback.unselected_objects import MAX_READ
from gitsnap.sveltos import kinds
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import custom, plan_of
from tests.support.samples import NOON, sample
from tests.support.trees import O, W, build, cluster, config_map, policy_ref, profile, secret

_FILE = ObjectKey(kinds.CONFIG_MAP, "default", "database")
_SET = custom(kinds.CLUSTER_SET, "chosen", {"clusterSelector": {"matchLabels": {"env": "fv"}}})
_GUESTBOOK = profile(
    "guestbook",
    {
        "clusterSelector": {"matchLabels": {"env": "fv"}},
        "policyRefs": [policy_ref("database"), policy_ref("password", "Secret")],
        "clusterSetRefs": ["chosen"],
        "dependsOn": ["base"],
    },
    W,
)
_BASE = profile("base", {"tier": 5})
_OTHER = profile("other", {"clusterSelector": {"matchLabels": {"env": "else"}}, "policyRefs": [policy_ref("file")]}, O)
_TEAM = profile("team", {"tier": 5}, namespace="default")
_SAMPLE = [
    cluster(W, env="fv"),
    cluster(O, env="else"),
    _GUESTBOOK,
    _BASE,
    _OTHER,
    _SET,
    _TEAM,
    config_map("database", {"a": "1"}, labels={"app": "shop"}),
    config_map("file", {"a": "1"}),
    secret("password", {"a": "1"}),
]


def _with(*documents: JsonObject) -> list[JsonObject]:
    """The objects of the sample, with some of them replaced, and others added."""
    return list({ObjectKey.of(document): document for document in (*_SAMPLE, *documents)}.values())


def _without(name: str) -> list[JsonObject]:
    return [document for document in _SAMPLE if document["metadata"]["name"] != name]


def _plan(live: MemoryCluster, *, incomplete: tuple[IncompleteKind, ...] = (), **selection: Any) -> Plan:
    options = Options(allow_withdraw=True, skip_refused=True)
    tree = build(_SAMPLE)
    tree.incomplete = incomplete
    return prepare(live, tree, sample=sample(1, NOON), selection=Selection(**selection), options=options, keeper=None)


_DATABASE = config_map("database", {"a": "2"}, labels={"app": "shop"})
_RELABELLED = cluster(W, env="new")
_NEW_TIER = {**_BASE, "spec": {"tier": 9}}
_NEW_SET = {**_SET, "spec": {"clusterSelector": {"matchLabels": {"env": "new"}}}}
_NEW_OTHER = {**_OTHER, "spec": {**_OTHER["spec"], "tier": 9}}
_NEW_TEAM = {**_TEAM, "spec": {"tier": 9}}
_CREATED = profile("young", {"clusterSelector": {"matchLabels": {"env": "fv"}}}, W)
_PROFILE_OPTIONS = "--clusterprofile guestbook --with-references"


@pytest.mark.parametrize(
    ("live", "selection", "relation", "names", "options"),
    [
        (_with(_DATABASE), {"clusterprofiles": ("guestbook",)}, "referenced", "database", "--with-references"),
        (_without("database"), {"clusterprofiles": ("guestbook",)}, "referenced", "database", "--with-references"),
        (_with(_NEW_SET), {"clusterprofiles": ("guestbook",)}, "named", "chosen", "--resource ClusterSet/chosen"),
        (_with(_NEW_TIER), {"clusterprofiles": ("guestbook",)}, "named", "base", "--clusterprofile base"),
        (_with(_RELABELLED), {"clusterprofiles": ("guestbook",)}, "matched", "west", "--cluster default/west"),
        (_with(_DATABASE), {"clusters": ("west",)}, "deployed", "database", _PROFILE_OPTIONS),
        (_without("guestbook"), {"clusters": ("west",)}, "deployed", "guestbook", _PROFILE_OPTIONS),
        (_with(_CREATED), {"clusters": ("west",)}, "created", "young", "--clusterprofile young --prune"),
        (_with(_NEW_TEAM), {"namespaces": ("default",)}, "namespace", "team", "--profile default/team"),
        (_with(_DATABASE), {"excepted": ("ConfigMap/database",)}, "excepted", "database", ""),
        (
            _with(_DATABASE),
            {"clusterprofiles": ("guestbook",), "with_references": True, "excepted": ("ConfigMap/database",)},
            "excepted",
            "database",
            "",
        ),
        (_with(_NEW_OTHER), {"labels": "env=fv"}, "labels", "other", ""),
        (_with(_NEW_TIER), {"clusters": ("west",), "labels": "env=fv"}, "deployed", "base", "--clusterprofile base"),
    ],
)
def test_what_differs_beside_the_selection(
    live: list[JsonObject], selection: dict[str, Any], relation: str, names: str, options: str
) -> None:
    """The plan names the objects, their relation to the selection, and the options that select them."""
    plan = _plan(MemoryCluster.of(live), **selection)

    found = [entry for entry in plan.unselected if entry.differing]
    assert [(entry.relation, [key.name for key in entry.differing]) for entry in found] == [(relation, names.split())]
    assert " ".join(found[0].options) == options
    assert str(found[0]) in plan_text(plan, columns=0)
    if not plan.writes:
        assert "1 object outside the selection differs" in nothing_text(plan, undo=False)


@pytest.mark.parametrize(
    "selection",
    [
        {},
        {"clusterprofiles": ("other",)},
        {"clusters": ("orders",)},
        {"clusterprofiles": ("guestbook",), "with_references": True},
        {"namespaces": ("default",)},
        {"keys": (ObjectKey.of(_GUESTBOOK),)},
    ],
)
def test_unrelated_and_selected_objects_are_not_named(selection: dict[str, Any]) -> None:
    """A ConfigMap that is selected, or that no selected object leads to, gives no hint. An undo has no hints."""
    plan = _plan(MemoryCluster.of(_with(_DATABASE)), **selection)

    assert [entry for entry in plan.unselected if entry.differing] == []


@pytest.mark.parametrize(
    ("selection", "separate"),
    [
        ({"clusters": ("west",)}, False),
        ({"clusters": ("west",), "namespaces": ("default",)}, True),
        ({"namespaces": ("default",)}, True),
        ({"clusters": ("west",), "labels": "env=fv"}, True),
    ],
)
def test_options_that_do_not_add_to_the_command(selection: dict[str, Any], *, separate: bool) -> None:
    """--namespace and --selector would limit the names, so the names need a command of their own."""
    plan = _plan(MemoryCluster.of(_without("guestbook")), **selection)

    (found,) = (entry for entry in plan.unselected if entry.relation is Relation.DEPLOYED)
    assert found.is_separate is separate
    assert ("in a rollback of its own: --clusterprofile guestbook" in str(found)) is separate


def test_the_hinted_options_restore_the_objects() -> None:
    """A plan with the options of the hint writes the objects of the hint, and has no more hints."""
    live = _with(_DATABASE, {**_GUESTBOOK, "spec": {**_GUESTBOOK["spec"], "tier": 7}})
    alone = _plan(MemoryCluster.of(live), clusters=("west",))

    (found,) = (entry for entry in alone.unselected if entry.differing)
    assert " ".join(found.options) == _PROFILE_OPTIONS
    wider = _plan(MemoryCluster.of(live), clusters=("west",), clusterprofiles=("guestbook",), with_references=True)
    assert not alone.writes
    assert {step.key for step in wider.writes} == set(found.differing)
    assert [entry for entry in wider.unselected if entry.differing] == []


# What cannot be compared ----------------------------------------------------------------------------------------------


class _Counting(MemoryCluster):
    """A cluster that counts reads of single objects, and may forbid them."""

    denied: Callable[[ObjectKey], bool] = staticmethod(lambda _key: False)
    reads = 0

    def get(self, key: ObjectKey) -> JsonObject:
        """See ports.Cluster."""
        self.reads += 1
        if self.denied(key):
            raise AccessDeniedError(f"{key}: forbidden")
        return super().get(key)


def _unread(plan: Plan) -> set[str]:
    return {resource_name(key) for entry in plan.unselected for key in entry.not_compared}


def test_an_object_that_may_not_be_read_fails_no_plan() -> None:
    """The plan says that the objects of the kind were not compared."""
    live = _Counting(MemoryCluster.of(_with(_DATABASE)).objects)
    live.denied = lambda key: key.kind == kinds.CONFIG_MAP

    plan = _plan(live, clusterprofiles=("guestbook",))

    assert "ConfigMap/default/database" in _unread(plan)
    assert "not compared: ConfigMap/default/database" in plan_text(plan, columns=0)


def test_a_secret_without_the_keys_of_the_archive_is_not_compared() -> None:
    """Without a key, fingerprints cannot be compared: the Secret counts as not compared."""
    plan = _plan(MemoryCluster.of(_SAMPLE), clusterprofiles=("guestbook",))

    assert _unread(plan) == {"Secret/default/password"}
    assert "other objects were not compared" in nothing_text(plan, undo=False)


def test_an_object_that_the_sample_could_not_read_is_not_compared() -> None:
    """The sample holds an earlier state of the object."""
    failed = IncompleteKind(kinds.CLUSTER_SET, Substitute.CARRIED, IncompleteReason.FORBIDDEN)
    plan = _plan(MemoryCluster.of(_with(_NEW_SET)), incomplete=(failed,), clusterprofiles=("guestbook",))

    assert not any(entry.differing for entry in plan.unselected)
    assert "ClusterSet/chosen" in _unread(plan)


@pytest.mark.parametrize("name", ["database", "base", "chosen"])
def test_a_damaged_object_beside_the_selection_prevents_no_rollback(name: str) -> None:
    """Only the selected objects of the sample need to be readable."""
    live = _with(_DATABASE, {**_GUESTBOOK, "spec": {**_GUESTBOOK["spec"], "tier": 7}})
    tree = build(_SAMPLE)
    (damaged,) = (blob for path, blob in tree.files(Area.CONFIGURATION).items() if path.endswith(f"/{name}.yaml"))
    tree.contents[damaged] = b"kind: ["

    selection = Selection(clusterprofiles=("guestbook",))
    plan = prepare(
        MemoryCluster.of(live), tree, sample=sample(1, NOON), selection=selection, options=Options(), keeper=None
    )

    assert [step.key.name for step in plan.writes] == ["guestbook"]


@pytest.mark.parametrize(("count", "compared"), [(MAX_READ, True), (MAX_READ + 1, False)])
def test_the_number_of_reads_is_bounded(count: int, *, compared: bool) -> None:
    """If there are more objects than the limit, they are reported as not compared, and none is read."""
    names = [f"file-{number}" for number in range(count)]
    spec = {"policyRefs": [policy_ref(name, namespace=name) for name in names]}
    many = [profile("many", spec), *(config_map(name, {"a": "1"}, namespace=name) for name in names)]
    live = _Counting(MemoryCluster.of(many).objects)
    tree = build(many)

    selection = Selection(clusterprofiles=("many",))
    plan = prepare(live, tree, sample=sample(1, NOON), selection=selection, options=Options(), keeper=None)

    assert (len(_unread(plan)), live.reads > 0) == ((0, True) if compared else (count, False))


# Texts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unselected", "text"),
    [
        (
            Unselected(Relation.REFERENCED, ObjectKey.of(_GUESTBOOK), differing=(_FILE,)),
            (
                "1 object that ClusterProfile guestbook refers to differs: ConfigMap/default/database; "
                "add --with-references"
            ),
        ),
        (
            Unselected(Relation.REFERENCED, None, differing=(_FILE,), not_compared=(_FILE, _FILE)),
            (
                "1 object that the selected objects refer to differs: ConfigMap/default/database, "
                "and 2 more not compared; add --with-references"
            ),
        ),
        (
            Unselected(Relation.DEPLOYED, ObjectKey.of(_GUESTBOOK), (W,), differing=(_FILE,)),
            (
                f"1 object of ClusterProfile guestbook, which is deployed on {W}, differs: ConfigMap/default/database; "
                f"add {_PROFILE_OPTIONS}"
            ),
        ),
        (
            Unselected(Relation.CREATED, ObjectKey.of(_CREATED), (W, O), differing=(ObjectKey.of(_CREATED),)),
            (
                "ClusterProfile young is deployed on 2 of the selected clusters and not in the sample; "
                "add --clusterprofile young --prune"
            ),
        ),
        (
            Unselected(Relation.NAMED, ObjectKey.of(_GUESTBOOK), differing=(_FILE,) * 5),
            "5 objects that ClusterProfile guestbook names differ: "
            + ", ".join(["ConfigMap/default/database"] * 3)
            + " and 2 more; add "
            + "--resource ConfigMap/default/database " * 3
            + "...",
        ),
        (
            Unselected(Relation.LABELS, not_compared=(_FILE,)),
            "1 object that --selector leaves out was not compared: ConfigMap/default/database",
        ),
    ],
)
def test_the_sentence(unselected: Unselected, text: str) -> None:
    """Number, relation, verb, names and options."""
    assert str(unselected) == text


def test_a_cluster_with_hundreds_of_profiles() -> None:
    """Ten lines at most, those with differences first. The last line counts the other objects."""
    keys = [ObjectKey(kinds.CONFIG_MAP, "default", f"c{number:03}") for number in range(200)]
    groups = [
        Unselected(Relation.DEPLOYED, ObjectKey(kinds.CLUSTER_PROFILE, "", key.name), (W,), not_compared=(key,))
        for key in keys[1:]
    ]
    differing = Unselected(
        Relation.DEPLOYED, ObjectKey(kinds.CLUSTER_PROFILE, "", "c000"), (W,), differing=tuple(keys[:1])
    )
    plan = replace(plan_of([], []), unselected=(*groups, differing))

    lines = [line for line in plan_text(plan, columns=0).splitlines() if line.startswith("not selected")]

    assert len(lines) == 11
    assert "c000" in lines[0]
    assert lines[-1] == "not selected: 190 more objects, 190 that were not compared; --output json names all"
