"""The deployment of one profile before and after a plan: what it withdraws, what Sveltos refuses, what is unknown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.rollback.plan.deployed_content import FEATURES, Deployment
from gitsnap.rollback.plan.match_states import mode_of
from gitsnap.sveltos.documents import Identity
from gitsnap.sveltos.inventory import LOCAL, DeployedRelease, DeployedResource
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.pausing import is_paused
from gitsnap.sveltos.source_documents import SourceDocument

Deployed = DeployedResource | DeployedRelease


@dataclass(frozen=True, slots=True)
class Redeployment:
    """A profile that deploys again to clusters that match before and after the plan."""

    key: ObjectKey
    before: JsonObject
    """The profile before the plan; the profile after the plan if the plan creates it."""
    after: JsonObject
    clusters: tuple[ClusterRef, ...]
    joining: tuple[ClusterRef, ...] = ()
    """Clusters that start to match. The deployment to them may fail as well."""
    early: bool = False
    """Whether the live profile deploys content that is written before the profile's own step."""
    before_deletions: bool = False
    """Whether the new profile deploys before the plan deletes objects without which the last deployment fails."""

    @property
    def known(self) -> bool:
        """Whether the live profile and its references show what is deployed now."""
        return mode_of(self.before) not in ("OneTime", "DryRun") and not is_paused(self.before)


@dataclass(frozen=True, eq=False)
class Difference:
    """The deployment of a profile before and after the plan, for clusters with the same difference."""

    redeployment: Redeployment
    old: Deployment
    new: Deployment
    _withdrawn: dict[tuple[object, str, str], bool] = field(default_factory=dict, init=False, repr=False)

    def withdraws(self, entry: Deployed) -> bool:
        """Whether Sveltos withdraws a deployed resource or release."""
        # The result is kept, because most clusters list the same entries.
        kind = None if isinstance(entry, DeployedRelease) else (entry.kind, entry.deployment_type, entry.feature)
        key = kind, entry.namespace, entry.name
        if key not in self._withdrawn:
            self._withdrawn[key] = self._withdraws(entry)
        return self._withdrawn[key]

    @cached_property
    def resources(self) -> frozenset[tuple[Identity, bool]]:
        """The resources of all documents before and after the plan. True marks a resource that is deployed locally."""
        return frozenset((doc.identity, doc.local) for doc in (*self.old.documents, *self.new.documents))

    def _withdraws(self, entry: Deployed) -> bool:
        if isinstance(entry, DeployedRelease):
            if "Helm" in self.new.failing or self.new.releases is None:
                return False
            return (entry.namespace, entry.name) not in self.new.releases
        if entry.feature in self.new.failing:
            return False
        if entry.feature == "Kustomize":
            return not self.new.kustomizations
        local = entry.deployment_type == LOCAL
        if any(document.explains(entry.key, local=local) for document in self._kept):
            return False
        if self.redeployment.known and any(
            document.explains(entry.key, local=local) for document in self.old.documents
        ):
            return True
        return not self.new.opaque

    @cached_property
    def _kept(self) -> tuple[SourceDocument, ...]:
        """The documents after the plan that keep their resources deployed.

        An early redeployment excludes documents that move to another source: the resource is gone between the writes of
        the two sources.
        """
        if not self.redeployment.early:
            return self.new.documents
        former, former_sources = set(), set()
        for document in self.old.documents:
            former.add((document.identity, document.local))
            former_sources.add((document.identity, document.local, document.source))
        return tuple(
            document
            for document in self.new.documents
            if (document.identity, document.local) not in former
            or (document.identity, document.local, document.source) in former_sources
        )

    @cached_property
    def may_withdraw(self) -> bool:
        """Whether anything may be withdrawn, so that the ClusterConfigurations must be read."""
        same_releases = self.new.releases is not None and (self.old.releases or frozenset()) <= self.new.releases
        return (
            not self.redeployment.known
            or self.removes_something
            or self.old.opaque != self.new.opaque
            or self.old.kustomizations != self.new.kustomizations
            or not (same_releases or self.old.releases == self.new.releases)
        )

    @cached_property
    def removes_something(self) -> bool:
        """Whether documents or releases disappear, without a look at the ClusterConfigurations."""
        if not self.redeployment.known:
            return False
        kept = {(document.identity, document.local) for document in self._kept}
        fewer = any((document.identity, document.local) not in kept for document in self.old.documents)
        old, new = self.old.releases, self.new.releases
        charts = old is not None and new is not None and old - new
        resources = "Resources" not in self.new.failing and fewer
        return resources or ("Helm" not in self.new.failing and bool(charts))

    def unclear(self, listed: Iterable[Deployed]) -> str:
        """Why it is unknown what Sveltos withdraws; ``""`` if it is known.

        ``listed`` are the profile's resources and releases in the ClusterConfiguration.
        """
        listed = tuple(listed)
        features = {entry.feature for entry in listed if isinstance(entry, DeployedResource)} - self.new.failing
        if "Resources" in features and self._opaque_moved():
            return "what it deploys from a Flux source, a URL or a program changes"
        if "Kustomize" in features and self.new.kustomizations and self.old.kustomizations != self.new.kustomizations:
            return "what its kustomizations deploy changes"
        releases = any(isinstance(entry, DeployedRelease) for entry in listed)
        if (
            releases
            and self.new.releases is None
            and differ(self.redeployment.before, self.redeployment.after, ("helmCharts",))
        ):
            return "a template names its Helm releases"
        return ""

    def _opaque_moved(self) -> bool:
        """Whether an opaque source changed, so that the resources that disappear are unknown."""
        return bool(self.new.opaque) and self.old.opaque != self.new.opaque

    @cached_property
    def conflicts(self) -> list[tuple[SourceDocument, ObjectKey]]:
        """The documents whose resource was deployed from another object, each with that former source.

        Sveltos refuses to deploy them (docs/ROLLBACK.md).
        """
        if not self.redeployment.known or "Resources" in self.new.failing:
            return []
        old_sources, new_sources = _sources(self.old.documents), _sources(self.new.documents)
        conflicts = []
        for document in self.new.documents:
            former = old_sources.get((document.identity, document.local), set())
            if former and former.isdisjoint(new_sources[document.identity, document.local]):
                conflicts.append((document, min(former)))
        return conflicts


def _sources(documents: Iterable[SourceDocument]) -> dict[tuple[object, bool], set[ObjectKey]]:
    """The objects that contain a resource, by identity of the resource and whether it is deployed locally."""
    sources: dict[tuple[object, bool], set[ObjectKey]] = {}
    for document in documents:
        sources.setdefault((document.identity, document.local), set()).add(document.source)
    return sources


def differ(before: JsonObject, after: JsonObject, fields: Iterable[str] = tuple(FEATURES)) -> bool:
    """Whether two versions of a profile differ in these fields, in the sync mode, or in the pause."""
    old, new = before.get("spec") or {}, after.get("spec") or {}
    if any(not same_json(old.get(field) or [], new.get(field) or []) for field in fields):
        return True
    return mode_of(before) != mode_of(after) or is_paused(before) != is_paused(after)
