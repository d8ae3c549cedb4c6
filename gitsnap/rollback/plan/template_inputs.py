"""Profiles that may deploy something else after a label change, because one of their templates reads the cluster.

Sveltos may not notice such a change at once, so the effect is only possible. Templates are not rendered here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback.plan.cluster_effects import Effect, EffectType
from gitsnap.rollback.plan.deployed_content import Contents, Objects
from gitsnap.rollback.plan.match_states import State, mode_of
from gitsnap.rollback.plan.steps import Plan, Step
from gitsnap.rollback.plan.transitions import changes_of
from gitsnap.sveltos import documents, kinds
from gitsnap.sveltos.clusters import template_view
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.pausing import is_paused
from gitsnap.sveltos.references import WrittenReferences
from gitsnap.sveltos.template_context import CLUSTER, TemplateInput

_CLUSTER_INPUT = TemplateInput(CLUSTER, ObjectKey(kinds.SVELTOS_CLUSTER, "", ""), ())


class TemplateInputs:
    """The clusters that a plan relabels, each with the profiles that are deployed there before and after the plan."""

    def __init__(self, plan: Plan) -> None:
        changes = changes_of(plan.steps, plan.controller_labels)
        relabelled = {
            change.cluster: change.after or {} for change in changes if change.key.kind in kinds.CLUSTER_KINDS
        }
        self._profiles: dict[ClusterRef, list[JsonObject]] = {cluster: [] for cluster in relabelled}
        self._views = {cluster: template_view(document) for cluster, document in relabelled.items()}
        self._references: dict[ObjectKey, WrittenReferences] = {}
        self._reading: dict[ObjectKey, bool] = {}
        """Whether a profile, or a ConfigMap after the plan, has a template that reads the cluster."""
        if not relabelled:
            return
        start, end = State.of(plan.matching_objects), State.of(plan.matching_objects, changes)
        for key, document in sorted(end.selecting.items()):
            if (
                key.kind in kinds.PROFILE_KINDS
                and mode_of(document).startswith("Continuous")
                and not is_paused(document)
            ):
                for cluster in relabelled.keys() & start.deployed_on(key) & end.matches(key):
                    self._profiles[cluster].append(document)

    @property
    def sources(self) -> frozenset[ObjectKey]:
        """The ConfigMaps to read, because their templates may read the cluster. Secrets are not read for this."""
        return frozenset(
            target
            for cluster, profiles in self._profiles.items()
            for profile in profiles
            for target in self._targets(profile, cluster)
        )

    def add_to_plan(self, plan: Plan, contents: Contents) -> Plan:
        """The plan in which the steps of clusters have ``MAY_CHANGE`` effects.

        ``contents`` are the live objects of ``sources``.
        """
        objects = Objects.after(contents, plan.steps)
        return replace(plan, steps=tuple(self._with_effects(step, objects) for step in plan.steps))

    def _with_effects(self, step: Step, objects: Objects) -> Step:
        cluster = ClusterRef(step.key.kind, step.key.namespace, step.key.name)
        if not step.writes or cluster not in self._profiles:
            return step
        effects = [
            Effect(EffectType.MAY_CHANGE, ObjectKey.of(profile), (cluster,))
            for profile in self._profiles[cluster]
            if self._reads_cluster(profile, cluster, objects)
        ]
        return replace(step, effects=(*step.effects, *effects))

    def _reads_cluster(self, profile: JsonObject, cluster: ClusterRef, objects: Objects) -> bool:
        key = ObjectKey.of(profile)
        if key not in self._reading:
            self._reading[key] = any(map(_is_cluster_template, _texts(profile.get("spec"))))
        return self._reading[key] or any(
            self._config_map_reads_cluster(target, objects) for target in self._targets(profile, cluster)
        )

    def _config_map_reads_cluster(self, key: ObjectKey, objects: Objects) -> bool:
        if key not in self._reading:
            config_map = objects.get(key)
            self._reading[key] = (
                config_map is not None
                and documents.is_rendered(config_map)
                and any(map(_is_cluster_template, _texts(config_map.get("data"))))
            )
        return self._reading[key]

    def _targets(self, profile: JsonObject, cluster: ClusterRef) -> Iterable[ObjectKey]:
        key = ObjectKey.of(profile)
        if key not in self._references:
            self._references[key] = WrittenReferences(profile)
        return {
            reference.target
            for reference in self._references[key].resolve((cluster,), self._views.get)
            if reference.unresolved is None and reference.target.kind == kinds.CONFIG_MAP
        }


def _is_cluster_template(text: str) -> bool:
    return "{{" in text and _CLUSTER_INPUT.is_read_by(text)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
