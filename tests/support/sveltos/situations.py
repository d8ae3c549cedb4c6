"""Pairs of configurations in which Sveltos removed add-ons that the plan did not name, and variants of them.

Each situation has its own clusters, namespace and names, so that many situations can run on the same server.
This module must not be imported by the package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gitsnap.core.model import JsonObject, Kind
from gitsnap.sveltos import kinds
from tests.support.plans import custom

Documents = list[JsonObject]


@dataclass(frozen=True)
class Names:
    """The names and objects of a situation."""

    prefix: str
    charts: str = "https://charts.example.com"

    def cluster(self, letter: str, **labels: str) -> JsonObject:
        """A managed cluster; the situation's own label keys begin with its prefix."""
        return custom(kinds.SVELTOS_CLUSTER, f"{self.prefix}-{letter}", {}, self.prefix, labels=labels)

    def both(self, **labels: str) -> Documents:
        """The two clusters."""
        return [self.cluster("a", **labels), self.cluster("b", **labels)]

    def content(self, name: str, *resources: str, value: str = "1") -> JsonObject:
        """A ConfigMap that contains ConfigMaps to deploy."""
        text = "---\n".join(
            f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {resource}, namespace: {self.prefix}}}\n"
            f'data: {{value: "{value}"}}\n'
            for resource in resources
        )
        metadata = {"name": name, "namespace": self.prefix}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"all.yaml": text}}

    def ref(self, name: str, **fields: Any) -> JsonObject:
        """A policyRef to a ConfigMap of the situation."""
        return {"kind": "ConfigMap", "namespace": self.prefix, "name": name, **fields}

    def profile(self, *references: str | JsonObject, name: str = "", **spec: Any) -> JsonObject:
        """A ClusterProfile. It selects the label ``env`` with the prefix unless the spec says otherwise."""
        if not spec.keys() & {"clusterSelector", "setRefs", "clusterRefs"}:
            spec["clusterSelector"] = self.selects("env")
        refs = [self.ref(reference) if isinstance(reference, str) else reference for reference in references]
        return custom(kinds.CLUSTER_PROFILE, self.prefix + name, {**spec, "policyRefs": refs})

    def set(self, label: str, limit: int = 3) -> JsonObject:
        """A ClusterSet."""
        spec = {"clusterSelector": self.selects(label), "maxReplicas": limit}
        return custom(kinds.CLUSTER_SET, self.prefix, spec)

    def selects(self, label: str) -> JsonObject:
        """A selector by a label whose value is the prefix."""
        return {"matchLabels": {label: self.prefix}}

    def chart(self, version: str = "1.0.0") -> JsonObject:
        """A Helm chart."""
        return {
            "releaseName": f"{self.prefix}-pod",
            "releaseNamespace": self.prefix,
            "repositoryURL": self.charts,
            "repositoryName": "pod",
            "chartName": "pod/pod",
            "chartVersion": version,
        }


@dataclass(frozen=True)
class Situation:
    """A configuration that is captured, and a configuration that is rolled back."""

    name: str
    sample: Callable[[Names], Documents]
    """Configuration A, which is captured."""
    live: Callable[[Names], Documents]
    """Configuration B, which is rolled back."""
    prune: bool = False
    outage: bool = False
    """Whether the controller is down during the rollback."""
    at_once: bool = False
    """Whether the rollback begins as soon as B is written."""
    slow: bool = False
    """Whether Sveltos needs half a minute to update the prerequisites."""


def _set_recreated(n: Names) -> Documents:
    env = {"env": n.prefix}
    return [*n.both(**env), n.content("c", f"{n.prefix}-x"), n.set("env"), n.profile("c", setRefs=[n.prefix])]


def _by_selector(n: Names) -> Documents:
    return [*n.both(env=n.prefix), n.content("c", f"{n.prefix}-x"), n.profile("c")]


def _set_and_label(label: str) -> Callable[[Names], Documents]:
    return lambda n: [
        *n.both(**{label: n.prefix}),
        n.content("c", f"{n.prefix}-x"),
        n.set(label),
        n.profile("c", setRefs=[n.prefix]),
    ]


def _selector_and_label(label: str) -> Callable[[Names], Documents]:
    return lambda n: [
        *n.both(**{label: n.prefix}),
        n.content("c", f"{n.prefix}-x"),
        n.profile("c", clusterSelector=n.selects(label)),
    ]


def _more(n: Names) -> Documents:
    more = [n.content("c", f"{n.prefix}-x", f"{n.prefix}-y"), n.content("d", f"{n.prefix}-z")]
    return [*n.both(env=n.prefix), *more, n.profile("c", "d", helmCharts=[n.chart()])]


def _dependent(*names: str) -> Callable[[Names], Documents]:
    def spec(n: Names) -> dict[str, Any]:
        return {"dependsOn": [f"{n.prefix}{name}" for name in names]} if names else {}

    return lambda n: [
        *n.both(env=n.prefix),
        n.content("c", f"{n.prefix}-x"),
        n.content("d", f"{n.prefix}-y"),
        n.profile("c", name="-base", clusterSelector=n.selects("none")),
        n.profile("d", **spec(n)),
    ]


def _dry_run(mode: str, label: str) -> Callable[[Names], Documents]:
    return lambda n: [*n.both(**{label: n.prefix}), n.content("c", f"{n.prefix}-x"), n.profile("c", syncMode=mode)]


def _reference(name: str, *, optional: bool = False) -> Callable[[Names], Documents]:
    """A reference to ``d``, or to a ConfigMap that does not exist."""
    return lambda n: [
        *n.both(env=n.prefix),
        n.content("c", f"{n.prefix}-x"),
        n.content("d", f"{n.prefix}-y"),
        n.profile("c", n.ref(name, optional=optional)),
    ]


def _leaving(behaviour: str, label: str) -> Callable[[Names], Documents]:
    return lambda n: [
        *n.both(**{label: n.prefix}),
        n.content("c", f"{n.prefix}-x"),
        n.profile("c", stopMatchingBehavior=behaviour),
    ]


def _one_time(value: str) -> Callable[[Names], Documents]:
    return lambda n: [
        *n.both(env=n.prefix),
        n.content("c", f"{n.prefix}-x", *([f"{n.prefix}-y"] if value == "2" else []), value=value),
        n.profile("c", syncMode="OneTime"),
    ]


def _source(name: str) -> Callable[[Names], Documents]:
    return lambda n: [
        *n.both(env=n.prefix),
        n.content("v1", f"{n.prefix}-x", value="1"),
        n.content("v2", f"{n.prefix}-x", value="2"),
        n.profile(name),
    ]


def _limit(limit: int) -> Callable[[Names], Documents]:
    return lambda n: [
        *n.both(env=n.prefix),
        n.content("c", f"{n.prefix}-x"),
        n.set("env", limit),
        n.profile("c", setRefs=[n.prefix]),
    ]


def _guestbook(value: str) -> Callable[[Names], Documents]:
    return lambda n: [
        *n.both(env=n.prefix),
        n.content("database", f"{n.prefix}-leader", f"{n.prefix}-follower", value=value),
        n.content("frontend", f"{n.prefix}-frontend", value=value),
        n.profile("database", "frontend"),
    ]


def _nothing(n: Names) -> Documents:
    """The profile was deleted by mistake."""
    return [*n.both(env=n.prefix), n.content("c", f"{n.prefix}-x")]


SITUATIONS = (
    Situation("set-recreated", _set_recreated, _by_selector, prune=True),
    Situation("set-recreated-down", _set_recreated, _by_selector, prune=True, outage=True),
    Situation("set-and-label", _set_and_label("ring"), _set_and_label("rinb")),
    Situation("set-by-selector", _by_selector, _set_recreated, prune=True),
    Situation("selector-and-label", _selector_and_label("ring"), _selector_and_label("rinb")),
    Situation("fewer-refs", _by_selector, _more, prune=True),
    Situation("depends-on", _dependent(), _dependent("-base"), slow=True),
    Situation("dry-run", _dry_run("Continuous", "none"), _dry_run("DryRun", "none")),
    Situation("missing-required", _reference("gone"), _reference("d")),
    Situation("missing-optional", _reference("gone", optional=True), _reference("d", optional=True)),
    Situation("leave-policies", _leaving("LeavePolicies", "none"), _leaving("WithdrawPolicies", "env")),
    Situation("one-time", _one_time("1"), _one_time("2")),
    Situation("moved-source", _source("v1"), _source("v2")),
    Situation("being-deleted", _by_selector, _nothing, at_once=True),
    Situation("fewer-replicas", _limit(1), _limit(2)),
    Situation("guestbook", _guestbook("1"), _guestbook("2")),
)  # fmt: skip
"""The recorded traces come first. In ``dry-run``, the clusters match before B removes the label: see ``steps_to``."""


def steps_to(situation: Situation, names: Names) -> list[Documents]:
    """The configurations to apply in turn until the cluster has configuration B."""
    if situation.name == "dry-run":
        return [_dry_run("Continuous", "env")(names), _dry_run("DryRun", "env")(names), situation.live(names)]
    return [situation.live(names)]


KINDS: tuple[Kind, ...] = (kinds.CLUSTER_PROFILE, kinds.CLUSTER_SET, kinds.SVELTOS_CLUSTER, kinds.CONFIG_MAP)
"""The kinds of all documents, in the order of their deletion."""
