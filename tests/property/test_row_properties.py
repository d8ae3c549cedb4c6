"""The rows of random configurations against an oracle: what each cluster has before and after, compared as two maps.

The oracle knows no references, documents or inventories: a world says which resources a cluster gets, in plain words,
and is written as the objects that Sveltos would have. Noise that must not matter is drawn beside it.
GITSNAP_ROW_CASES asks for more cases than a run of the tests does.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitsnap.compare import compare
from gitsnap.model import JsonObject
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef
from tests.support.trees import (
    O,
    W,
    build,
    cluster,
    config_map,
    deployed_by,
    inventory_of,
    policy_ref,
    profile,
    secret,
    summary,
)

CASES = int(os.environ.get("GITSNAP_ROW_CASES", "200"))
_settings = settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))

T = ClusterRef(kinds.CAPI_CLUSTER, W.namespace, W.name)
"""Of the same name as another cluster, and of another type."""
CLUSTERS = (W, O, T)
PROFILES = ("p", "q")
SHARED, OWN, NAMED, MADE, TWIN, HIDDEN = "shared", "own", "named", "made", "twin", "hidden"
SOURCES = (SHARED, OWN, NAMED, MADE, TWIN, HIDDEN)
"""One ConfigMap for all; one in each cluster's namespace; one by the cluster's name; a template; one with documents of
the same names as the first, while one of the two goes to the management cluster; one Secret for all."""
_FROM_LABEL = "a"
"""The document of a template in which the cluster's label stands."""

Slot = tuple[str, str]
"""Where a resource goes, and its name."""
Rows = Counter[tuple[str, str, str]]
"""Cluster, name and action; a name may be there twice, once in the management cluster."""


@dataclass(frozen=True)
class Deployed:
    """What a cluster has of a resource: a number that is written in it, and the label that a template put there."""

    port: int
    label: str
    source: str = field(compare=False)
    document: str = field(compare=False)


@dataclass
class World:
    """What is configured and, all of it, deployed."""

    env: dict[ClusterRef, str]
    """The label that profiles select by."""
    zone: dict[ClusterRef, str]
    """The label that templates read."""
    selects: dict[str, str]
    """Profile -> the value of the label."""
    owner: dict[str, str]
    """Source -> the profile that refers to it, ``""`` for none."""
    ports: dict[tuple[str, str], dict[str, int]]
    """Source and its variant (the namespace or name that it is about) -> document -> its content."""

    renamed: frozenset[str] = frozenset()
    """Sources that have another name; it is of no consequence."""
    elsewhere: frozenset[str] = frozenset()
    """Documents that stand in a second ConfigMap beside their own."""
    second: dict[str, str] = field(default_factory=dict)
    """Source -> the profile that refers to its second ConfigMap, where it is not the owner."""
    absent: frozenset[str] = frozenset()
    """Profiles that do not exist."""
    swapped: bool = False
    """Whether it is SHARED that goes to the management cluster, and not TWIN."""

    def matches(self, one: ClusterRef, name: str) -> bool:
        """Whether a profile selects a cluster."""
        return name not in self.absent and self.env[one] == self.selects[name]

    def is_local(self, source: str) -> bool:
        """Whether the documents of a source go to the management cluster."""
        return source == (SHARED if self.swapped else TWIN)

    def second_owner(self, source: str) -> str:
        """The profile that refers to the second ConfigMap of a source."""
        return self.second.get(source) or self.owner[source]

    def asks_for(self, one: ClusterRef, name: str) -> dict[Slot, Deployed]:
        """What a profile deploys to a cluster that it matches."""
        found = {}
        for source in SOURCES if name not in self.absent else ():
            for document, port in self.ports.get((source, _variant(source, one)), {}).items():
                is_second = source != HIDDEN and document in self.elsewhere
                if name == (self.second_owner(source) if is_second else self.owner[source]):
                    slot = "Local" if self.is_local(source) else "Remote", _resource(source, document)
                    label = self.zone[one] if (source, document) == (MADE, _FROM_LABEL) else ""
                    found[slot] = Deployed(port, label, source, document)
        return found

    def deployed(self, one: ClusterRef, name: str) -> dict[Slot, Deployed]:
        """What a profile deploys to a cluster."""
        return self.asks_for(one, name) if self.matches(one, name) else {}

    def resources(self, one: ClusterRef) -> dict[Slot, Deployed]:
        """Everything that a cluster has."""
        return {slot: content for owner in PROFILES for slot, content in self.deployed(one, owner).items()}


def _resource(source: str, document: str) -> str:
    return f"{SHARED if source == TWIN else source}-{document}"


def _variant(source: str, one: ClusterRef) -> str:
    return {OWN: one.namespace, NAMED: one.name}.get(source, "")


def expected(before: World, after: World) -> Rows:
    """The rows, by looking at both maps of each cluster."""
    rows: Rows = Counter()
    for one in CLUSTERS:
        old, new = before.resources(one), after.resources(one)
        for slot in old.keys() | new.keys():
            if slot not in new:
                rows[str(one), slot[1], "deleted"] += 1
            elif slot not in old:
                rows[str(one), slot[1], "added"] += 1
            elif old[slot] != new[slot]:
                rows[str(one), slot[1], "modified"] += 1
    return rows


def expected_while_stopped(before: World, after: World) -> Rows:
    """The rows while nobody carries out ``after``: what the clusters have, and are to have in another form.

    What a profile is to deploy that matched a cluster, or that is new and is to match it.
    """
    rows: Rows = Counter()
    for one in CLUSTERS:
        matching = [name for name in PROFILES if (after if name in before.absent else before).matches(one, name)]
        asked = {slot: content for owner in matching for slot, content in after.asks_for(one, owner).items()}
        for slot, content in before.resources(one).items():
            if asked.get(slot, content) != content:
                rows[str(one), slot[1], "modified"] += 1
    return rows


# Worlds ------------------------------------------------------------------------------------------------------------

_documents = st.dictionaries(st.sampled_from(("a", "b", "c")), st.integers(1, 3), max_size=3)
_VARIANTS = [(source, _variant(source, one)) for source in SOURCES for one in CLUSTERS]
_worlds = st.builds(
    World,
    st.fixed_dictionaries({one: st.sampled_from("xxxy") for one in CLUSTERS}),
    st.fixed_dictionaries({one: st.sampled_from("vw") for one in CLUSTERS}),
    st.fixed_dictionaries({name: st.sampled_from("xxy") for name in PROFILES}),
    st.fixed_dictionaries({source: st.sampled_from((*PROFILES, "")) for source in SOURCES}),
    st.dictionaries(st.sampled_from(sorted(set(_VARIANTS))), _documents, min_size=4),
    st.frozensets(st.sampled_from((SHARED, MADE, TWIN)), max_size=2),
    st.frozensets(st.sampled_from(("a", "b", "c")), max_size=2),
    st.dictionaries(st.sampled_from(SOURCES), st.sampled_from(PROFILES), max_size=3),
    st.sampled_from((frozenset[str](), frozenset[str](), frozenset({"p"}), frozenset({"q"}))),
    st.booleans(),
)
_OTHER = dict(zip(PROFILES, reversed(PROFILES), strict=True))
_PARTS = ("env", "zone", "selects", "owner", "ports", "second", "absent", "swapped")


@st.composite
def _edited(draw: st.DrawFn, world: World) -> World:
    """A few edits, since two worlds that have nothing in common have hardly a modified resource."""
    other = draw(_worlds)
    parts = draw(st.sets(st.sampled_from(_PARTS), max_size=3))
    ports = {**world.ports}
    for slot in draw(st.sets(st.sampled_from(sorted(set(_VARIANTS))), max_size=3)):
        ports[slot] = {**ports.get(slot, {}), **other.ports.get(slot, {})}
    if draw(st.booleans()):
        # Each source moves to the other profile: by chance alone that is too rare together with a change.
        world = replace(world, owner={source: _OTHER.get(name, "") for source, name in world.owner.items()})
    edited = {part: getattr(other, part) for part in ("renamed", "elsewhere", *parts)}
    return replace(world, **{"ports": ports, **edited})


@dataclass
class Noise:
    """What differs between two sides without meaning anything."""

    seed: int
    defaults: bool = False
    owners: bool = False
    """Whether the inventory says which source a resource came from, as older releases did."""
    failed: dict[tuple[ClusterRef, str], set[Slot]] = field(default_factory=dict)
    """Cluster and profile -> resources that the inventory lost in a failed deployment."""


def objects(world: World, noise: Noise, *, carried_out: World | None = None) -> list[JsonObject]:
    """The world as an API server has it; what Sveltos reports is about ``carried_out``, where that is another one."""
    chance = random.Random(noise.seed)
    reported = carried_out or world
    found = [cluster(one, env=world.env[one], zone=world.zone[one]) for one in CLUSTERS]
    for name in PROFILES:
        matching = [one for one in CLUSTERS if reported.matches(one, name)]
        if name not in world.absent:
            found.append(profile(name, _spec(world, name, noise), *matching))
        for one in matching:
            state = "Failed" if noise.failed.get((one, name)) else "Provisioned"
            found.append(summary(one, name, Resources=f"{state} {sorted(reported.deployed(one, name))!r:.60}"))
    for (source, variant), ports in world.ports.items():
        found += _sources(world, source, variant, ports, chance)
    found += [
        inventory_of(one, *(_entries(reported, one, name, noise, chance) for name in PROFILES)) for one in CLUSTERS
    ]
    chance.shuffle(found)
    return found


def _sources(world: World, source: str, variant: str, ports: dict[str, int], chance: random.Random) -> list[JsonObject]:
    """The ConfigMap or Secret of a source, and the ConfigMap that some of its documents stand in instead."""
    if source == HIDDEN:
        return [secret(HIDDEN, {"all.yaml": _text(source, ports, chance)})]
    namespace = variant if source == OWN else "default"
    metadata = {"annotations": {"projectsveltos.io/template": "ok"}} if source == MADE else {}
    parts = [
        {document: port for document, port in ports.items() if (document in world.elsewhere) == second}
        for second in (False, True)
    ]
    key = chance.choice(("all.yaml", "other.yaml"))
    return [
        config_map(
            _config_map_name(world, source, variant) + suffix, {key: _text(source, part, chance)}, namespace, **metadata
        )
        for part, suffix in zip(parts, ("", "-more"), strict=True)
    ]


def _config_map_name(world: World, source: str, variant: str) -> str:
    if source == NAMED:
        return f"{source}-{variant}"
    return f"{source}-anew" if source in world.renamed else source


def _spec(world: World, name: str, noise: Noise) -> JsonObject:
    written = {
        SHARED: policy_ref(_config_map_name(world, SHARED, "")),
        OWN: policy_ref(OWN, namespace=""),
        NAMED: policy_ref("named-{{ .ClusterName }}"),
        MADE: policy_ref(_config_map_name(world, MADE, "")),
        TWIN: policy_ref(_config_map_name(world, TWIN, "")),
        HIDDEN: policy_ref(HIDDEN, "Secret"),
    }
    for source, ref in written.items():
        if world.is_local(source):
            ref["deploymentType"] = "Local"
    refs = [written[source] for source in SOURCES if world.owner[source] == name]
    refs += [
        {**written[source], "name": f"{written[source]['name']}-more"}
        for source in SOURCES
        if source != HIDDEN and world.second_owner(source) == name
    ]
    spec: JsonObject = {"clusterSelector": {"matchLabels": {"env": world.selects[name]}}, "policyRefs": refs}
    if noise.defaults:
        refs = [{"deploymentType": "Remote", "optional": False, "tier": 100, **ref} for ref in refs]
        spec |= {"policyRefs": refs, "tier": 100, "syncMode": "Continuous", "reloader": False}
    return spec


def _text(source: str, documents: dict[str, int], chance: random.Random) -> str:
    names = sorted(documents)
    if source == HIDDEN:
        chance = random.Random(0)  # another order is another fingerprint
    chance.shuffle(names)
    texts = []
    for name in names:
        comment = f"# {chance.random()}\n" if chance.random() < 0.3 and source != HIDDEN else ""
        label = "\n  label: {{ .Cluster.metadata.labels.zone }}" if (source, name) == (MADE, _FROM_LABEL) else ""
        texts.append(
            f"{comment}apiVersion: v1\nkind: Service\nmetadata:\n  name: {_resource(source, name)}\n  namespace: test\n"
            f"spec:\n  port: {documents[name]}{label}\n"
        )
    return chance.choice(["---\n", "--- # next\n"]).join(texts) or "# nothing\n"


def _entries(world: World, one: ClusterRef, name: str, noise: Noise, chance: random.Random) -> JsonObject:
    lost = noise.failed.get((one, name), set())
    found = world.deployed(one, name)
    listed = [slot for slot in found if slot not in lost]
    chance.shuffle(listed)
    entry = deployed_by(
        name, *(f"{'Local ' if place == 'Local' else ''}/Service test/{resource}" for place, resource in listed)
    )
    for feature in entry["Features"]:
        for slot, resource in zip(listed, feature["resources"], strict=True):
            resource["lastAppliedTime"] = f"2026-01-01T00:00:{chance.randrange(60):02}Z"
            if noise.owners:
                resource["owner"] = _owner(world, found[slot], one)
    return entry


def _owner(world: World, deployed: Deployed, one: ClusterRef) -> JsonObject:
    source = deployed.source
    if source == HIDDEN:
        return {"kind": "Secret", "namespace": "default", "name": HIDDEN}
    name = _config_map_name(world, source, one.name) + ("-more" if deployed.document in world.elsewhere else "")
    return {"kind": "ConfigMap", "namespace": one.namespace if source == OWN else "default", "name": name}


def _rows(before: list[JsonObject], after: list[JsonObject]) -> Rows:
    found = compare(build(before), build(after))
    assert not found.not_comparable
    return Counter((row.cluster, row.name, str(row.action)) for row in found.rows)


# What must hold -----------------------------------------------------------------------------------------------------


@_settings
@given(st.data())
def test_rows_are_those_of_the_oracle(data: st.DataObject) -> None:
    """Whatever is edited: exactly the resources that a cluster gains, loses, or gets in another form."""
    before = data.draw(_worlds)
    after = data.draw(_edited(before))
    owners = data.draw(st.booleans())
    noises = [Noise(data.draw(st.integers(0, 99)), data.draw(st.booleans()), owners) for _ in range(2)]

    found = _rows(objects(before, noises[0]), objects(after, noises[1]))

    wanted = expected(before, after)
    assert _readable(found) == _readable(wanted)
    _check_hidden(found - _readable(found), wanted - _readable(wanted), before, after)


def _check_hidden(found: Rows, wanted: Rows, before: World, after: World) -> None:
    """Of a Secret's resources: what came and went exactly; what changed is never missed, and nothing without cause."""
    assert _comings_and_goings(found) == _comings_and_goings(wanted)
    assert wanted <= found
    if before.ports.get((HIDDEN, "")) == after.ports.get((HIDDEN, "")):
        assert _comings_and_goings(found) == found


def _comings_and_goings(rows: Rows) -> Rows:
    """The rows of what came and went."""
    return Counter({row: count for row, count in rows.items() if row[2] != "modified"})


@st.composite
def _failures(draw: st.DrawFn, world: World) -> dict[tuple[ClusterRef, str], set[Slot]]:
    """Any of the resources whose documents can be read, lost to failed deployments."""
    failed: dict[tuple[ClusterRef, str], set[Slot]] = {}
    for one in CLUSTERS:
        for name in PROFILES:
            slots = sorted(slot for slot in world.deployed(one, name) if not slot[1].startswith(HIDDEN))
            lost = draw(st.sets(st.sampled_from(slots), max_size=3)) if slots else set[Slot]()
            if lost:
                failed[one, name] = lost
    return failed


@_settings
@given(st.data())
def test_a_failed_deployment_hides_and_invents_nothing(data: st.DataObject) -> None:
    """Whatever the inventories lost, on either side: the rows are those of the configuration."""
    before = data.draw(_worlds)
    after = data.draw(_edited(before))
    noises = [Noise(seed, failed=data.draw(_failures(world))) for seed, world in enumerate((before, after))]

    found = _rows(objects(before, noises[0]), objects(after, noises[1]))

    assert _readable(found) == _readable(expected(before, after))


@_settings
@given(st.data())
def test_what_nobody_carries_out_is_a_row_where_it_changes_what_is_there(data: st.DataObject) -> None:
    """Sveltos stands still: nothing comes or goes, documents that changed are rows, moves and renames are none."""
    before = data.draw(_worlds)
    after = data.draw(_edited(before))

    found = _rows(objects(before, Noise(1)), objects(after, Noise(2), carried_out=before))

    assert _readable(found) == _readable(expected_while_stopped(before, after))


@_settings
@given(st.data())
def test_what_is_carried_out_later_comes_and_goes_and_is_no_other_change(data: st.DataObject) -> None:
    """The configuration was sampled before Sveltos followed: then the inventory alone moves on."""
    before = data.draw(_worlds)
    after = data.draw(_edited(before))

    found = _rows(objects(after, Noise(1), carried_out=before), objects(after, Noise(2)))

    assert found == _comings_and_goings(expected(before, after))


def _readable(rows: Rows) -> Rows:
    """The rows of resources whose documents are in the archive."""
    return Counter({row: count for row, count in rows.items() if not row[1].startswith(HIDDEN)})
