"""The rows of random configurations against an oracle: what each cluster has before and after, compared as two maps.

The oracle knows no references, documents or inventories: a world says which resources a cluster gets, in plain words,
and is written as the objects that Sveltos would have. Noise that must not matter is drawn beside it.
GITSNAP_ROW_CASES asks for more cases than a run of the tests does.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from typing import Any

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

CASES = int(os.environ.get("GITSNAP_ROW_CASES", "500"))
_settings = settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))

E = ClusterRef(kinds.SVELTOS_CLUSTER, "tenant-a", "east")
CLUSTERS = (W, O, E)
PROFILES = ("p", "q")
SHARED, OWN, NAMED, HIDDEN = "shared", "own", "named", "hidden"
SOURCES = (SHARED, OWN, NAMED, HIDDEN)
"""One ConfigMap for all; one in each cluster's namespace; one by the cluster's name; one Secret for all."""


@dataclass
class World:
    """What is configured and, all of it, deployed."""

    env: dict[ClusterRef, str]
    """The label that profiles select by."""
    selects: dict[str, str]
    """Profile -> the value of the label."""
    owner: dict[str, str]
    """Source -> the profile that refers to it, ``""`` for none."""
    ports: dict[tuple[str, str], dict[str, int]]
    """Source and its variant (the namespace or name that it is about) -> document -> its content."""

    def deployed(self, one: ClusterRef, name: str) -> dict[str, int]:
        """What a profile deploys to a cluster: resource -> content."""
        if self.env[one] != self.selects[name]:
            return {}
        return {
            f"{source}-{document}": port
            for source in SOURCES
            if self.owner[source] == name
            for document, port in self.ports.get((source, _variant(source, one)), {}).items()
        }

    def resources(self, one: ClusterRef) -> dict[str, int]:
        """Everything that a cluster has."""
        return {name: port for owner in PROFILES for name, port in self.deployed(one, owner).items()}


def _variant(source: str, one: ClusterRef) -> str:
    return {OWN: one.namespace, NAMED: one.name}.get(source, "")


def expected(before: World, after: World, lost: set[tuple[ClusterRef, str]]) -> set[tuple[str, str, str]]:
    """The rows, by looking at both maps of each cluster. Of what a failure lost, only a change is a row."""
    rows = set()
    for one in CLUSTERS:
        old, new = before.resources(one), after.resources(one)
        for name in old.keys() | new.keys():
            if name not in new:
                rows.add((str(one), name, "deleted"))
            elif name not in old:
                if (one, name) not in lost:
                    rows.add((str(one), name, "added"))
            elif old[name] != new[name]:
                rows.add((str(one), name, "modified"))
    return rows


# Worlds ------------------------------------------------------------------------------------------------------------

_documents = st.dictionaries(st.sampled_from(("a", "b", "c")), st.integers(1, 3), max_size=3)
_VARIANTS = [(source, _variant(source, one)) for source in SOURCES for one in CLUSTERS]
_worlds = st.builds(
    World,
    st.fixed_dictionaries({one: st.sampled_from("xyz") for one in CLUSTERS}),
    st.fixed_dictionaries({name: st.sampled_from("xy") for name in PROFILES}),
    st.fixed_dictionaries({source: st.sampled_from((*PROFILES, "")) for source in SOURCES}),
    st.dictionaries(st.sampled_from(sorted(set(_VARIANTS))), _documents, min_size=2),
)


@st.composite
def _edited(draw: st.DrawFn, world: World) -> World:
    """A few edits, since two worlds that have nothing in common have hardly a modified resource."""
    other = draw(_worlds)
    parts = draw(st.sets(st.sampled_from(("env", "selects", "owner", "ports")), max_size=2))
    ports = {**world.ports}
    for slot in draw(st.sets(st.sampled_from(sorted(set(_VARIANTS))), max_size=3)):
        ports[slot] = {**ports.get(slot, {}), **other.ports.get(slot, {})}
    return World(
        other.env if "env" in parts else world.env,
        other.selects if "selects" in parts else world.selects,
        other.owner if "owner" in parts else world.owner,
        other.ports if "ports" in parts else ports,
    )


@dataclass
class Noise:
    """What differs between two sides without meaning anything."""

    seed: int
    defaults: bool = False
    owners: bool = False
    """Whether the inventory says which source a resource came from, as older releases did."""
    failed: dict[tuple[ClusterRef, str], set[str]] = field(default_factory=dict)
    """Cluster and profile -> resources that the inventory lost in a failed deployment."""


def objects(world: World, noise: Noise) -> list[JsonObject]:
    """The world as an API server has it."""
    chance = random.Random(noise.seed)
    found = [cluster(one, env=world.env[one]) for one in CLUSTERS]
    for name in PROFILES:
        matching = [one for one in CLUSTERS if world.env[one] == world.selects[name]]
        found.append(profile(name, _spec(world, name, noise), *matching))
        for one in matching:
            state = "Failed" if noise.failed.get((one, name)) else "Provisioned"
            found.append(summary(one, name, Resources=f"{state} {sorted(world.deployed(one, name).items())!r:.60}"))
    for (source, variant), documents in world.ports.items():
        text = _text(source, documents, chance)
        if source == HIDDEN:
            found.append(secret(HIDDEN, {"all.yaml": text}))
        else:
            namespace = variant if source == OWN else "default"
            found.append(
                config_map(f"{source}-{variant}" if source == NAMED else source, {"all.yaml": text}, namespace)
            )
    found += [inventory_of(one, *(_entries(world, one, name, noise, chance) for name in PROFILES)) for one in CLUSTERS]
    chance.shuffle(found)
    return found


def _spec(world: World, name: str, noise: Noise) -> JsonObject:
    written = {
        SHARED: policy_ref(SHARED),
        OWN: policy_ref(OWN, namespace=""),
        NAMED: policy_ref("named-{{ .ClusterName }}"),
        HIDDEN: policy_ref(HIDDEN, "Secret"),
    }
    refs = [written[source] for source in SOURCES if world.owner[source] == name]
    spec: JsonObject = {"clusterSelector": {"matchLabels": {"env": world.selects[name]}}, "policyRefs": refs}
    if noise.defaults:
        refs = [{**ref, "deploymentType": "Remote", "optional": False, "tier": 100} for ref in refs]
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
        texts.append(
            f"{comment}apiVersion: v1\nkind: Service\nmetadata:\n  name: {source}-{name}\n  namespace: test\n"
            f"spec:\n  port: {documents[name]}\n"
        )
    return chance.choice(["---\n", "--- # next\n"]).join(texts) or "# nothing\n"


def _entries(world: World, one: ClusterRef, name: str, noise: Noise, chance: random.Random) -> JsonObject:
    lost = noise.failed.get((one, name), set())
    names = [resource for resource in world.deployed(one, name) if resource not in lost]
    chance.shuffle(names)
    entry = deployed_by(name, *(f"/Service test/{resource}" for resource in names))
    for feature in entry["Features"]:
        for resource in feature["resources"]:
            resource["lastAppliedTime"] = f"2026-01-01T00:00:{chance.randrange(60):02}Z"
            if noise.owners:
                resource["owner"] = _owner(resource["name"].partition("-")[0], one)
    return entry


def _owner(source: str, one: ClusterRef) -> JsonObject:
    name = f"{NAMED}-{one.name}" if source == NAMED else source
    namespace = one.namespace if source == OWN else "default"
    return {"kind": "Secret" if source == HIDDEN else "ConfigMap", "namespace": namespace, "name": name}


def _rows(before: list[JsonObject], after: list[JsonObject]) -> set[tuple[str, str, str]]:
    found = compare(build(before), build(after))
    rows = [(row.cluster, row.name, str(row.action)) for row in found.rows]
    assert len(rows) == len(set(rows)), "two rows for one resource"
    assert not found.not_comparable
    return set(rows)


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

    certain = {row for row in found if not row[1].startswith(HIDDEN)}
    wanted = expected(before, after, set())
    assert certain == {row for row in wanted if not row[1].startswith(HIDDEN)}
    _check_hidden(found - certain, wanted, before, after)


def _check_hidden(found: set[Any], wanted: set[Any], before: World, after: World) -> None:
    """Of a Secret's resources: what came and went exactly; what changed is never missed, and nothing without cause."""
    hidden = {row for row in wanted if row[1].startswith(HIDDEN)}
    assert {row for row in found if row[2] != "modified"} == {row for row in hidden if row[2] != "modified"}
    assert hidden <= found
    if before.ports.get((HIDDEN, "")) == after.ports.get((HIDDEN, "")):
        assert not {row for row in found if row[2] == "modified"}


@_settings
@given(st.data())
def test_a_failed_deployment_hides_and_invents_nothing(data: st.DataObject) -> None:
    """Entries that the inventory lost run on: they are rows only where their document changed."""
    before = data.draw(_worlds)
    after = data.draw(_edited(before))
    failed: dict[tuple[ClusterRef, str], set[str]] = {}
    lost: set[tuple[ClusterRef, str]] = set()
    for one in CLUSTERS:
        for name in PROFILES:
            kept = before.deployed(one, name).keys() & after.deployed(one, name).keys()
            names = sorted(resource for resource in kept if not resource.startswith(HIDDEN))
            chosen = data.draw(st.sets(st.sampled_from(names), max_size=3)) if names else set[str]()
            if chosen:
                failed[one, name] = chosen
                lost |= {(one, resource) for resource in chosen}

    found = _rows(objects(before, Noise(1)), objects(after, Noise(2, failed=failed)))

    wanted = expected(before, after, lost)
    assert {row for row in found if not row[1].startswith(HIDDEN)} == {
        row for row in wanted if not row[1].startswith(HIDDEN)
    }
