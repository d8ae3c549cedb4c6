"""The plain mix: few namespaces, and one profile for each managed cluster.

Of ten objects about one is a ClusterProfile with six ConfigMaps, one a SveltosCluster, one a ClusterConfiguration, one
a ClusterSummary and six are ConfigMaps, in twenty namespaces. An object has 3 kB on average.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.fleet import Document, Entry, entry

_NAMESPACES = 20
_CHANGED = 10


class PlainMix:
    """About ``count`` objects. ``growth`` multiplies all of them."""

    def __init__(self, count: int, growth: int = 1) -> None:
        self.count = count
        self._tenth = count * growth // 10
        self.namespaces = _NAMESPACES
        self.kinds = ("clusterprofiles", "sveltosclusters", "clusterconfigurations", "clustersummaries", "configmaps")
        """The resources of the mix, as kubectl names them."""

    @staticmethod
    def namespace(number: int) -> str:
        """The name of a namespace."""
        return f"ns-{number}"

    def changes(self) -> list[tuple[str, Document]]:
        """Ten changes: the API path of an object and a merge patch, in which ``{}`` stands for a new value."""
        return [
            (f"/api/v1/namespaces/ns-{number % _NAMESPACES}/configmaps/cm-{number}", {"data": {"changed": "{}"}})
            for number in range(_CHANGED)
        ]

    def objects(self) -> Iterator[Entry]:
        """All objects, in an order in which a server accepts them."""
        for number in range(self._tenth):
            yield from self._cluster(number)
        for number in range(self._tenth * 6):
            data = {"app.yaml": "".join(f"key-{line}: value {number} {line}\n" for line in range(160))}
            metadata = {"name": f"cm-{number}", "namespace": self.namespace(number % _NAMESPACES)}
            yield entry("ConfigMap", "configmaps", metadata, data=data)

    def _cluster(self, number: int) -> Iterator[Entry]:
        """A managed cluster, its profile and the reports about both."""
        namespace, name = self.namespace(number % _NAMESPACES), f"cluster-{number}"
        metadata = {"name": name, "namespace": namespace, "labels": {"group": f"g{number}"}}
        yield entry("SveltosCluster", "sveltosclusters", metadata, {})
        references = [
            {"kind": "ConfigMap", "namespace": self.namespace(index % _NAMESPACES), "name": f"cm-{index}"}
            for index in range(number * 6, number * 6 + 6)
        ]
        spec = {"clusterSelector": {"matchLabels": {"group": f"g{number}"}}, "policyRefs": references}
        yield entry("ClusterProfile", "clusterprofiles", {"name": f"profile-{number}"}, spec)
        labels = {"projectsveltos.io/cluster-name": name, "projectsveltos.io/cluster-type": "Sveltos"}
        resources = [
            {"group": "apps", "kind": "Deployment", "name": f"app-{index}", "namespace": "apps", "version": "v1",
             "lastAppliedTime": "2026-01-01T00:00:00Z"}
            for index in range(20)
        ]  # fmt: skip
        features = [{"featureID": "Resources", "resources": resources}]
        report = {"clusterProfileName": f"profile-{number}", "Features": features}
        yield entry(
            "ClusterConfiguration",
            "clusterconfigurations",
            {"name": f"sveltos--{name}", "namespace": namespace, "labels": labels},
            status={"clusterProfileResources": [report]},
        )
        summary = {"clusterName": name, "clusterNamespace": namespace, "clusterType": "Sveltos"}
        yield entry(
            "ClusterSummary",
            "clustersummaries",
            {"name": f"profile-{number}-sveltos-{name}", "namespace": namespace, "labels": labels},
            {**summary, "clusterProfileSpec": spec},
            {"featureSummaries": [{"featureID": "Resources", "hash": "aGFzaA==", "status": "Provisioned"}]},
        )
