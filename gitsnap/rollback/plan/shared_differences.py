"""Compares the deployments of one profile before and after a plan, once for all clusters with the same difference.

If a reference names the cluster, every cluster gets another object. If the plan does not write these objects, they
deploy the same before and after the plan, and the comparison leaves them out (``unwritten_sources``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gitsnap.core.model import JsonObject
from gitsnap.rollback.plan.deployed_content import Deployment, Objects
from gitsnap.rollback.plan.redeployment import Difference, Redeployment
from gitsnap.rollback.plan.resolved_references import ResolvedReferences
from gitsnap.rollback.plan.unwritten_sources import KeptContent, SourceKey, UnwrittenSources
from gitsnap.sveltos.clusters import ClusterObjects
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.references import Reference, render
from gitsnap.sveltos.written_references import TEMPLATE

Releases = frozenset[tuple[str, str]] | None
"""Namespace and name of each Helm release of a deployment; None if an unresolved template names a release."""

_NOTHING = KeptContent()


class ProfileDeployments:
    """The deployments of one profile before or after a plan. Equal references and releases share one Deployment."""

    def __init__(
        self,
        profile: JsonObject,
        objects: Objects,
        views: ClusterObjects,
        references: ResolvedReferences,
        sources: UnwrittenSources,
    ) -> None:
        self._profile = profile
        self._objects = objects
        self._views = views
        self._references = references
        self._sources = sources
        self._release_names = tuple(_release_names(profile))
        names_depend = any(TEMPLATE in text for name in self._release_names for text in name)
        self._releases: Releases = None if names_depend else frozenset(self._release_names)
        """The Helm releases for all clusters; None if templates name them."""
        self.depend_on_clusters = references.written(profile).depend_on_clusters or names_depend
        self._shared: dict[tuple[Releases, tuple[SourceKey, ...]], Deployment] = {}

    def references(self, cluster: ClusterRef) -> tuple[Reference, ...]:
        """The references that depend on the cluster, resolved for one cluster."""
        return self._references.dependent(self._profile, cluster, self._views)

    def releases(self, cluster: ClusterRef) -> Releases:
        """The Helm releases for a cluster."""
        if self._releases is not None:
            return self._releases
        releases = set()
        for namespace, name in self._release_names:
            names = render(namespace, cluster, self._views), render(name, cluster, self._views)
            if names[0] is None or names[1] is None:
                return None
            releases.add((names[0], names[1]))
        return frozenset(releases)

    def of(self, references: tuple[Reference, ...], releases: Releases) -> Deployment:
        """The deployment of these references and releases, with the references that do not depend on the cluster."""
        key = releases, tuple(map(self._sources.sharing_key, references))
        deployment = self._shared.get(key)
        if deployment is None:
            all_references = (*self._references.fixed(self._profile), *references)
            deployment = self._shared[key] = Deployment(self._profile, all_references, releases, self._objects)
        return deployment

    def failing_on(self, cluster: ClusterRef) -> Deployment:
        """The deployment to a cluster, with only the references that can make the deployment fail."""
        failing = (ref for ref in self.references(cluster) if self._sources.documents(ref) is None)
        return self.of(tuple(failing), frozenset())


class SharedDifferences:
    """The differences of one redeployment."""

    def __init__(
        self, redeployment: Redeployment, old: ProfileDeployments, new: ProfileDeployments, sources: UnwrittenSources
    ) -> None:
        self._redeployment = redeployment
        self._old = old
        self._new = new
        self._sources = sources
        self._differences: dict[tuple[Deployment, Deployment], Difference] = {}
        self._depend_on_clusters = old.depend_on_clusters or new.depend_on_clusters
        self._common: tuple[Difference, KeptContent] | None = None
        """The result for all clusters, if it does not depend on the cluster."""

    def on(self, cluster: ClusterRef) -> tuple[Difference, KeptContent]:
        """The difference on a cluster, and the content that the cluster gets before and after the plan besides it."""
        if self._common is not None:
            return self._common
        result = self._compare(cluster)
        if not self._depend_on_clusters:
            self._common = result
        return result

    def _compare(self, cluster: ClusterRef) -> tuple[Difference, KeptContent]:
        old, new = self._old.references(cluster), self._new.references(cluster)
        kept, old_releases, new_releases = _split(self._old.releases(cluster), self._new.releases(cluster))
        unaffected = [*self._unaffected(old, new), *(() if old is new else self._unaffected(new, old))]
        documents = tuple(doc for ref in unaffected for doc in self._sources.documents(ref) or ())
        difference = self._difference(
            tuple(ref for ref in old if ref not in unaffected),
            old_releases,
            tuple(ref for ref in new if ref not in unaffected),
            new_releases,
        )
        if documents and not difference.resources.isdisjoint((doc.identity, doc.local) for doc in documents):
            difference, documents = self._difference(old, old_releases, new, new_releases), ()
        return difference, KeptContent(documents, kept) if documents or kept else _NOTHING

    def _unaffected(self, references: Iterable[Reference], others: tuple[Reference, ...]) -> Iterator[Reference]:
        """The references that deploy the same before and after the plan. ``others`` are those of the other side."""
        for reference in references:
            documents = self._sources.documents(reference)
            if documents is not None and (not documents or reference in others):
                yield reference

    def _difference(
        self, old: tuple[Reference, ...], old_releases: Releases, new: tuple[Reference, ...], new_releases: Releases
    ) -> Difference:
        deployments = self._old.of(old, old_releases), self._new.of(new, new_releases)
        difference = self._differences.get(deployments)
        if difference is None:
            difference = self._differences[deployments] = Difference(self._redeployment, *deployments)
        return difference


def _split(old: Releases, new: Releases) -> tuple[frozenset[tuple[str, str]], Releases, Releases]:
    """The releases that both sides have, and the others of each side."""
    kept = old & new if old and new else frozenset()
    return kept, old - kept if old else old, new - kept if new else new


def _release_names(profile: JsonObject) -> Iterable[tuple[str, str]]:
    """Namespace and name of each Helm release that a profile installs, as written; both may be templates."""
    for chart in (profile.get("spec") or {}).get("helmCharts") or ():
        if isinstance(chart, dict) and chart.get("helmChartAction") != "Uninstall":
            yield str(chart.get("releaseNamespace") or ""), str(chart.get("releaseName") or "")
