"""A plan file pins options, types and effects: the plan that is made now must not go beyond them."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest

from gitsnap.core.errors import InputError
from gitsnap.core.model import JsonObject, Sample
from gitsnap.rollback.plan import Options, Plan, Selection, differences, plan_file, plan_hash, read_plan_file
from gitsnap.sveltos import kinds
from tests.support.plans import alive, custom, plan_of, sample_state
from tests.support.samples import NOON, sample

WEST = alive(custom(kinds.SVELTOS_CLUSTER, "west", {}, "default", labels={"env": "fv"}))
EAST = alive(custom(kinds.SVELTOS_CLUSTER, "east", {}, "default", labels={"env": "fv"}))


def _profile(**spec: Any) -> JsonObject:
    return alive(
        custom(kinds.CLUSTER_PROFILE, "guestbook", {"clusterSelector": {"matchLabels": {"env": "fv"}}, **spec})
    )


def _plan(*clusters: JsonObject, **options: Any) -> Plan:
    return plan_of(sample_state([_profile(tier=50)]), [*clusters, _profile(tier=60)], **options)


def _file(plan: Plan) -> JsonObject:
    return plan_file(plan, Selection(), _SAMPLE)


_SAMPLE: Sample = sample(1, NOON)


@pytest.mark.parametrize(
    "field", [option for option in dataclasses.fields(Options) if option.name != "wait"], ids=lambda option: option.name
)
def test_the_hash_covers_every_option(field: dataclasses.Field[Any]) -> None:
    """Options decide about the writes, so a file with edited options is another plan."""
    plan = _plan(WEST)
    default: Any = field.default
    other = not default if isinstance(default, bool) else default + 1
    changed = _plan(WEST, **{field.name: other})
    assert plan_hash(changed) != plan_hash(plan)
    assert differences(read_plan_file(_file(plan), "plan.json"), changed)


def test_the_wait_option_does_not_change_the_hash() -> None:
    """`--wait` may be given with `--plan`."""
    assert plan_hash(_plan(WEST, wait=5)) == plan_hash(_plan(WEST))


_WRONG: tuple[Any, ...] = ("text", 7, 1.5, None, [], ["text"], {}, {"a": 1}, True)


def _places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(document, dict):
        found += [place for key, value in document.items() for place in _places(value, (*path, key))]
    if isinstance(document, list):
        found += [place for index, value in enumerate(document) for place in _places(value, (*path, index))]
    return found


def test_wrong_types_are_an_error_with_a_message() -> None:
    """A value of another type is an error, or a difference from the plan; nothing crashes."""
    document = _file(_plan(WEST))
    undamaged = read_plan_file(document, "plan.json")
    free = {("cluster",), ("sample",), ("sampleId",), ("options", "wait")}  # the command checks the first three itself
    for place in _places(document):
        for wrong in _WRONG:
            damaged = copy.deepcopy(document)
            inner: Any = damaged
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = wrong
            try:
                read = read_plan_file(damaged, "plan.json")
            except InputError:
                continue
            plan = _plan(WEST, **dataclasses.asdict(read.options))
            assert differences(read, plan) or read == undamaged or place in free, (place, wrong)


@pytest.mark.parametrize(
    ("name", "wrong"), [("prune", 1), ("max_delete", True), ("max_delete", "10"), ("nonsense", True)]
)
def test_an_option_of_another_type_is_refused(name: str, wrong: Any) -> None:
    """1 is not true, and an unknown option is an error."""
    document = _file(_plan(WEST))
    document["options"][name] = wrong
    with pytest.raises(InputError, match="damaged"):
        read_plan_file(document, "plan.json")


def test_a_cluster_that_newly_matches_is_not_approved() -> None:
    """The same objects, but the plan reaches more clusters or has other effects."""
    file = read_plan_file(_file(_plan(WEST)), "plan.json")
    assert not differences(file, _plan(WEST))
    (line,) = differences(file, _plan(WEST, EAST))
    assert "now redeploys default/sveltos--east" in line
    assert "not in the approved plan" in line


def test_a_cluster_that_no_longer_matches_is_approved() -> None:
    """A plan that reaches less than the approved one needs no second review."""
    assert not differences(read_plan_file(_file(_plan(WEST, EAST)), "plan.json"), _plan(WEST))


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ((), "the plan"),
        (("selection",), "selection"),
        (("options",), "options"),
        (("steps", 0), "step 1"),
        (("steps", 0, "object"), "the object of step 1"),
    ],
)
def test_an_unknown_key_is_refused(path: tuple[Any, ...], where: str) -> None:
    """A user who edits a plan must not expect an effect of an unknown key. The message names the key."""
    document = _file(_plan(WEST))
    read_plan_file(copy.deepcopy(document), "plan.json")
    inner: Any = document
    for key in path:
        inner = inner[key]
    inner["skip"] = True

    with pytest.raises(InputError, match=rf"plan\.json is damaged: {where} has the unknown key skip"):
        read_plan_file(document, "plan.json")
