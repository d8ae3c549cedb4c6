"""The objects of a fleet: many namespaces, many profiles, many managed clusters with labels.

Of 10,000 objects 5,000 are ConfigMaps and 1,000 Secrets of the add-on type in 200 namespaces, and each of them is
referred to once. 600 are ClusterProfiles, 400 Profiles, 1,000 SveltosClusters, 1,000 ClusterConfigurations of 40
resources, 200 EventSources, 200 EventTriggers, 200 RoleRequests, 150 HealthChecks, 100 Classifiers, and 150 sets and
ClusterHealthChecks. ``growth`` multiplies the profiles and the clusters with their ClusterConfigurations: the number of
pairs of a profile and a cluster grows with its square.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CONFIG = "config.projectsveltos.io/v1beta1"
LIB = "lib.projectsveltos.io/v1beta1"

PLURALS = {
    **dict.fromkeys(("clusterprofiles", "profiles", "clusterconfigurations", "clustersummaries"), CONFIG),
    **dict.fromkeys(
        ("sveltosclusters", "eventsources", "eventtriggers", "rolerequests", "healthchecks", "classifiers"), LIB
    ),
    **dict.fromkeys(("clustersets", "sets", "clusterhealthchecks"), LIB),
    "configmaps": "v1",
    "secrets": "v1",
}
"""The resources of the mix, as the API names them -> API version."""

Document = dict[str, Any]

_LARGEST_FLEET = 10_000
_NAMESPACES = 200
_ENTRIES = 40
_ENVIRONMENTS = ("dev", "test", "staging", "prod")


@dataclass(frozen=True, slots=True)
class Entry:
    """One object to create."""

    plural: str
    document: Document
    status: Document | None = None

    @property
    def path(self) -> str:
        """The API path to which the object is posted."""
        version, namespace = PLURALS[self.plural], self.document["metadata"].get("namespace")
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"{'/api' if version == 'v1' else '/apis'}/{version}{scope}/{self.plural}"

    @property
    def name(self) -> str:
        """The name of the object."""
        name: str = self.document["metadata"]["name"]
        return name


class Fleet:
    """A fleet of about ``count`` objects before it grows."""

    def __init__(self, count: int, growth: int = 1, *, templated: bool = False) -> None:
        """``templated``: whether a tenth of all profiles has a template, not only of the ClusterProfiles."""
        self._templated = templated
        self.count = count
        self.namespaces = max(1, _NAMESPACES * count // _LARGEST_FLEET)
        self.clusters = max(1, count // 10) * growth
        slots = max(1, count // 10 // self.namespaces) * growth
        self._own_profiles = max(1, slots * 2 // 5)
        """Profiles in each namespace. The other slots are ClusterProfiles that name objects of the namespace."""
        self._slots = slots
        self._maps = max(1, count // 2 // self.namespaces)
        self._secrets = max(1, count // 10 // self.namespaces)
        self._labels = [self.labels_of(number) for number in range(self.clusters)]
        self.kinds = tuple(plural for plural in PLURALS if plural != "clustersummaries")
        """The resources of the mix, as kubectl names them."""

    def objects(self) -> Iterator[Entry]:
        """All objects, in an order in which a server accepts them."""
        yield from self._all_clusters()
        yield from self._all_profiles()
        yield from self._contents()
        yield from self._others()

    @staticmethod
    def namespace(number: int) -> str:
        """The name of a namespace."""
        return f"team-{number}"

    def changes(self) -> list[tuple[str, Document]]:
        """Ten changes: the API path of an object and a merge patch, in which ``{}`` stands for a new value.

        One of the changes relabels a cluster.
        """
        text = {"data": {"changed.yaml": "value: {}\n"}}
        first = self._own_profiles
        team = self.namespaces - 1
        return [
            *((f"/api/v1/namespaces/team-0/configmaps/settings-{number}", text) for number in range(6)),
            ("/api/v1/namespaces/team-0/secrets/access-0", {"metadata": {"labels": {"changed": "v{}"}}}),
            (f"/apis/{LIB}/namespaces/team-1/sveltosclusters/cluster-1", {"metadata": {"labels": {"wave": "{}"}}}),
            (f"/apis/{CONFIG}/namespaces/team-{team}/profiles/own-0", {"metadata": {"labels": {"changed": "v{}"}}}),
            (f"/apis/{CONFIG}/clusterprofiles/profile-{team}-{first}", {"spec": {"extraLabels": {"changed": "v{}"}}}),
        ]

    # Clusters -----------------------------------------------------------------------------------------------------

    @staticmethod
    def labels_of(number: int) -> dict[str, str]:
        """The labels of a cluster."""
        labels = {
            "env": _ENVIRONMENTS[number % 4],
            "region": f"region-{number % 12}",
            "wave": f"{number % 20}",
            "topology.fleet.example/site": f"site-{number // 10}",
            "tier": ("gold", "silver", "bronze")[number % 3],
        }
        return {**labels, "gpu": "true"} if number % 10 == 0 else labels

    def _cluster_namespace(self, number: int) -> str:
        return self.namespace(number % self.namespaces)

    def _all_clusters(self) -> Iterator[Entry]:
        for number, labels in enumerate(self._labels):
            name, namespace = f"cluster-{number}", self._cluster_namespace(number)
            metadata = {"name": name, "namespace": namespace, "labels": labels}
            yield entry("SveltosCluster", "sveltosclusters", metadata, {})
            resources = [
                {"group": "apps", "kind": "Deployment", "name": f"app-{index}", "namespace": "apps", "version": "v1",
                 "lastAppliedTime": "2026-01-01T00:00:00Z"}
                for index in range(_ENTRIES)
            ]  # fmt: skip
            report = {
                "clusterProfileName": f"profile-{number % self.namespaces}-{self._own_profiles}",
                "Features": [{"featureID": "Resources", "resources": resources}],
            }
            owner = {"projectsveltos.io/cluster-name": name, "projectsveltos.io/cluster-type": "Sveltos"}
            yield entry(
                "ClusterConfiguration",
                "clusterconfigurations",
                {"name": f"sveltos--{name}", "namespace": namespace, "labels": owner},
                status={"clusterProfileResources": [report]},
            )

    # Profiles -----------------------------------------------------------------------------------------------------

    def _all_profiles(self) -> Iterator[Entry]:
        for team in range(self.namespaces):
            for slot in range(self._slots):
                yield self._profile(team, slot)

    def _profile(self, team: int, slot: int) -> Entry:
        """A Profile or ClusterProfile. A tenth of the ClusterProfiles has a template."""
        namespace = self.namespace(team)
        own = slot < self._own_profiles
        cluster_selector = selector(team + slot * 7)
        references = [
            {"kind": kind, "namespace": namespace, "name": f"{prefix}-{index}"}
            for kind, prefix, number in (("ConfigMap", "settings", self._maps), ("Secret", "access", self._secrets))
            for index in range(slot, number, self._slots)
        ]
        spec: Document = {"clusterSelector": cluster_selector, "policyRefs": references}
        if (self._templated or not own) and (team + slot) % 10 == 0:
            spec["helmCharts"] = [
                {
                    "repositoryURL": "https://charts.example.com", "repositoryName": "charts",
                    "chartName": "charts/agent", "chartVersion": "1.2.3", "releaseName": "agent",
                    "releaseNamespace": "agent",
                    "values": "cluster: {{ .Cluster.metadata.name }}\n",
                }
            ]  # fmt: skip
        matching = [
            {"apiVersion": LIB, "kind": "SveltosCluster", "namespace": self._cluster_namespace(number),
             "name": f"cluster-{number}"}
            for number, labels in enumerate(self._labels)
            if (not own or number % self.namespaces == team) and _selects(cluster_selector, labels)
        ]  # fmt: skip
        status = {"matchingClusters": matching}
        if own:
            return entry("Profile", "profiles", {"name": f"own-{slot}", "namespace": namespace}, spec, status)
        return entry("ClusterProfile", "clusterprofiles", {"name": f"profile-{team}-{slot}"}, spec, status)

    def _contents(self) -> Iterator[Entry]:
        """ConfigMaps of one to five documents of 0.3 to 8 kB, most of them short, and Secrets."""
        sizes = random.Random(20)  # noqa: S311 - sizes, no secrets
        for team in range(self.namespaces):
            namespace = self.namespace(team)
            for index in range(self._maps):
                data = {
                    f"part-{part}.yaml": "".join(
                        f"setting-{line}: value {team} {index} {line}\n"
                        for line in range(int(12 * 26 ** (sizes.random() ** 3)))
                    )
                    for part in range(sizes.randint(1, 5))
                }
                yield entry("ConfigMap", "configmaps", {"name": f"settings-{index}", "namespace": namespace}, data=data)
            for index in range(self._secrets):
                value = base64.b64encode(f"secret of {team} {index}".encode() * 20).decode()
                yield entry(
                    "Secret",
                    "secrets",
                    {"name": f"access-{index}", "namespace": namespace},
                    data={"token": value},
                    type="addons.projectsveltos.io/cluster-profile",
                )

    # Others -------------------------------------------------------------------------------------------------------

    def _others(self) -> Iterator[Entry]:
        selectors = [{"group": "apps", "version": "v1", "kind": "Deployment", "evaluate": _LUA}]
        for number in range(self.count // 50):
            source, by_labels = f"source-{number}", selector(number)
            yield entry("EventSource", "eventsources", {"name": source}, {"resourceSelectors": selectors})
            trigger = {"eventSourceName": source, "sourceClusterSelector": by_labels}
            yield entry("EventTrigger", "eventtriggers", {"name": f"trigger-{number}"}, trigger)
            account = {"serviceAccountName": f"account-{number}", "serviceAccountNamespace": "default"}
            yield entry(
                "RoleRequest", "rolerequests", {"name": f"role-{number}"}, {"clusterSelector": by_labels, **account}
            )
        for number in range(self.count * 15 // 1000):
            spec = {"resourceSelectors": selectors, "evaluateHealth": _LUA}
            yield entry("HealthCheck", "healthchecks", {"name": f"health-{number}"}, spec)
        for number in range(self.count // 100):
            spec = {"classifierLabels": [{"key": f"found-{number}", "value": "yes"}]}
            yield entry("Classifier", "classifiers", {"name": f"classifier-{number}"}, spec)
        for number in range(self.count // 200):
            spec = {"clusterSelector": selector(number), "maxReplicas": 5}
            yield entry("ClusterSet", "clustersets", {"name": f"set-{number}"}, spec)
            namespace = self.namespace(number % self.namespaces)
            yield entry("Set", "sets", {"name": f"set-{number}", "namespace": namespace}, spec)
            checks = {
                "clusterSelector": selector(number),
                "livenessChecks": [{"name": "addons", "type": "Addons"}],
                "notifications": [{"name": "event", "type": "KubernetesEvent"}],
            }
            yield entry("ClusterHealthCheck", "clusterhealthchecks", {"name": f"check-{number}"}, checks)


_LUA = "function evaluate()\n  hs = {}\n  hs.matching = obj.status.availableReplicas ~= nil\n  return hs\nend\n"


def selector(number: int) -> Document:
    """One of the common forms of selectors. A selector selects a hundredth to a quarter of the clusters."""
    region = {"region": f"region-{number % 12}"}
    expressions = [
        [{"key": "env", "operator": "In", "values": ["prod", "staging"]},
         {"key": "wave", "operator": "In", "values": [f"{number % 20}", f"{(number + 3) % 20}"]}],
        [{"key": "gpu", "operator": "Exists"}, {"key": "wave", "operator": "NotIn", "values": [f"{number % 20}"]}],
        [{"key": "gpu", "operator": "DoesNotExist"}, {"key": "tier", "operator": "In", "values": ["gold"]}],
    ]  # fmt: skip
    match number % 5:
        case 0 | 1:
            return {"matchLabels": {"env": _ENVIRONMENTS[number % 4], **region}}
        case 2:
            return {"matchExpressions": expressions[0]}
        case 3:
            return {"matchLabels": region, "matchExpressions": expressions[2]}
        case _:
            return {"matchExpressions": expressions[1]}


def _selects(selector: Document, labels: dict[str, str]) -> bool:
    """Whether a selector of ``selector`` selects labels."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions", ()):
        value, values = labels.get(term["key"]), term.get("values", ())
        selected = {
            "In": value in values, "NotIn": value not in values, "Exists": bool(value), "DoesNotExist": not value
        }  # fmt: skip
        if not selected[term["operator"]]:
            return False
    return True


def entry(
    kind: str,
    plural: str,
    metadata: Document,
    spec: Document | None = None,
    status: Document | None = None,
    **fields: Any,
) -> Entry:
    """The object of a kind. ``fields`` are further fields of the document, such as ``data``."""
    document = {"apiVersion": PLURALS[plural], "kind": kind, "metadata": metadata, **fields}
    if spec is not None:
        document["spec"] = spec
    return Entry(plural, document, status)
