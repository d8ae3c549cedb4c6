"""The add-ons that Sveltos reports as deployed in each managed cluster, live or in a sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitsnap.core.model import Area, JsonObject, Kind, ObjectKey
from gitsnap.core.objects import KubeObject
from gitsnap.format import decode_object
from gitsnap.sveltos import inventory
from gitsnap.sveltos.filters import Filters

if TYPE_CHECKING:
    from gitsnap.core.ports import Tree

NOT_APPLICABLE = "N/A"


@dataclass(frozen=True, slots=True, order=True)
class AddOn:
    """A row of ``gitsnap addons``, with the columns of ``sveltosctl show addons``.

    Cluster and resource type have the form of the rows of a diff.
    """

    cluster: str
    resource_type: str
    namespace: str
    name: str
    version: str
    time: str
    profiles: str
    app_version: str = ""
    """Of a Helm release; ``""`` if unknown."""
    repository: str = ""
    """The URL of the chart's repository; ``""`` for a resource."""
    feature: str = ""
    """``Resources``, ``Kustomize`` or ``Helm``."""


@dataclass(frozen=True, slots=True, order=True)
class FailedDeployment:
    """A profile whose deployment to a cluster failed: what runs there is not fully known."""

    cluster: str
    profile: str
    """``ClusterProfile/guestbook``."""
    features: tuple[str, ...]

    def __str__(self) -> str:
        """Return the text of a warning."""
        return (
            f"the add-ons of {self.profile} on {self.cluster} are not fully known: its deployment failed "
            f"({', '.join(self.features)}), so the list may lack add-ons that still run"
        )


def failed_deployments(summaries: Iterable[JsonObject], filters: Filters) -> list[FailedDeployment]:
    """Return the failed deployments in ClusterSummaries for the clusters that pass the filters, sorted."""
    failed = []
    for summary in summaries:
        profile, cluster = inventory.profile_of(summary), inventory.cluster_of(summary)
        entries = ((inventory.distill(KubeObject.of(summary)) or {}).get("status") or {}).get("featureSummaries") or ()
        features = [str(entry["featureID"]) for entry in entries if str(entry.get("status")).startswith("Failed")]
        if profile is not None and features and filters.wants_cluster(cluster):
            failed.append(FailedDeployment(str(cluster), _profile_name(profile), tuple(sorted(features))))
    return sorted(failed)


def list_addons(
    configurations: Iterable[JsonObject], filters: Filters, failed: Iterable[FailedDeployment] = ()
) -> list[AddOn]:
    """Return the add-ons in ClusterConfigurations for the clusters that pass the filters, sorted.

    An add-on of several profiles is one row. Profiles with a ``failed`` deployment are marked.
    """
    marked = {(deployment.cluster, deployment.profile) for deployment in failed}
    profiles: dict[tuple[str, str, str, str, str], set[str]] = {}
    times: dict[tuple[str, str, str, str, str], str] = {}
    details: dict[tuple[str, str, str, str, str], tuple[str, str, str]] = {}
    for document in configurations:
        cluster = inventory.cluster_of(document)
        if not filters.wants_cluster(cluster):
            continue
        for entry in inventory.deployed(document):
            if isinstance(entry, inventory.DeployedRelease):
                resource_type, version = inventory.HELM_RELEASE, entry.chart_version
                detail = (entry.app_version, entry.repo_url, "Helm")
            else:
                resource_type, version = entry.kind.resource_type, NOT_APPLICABLE
                detail = ("", "", entry.feature)
            row = (str(cluster), resource_type, entry.namespace, entry.name, version)
            profile = _profile_name(entry.profile)
            mark = " (deployment failed)" if (row[0], profile) in marked else ""
            profiles.setdefault(row, set()).add(f"{profile}{mark}")
            times[row] = max(times.get(row, ""), entry.applied)
            details[row] = max(details.get(row, detail), detail)
    return sorted(
        AddOn(*row, times[row] or NOT_APPLICABLE, ", ".join(sorted(names)), *details[row])
        for row, names in profiles.items()
    )


def _profile_name(profile: ObjectKey) -> str:
    return f"{profile.kind.name}/{profile.name}"


def inventory_of_sample(tree: Tree, kind: Kind) -> Iterator[JsonObject]:
    """Yield the objects of a kind in the inventory of a sample, such as ClusterConfigurations. They have no times."""
    for path, blob in tree.files(Area.INVENTORY).items():
        if path.split("/")[1:2] == [str(kind)]:
            yield decode_object(tree.read(blob), f"{Area.INVENTORY}/{path}")
