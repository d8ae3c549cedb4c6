"""One deployment of a profile before and after: what it takes away, what Sveltos refuses, and what is not clear.

This module must not judge which clusters match, nor which steps lead from the one to the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from gitsnap.compare.sources import Described
from gitsnap.model import JsonObject, ObjectKey
from gitsnap.objects import same_json
from gitsnap.plan.matching import mode_of
from gitsnap.plan.sources import FEATURES, Deployment
from gitsnap.sveltos.inventory import LOCAL, DeployedRelease, DeployedResource
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.pausing import paused

Deployed = DeployedResource | DeployedRelease


@dataclass(frozen=True, slots=True)
class Redeployment:
    """A profile that deploys anew to clusters which match before and after."""

    key: ObjectKey
    before: JsonObject
    """The profile before the plan; as it is afterwards, where the plan creates it."""
    after: JsonObject
    clusters: tuple[ClusterRef, ...]
    joining: tuple[ClusterRef, ...] = ()
    """Clusters that come to match: the deployment to them may fail as well."""
    early: bool = False
    """Whether it is the live profile that deploys what was written before its own step."""
    passing: bool = False
    """Whether it is the deployment before what the plan deletes is gone, where the last one fails without that."""

    @property
    def known(self) -> bool:
        """Whether what is deployed now is what the live profile and its references say."""
        return mode_of(self.before) not in ("OneTime", "DryRun") and not paused(self.before)


@dataclass(frozen=True)
class Difference:
    """The deployment of a profile before and after, for clusters with equal references."""

    one: Redeployment
    old: Deployment
    new: Deployment

    def takes(self, entry: Deployed, new: Deployment) -> bool:
        """Whether Sveltos withdraws what is deployed."""
        if isinstance(entry, DeployedRelease):
            if "Helm" in new.failing or new.releases is None:
                return False
            return (entry.namespace, entry.name) not in new.releases
        if entry.feature in new.failing:
            return False
        if entry.feature == "Kustomize":
            return not self.new.kustomizations
        local = entry.deployment_type == LOCAL
        if any(document.explains(entry.key, local=local) for document in self._kept):
            return False
        if self.one.known and any(document.explains(entry.key, local=local) for document in self.old.documents):
            return True
        return not self.new.opaque

    @cached_property
    def _kept(self) -> tuple[Described, ...]:
        """The documents that keep a resource where it is.

        One that moves to another source, both of which are written, is gone between the two writes.
        """
        if not self.one.early:
            return self.new.documents
        before, sources = set(), set()
        for document in self.old.documents:
            before.add((document.identity, document.local))
            sources.add((document.identity, document.local, document.source))
        return tuple(
            document
            for document in self.new.documents
            if (document.identity, document.local) not in before
            or (document.identity, document.local, document.source) in sources
        )

    @cached_property
    def may_take(self) -> bool:
        """Whether anything may be taken away, so that the inventory must be read."""
        same_releases = self.new.releases is not None and (self.old.releases or frozenset()) <= self.new.releases
        return (
            not self.one.known
            or self.removed_something
            or self.old.opaque != self.new.opaque
            or self.old.kustomizations != self.new.kustomizations
            or not (same_releases or self.old.releases == self.new.releases)
        )

    @cached_property
    def removed_something(self) -> bool:
        """Whether there is less, going by the documents alone."""
        if not self.one.known:
            return False
        kept = {(document.identity, document.local) for document in self._kept}
        fewer = any((document.identity, document.local) not in kept for document in self.old.documents)
        old, new = self.old.releases, self.new.releases
        charts = old is not None and new is not None and old - new
        resources = "Resources" not in self.new.failing and fewer
        return resources or ("Helm" not in self.new.failing and bool(charts))

    def unclear(self, listed: Iterable[Deployed]) -> str:
        """Why it cannot be told what is withdrawn, ``""`` where it can."""
        listed = tuple(listed)
        features = {entry.feature for entry in listed if isinstance(entry, DeployedResource)} - self.new.failing
        if "Resources" in features and self._opaque_moved():
            return "what it deploys from a Flux source, a URL or a program changes"
        if "Kustomize" in features and self.new.kustomizations and self.old.kustomizations != self.new.kustomizations:
            return "what its kustomizations deploy changes"
        releases = any(isinstance(entry, DeployedRelease) for entry in listed)
        if releases and self.new.releases is None and differ(self.one.before, self.one.after, ("helmCharts",)):
            return "a template names its Helm releases"
        return ""

    def _opaque_moved(self) -> bool:
        """Whether a source that cannot be looked into changed, so that what it leaves out is not known."""
        return bool(self.new.opaque) and self.old.opaque != self.new.opaque

    @cached_property
    def conflicts(self) -> list[tuple[Described, ObjectKey]]:
        """Documents that come from another object than the one that the resource was deployed from.

        Sveltos refuses these (docs/ROLLBACK.md), each with its former source.
        """
        if not self.one.known or "Resources" in self.new.failing:
            return []
        sources: dict[tuple[object, bool], set[ObjectKey]] = {}
        for document in self.old.documents:
            sources.setdefault((document.identity, document.local), set()).add(document.source)
        mine: dict[tuple[object, bool], set[ObjectKey]] = {}
        for document in self.new.documents:
            mine.setdefault((document.identity, document.local), set()).add(document.source)
        found = []
        for document in self.new.documents:
            former = sources.get((document.identity, document.local), set())
            if former and former.isdisjoint(mine[document.identity, document.local]):
                found.append((document, min(former)))
        return found


def differ(before: JsonObject, after: JsonObject, fields: Iterable[str] = tuple(FEATURES)) -> bool:
    """Whether two forms of a profile say otherwise what is deployed, or how."""
    old, new = before.get("spec") or {}, after.get("spec") or {}
    if any(not same_json(old.get(field) or [], new.get(field) or []) for field in fields):
        return True
    return mode_of(before) != mode_of(after) or paused(before) != paused(after)
