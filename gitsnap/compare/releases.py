"""Rows for the Helm releases of one managed cluster.

Versions go by the inventory; a change of values alone does not show there, so the profile, the objects that its values
come from, and the hash in the ClusterSummary are asked. This module must not know other resources.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gitsnap.compare.pairs import Pairs
from gitsnap.compare.sides import Side
from gitsnap.compare.values import HELM_RELEASE, Action, DiffRow, Found, TextPair, short_name
from gitsnap.format import encode
from gitsnap.model import JsonObject, ObjectKey
from gitsnap.sveltos.defaults import without_defaults
from gitsnap.sveltos.inventory import DeployedRelease, cluster_of
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.references import references, render

HELM = "Helm"
VALUES_FROM = "spec.helmCharts[].valuesFrom[]"

_Name = tuple[str, str]
"""Namespace and name of a release."""


def compare_releases(
    before: Side,
    after: Side,
    pairs: Pairs,
    cluster: ClusterRef,
    entries: tuple[list[DeployedRelease], list[DeployedRelease]],
) -> Found:
    """What changed in the releases of one cluster. ``entries`` are those that the inventories of the two sides list."""
    found = Found()
    old, new = ({(entry.namespace, entry.name): entry for entry in listed} for listed in entries)
    for name, entry in sorted({**old, **new}.items()):
        first, second = old.get(name), new.get(name)
        comparison = _Release(before, after, pairs, cluster, (first or entry, second or entry))
        message: str | None
        if first is not None and second is not None:
            action, message = Action.MODIFIED, comparison.modification(first, second)
        elif first is None:
            action, message = Action.ADDED, None if comparison.runs_on(before) else ""
        else:
            action, message = Action.DELETED, None if comparison.runs_on(after) else ""
        if message is not None:
            found.rows.append(DiffRow(str(cluster), HELM_RELEASE, *name, action, message))
            found.causes |= comparison.causes
            if (texts := comparison.texts()) is not None:
                found.texts.add(texts)
    return found


class _Release:
    """One release: what the inventory, the profile and the ClusterSummary of both sides say about it."""

    def __init__(
        self,
        before: Side,
        after: Side,
        pairs: Pairs,
        cluster: ClusterRef,
        entries: tuple[DeployedRelease, DeployedRelease],
    ) -> None:
        self._sides = (before, after)
        self._pairs = pairs
        self._cluster = cluster
        self._profiles = (entries[0].profile, entries[1].profile)
        self._name: _Name = (entries[1].namespace, entries[1].name)
        self.causes = set(self._profiles)

    def modification(self, old: DeployedRelease, new: DeployedRelease) -> str | None:
        """The message of a release that both sides list, None where it is the same."""
        if old.chart_version != new.chart_version:
            return f"To version: {new.chart_version} From version {old.chart_version}"
        if old.repo_url != new.repo_url:
            return f"To repository: {new.repo_url} From repository {old.repo_url}"
        if old.app_version != new.app_version:
            return f"To app version: {new.app_version} From app version {old.app_version}"
        charts = self._charts()
        if all(charts):
            for field, word, deployed in (
                ("chartName", "chart", ""),
                ("chartVersion", "version", new.chart_version),
                ("repositoryURL", "repository", new.repo_url),
            ):
                former, asked = (str(chart.get(field, "")) for chart in charts)
                if asked not in (former, deployed) and "{{" not in former + asked:
                    state = self._state(fallback="not applied yet" if deployed else "")
                    return f"To {word}: {asked} From {word} {deployed or former}{state}"
        return self._values(charts)

    def texts(self) -> TextPair | None:
        """The entries of the profiles that ask for the release, None where they are the same."""
        before, after = (encode(dict(chart)).decode() if chart else None for chart in self._charts())
        title = f"{HELM_RELEASE} {'/'.join(self._name)}"
        return None if before == after else TextPair(title, before, after)

    def runs_on(self, lacking: Side) -> bool:
        """Whether the side that lacks a release lacks it only because a deployment failed there."""
        return any(self._chart(lacking, profile) for profile in lacking.failing(self._cluster, HELM))

    def _values(self, charts: list[Mapping[str, Any]]) -> str | None:
        """The message when the values differ: where to look for the change."""
        hashes = self._hashes()
        applied = bool(hashes[0] and hashes[1] and hashes[0] != hashes[1])
        places: list[ObjectKey] = []
        if any(charts[0].get(part) != charts[1].get(part) for part in ("values", "valuesFrom")):
            places.append(self._profiles[1])
        places += sorted(
            target
            for target in self._sources(0, charts[0]) & self._sources(1, charts[1])
            if self._pairs.content_changed(target)
        )
        if not places and not applied:
            return None
        self.causes |= set(places)
        look = f", compare {', '.join(map(short_name, places))}" if places else ""
        state = "" if applied else self._state(fallback="not applied yet" if all(hashes) else "")
        return f"values changed{look}{state}"

    def _state(self, *, fallback: str) -> str:
        failed = self._sides[1].failed(self._profiles[1], self._cluster, HELM)
        state = "deployment failed" if failed else fallback
        return f" ({state})" if state else ""

    def _charts(self) -> list[Mapping[str, Any]]:
        return [self._chart(side, profile) for side, profile in zip(self._sides, self._profiles, strict=True)]

    def _chart(self, side: Side, profile: ObjectKey) -> Mapping[str, Any]:
        """The entry of a profile that asks for this release, empty where none does or it cannot be told which."""
        spec = without_defaults(side.get(profile) or {}).get("spec") or {}
        return next((chart for chart in spec.get("helmCharts") or () if self._names(side, chart)), {})

    def _names(self, side: Side, chart: Mapping[str, Any]) -> bool:
        names = (str(chart.get("releaseNamespace", "")), str(chart.get("releaseName", "")))
        rendered = tuple(render(name, self._cluster, side.cluster_object) for name in names)
        return rendered == self._name

    def _sources(self, position: int, chart: Mapping[str, Any]) -> set[ObjectKey]:
        """The ConfigMaps and Secrets that the values come from."""
        profile: JsonObject = self._sides[position].get(self._profiles[position]) or {}
        if not profile or not chart:
            return set()
        only = {**profile, "spec": {"helmCharts": [chart]}}
        return {
            reference.target
            for reference in references(only, (self._cluster,), self._sides[position].cluster_object)
            if reference.path == VALUES_FROM and reference.unresolved is None
        }

    def _hashes(self) -> list[str]:
        return [self._values_hash(side, profile) for side, profile in zip(self._sides, self._profiles, strict=True)]

    def _values_hash(self, side: Side, profile: ObjectKey) -> str:
        summary = side.summary(profile, self._cluster) or {}
        for release in (summary.get("status") or {}).get("helmReleaseSummaries") or ():
            if (release.get("releaseNamespace", ""), release.get("releaseName", "")) == self._name:
                return str(release.get("valuesHash", ""))
        return ""


def clusters_with_changed_values(before: Side, after: Side, paths: list[str]) -> Iterator[ClusterRef]:
    """The clusters of the changed ClusterSummaries at ``paths`` in which the hash of some release's values differs."""
    for path in paths:
        if not before.inventory.get(path) or not after.inventory.get(path):
            continue
        if any(b"helmReleaseSummaries" in side.tree.read(side.inventory[path]) for side in (before, after)):
            summaries = [side.reported_at(path) or {} for side in (before, after)]
            releases = [(summary.get("status") or {}).get("helmReleaseSummaries") for summary in summaries]
            if releases[0] != releases[1]:
                yield cluster_of(summaries[1])
