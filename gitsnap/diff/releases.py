"""Rows for the Helm releases of one managed cluster.

Versions go by the inventory; a change of values alone does not show there, so what asks for the release, the objects
that its values come from, and the hash in the ClusterSummary are asked. This module must not know other resources.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from gitsnap.core.json_paths import values_at
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.diff.absence import Absence
from gitsnap.diff.mode_changes import standing_mode
from gitsnap.diff.pairs import Pairs
from gitsnap.diff.raw_text import text_pair
from gitsnap.diff.rows import DEPLOYMENT_FAILED, DEPLOYMENT_HAD_FAILED, HELM_RELEASE, Action, DiffRow, Found, TextPair
from gitsnap.diff.sides import Side
from gitsnap.diff.source_spec import same_values
from gitsnap.diff.template_context import Filling
from gitsnap.sveltos.defaults import without_defaults
from gitsnap.sveltos.inventory import DeployedRelease, DeployedResource, cluster_of
from gitsnap.sveltos.kinds import PROFILE_KINDS
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.reference_paths import ADD_ONS_AT
from gitsnap.sveltos.references import references, render

HELM = "Helm"
CHARTS = "helmCharts[]"
VALUES_FROM = "helmCharts[].valuesFrom[]"
CHART_SOURCE = "helmCharts[].repositoryURL"

_Name = tuple[str, str]
"""Namespace and name of a release."""


def compare_releases(
    before: Side,
    after: Side,
    pairs: Pairs,
    cluster: ClusterRef,
    entries: tuple[list[DeployedRelease], list[DeployedRelease]],
    resources: Collection[DeployedResource] = (),
) -> Found:
    """What changed in the releases of one cluster. ``entries`` are those that the inventories of the two sides list.

    ``resources`` are the other resources of the cluster, on either side: a patch may be for them.
    """
    found = Found()
    old, new = ({(entry.namespace, entry.name): entry for entry in listed} for listed in entries)
    listed = [*entries[0], *entries[1], *_unlisted(before, cluster), *_unlisted(after, cluster)]
    for name, entry in sorted({(entry.namespace, entry.name): entry for entry in reversed(listed)}.items()):
        first, second = old.get(name), new.get(name)
        release = _Release(before, after, pairs, cluster, (first or entry, second or entry), resources)
        row = release.row(first, second)
        if row is not None:
            found.rows.append(DiffRow(str(cluster), HELM_RELEASE, *name, *row))
            found.causes |= release.causes
            if (texts := release.texts()) is not None:
                found.texts.add(texts)
    return found


def _unlisted(side: Side, cluster: ClusterRef) -> Iterator[DeployedRelease]:
    """The releases that profiles ask for whose deployment failed: the inventory may not list them."""
    for profile in side.failing(cluster, HELM):
        for name, chart in _asked_for(side, profile, cluster):
            yield DeployedRelease(*name, profile, chart_version=str(chart.get("chartVersion", "")))


def _asked_for(side: Side, by: ObjectKey, cluster: ClusterRef) -> Iterator[tuple[_Name, Mapping[str, Any]]]:
    """The charts that a profile, or what Sveltos makes one of, asks for in a cluster, by release."""
    for chart in values_at(without_defaults(side.get(by) or {}), f"{ADD_ONS_AT[by.kind]}.{CHARTS}"):
        name = _name_of(chart, cluster, side) if isinstance(chart, dict) else None
        if name is not None and not _is_uninstalled(chart):
            yield name, chart


def _name_of(chart: Mapping[str, Any], cluster: ClusterRef, side: Side) -> _Name | None:
    """Namespace and name of the release that a chart is installed as, None where only Sveltos can tell."""
    names = [
        render(str(chart.get(field, "")), cluster, side.cluster_object) for field in ("releaseNamespace", "releaseName")
    ]
    return (names[0], names[1]) if names[0] is not None and names[1] is not None else None


def _is_uninstalled(chart: Mapping[str, Any]) -> bool:
    return chart.get("helmChartAction") == "Uninstall"


def _only(found: Iterable[ObjectKey], otherwise: ObjectKey) -> ObjectKey:
    """The one object that was found."""
    listed = list(found)
    return listed[0] if len(listed) == 1 else otherwise


def _modified(message: str | None) -> tuple[Action, str] | None:
    return None if message is None else (Action.MODIFIED, message)


class _Release:
    """One release: what the inventory, what asks for it, and the ClusterSummary of both sides say about it."""

    def __init__(
        self,
        before: Side,
        after: Side,
        pairs: Pairs,
        cluster: ClusterRef,
        entries: tuple[DeployedRelease, DeployedRelease],
        resources: Iterable[DeployedResource],
    ) -> None:
        self._sides = (before, after)
        self._pairs = pairs
        self._cluster = cluster
        self._absence = Absence(before, after, pairs, cluster)
        self._profiles = (entries[0].profile, entries[1].profile)
        self._resources = resources
        self._name: _Name = (entries[1].namespace, entries[1].name)
        self._asking = tuple(map(self._asks, self._sides, self._profiles))
        self.causes = {*self._profiles, *self._asking}

    def _asks(self, side: Side, profile: ObjectKey) -> ObjectKey:
        """What asks for the release on a side, where ``profile`` deploys it: it, or what Sveltos made it of.

        Where neither does, the one other profile that is meant to: the inventory has not followed.
        """
        maker = self._maker(profile)
        if maker != profile or self._chart(side, profile):
            return maker
        changed = (*self._pairs.by_cluster.get(self._cluster, ()), *self._pairs.new_profiles(self._cluster))
        others = {*self._profiles, *changed, *side.failing(self._cluster, HELM)}
        return _only((one for one in others if one.kind in PROFILE_KINDS and self._chart(side, one)), profile)

    def _maker(self, profile: ObjectKey) -> ObjectKey:
        """What Sveltos made a profile of, itself where a person wrote it or that cannot be told."""
        if not self._is_made(profile):
            return profile
        makers = self._pairs.makers(self._cluster)
        return _only((one for one in makers if any(self._chart(side, one) for side in self._sides)), profile)

    def _is_made(self, profile: ObjectKey) -> bool:
        """Whether Sveltos made a profile: such profiles are not archived."""
        return all(side.blob(profile) is None for side in self._sides)

    def row(self, old: DeployedRelease | None, new: DeployedRelease | None) -> tuple[Action, str] | None:
        """Action and message, None where nothing changed; ``old`` and ``new`` are what the inventories list."""
        if old is not None and new is not None:
            return _modified(self._modification(old, new))
        if old is None and new is None:
            configured = [self._is_configured(*one) for one in zip(self._sides, self._asking, strict=True)]
            if all(configured):
                return _modified(self._reconfiguration(None))
            if configured[1]:
                return Action.ADDED, DEPLOYMENT_FAILED
            action, message = self._absence.departure(self._profiles[0])
            return action, message or DEPLOYMENT_HAD_FAILED
        lacking = self._sides[0] if old is None else self._sides[1]
        failing = lacking.failing(self._cluster, HELM)
        if any(self._chart(lacking, self._maker(profile)) for profile in failing):
            # It runs on, or is no more than asked for on both sides.
            return _modified(self._reconfiguration(None))
        profile = self._profiles[0]
        if profile in failing and self._is_made(profile) and self._maker(profile) == profile:
            # What it was made of cannot be told, so it may run on.
            return (Action.ADDED, DEPLOYMENT_HAD_FAILED) if old is None else None
        if new is None:
            return self._absence.departure(profile)
        return Action.ADDED, self._absence.arrival(self._profiles[1], HELM)

    def _is_configured(self, side: Side, profile: ObjectKey) -> bool:
        return bool(self._chart(side, profile)) and self._cluster in side.clusters_of(profile)

    def _modification(self, old: DeployedRelease, new: DeployedRelease) -> str | None:
        """The message of a release that both sides list, None where it is the same."""
        if old.chart_version != new.chart_version:
            return f"To version: {new.chart_version} From version {old.chart_version}"
        if old.repo_url != new.repo_url:
            return f"To repository: {new.repo_url} From repository {old.repo_url}"
        if old.app_version != new.app_version:
            return f"To app version: {new.app_version} From app version {old.app_version}"
        return self._reconfiguration(new)

    def _reconfiguration(self, listed: DeployedRelease | None) -> str | None:
        """The message where the profiles ask for something else than what is ``listed``, or than they asked for."""
        charts = self._charts()
        if all(charts):
            for field, word, deployed in (
                ("chartVersion", "version", listed.chart_version if listed else ""),
                ("chartName", "chart", ""),
                ("repositoryURL", "repository", listed.repo_url if listed else ""),
            ):
                texts = [str(chart.get(field, "")) for chart in charts]
                message = self._asked_otherwise(texts, word, deployed) or self._refilled(texts, word)
                if message:
                    return message
        return self._content(charts) or self._values(charts) or self._patched()

    def _asked_otherwise(self, texts: list[str], word: str, deployed: str) -> str | None:
        """The message where another version, chart or repository is asked for, as far as templates can be filled in."""
        former, asked = (filling.carry_out(text) for filling, text in zip(self._fillings(), texts, strict=True))
        if former is None or asked is None or asked in (former, deployed):
            return None
        if any("{{" in text for text in texts):
            state = f" (may have changed: the {word} is a template)"
        else:
            state = self._state(fallback="not applied yet" if deployed else "")
        return f"To {word}: {asked} From {word} {deployed or former}{state}"

    def _refilled(self, texts: list[str], word: str) -> str | None:
        """The message where a template that only Sveltos can fill in changed, or an object that it reads."""
        fillings = self._fillings()
        if all(filling.carry_out(text) is not None for filling, text in zip(fillings, texts, strict=True)):
            return None
        read = fillings[0].read_by(texts[0]) ^ fillings[1].read_by(texts[1])
        places = sorted({self._asking[1]} if texts[0] != texts[1] else {template_input.key for template_input in read})
        self.causes |= set(places)
        return f"{word} may have changed, compare {self._pairs.names(places)}" if places else None

    def _fillings(self) -> list[Filling]:
        """The input of the templates, on both sides."""
        sides = zip(self._sides, self._asking, strict=True)
        return [self._pairs.filling(side, profile, self._cluster) for side, profile in sides]

    def texts(self) -> TextPair | None:
        """The entries of the profiles that ask for the release, None where they are the same."""
        charts = (dict(chart) or None for chart in self._charts())
        pair = text_pair(f"{HELM_RELEASE} {'/'.join(self._name)}", *charts)
        return None if pair.before == pair.after else pair

    def _content(self, charts: list[Mapping[str, Any]]) -> str | None:
        """The message when the Flux source that holds the chart is at another revision."""
        sources = self._targets(0, charts[0], CHART_SOURCE) & self._targets(1, charts[1], CHART_SOURCE)
        changed = sorted(source for source in sources if self._pairs.content_changed(source))
        self.causes |= set(changed)
        return f"source of the chart changed, compare {self._pairs.names(changed)}" if changed else None

    def _values(self, charts: list[Mapping[str, Any]]) -> str | None:
        """The message when the values differ: where to look for the change."""
        hashes = self._hashes()
        applied = bool(hashes[0] and hashes[1] and hashes[0] != hashes[1])
        places: list[ObjectKey] = []
        inline = (str(chart.get("values", "")) for chart in charts)
        same = same_json(charts[0].get("valuesFrom"), charts[1].get("valuesFrom")) and same_values(*inline)
        if all(charts) and not same:
            places.append(self._asking[1])
        places += sorted(
            target
            for target in self._targets(0, charts[0], VALUES_FROM) & self._targets(1, charts[1], VALUES_FROM)
            if self._pairs.values_changed(target)
        )
        places += self._inputs(charts, applied=applied)
        if not places and not applied:
            return None
        self.causes |= set(places)
        look = f", compare {self._pairs.names(places)}" if places else ""
        state = "" if applied else self._state(fallback="not applied yet" if all(hashes) else "")
        return f"values changed{look}{state}"

    def _inputs(self, charts: list[Mapping[str, Any]], *, applied: bool) -> list[ObjectKey]:
        """What the templates in the values of a chart read that changed: surely, or as far as they were ``applied``."""
        texts = [str(chart.get("values", "")) for chart in charts]
        if texts[0] != texts[1] or "{{" not in texts[0]:
            return []
        fillings = self._fillings()
        values = [filling.carry_out(texts[0]) for filling in fillings]
        if values[0] == values[1] and values[0] is not None:
            return []
        read = {one.key for one in fillings[0].read_by(texts[0]) ^ fillings[1].read_by(texts[0])}
        return sorted(read) if applied or None not in values else []

    def _patched(self) -> str | None:
        """The message when patches changed that may be for objects of the chart: no other resource is selected."""
        changed = self._pairs.patches(self._asking[1], self._cluster)
        others = [one.key for one in self._resources if one.profile in self._profiles] if changed else []
        fitting = [patch for patch in changed if not patch.target or not any(map(patch.selects, others))]
        sources = sorted({patch.source for patch in fitting})
        self.causes |= set(sources)
        return f"patched otherwise, compare {self._pairs.names(sources)}" if sources else None

    def _state(self, *, fallback: str) -> str:
        carrier = self._asking[1] if self._asking[1].kind in PROFILE_KINDS else self._profiles[1]
        state = "deployment failed" if self._sides[1].failed(carrier, self._cluster, HELM) else fallback
        if state == fallback and (mode := standing_mode(*self._sides, self._asking[1])):
            state = f"not deployed: syncMode {mode}"
        return f" ({state})" if state else ""

    def _charts(self) -> list[Mapping[str, Any]]:
        return [self._chart(side, asking) for side, asking in zip(self._sides, self._asking, strict=True)]

    def _chart(self, side: Side, by: ObjectKey) -> Mapping[str, Any]:
        """The entry that asks for this release, empty where none does or it cannot be told which."""
        return next((chart for name, chart in _asked_for(side, by, self._cluster) if name == self._name), {})

    def _targets(self, position: int, chart: Mapping[str, Any], path: str) -> set[ObjectKey]:
        """What a chart refers to at a path below what is to be deployed, such as where its values come from."""
        asking = self._asking[position]
        document: JsonObject = self._sides[position].get(asking) or {}
        if not document or not chart:
            return set()
        place = ADD_ONS_AT[asking.kind]
        spec: JsonObject = {"helmCharts": [chart]}
        only = {**document, "spec": {place.removeprefix("spec."): spec} if place != "spec" else spec}
        return {
            reference.target
            for reference in references(only, (self._cluster,), self._sides[position].cluster_object)
            if reference.path == f"{place}.{path}" and reference.unresolved is None
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
            if not same_json(*releases):
                yield cluster_of(summaries[1])
