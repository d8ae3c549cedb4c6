"""The rows of random configurations against an oracle: what each cluster has before and after, compared as two maps.

GITSNAP_ROW_CASES sets another number of cases.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitsnap.core.model import JsonObject
from gitsnap.diff.comparison import compare
from gitsnap.sveltos.matching import ClusterRef
from tests.support.trees import build
from tests.support.world_objects import Noise, failed_features, objects, profile_place, resources_hash
from tests.support.worlds import (
    CLUSTERS,
    HIDDEN,
    MADE,
    PROFILES,
    RELEASES,
    SHARED,
    SOURCES,
    TWIN,
    Chart,
    Rows,
    Slot,
    World,
    comings_and_goings,
    expected,
    expected_when_carried_out,
    expected_while_stopped,
    readable,
    variant_of,
)

CASES = int(os.environ.get("GITSNAP_ROW_CASES", "200"))
_settings = settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))

# Worlds ------------------------------------------------------------------------------------------------------------

_documents = st.dictionaries(st.sampled_from(("a", "b", "c")), st.integers(1, 3), max_size=3)
_charts = st.builds(Chart, st.integers(1, 2), st.sampled_from(("web", "site")), st.integers(1, 3))
_VARIANTS = sorted({(source, variant_of(source, cluster)) for source in SOURCES for cluster in CLUSTERS})
_NAMESPACES = sorted({cluster.namespace for cluster in CLUSTERS})
_any_worlds = st.builds(
    World,
    env=st.fixed_dictionaries({cluster: st.sampled_from("xxxy") for cluster in CLUSTERS}),
    zone=st.fixed_dictionaries({cluster: st.sampled_from("vw") for cluster in CLUSTERS}),
    selects=st.fixed_dictionaries({name: st.sampled_from("xxy") for name in PROFILES}),
    owner=st.fixed_dictionaries({add_on: st.sampled_from((*PROFILES, "")) for add_on in (*SOURCES, *RELEASES)}),
    ports=st.dictionaries(st.sampled_from(_VARIANTS), _documents, min_size=4),
    charts=st.fixed_dictionaries(dict.fromkeys(RELEASES, _charts)),
    values=st.fixed_dictionaries(dict.fromkeys(_NAMESPACES, st.integers(1, 2))),
    renamed=st.frozensets(st.sampled_from((SHARED, MADE, TWIN)), max_size=2),
    elsewhere=st.frozensets(st.sampled_from(("a", "b", "c")), max_size=2),
    second=st.dictionaries(st.sampled_from(SOURCES), st.sampled_from(PROFILES), max_size=3),
    absent=st.sampled_from((frozenset[str](), frozenset[str](), *(frozenset({name}) for name in PROFILES))),
    swapped=st.booleans(),
)


@st.composite
def _with_twins(draw: st.DrawFn) -> World:
    """Return a world in which one profile deploys two sources with the same names in them, which chance rarely does."""
    world = draw(_any_worlds)
    documents = draw(_documents)
    ports = {**world.ports, (SHARED, ""): documents, (TWIN, ""): {**documents, **draw(_documents)}}
    return replace(world, ports=ports, owner={**world.owner, TWIN: world.owner[SHARED]}, second={})


_worlds = st.one_of(_any_worlds, _with_twins())
_PARTS = ("env", "zone", "selects", "owner", "ports", "second", "absent", "swapped", "charts", "values")


@st.composite
def _edited(draw: st.DrawFn, world: World) -> World:
    """Return a world with a few edits. Two unrelated worlds have hardly any modified resource."""
    other = draw(_worlds)
    parts = draw(st.sets(st.sampled_from(_PARTS), max_size=3))
    ports = {**world.ports}
    for slot in draw(st.sets(st.sampled_from(_VARIANTS), max_size=3)):
        ports[slot] = {**ports.get(slot, {}), **other.ports.get(slot, {})}
    charts = {**world.charts}
    for release in draw(st.sets(st.sampled_from(RELEASES))):
        charts[release] = other.charts[release]
    if draw(st.booleans()):
        # Everything moves to another profile: by chance alone that is too rare together with a change.
        to = dict(zip(PROFILES, draw(st.permutations(PROFILES)), strict=True))
        world = replace(world, owner={add_on: to.get(name, "") for add_on, name in world.owner.items()})
    edited = {part: getattr(other, part) for part in ("renamed", "elsewhere", *parts)}
    return replace(world, **{"ports": ports, "charts": charts, **edited})


_Deployments = dict[tuple[str, str, str], str]
"""Cluster, and namespace and name of a profile -> what the row for them says."""


def _rows(before: list[JsonObject], after: list[JsonObject]) -> tuple[Rows, _Deployments]:
    """Return the rows of resources and releases, and the rows of deployments."""
    actual = compare(build(before), build(after))
    assert not actual.not_comparable
    whole = [row for row in actual.rows if row.resource_type.startswith("config.projectsveltos.io/")]
    others = [row for row in actual.rows if row not in whole]
    assert {str(row.action) for row in whole} <= {"modified"}
    rows = Counter((row.cluster, row.name, _action(row.name, str(row.action), row.message)) for row in others)
    return rows, {(row.cluster, row.namespace, row.name): row.message for row in whole}


def _action(name: str, action: str, message: str) -> str:
    """Return the action. For a modified release, add the beginning of the message."""
    if name not in RELEASES or action != "modified":
        return action
    return f"{action} {message.removeprefix('To ').partition(' ')[0].strip(':')}"


# What must hold -----------------------------------------------------------------------------------------------------


@_settings
@given(st.data())
def test_rows_are_those_of_the_oracle(data: st.DataObject) -> None:
    """For any edits: exactly the resources that a cluster gains, loses, or gets in another form."""
    before = data.draw(_worlds)
    after = data.draw(_edited(before))
    owners = data.draw(st.booleans())
    noises = [
        Noise(data.draw(st.integers(0, 99)), data.draw(st.booleans()), owners, hashes=data.draw(st.booleans()))
        for _ in range(2)
    ]

    actual, deployments = _rows(objects(before, noises[0]), objects(after, noises[1]))

    assert deployments == {}
    wanted = expected(before, after)
    assert readable(actual) == readable(wanted)
    _check_hidden(actual - readable(actual), wanted - readable(wanted), before, after)


def _check_hidden(actual: Rows, wanted: Rows, before: World, after: World) -> None:
    """Resources of Secrets: additions and deletions are exact, no change is missed, and no row lacks a cause."""
    assert comings_and_goings(actual) == comings_and_goings(wanted)
    assert wanted <= actual
    if before.ports.get((HIDDEN, "")) == after.ports.get((HIDDEN, "")):
        assert comings_and_goings(actual) == actual


_Failed = tuple[dict[tuple[ClusterRef, str], set[Slot]], dict[tuple[ClusterRef, str], set[str]]]


@st.composite
def _failures(draw: st.DrawFn, world: World) -> _Failed:
    """Return resources with readable documents, and releases, that failed deployments keep out of the inventory."""
    failed: _Failed = ({}, {})
    for cluster in CLUSTERS:
        for name in PROFILES:
            slots = sorted(slot for slot in world.deployed(cluster, name) if not slot[1].startswith(HIDDEN))
            if slots and (lost := draw(st.sets(st.sampled_from(slots), max_size=3))):
                failed[0][cluster, name] = lost
            releases = sorted(world.installed(cluster, name))
            if releases and (gone := draw(st.sets(st.sampled_from(releases)))):
                failed[1][cluster, name] = gone
    return failed


@_settings
@given(st.data())
def test_a_failed_deployment_hides_and_invents_nothing(data: st.DataObject) -> None:
    """The rows follow the configuration, whatever the inventories of either side lack."""
    before = data.draw(_worlds)
    after = data.draw(_edited(before))
    noises = []
    for seed, world in enumerate((before, after)):
        failed, failed_releases = data.draw(_failures(world))
        noises.append(Noise(seed, failed=failed, failed_releases=failed_releases))

    actual, deployments = _rows(objects(before, noises[0]), objects(after, noises[1]))

    assert readable(actual) == readable(expected(before, after))
    assert deployments == _failures_on_one_side((before, noises[0]), (after, noises[1]))


def _failures_on_one_side(old: tuple[World, Noise], new: tuple[World, Noise]) -> _Deployments:
    """Return a row for each deployment of which a feature failed on one side only."""
    rows: _Deployments = {}
    for cluster in CLUSTERS:
        for name in PROFILES:
            before, after = (
                failed_features(noise, cluster, name) if world.matches(cluster, name) else set[str]()
                for world, noise in (old, new)
            )
            messages = []
            if begun := sorted(after - before):
                messages.append(f"deployment failed ({', '.join(begun)}): what runs there is not known")
            if ended := sorted(before - after):
                messages.append(f"deployment had failed ({', '.join(ended)}): what ran there before is not known")
            if messages:
                rows[str(cluster), *profile_place(name)] = "; ".join(messages)
    return rows


@_settings
@given(st.data())
def test_undeployed_changes_are_rows_of_existing_resources(data: st.DataObject) -> None:
    """Without Sveltos nothing is added or deleted. Changed documents have rows, moves and renames have none."""
    before = data.draw(_worlds)
    after = data.draw(_edited(before))
    hashes = data.draw(st.booleans())

    actual, deployments = _rows(
        objects(before, Noise(1, hashes=hashes)), objects(after, Noise(2, hashes=hashes), carried_out=before)
    )

    assert deployments == {}
    assert readable(actual) == readable(expected_while_stopped(before, after))


@_settings
@given(st.data())
def test_a_later_deployment_only_adds_and_deletes(data: st.DataObject) -> None:
    """The configuration was captured before Sveltos deployed it: only inventory and reports change."""
    before = data.draw(_worlds)
    after = data.draw(_edited(before))
    hashes = data.draw(st.booleans())

    actual, deployments = _rows(
        objects(after, Noise(1, hashes=hashes), carried_out=before), objects(after, Noise(2, hashes=hashes))
    )

    assert actual == expected_when_carried_out(before, after, hashed=hashes)
    wanted = {
        (str(cluster), *profile_place(name)): "redeployed (Resources): an earlier change was applied"
        for cluster in CLUSTERS
        for name in PROFILES
        if before.matches(cluster, name)
        and after.matches(cluster, name)
        and resources_hash(before, cluster, name) != resources_hash(after, cluster, name)
    }
    assert deployments.items() <= wanted.items()  # another comment in a source gives another hash, too
    same = Noise(1, hashes=hashes)
    assert _rows(objects(after, same, carried_out=before), objects(after, same))[1] == wanted
