"""A plan as a file: to be read, approved, and later carried out exactly as it stands there, or not at all.

It names objects, fields and versions, never values; what is written then comes from the sample, whose tag it pins.
This module must not read or write files.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gitsnap.core.errors import InputError
from gitsnap.core.model import JsonObject, Kind, ObjectKey, Sample
from gitsnap.core.objects import same_json
from gitsnap.core.text import in_words
from gitsnap.rollback.plan.selection import Selection
from gitsnap.rollback.plan.steps import Action, Options, Plan, Step

_KIND = "RollbackPlanFile"
_VERSION = 1
_AGAIN = "Make the plan again, and look at what it would do now."


def plan_hash(plan: Plan) -> str:
    """SHA-256 of what a plan does: cluster, sample, options, and each write with its uid and resource version."""
    steps = [[step.action, str(step.key), step.uid, step.resource_version, list(step.changed)] for step in plan.writes]
    content = json.dumps(
        [plan.cluster.uid, plan.sample, steps, _hashed(plan.options)], sort_keys=True, ensure_ascii=False
    )
    return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()


def _hashed(options: Options) -> dict[str, Any]:
    """What decides about the writes; how long somebody waits does not."""
    return {name: value for name, value in dataclasses.asdict(options).items() if name != "wait"}


Reach = frozenset[tuple[str, str, str]]
"""What is done by a profile on a cluster: ``("redeploys", "ClusterProfile guestbook", "default/capi--x")``."""


@dataclass(frozen=True, slots=True)
class PlanFile:
    """What a plan file says."""

    hash: str
    cluster: str
    """Uid of the cluster."""
    sample: str
    """Tag of the sample."""
    sample_id: str
    """Object id of that tag."""
    selection: Selection
    options: Options
    steps: Mapping[ObjectKey, tuple[Any, ...]]
    """For each object that is written: actions with the versions and fields they were planned for."""
    withdraws: tuple[str, ...] = ()
    reach: Mapping[ObjectKey, Reach] = field(default_factory=dict)
    """For each object that is written: what Sveltos was to do after it, and where."""


def plan_file(plan: Plan, selection: Selection, sample: Sample) -> JsonObject:
    """The content of the file."""
    return {
        "kind": _KIND,
        "version": _VERSION,
        "hash": plan_hash(plan),
        "cluster": plan.cluster.uid,
        "sample": sample.tag,
        "sampleId": sample.tag_id,
        "selection": {
            one.name: value for one in dataclasses.fields(Selection) if (value := getattr(selection, one.name))
        },
        "options": dataclasses.asdict(plan.options),
        "steps": [
            {
                "action": str(step.action),
                "object": {"kind": str(step.key.kind), "namespace": step.key.namespace, "name": step.key.name},
                "uid": step.uid,
                "resourceVersion": step.resource_version,
                "changed": list(step.changed),
                "reach": sorted(map(list, _reach(step))),
            }
            for step in plan.writes
        ],
        "withdraws": _said(plan),
    }


def read_plan_file(document: object, source: str) -> PlanFile:
    """The inverse. Raises InputError for anything but a plan file of this version."""
    if not isinstance(document, dict) or document.get("kind") != _KIND:
        raise InputError(f"{source} is no plan of a rollback", hint="`gitsnap rollback --plan-out FILE` writes one.")
    if document.get("version") != _VERSION:
        raise InputError(
            f"{source} is a plan of version {document.get('version')}; this gitsnap reads version {_VERSION}",
            hint=_AGAIN,
        )
    try:
        steps: dict[ObjectKey, tuple[Any, ...]] = {}
        reach: dict[ObjectKey, Reach] = {}
        for step in document["steps"]:
            named = step["object"]
            _check_texts(named, ("kind", "namespace", "name"))
            _check_texts(step, ("action", "uid", "resourceVersion"))
            key = ObjectKey(Kind.parse(named["kind"]), named["namespace"], named["name"])
            facts = (Action(step["action"]), step["uid"], step["resourceVersion"], _texts(step["changed"], "changed"))
            steps[key] = (*steps.get(key, ()), facts)
            reach[key] = reach.get(key, frozenset()) | frozenset(map(_triple, step["reach"]))
        selection: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in document["selection"].items()
        }
        _check_types(Selection(), selection, "selection")
        _check_types(Options(), document["options"], "options")
        _check_texts(document, ("hash", "cluster", "sample", "sampleId"))
        return PlanFile(
            hash=document["hash"],
            cluster=document["cluster"],
            sample=document["sample"],
            sample_id=document["sampleId"],
            selection=Selection(**selection),
            options=Options(**document["options"]),
            steps=steps,
            withdraws=_texts(document["withdraws"], "withdraws"),
            reach=reach,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{source} is damaged: {error}", hint=_AGAIN) from None


def _check_texts(document: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raises TypeError for a field that is no text."""
    for name in names:
        if not isinstance(document[name], str):
            raise TypeError(f"{name} is {type(document[name]).__name__}, and not str")


def _texts(value: Any, name: str) -> tuple[str, ...]:
    """A list of texts. Raises TypeError for anything else."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise TypeError(f"{name} is no list of texts")
    return tuple(value)


def _triple(value: Any) -> tuple[str, str, str]:
    doing, by, cluster = _texts(value, "reach")
    return doing, by, cluster


def _check_types(default: Selection | Options, given: Mapping[str, Any], where: str) -> None:
    """Raises TypeError for a value of another type than the field has."""
    for name, value in given.items():
        wanted = type(getattr(default, name)) if name != "keys" else None
        if type(value) is not wanted or (isinstance(value, tuple) and not all(isinstance(one, str) for one in value)):
            raise TypeError(f"{where}.{name} is no {wanted.__name__ if wanted else 'part of a plan file'}")


def differences(file: PlanFile, plan: Plan) -> list[str]:
    """Why a plan that was made now is not the one of the file, object by object; empty when it is."""
    found = list(_differing_steps(file, plan))
    now = _said(plan)
    found += _farther(file, plan)
    found += [f"not in the plan: {line}" for line in now if line not in file.withdraws]
    found += [f"no longer so: {line}" for line in file.withdraws if line not in now]
    if not found and plan_hash(plan) != file.hash:
        same = same_json(_hashed(plan.options), _hashed(file.options))
        found.append(
            "the steps are in another order, or the file was changed" if same else "what is allowed was changed"
        )
    return found


def _said(plan: Plan) -> list[str]:
    """What the person who approves it has to know of clusters."""
    return [str(one) for one in (*plan.withdraws, *plan.doubts, *plan.conflicts)]


def _reach(step: Step) -> Reach:
    return frozenset(
        (str(effect.doing), in_words(effect.by), str(cluster)) for effect in step.effects for cluster in effect.clusters
    )


def _farther(file: PlanFile, plan: Plan) -> Iterator[str]:
    """What the plan does now on clusters, and did not do when it was approved."""
    now: dict[ObjectKey, Reach] = {}
    for step in plan.writes:
        now[step.key] = now.get(step.key, frozenset()) | _reach(step)
    for key in sorted(now):
        for doing, by, cluster in sorted(now[key] - file.reach.get(key, frozenset())):
            yield f"{in_words(key)} now {doing} {cluster} ({by}), which was not in the plan"


def _differing_steps(file: PlanFile, plan: Plan) -> Iterator[str]:
    writes: dict[ObjectKey, tuple[Any, ...]] = {}
    for step in plan.writes:
        writes[step.key] = (*writes.get(step.key, ()), (step.action, step.uid, step.resource_version, step.changed))
    others = {step.key: step for step in plan.steps if not step.writes}
    for key in sorted(file.steps.keys() | writes.keys()):
        planned, now = file.steps.get(key, ()), writes.get(key, ())
        if planned != now:
            yield f"{in_words(key)} {_what(planned, now, others.get(key))}"


def _what(planned: tuple[Any, ...], now: tuple[Any, ...], other: Step | None) -> str:
    if not now:
        return f"would not be written now: {other.why_not or 'it no longer differs'}" if other else "is gone"
    if not planned:
        return "was not in the plan and would be written now"
    (_, uid, version, _), (_, live_uid, live_version, _) = planned[0], now[0]
    if uid != live_uid:
        return "was created or deleted since" if not uid or not live_uid else "was deleted and created again since"
    if version != live_version:
        return f"was changed since: its resource version was {version} and is {live_version}"
    return "would be written differently now"
