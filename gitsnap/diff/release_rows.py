"""Rows for the Helm releases of one managed cluster.

The inventory shows versions, but no values. Therefore the charts in the profiles, the objects that provide values, and
the hash of the values in the ClusterSummary are compared as well.
This module must not make rows for other resources.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gitsnap.core.json_paths import values_at
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.diff.cluster_reports import ClusterReport
from gitsnap.diff.deployments import Deployments
from gitsnap.diff.entry_actions import EntryActions
from gitsnap.diff.mode_changes import blocking_mode
from gitsnap.diff.raw_diff import TextPair, object_texts
from gitsnap.diff.rows import (
    DEPLOYMENT_FAILED,
    DEPLOYMENT_HAD_FAILED,
    Action,
    ClusterChanges,
    DiffRow,
)
from gitsnap.diff.source_settings import same_values
from gitsnap.sveltos.defaults import without_defaults
from gitsnap.sveltos.inventory import HELM_RELEASE, DeployedRelease, cluster_of
from gitsnap.sveltos.kinds import PROFILE_KINDS
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.reference_paths import ADD_ONS_AT
from gitsnap.sveltos.references import references, render
from gitsnap.sveltos.template_context import TemplateContext
from gitsnap.sveltos.tree_view import TreeView

HELM = "Helm"
CHARTS = "helmCharts[]"
VALUES_FROM = "helmCharts[].valuesFrom[]"
CHART_SOURCE = "helmCharts[].repositoryURL"

_Name = tuple[str, str]
"""Namespace and name of a release."""

_Chart = Mapping[str, Any]
"""An entry of ``helmCharts``."""


def compare_releases(
    deployments: Deployments,
    cluster: ClusterRef,
    old: ClusterReport,
    new: ClusterReport,
) -> ClusterChanges:
    """Return the changes of the releases of one cluster. ``old`` and ``new``: the reports of the two inventories."""
    changes = ClusterChanges()
    old_entries, new_entries = ({_name(entry): entry for entry in report.releases} for report in (old, new))
    entries = {**new_entries, **old_entries}
    for side in deployments.sides:
        for entry in _failing_releases(side, cluster):
            entries.setdefault(_name(entry), entry)
    for name, entry in sorted(entries.items()):
        listed = old_entries.get(name), new_entries.get(name)
        profiles = (listed[0] or entry).profile, (listed[1] or entry).profile
        release = _Release(deployments, cluster, name, profiles, (old, new))
        row = release.row(*listed)
        if row is not None:
            changes.rows.append(DiffRow(str(cluster), HELM_RELEASE, *name, *row))
            changes.causes |= release.causes
            if (texts := release.texts()) is not None:
                changes.texts.add(texts)
    return changes


def _name(entry: DeployedRelease) -> _Name:
    return entry.namespace, entry.name


def _failing_releases(side: TreeView, cluster: ClusterRef) -> Iterator[DeployedRelease]:
    """Yield the releases of profiles whose deployment failed: the inventory may not list them."""
    for profile in side.failing_profiles(cluster, HELM):
        for name, chart in _charts(side, profile, cluster):
            yield DeployedRelease(*name, profile, chart_version=str(chart.get("chartVersion", "")))


def _charts(side: TreeView, profile: ObjectKey, cluster: ClusterRef) -> Iterator[tuple[_Name, _Chart]]:
    """Yield the charts that a profile or a producer installs in a cluster, with the name of the release."""
    for chart in values_at(without_defaults(side.get(profile) or {}), f"{ADD_ONS_AT[profile.kind]}.{CHARTS}"):
        name = _release_name(chart, cluster, side) if isinstance(chart, dict) else None
        if name is not None and chart.get("helmChartAction") != "Uninstall":
            yield name, chart


def _release_name(chart: _Chart, cluster: ClusterRef, side: TreeView) -> _Name | None:
    """Return the name of the release of a chart, None if it is a template that only Sveltos can evaluate."""
    namespace, name = (
        render(str(chart.get(field, "")), cluster, side.cluster_object) for field in ("releaseNamespace", "releaseName")
    )
    return None if namespace is None or name is None else (namespace, name)


def _only(keys: Iterable[ObjectKey], default: ObjectKey) -> ObjectKey:
    """Return the single key, or the default if there are none or several."""
    listed = list(keys)
    return listed[0] if len(listed) == 1 else default


def _modified(message: str | None) -> tuple[Action, str] | None:
    return None if message is None else (Action.MODIFIED, message)


class _Release:
    """Compares one release: its inventory entries, the charts that configure it, and its ClusterSummaries."""

    def __init__(
        self,
        deployments: Deployments,
        cluster: ClusterRef,
        name: _Name,
        profiles: tuple[ObjectKey, ObjectKey],
        reports: tuple[ClusterReport, ClusterReport],
    ) -> None:
        """``profiles``: the profiles that deploy the release, on the older and on the newer side."""
        self._deployments = deployments
        self._changed = deployments.changed
        self._before = deployments.before
        self._after = deployments.after
        self._sides = deployments.sides
        self._cluster = cluster
        self._name = name
        self._reports = reports
        self._entry_actions = EntryActions(deployments, cluster)
        self._profiles = profiles
        self._configuring = (
            self._find_configuring(self._before, profiles[0]),
            self._find_configuring(self._after, profiles[1]),
        )
        """The profile or producer with the chart of the release, on both sides."""
        self.causes = {*self._profiles, *self._configuring}

    def _find_configuring(self, side: TreeView, profile: ObjectKey) -> ObjectKey:
        """Return the object with the chart of a release that ``profile`` deploys: itself, or its producer.

        If neither has the chart, the inventory is out of date: return the only other profile that has the chart.
        """
        producer = self._producer(profile)
        if producer != profile or self._chart(side, profile):
            return producer
        affected = self._deployments.by_cluster.get(self._cluster, ())
        new = self._deployments.new_profiles(self._cluster)
        profiles = {*self._profiles, *affected, *new, *side.failing_profiles(self._cluster, HELM)}
        return _only((key for key in profiles if key.kind in PROFILE_KINDS and self._chart(side, key)), profile)

    def _producer(self, profile: ObjectKey) -> ObjectKey:
        """Return the producer of a generated profile. Return the profile itself if it has no known producer."""
        if not self._deployments.is_generated(profile):
            return profile
        producers = self._deployments.producers(self._cluster)
        return _only((key for key in producers if any(self._chart(side, key) for side in self._sides)), profile)

    def _chart(self, side: TreeView, profile: ObjectKey) -> _Chart:
        """Return the chart of this release in a profile or producer, empty if it has none."""
        return next((chart for name, chart in _charts(side, profile, self._cluster) if name == self._name), {})

    def _both_charts(self) -> tuple[_Chart, _Chart]:
        return self._chart(self._before, self._configuring[0]), self._chart(self._after, self._configuring[1])

    # Rows -----------------------------------------------------------------------------------------------------

    def row(self, old: DeployedRelease | None, new: DeployedRelease | None) -> tuple[Action, str] | None:
        """Return action and message, None if nothing changed. ``old`` and ``new`` are the inventory entries."""
        if old is not None and new is not None:
            return _modified(self._modification(old, new))
        if old is None and new is None:
            return self._unlisted_row()
        lacking = self._before if old is None else self._after
        failing = lacking.failing_profiles(self._cluster, HELM)
        if any(self._chart(lacking, self._producer(profile)) for profile in failing):
            # The release still runs, or is configured on both sides and was never installed.
            return _modified(self._reconfiguration(None))
        profile = self._profiles[0]
        is_of_unknown_producer = self._deployments.is_generated(profile) and self._producer(profile) == profile
        if profile in failing and is_of_unknown_producer:
            # Whether the producer still configures the release is unknown, so the release may still run.
            return (Action.ADDED, DEPLOYMENT_HAD_FAILED) if old is None else None
        if new is None:
            return self._entry_actions.departure(profile)
        return Action.ADDED, self._entry_actions.arrival(self._profiles[1], HELM)

    def _unlisted_row(self) -> tuple[Action, str] | None:
        """Return the row of a release that a failed deployment keeps out of both inventories."""
        before, after = map(self._is_configured, self._sides, self._configuring)
        if before and after:
            return _modified(self._reconfiguration(None))
        if after:
            return Action.ADDED, DEPLOYMENT_FAILED
        action, message = self._entry_actions.departure(self._profiles[0])
        return action, message or DEPLOYMENT_HAD_FAILED

    def _is_configured(self, side: TreeView, profile: ObjectKey) -> bool:
        return bool(self._chart(side, profile)) and self._cluster in side.reported_clusters(profile)

    def texts(self) -> TextPair | None:
        """Return the chart on both sides as text, None if it is the same."""
        charts = (dict(chart) or None for chart in self._both_charts())
        pair = object_texts(f"{HELM_RELEASE} {'/'.join(self._name)}", *charts)
        return None if pair.before == pair.after else pair

    # Versions -------------------------------------------------------------------------------------------------

    def _modification(self, old: DeployedRelease, new: DeployedRelease) -> str | None:
        """Return the message for a release that both inventories list, None if it is the same."""
        if old.chart_version != new.chart_version:
            return f"To version: {new.chart_version} From version {old.chart_version}"
        if old.repo_url != new.repo_url:
            return f"To repository: {new.repo_url} From repository {old.repo_url}"
        if old.app_version != new.app_version:
            return f"To app version: {new.app_version} From app version {old.app_version}"
        return self._reconfiguration(new)

    def _reconfiguration(self, entry: DeployedRelease | None) -> str | None:
        """Return the message for a chart that differs from the inventory entry or the older chart, else None."""
        charts = self._both_charts()
        if all(charts):
            for field, label, deployed in (
                ("chartVersion", "version", entry.chart_version if entry else ""),
                ("chartName", "chart", ""),
                ("repositoryURL", "repository", entry.repo_url if entry else ""),
            ):
                texts = str(charts[0].get(field, "")), str(charts[1].get(field, ""))
                message = self._field_message(texts, label, deployed) or self._template_message(texts, label)
                if message:
                    return message
        return self._source_message(charts) or self._values_message(charts) or self._patches_message()

    def _field_message(self, texts: tuple[str, str], label: str, deployed: str) -> str | None:
        """Return the message for another version, chart or repository. Templates that cannot be evaluated have none."""
        old, new = (context.evaluate(text) for context, text in zip(self._contexts(), texts, strict=True))
        if old is None or new is None or new in (old, deployed):
            return None
        if any("{{" in text for text in texts):
            state = f" (may have changed: the {label} is a template)"
        else:
            state = self._state(default="not applied yet" if deployed else "")
        return f"To {label}: {new} From {label} {deployed or old}{state}"

    def _template_message(self, texts: tuple[str, str], label: str) -> str | None:
        """Return the message for a template that only Sveltos can evaluate, if it or an object it reads changed."""
        contexts = self._contexts()
        if all(context.evaluate(text) is not None for context, text in zip(contexts, texts, strict=True)):
            return None
        if texts[0] != texts[1]:
            sources = {self._configuring[1]}
        else:
            inputs = contexts[0].inputs_of(texts[0]) ^ contexts[1].inputs_of(texts[1])
            sources = {template_input.key for template_input in inputs}
        self.causes |= sources
        return f"{label} may have changed, compare {self._changed.describe(sources)}" if sources else None

    def _contexts(self) -> tuple[TemplateContext, TemplateContext]:
        """Return the contexts in which the templates of the chart are evaluated, on both sides."""
        old, new = self._configuring
        return (
            self._deployments.template_context(self._before, old, self._cluster),
            self._deployments.template_context(self._after, new, self._cluster),
        )

    # Sources, values and patches ------------------------------------------------------------------------------

    def _source_message(self, charts: tuple[_Chart, _Chart]) -> str | None:
        """Return the message for a Flux source with the chart that is at another revision."""
        sources = {key for key in self._kept_targets(charts, CHART_SOURCE) if self._changed.content_changed(key)}
        self.causes |= sources
        return f"source of the chart changed, compare {self._changed.describe(sources)}" if sources else None

    def _values_message(self, charts: tuple[_Chart, _Chart]) -> str | None:
        """Return the message for values that differ, with the objects to compare."""
        hashes = self._values_hash(self._before, self._profiles[0]), self._values_hash(self._after, self._profiles[1])
        is_applied = bool(hashes[0] and hashes[1] and hashes[0] != hashes[1])
        sources = {key for key in self._kept_targets(charts, VALUES_FROM) if self._changed.values_changed(key)}
        inline = (str(chart.get("values", "")) for chart in charts)
        is_same = same_json(charts[0].get("valuesFrom"), charts[1].get("valuesFrom")) and same_values(*inline)
        if all(charts) and not is_same:
            sources.add(self._configuring[1])
        sources |= self._changed_inputs(charts, is_applied=is_applied)
        if not sources and not is_applied:
            return None
        self.causes |= sources
        pointer = f", compare {self._changed.describe(sources)}" if sources else ""
        state = "" if is_applied else self._state(default="not applied yet" if all(hashes) else "")
        return f"values changed{pointer}{state}"

    def _changed_inputs(self, charts: tuple[_Chart, _Chart], *, is_applied: bool) -> set[ObjectKey]:
        """Return the changed objects that templates in equal values read.

        If the values cannot be evaluated, the objects count only if Sveltos applied other values.
        """
        old_text, new_text = (str(chart.get("values", "")) for chart in charts)
        if old_text != new_text or "{{" not in old_text:
            return set()
        old_context, new_context = self._contexts()
        old, new = old_context.evaluate(old_text), new_context.evaluate(new_text)
        if old == new and old is not None:
            return set()
        if not is_applied and (old is None or new is None):
            return set()
        inputs = old_context.inputs_of(old_text) ^ new_context.inputs_of(new_text)
        return {template_input.key for template_input in inputs}

    def _patches_message(self) -> str | None:
        """Return the message for changed patches that select no other resource, so that they may be for the chart."""
        patches = self._deployments.changed_patches(self._configuring[1], self._cluster)
        resources = (entry for report in self._reports for entry in report.resources)
        others = [entry.key for entry in resources if entry.profile in self._profiles] if patches else []
        sources = {
            patch.source for patch in patches if not patch.target or not any(patch.selects(key) for key in others)
        }
        self.causes |= sources
        return f"patches changed, compare {self._changed.describe(sources)}" if sources else None

    def _kept_targets(self, charts: tuple[_Chart, _Chart], path: str) -> set[ObjectKey]:
        """Return the objects that the chart refers to on both sides, at a path below the field of the add-ons."""
        old = self._targets(self._before, self._configuring[0], charts[0], path)
        return old & self._targets(self._after, self._configuring[1], charts[1], path)

    def _targets(self, side: TreeView, profile: ObjectKey, chart: _Chart, path: str) -> set[ObjectKey]:
        document: JsonObject = side.get(profile) or {}
        if not document or not chart:
            return set()
        field = ADD_ONS_AT[profile.kind]
        spec: JsonObject = {"helmCharts": [chart]}
        with_chart_only = {**document, "spec": {field.removeprefix("spec."): spec} if field != "spec" else spec}
        return {
            reference.target
            for reference in references(with_chart_only, (self._cluster,), side.cluster_object)
            if reference.path == f"{field}.{path}" and reference.unresolved is None
        }

    def _state(self, *, default: str) -> str:
        """Return the end of a message: why Sveltos has not applied a change."""
        configuring = self._configuring[1]
        deployer = configuring if configuring.kind in PROFILE_KINDS else self._profiles[1]
        if self._after.has_failed(deployer, self._cluster, HELM):
            state = "deployment failed"
        elif mode := blocking_mode(self._before, self._after, configuring):
            state = f"not deployed: syncMode {mode}"
        else:
            state = default
        return f" ({state})" if state else ""

    def _values_hash(self, side: TreeView, profile: ObjectKey) -> str:
        """Return the hash of the values that Sveltos reported, ``""`` if not reported."""
        for release in _release_summaries(side.summary(profile, self._cluster)):
            if (release.get("releaseNamespace", ""), release.get("releaseName", "")) == self._name:
                return str(release.get("valuesHash", ""))
        return ""


def clusters_with_changed_values(
    before: TreeView, after: TreeView, summary_paths: Iterable[str]
) -> Iterator[ClusterRef]:
    """Yield the clusters in which Sveltos reports another hash of the values of a release.

    ``summary_paths``: the ClusterSummaries below ``inventory/`` that differ.
    """
    for path in summary_paths:
        if not before.inventory.get(path) or not after.inventory.get(path):
            continue
        if any(b"helmReleaseSummaries" in side.tree.read(side.inventory[path]) for side in (before, after)):
            old, new = before.reported_at(path), after.reported_at(path)
            if not same_json(_release_summaries(old), _release_summaries(new)):
                yield cluster_of(new or {})


def _release_summaries(summary: JsonObject | None) -> list[JsonObject]:
    return ((summary or {}).get("status") or {}).get("helmReleaseSummaries") or []
