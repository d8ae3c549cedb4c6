"""The content of a plan file: a plan that a user can review, approve, and later apply without any difference.

A plan file names objects, fields and versions, never values. The values come from the sample, and the file pins the
sample's tag object.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gitsnap.core.errors import InputError
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.objects import same_json
from gitsnap.core.states import State
from gitsnap.core.text import describe
from gitsnap.rollback.plan.selection import Selection
from gitsnap.rollback.plan.steps import Action, Options, Plan, Step

_KIND = "RollbackPlanFile"
_VERSION = 1
_FILE_KEYS = frozenset(
    {"kind", "version", "hash", "cluster", "sample", "sampleId", "selection", "options", "steps", "withdraws"}
)
_STEP_KEYS = frozenset({"action", "object", "uid", "resourceVersion", "changed", "reach"})
_OBJECT_KEYS = frozenset({"kind", "namespace", "name"})
_REPLAN_HINT = "Make the plan again, and review what it would do now."


def plan_hash(plan: Plan) -> str:
    """SHA-256, in hexadecimal, of the plan's cluster, sample, options, and writes with uid and resource version."""
    steps = [[step.action, str(step.key), step.uid, step.resource_version, list(step.changed)] for step in plan.writes]
    content = json.dumps(
        [plan.cluster.uid, plan.sample, steps, _hashed_options(plan.options)], sort_keys=True, ensure_ascii=False
    )
    return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()


def _hashed_options(options: Options) -> dict[str, Any]:
    """The options that affect what is written; the time to wait does not."""
    return {name: value for name, value in dataclasses.asdict(options).items() if name != "wait"}


Reach = frozenset[tuple[str, str, str]]
"""Effects on clusters: effect type, profile and cluster, ``("redeploys", "ClusterProfile guestbook", "default/x")``."""


@dataclass(frozen=True, slots=True)
class PlanFile:
    """The content of a plan file."""

    hash: str
    cluster: str
    """The uid of the cluster."""
    sample: str
    """The tag of the sample, or the commit id of the change."""
    sample_id: str
    """The git object id of the tag; of a change the commit id."""
    selection: Selection
    options: Options
    steps: Mapping[ObjectKey, tuple[Any, ...]]
    """For each object that is written: its actions, each with the uid, resource version and changed fields."""
    withdrawals: tuple[str, ...] = ()
    reach: Mapping[ObjectKey, Reach] = field(default_factory=dict)
    """For each object that is written: the effects of its steps."""


def plan_file(plan: Plan, selection: Selection, sample: State) -> JsonObject:
    """The plan file of a plan, as a JSON document. ``read_plan_file`` is the inverse."""
    return {
        "kind": _KIND,
        "version": _VERSION,
        "hash": plan_hash(plan),
        "cluster": plan.cluster.uid,
        "sample": sample.tag,
        "sampleId": sample.tag_id,
        "selection": {
            option.name: value for option in dataclasses.fields(Selection) if (value := getattr(selection, option.name))
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
        "withdraws": _consequence_lines(plan),
    }


def read_plan_file(document: object, source: str) -> PlanFile:
    """Parse the JSON document of a plan file. ``source`` names the file in messages.

    Raises InputError if the document is not a plan file of this version.
    """
    if not isinstance(document, dict) or document.get("kind") != _KIND:
        raise InputError(f"{source} is not a plan file", hint="`gitsnap rollback --plan-out FILE` writes a plan file.")
    if document.get("version") != _VERSION:
        raise InputError(
            f"{source} is a plan file of version {document.get('version')}; this gitsnap reads version {_VERSION}",
            hint=_REPLAN_HINT,
        )
    try:
        _check_keys(document, _FILE_KEYS, "the plan")
        steps: dict[ObjectKey, tuple[Any, ...]] = {}
        reach: dict[ObjectKey, Reach] = {}
        for number, step in enumerate(document["steps"], start=1):
            _check_keys(step, _STEP_KEYS, f"step {number}")
            target = step["object"]
            _check_keys(target, _OBJECT_KEYS, f"the object of step {number}")
            _check_texts(target, ("kind", "namespace", "name"))
            _check_texts(step, ("action", "uid", "resourceVersion"))
            key = ObjectKey(Kind.parse(target["kind"]), target["namespace"], target["name"])
            facts = (Action(step["action"]), step["uid"], step["resourceVersion"], _texts(step["changed"], "changed"))
            steps[key] = (*steps.get(key, ()), facts)
            reach[key] = reach.get(key, frozenset()) | frozenset(map(_triple, step["reach"]))
        selection: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in document["selection"].items()
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
            withdrawals=_texts(document["withdraws"], "withdraws"),
            reach=reach,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{source} is damaged: {error}", hint=_REPLAN_HINT) from None


def _check_keys(document: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """Raises ValueError for a key that ``plan_file`` does not write: a user may expect the key to have an effect."""
    unknown = sorted(set(document) - known)
    if unknown:
        raise ValueError(f"{where} has the unknown key {unknown[0]}")


def _check_texts(document: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raises TypeError if a field is not a string."""
    for name in names:
        if not isinstance(document[name], str):
            raise TypeError(f"{name} is {type(document[name]).__name__}, not str")


def _texts(value: Any, name: str) -> tuple[str, ...]:
    """The strings of a list. Raises TypeError for any other value."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"{name} is not a list of strings")
    return tuple(value)


def _triple(value: Any) -> tuple[str, str, str]:
    effect_type, by, cluster = _texts(value, "reach")
    return effect_type, by, cluster


def _check_types(default: Selection | Options, values: Mapping[str, Any], where: str) -> None:
    """Raises TypeError if a value does not have the type of its field in ``default``, ValueError for another field."""
    _check_keys(values, frozenset(option.name for option in dataclasses.fields(default)), where)
    for name, value in values.items():
        if name == "keys":
            raise TypeError(f"{where}.{name} does not belong in a plan file")
        expected = type(getattr(default, name))
        if type(value) is not expected or (
            isinstance(value, tuple) and not all(isinstance(item, str) for item in value)
        ):
            raise TypeError(f"{where}.{name} is not of type {expected.__name__}")


def changes_since_approval(approved: Plan, sample: State, plan: Plan) -> list[str]:
    """How a new plan differs from a plan that a user approved, as ``differences``."""
    return differences(read_plan_file(plan_file(approved, Selection(), sample), "the approved plan"), plan)


def differences(file: PlanFile, plan: Plan) -> list[str]:
    """How a new plan differs from a plan file: a line for each difference, empty if there is none."""
    lines = list(_step_differences(file, plan))
    now = _consequence_lines(plan)
    lines += _new_effects(file, plan)
    lines += [f"not in the approved plan: {line}" for line in now if line not in file.withdrawals]
    lines += [f"no longer in the plan: {line}" for line in file.withdrawals if line not in now]
    if not lines and plan_hash(plan) != file.hash:
        same = same_json(_hashed_options(plan.options), _hashed_options(file.options))
        lines.append(
            "the steps are in another order, or the file was edited" if same else "the options of the plan were edited"
        )
    return lines


def _consequence_lines(plan: Plan) -> list[str]:
    return [str(consequence) for consequence in (*plan.withdrawals, *plan.uncertainties, *plan.conflicts)]


def _reach(step: Step) -> Reach:
    return frozenset(
        (str(effect.type), describe(effect.by), str(cluster)) for effect in step.effects for cluster in effect.clusters
    )


def _new_effects(file: PlanFile, plan: Plan) -> Iterator[str]:
    """A line for each effect on a cluster that the plan file does not contain."""
    now: dict[ObjectKey, Reach] = {}
    for step in plan.writes:
        now[step.key] = now.get(step.key, frozenset()) | _reach(step)
    for key in sorted(now):
        for effect_type, by, cluster in sorted(now[key] - file.reach.get(key, frozenset())):
            yield f"{describe(key)} now {effect_type} {cluster} ({by}), which is not in the approved plan"


def _step_differences(file: PlanFile, plan: Plan) -> Iterator[str]:
    writes: dict[ObjectKey, tuple[Any, ...]] = {}
    for step in plan.writes:
        writes[step.key] = (*writes.get(step.key, ()), (step.action, step.uid, step.resource_version, step.changed))
    others = {step.key: step for step in plan.steps if not step.writes}
    for key in sorted(file.steps.keys() | writes.keys()):
        planned, now = file.steps.get(key, ()), writes.get(key, ())
        if planned != now:
            yield f"{describe(key)} {_difference(planned, now, others.get(key))}"


def _difference(planned: tuple[Any, ...], now: tuple[Any, ...], unwritten: Step | None) -> str:
    """How the writes of an object differ; ``unwritten`` is its step if the plan does not write the object now."""
    if not now:
        return f"would not be written now: {unwritten.refusal or 'it no longer differs'}" if unwritten else "is gone"
    if not planned:
        return "is not in the approved plan and would be written now"
    (_, uid, version, _), (_, live_uid, live_version, _) = planned[0], now[0]
    if uid != live_uid:
        return "was created or deleted since" if not uid or not live_uid else "was recreated since"
    if version != live_version:
        return f"has changed: its resource version was {version} and is now {live_version}"
    return "would be written differently now"
