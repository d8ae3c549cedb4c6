"""Samples and live states for tests of plans, from objects of an API server.

This module must not be imported by the package.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from gitsnap.core.model import IncompleteKind, JsonObject, Kind, ObjectKey, ResourceType
from gitsnap.core.ports import ClusterInfo
from gitsnap.rollback.plan import (
    PRUNED_KINDS,
    LiveState,
    Options,
    Plan,
    SampleState,
    Selection,
    Step,
    make_plan,
    resolve,
)
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.normalize import normalize

CLUSTER = ClusterInfo(uid="uid-of-kube-system", server="https://127.0.0.1:6443", context="test", version="v1.37.2")
CORE_KINDS = (Kind("", "Namespace"), kinds.CONFIG_MAP, kinds.SECRET)


def alive(document: JsonObject, *, version: str = "1", **metadata: Any) -> JsonObject:
    """An object of a server: with a uid, a resource version and additional metadata."""
    key = ObjectKey.of(document)
    server = {"uid": str(uuid.uuid5(uuid.NAMESPACE_URL, str(key))), "resourceVersion": version}
    return {**document, "metadata": {**document["metadata"], **server, **metadata}}


def changed(document: JsonObject, **fields: Any) -> JsonObject:
    """A copy with other top-level fields."""
    return {**document, **fields}


def with_metadata(document: JsonObject, **metadata: Any) -> JsonObject:
    """A copy with other metadata."""
    return {**document, "metadata": {**document["metadata"], **metadata}}


def sample_state(objects: Iterable[JsonObject], *, incomplete: tuple[IncompleteKind, ...] = ()) -> SampleState:
    """The sample that a capture of these objects would take, with the values of Secrets."""
    raw = list(objects)
    labels = _classifier_labels(raw)
    documents = {ObjectKey.of(document): normalize(document, controller_labels=labels) for document in raw}
    return SampleState("hourly/2023-08-26T05-00-00Z", frozenset(documents), documents, incomplete=incomplete)


def live_state(objects: Iterable[JsonObject], *, classifiers: Iterable[JsonObject] = ()) -> LiveState:
    """The completely read state of a cluster with these objects that serves all kinds of Sveltos."""
    raw = [document if "uid" in document["metadata"] else alive(document) for document in objects]
    served = {row.kind: ResourceType(row.kind, row.versions[0], row.plural, row.namespaced) for row in kinds.KINDS}
    served |= {kind: ResourceType(kind, "v1", f"{kind.name.lower()}s", kind.name != "Namespace") for kind in CORE_KINDS}
    return LiveState(
        cluster=CLUSTER,
        objects={ObjectKey.of(document): document for document in raw},
        served=served,
        controller_labels=_classifier_labels([*raw, *classifiers]),
        whole=frozenset(served),
    )


def _classifier_labels(objects: Iterable[JsonObject]) -> frozenset[str]:
    classifiers = {kinds.CLASSIFIER, kinds.MANAGEMENT_CLUSTER_CLASSIFIER}
    found = (inventory.classifier_labels(document) for document in objects if Kind.of(document) in classifiers)
    return frozenset[str]().union(*found)


def plan_of(
    sample: Iterable[JsonObject] | SampleState,
    live: Iterable[JsonObject] | LiveState,
    selection: Selection | None = None,
    *,
    missing_namespaces: Collection[str] = (),
    **options: Any,
) -> Plan:
    """The plan of a rollback from a live state to a sample."""
    before = sample if isinstance(sample, SampleState) else sample_state(sample)
    after = live if isinstance(live, LiveState) else live_state(live, classifiers=before.documents.values())
    after = replace(after, missing_namespaces=frozenset(missing_namespaces))
    selection = selection or Selection()
    before = select(before, after, selection, prune=options.get("prune", False))
    return make_plan(before, after, selection, Options(**options))


def select(sample: SampleState, live: LiveState, selection: Selection, *, prune: bool = False) -> SampleState:
    """The sample with its selected objects. ``prune`` also selects objects that exist only in the cluster."""
    surplus = {key for key in live.objects.keys() - sample.keys if key.kind in PRUNED_KINDS} if prune else set()
    return replace(sample, selected=resolve(selection, sample.keys | surplus, incomplete=sample.incomplete))


def only_step(plan: Plan) -> Step:
    """The only step of a plan."""
    (step,) = plan.steps
    return step


def step_of(plan: Plan, name: str) -> Step:
    """The step of the object with a name."""
    (step,) = (step for step in plan.steps if step.key.name == name)
    return step


def custom(kind: Kind, name: str, spec: JsonObject, namespace: str = "", **metadata: Any) -> JsonObject:
    """An object of any kind of Sveltos."""
    version = kinds.BY_KIND[kind].versions[0]
    return {
        "apiVersion": f"{kind.group}/{version}",
        "kind": kind.name,
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {}), **metadata},
        "spec": spec,
    }
