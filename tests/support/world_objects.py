"""Worlds as the objects of an API server after Sveltos deployed them, with noise that must not change a comparison.

This module must not know which rows the tests expect.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from gitsnap.core.model import JsonObject
from gitsnap.sveltos.matching import ClusterRef
from tests.support.trees import (
    cluster,
    config_map,
    deployed_by,
    inventory_of,
    policy_ref,
    profile,
    secret,
    summary,
)
from tests.support.worlds import (
    CLUSTERS,
    FROM_LABEL,
    HIDDEN,
    MADE,
    NAMED,
    OWN,
    PROFILE,
    PROFILE_NAMESPACE,
    PROFILES,
    READING,
    RELEASES,
    SHARED,
    SOURCES,
    TWIN,
    Deployed,
    Installed,
    Slot,
    World,
    resource_name,
    variant_for,
)

_VALUES = "values"
_ZONE = "{{ .Cluster.metadata.labels.zone }}"


@dataclass
class Noise:
    """Differences between two sides that have no meaning."""

    seed: int
    defaults: bool = False
    owners: bool = False
    """Whether the inventory names the source of each resource, as older releases of Sveltos do."""
    hashes: bool = False
    """Whether Sveltos reports hashes of the values of releases."""
    failed: dict[tuple[ClusterRef, str], set[Slot]] = field(default_factory=dict)
    """Cluster and profile -> resources that the inventory lost in a failed deployment."""
    failed_releases: dict[tuple[ClusterRef, str], set[str]] = field(default_factory=dict)
    """Cluster and profile -> releases that the inventory lost in a failed deployment."""


def objects(world: World, noise: Noise, *, carried_out: World | None = None) -> list[JsonObject]:
    """The objects of a world. The reports of Sveltos describe ``carried_out`` if it is set, otherwise ``world``."""
    chance = random.Random(noise.seed)
    reported = carried_out or world
    found = [cluster(ref, env=world.env[ref], zone=world.zone[ref]) for ref in CLUSTERS]
    for name in PROFILES:
        matching = [ref for ref in CLUSTERS if reported.matches(ref, name)]
        if name not in world.absent:
            namespace = PROFILE_NAMESPACE if name == PROFILE else ""
            found.append(profile(profile_name(name), _spec(world, name, noise, chance), *matching, namespace=namespace))
        found += [_summary(reported, ref, name, noise) for ref in matching]
    for (source, variant), ports in world.ports.items():
        found += _sources(world, source, variant, ports, chance)
    for namespace, value in world.values.items():
        found.append(config_map(_VALUES, {"values.yaml": _commented(f"fetched: {value}\n", chance)}, namespace))
    found += [
        inventory_of(ref, *(_entries(reported, ref, name, noise, chance) for name in PROFILES)) for ref in CLUSTERS
    ]
    chance.shuffle(found)
    return found


def profile_name(name: str) -> str:
    """The name of a profile's object. The Profile has the name of a ClusterProfile."""
    return "p" if name == PROFILE else name


def profile_place(name: str) -> tuple[str, str]:
    """Namespace and name of a profile's object."""
    return PROFILE_NAMESPACE if name == PROFILE else "", profile_name(name)


def _commented(text: str, chance: random.Random) -> str:
    return f"# {chance.random()}\n{text}" if chance.random() < 0.3 else text


# Configuration ------------------------------------------------------------------------------------------------------


def _sources(world: World, source: str, variant: str, ports: dict[str, int], chance: random.Random) -> list[JsonObject]:
    """The ConfigMap or Secret of a source, and the second ConfigMap with some of its documents."""
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


def _spec(world: World, name: str, noise: Noise, chance: random.Random) -> JsonObject:
    # Sveltos uses the namespace of a Profile for its references and ignores the namespace in the reference.
    written_namespace = chance.choice(("default", "", "nowhere")) if name == PROFILE else "default"
    written = {
        SHARED: policy_ref(_config_map_name(world, SHARED, ""), namespace=written_namespace),
        OWN: policy_ref(OWN, namespace=""),
        NAMED: policy_ref("named-{{ .ClusterName }}", namespace=written_namespace),
        MADE: policy_ref(_config_map_name(world, MADE, ""), namespace=written_namespace),
        TWIN: policy_ref(_config_map_name(world, TWIN, ""), namespace=written_namespace),
        HIDDEN: policy_ref(HIDDEN, "Secret", namespace=written_namespace),
    }
    for source, ref in written.items():
        if world.is_local(source):
            ref["deploymentType"] = "Local"
        if _is_missing(world, name, source):
            ref["optional"] = True
    refs = [written[source] for source in SOURCES if world.owner[source] == name]
    refs += [
        {**written[source], "name": f"{written[source]['name']}-more"}
        for source in SOURCES
        if source != HIDDEN and world.second_owner(source) == name
    ]
    charts = [_chart(world, release, chance) for release in RELEASES if world.owner[release] == name]
    chance.shuffle(charts)
    spec: JsonObject = {
        "clusterSelector": {"matchLabels": {"env": world.selects[name]}},
        "policyRefs": refs,
        "helmCharts": charts,
    }
    if noise.defaults:
        refs = [{"deploymentType": "Remote", "optional": False, "tier": 100, **ref} for ref in refs]
        charts = [{"helmChartAction": "Install", **chart} for chart in charts]
        spec |= {"policyRefs": refs, "helmCharts": charts, "tier": 100, "syncMode": "Continuous", "reloader": False}
    return spec


def _is_missing(world: World, name: str, source: str) -> bool:
    """Whether the source is missing for a cluster that the profile selects.

    Sveltos deploys nothing of a profile whose required source is missing. The reference is therefore optional.
    """
    selected = [ref for ref in CLUSTERS if world.matches(ref, name)]
    return any((source, variant_for(name, source, ref)) not in world.ports for ref in selected)


def _chart(world: World, release: str, chance: random.Random) -> JsonObject:
    asked = world.charts[release]
    chart: JsonObject = {
        "repositoryURL": "https://charts.example.com",
        "chartName": asked.chart,
        "chartVersion": f"{asked.version}.0.0",
        "releaseName": release,
        "releaseNamespace": "shop",
    }
    if release == READING:
        # A template is compared as text, because comments may contain actions.
        return {**chart, "values": f"a: {asked.value}\nzone: {_ZONE}\n"}
    values_from = {"kind": "ConfigMap", "namespace": "", "name": _VALUES}
    return {**chart, "values": _commented(f"a: {asked.value}\n", chance), "valuesFrom": [values_from]}


def _text(source: str, documents: dict[str, int], chance: random.Random) -> str:
    names = sorted(documents)
    if source == HIDDEN:
        chance = random.Random(0)  # another order would give another fingerprint
    chance.shuffle(names)
    texts = []
    for name in names:
        comment = f"# {chance.random()}\n" if chance.random() < 0.3 and source != HIDDEN else ""
        label = f"\n  label: {_ZONE}" if (source, name) == (MADE, FROM_LABEL) else ""
        texts.append(
            f"{comment}apiVersion: v1\nkind: Service\nmetadata:\n  name: {resource_name(source, name)}\n"
            f"  namespace: test\nspec:\n  port: {documents[name]}{label}\n"
        )
    return chance.choice(["---\n", "--- # next\n"]).join(texts) or "# nothing\n"


# Reports of Sveltos -------------------------------------------------------------------------------------------------


def resources_hash(world: World, ref: ClusterRef, name: str) -> str:
    """The hash that Sveltos reports for a profile's resources on a cluster. It changes with the listed resources."""
    return f"{sorted(world.deployed(ref, name))!r:.60}"


def failed_features(noise: Noise, ref: ClusterRef, name: str) -> set[str]:
    """The features whose deployment failed."""
    failed = {"Resources": bool(noise.failed.get((ref, name))), "Helm": bool(noise.failed_releases.get((ref, name)))}
    return {feature for feature, has_failed in failed.items() if has_failed}


def _summary(world: World, ref: ClusterRef, name: str, noise: Noise) -> JsonObject:
    states = {
        "Resources": "Failed" if noise.failed.get((ref, name)) else "Provisioned",
        "Helm": "Failed" if noise.failed_releases.get((ref, name)) else "Provisioned",
    }
    installed = world.installed(ref, name)
    found = summary(
        ref,
        profile_name(name),
        namespaced=name == PROFILE,
        Resources=f"{states['Resources']} {resources_hash(world, ref, name)}",
        Helm=f"{states['Helm']} {sorted(installed)!r}",
    )
    if noise.hashes:
        found["status"]["helmReleaseSummaries"] = [
            {"releaseNamespace": "shop", "releaseName": release, "valuesHash": repr(what.values), "status": "Managing"}
            for release, what in installed.items()
        ]
    return found


def _entries(world: World, ref: ClusterRef, name: str, noise: Noise, chance: random.Random) -> JsonObject:
    lost = noise.failed.get((ref, name), set())
    found = world.deployed(ref, name)
    listed = [slot for slot in found if slot not in lost]
    chance.shuffle(listed)
    lost_releases = noise.failed_releases.get((ref, name), set())
    releases = [
        _listed(release, what) for release, what in world.installed(ref, name).items() if release not in lost_releases
    ]
    entry = deployed_by(
        profile_name(name),
        *(f"{'Local ' if place == 'Local' else ''}/Service test/{resource}" for place, resource in listed),
        charts=releases,
        namespaced=name == PROFILE,
    )
    for resource, slot in zip((entry["Features"] or [{}])[0].get("resources", ()), listed, strict=True):
        resource["lastAppliedTime"] = f"2026-01-01T00:00:{chance.randrange(60):02}Z"
        if noise.owners:
            resource["owner"] = _owner(world, found[slot], ref, name)
    return entry


def _listed(release: str, what: Installed) -> JsonObject:
    return {
        "repoURL": "https://charts.example.com",
        "releaseName": release,
        "namespace": "shop",
        "chartVersion": f"{what.asked.version}.0.0",
    }


def _owner(world: World, deployed: Deployed, ref: ClusterRef, profile_name: str) -> JsonObject:
    source = deployed.source
    if source == HIDDEN:
        return {"kind": "Secret", "namespace": "default", "name": HIDDEN}
    name = _config_map_name(world, source, ref.name) + ("-more" if deployed.document in world.elsewhere else "")
    own = source == OWN and profile_name != PROFILE
    return {"kind": "ConfigMap", "namespace": ref.namespace if own else "default", "name": name}
