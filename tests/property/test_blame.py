"""Blame compared with a replay that looks up each field of the newest version in all earlier versions."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gitsnap.core.model import JsonObject
from gitsnap.history.blame import Version, blame
from gitsnap.history.fields import fields_of

_ABSENT = object()
_SCALARS = st.sampled_from(["a", "b", 1, 1.0, True, None, ""])
_NAMES = st.sampled_from(["x", "y", "z"])
_CHARTS = st.lists(
    st.fixed_dictionaries({"releaseName": _NAMES}, optional={"chartVersion": _SCALARS, "values": _SCALARS}),
    unique_by=lambda chart: chart["releaseName"],
    min_size=1,
)
_TAGS = st.lists(_NAMES, unique=True, min_size=1)
_SPECS = st.fixed_dictionaries(
    {},
    optional={
        "mode": _SCALARS,
        "nested": st.dictionaries(_NAMES, _SCALARS, min_size=1),
        "helmCharts": _CHARTS,
        "tags": _TAGS,
    },
)
_OBJECTS = st.none() | _SPECS.map(
    lambda spec: {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}, "spec": spec}
)

_Steps = tuple[Any, ...]


def _leaves(value: Any, steps: _Steps) -> Iterator[_Steps]:
    """The steps to each leaf: a key, ``("name", text)`` for a keyed element, ``("", text)`` for a scalar in a list."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, (*steps, name))
    elif isinstance(value, list) and value:
        for inner in value:
            if isinstance(inner, dict):
                key = "releaseName" if "releaseName" in inner else "name"
                yield from _leaves(inner, (*steps, (key, inner[key])))
            else:
                yield (*steps, ("", inner))
    else:
        yield steps


def _look_up(document: JsonObject | None, steps: _Steps) -> Any:
    """The value of a leaf; _ABSENT if the document has no such leaf."""
    value: Any = document if document is not None else {}
    for step in steps:
        if isinstance(step, tuple):
            elements = value if isinstance(value, list) else []
            matching = [item for item in elements if (item[step[0]] if step[0] else item) == step[1]]
            value = matching[0] if matching else _ABSENT
        else:
            value = value.get(step, _ABSENT) if isinstance(value, dict) else _ABSENT
        if value is _ABSENT:
            return _ABSENT
    return _ABSENT if isinstance(value, dict | list) and value else value


def _text(steps: _Steps) -> str:
    """The path of a leaf as gitsnap writes it."""
    text = ""
    for step in steps:
        text += f"[{step[1]}]" if isinstance(step, tuple) else f".{step}"
    return text.removeprefix(".")


def _same(first: Any, second: Any) -> bool:
    return first is second or (type(first) is type(second) and repr(first) == repr(second))


@settings(max_examples=1000)
@given(st.lists(_OBJECTS, min_size=1, max_size=8))
def test_each_field_has_the_version_that_a_replay_finds(history: list[JsonObject | None]) -> None:
    """The origin of a field is the version after the last one in which the field was absent or had another value."""
    _check([Version(fields_of(document) if document else None) for document in history], history, "spec")


_ELEMENTS = st.lists(
    st.fixed_dictionaries({"name": _NAMES}, optional={"level": _SCALARS, "tags": _TAGS}),
    unique_by=lambda element: str(element["name"]),
    min_size=1,
)
_CONTENTS = st.fixed_dictionaries(
    {}, optional={"mode": _SCALARS, "nested": st.dictionaries(_NAMES, _SCALARS, min_size=1), "users": _ELEMENTS}
)
_FORMATS = st.sampled_from([{}, {"indent": 2}, {"separators": (",", ":")}, {"sort_keys": True, "indent": 1}])


@settings(max_examples=1000)
@given(
    st.lists(
        st.dictionaries(_NAMES, st.tuples(_CONTENTS, _FORMATS) | st.just("text"), min_size=1), min_size=1, max_size=6
    )
)
def test_json_in_a_config_map_has_the_versions_that_a_replay_finds(history: list[dict[str, Any]]) -> None:
    """Neither the format of the JSON nor the order of its keys and elements counts."""
    versions, contents = list[Version](), list[JsonObject | None]()
    for texts in history:
        written = {name: text if text == "text" else json.dumps(text[0], **text[1]) for name, text in texts.items()}
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": written}
        versions.append(Version(fields_of(document)))
        contents.append({"data": {name: text if text == "text" else text[0] or "{}" for name, text in texts.items()}})
    _check(versions, contents, "data")


def _check(versions: list[Version], history: list[JsonObject | None], part: str) -> None:
    """Compare blame with a replay of one part of the object."""
    result = blame(versions)
    positions = {id(version): position for position, version in enumerate(versions)}
    newest = history[-1]
    steps_of_leaves = list(_leaves({part: newest[part]}, ())) if newest and newest[part] else []

    expected = {}
    for steps in steps_of_leaves:
        value, position = _look_up(newest, steps), len(history) - 1
        while position and _same(_look_up(history[position - 1], steps), value):
            position -= 1
        before = _look_up(history[position - 1], steps) if position else _ABSENT
        expected[_text(steps)] = (position, value, before)

    found = {
        path: (positions[id(origin.since)], origin.value, origin.before if origin.existed else _ABSENT)
        for path, origin in result.present.items()
        if path != part
    }
    assert found.keys() == expected.keys()
    for path, (position, value, before) in expected.items():
        assert found[path][0] == position
        assert _same(found[path][1], value)
        assert _same(found[path][2], before)


@given(_SPECS, st.randoms(use_true_random=False))
def test_the_order_of_elements_does_not_count(spec: JsonObject, random: Any) -> None:
    """Charts and scalars that only move keep their origin."""
    moved = copy.deepcopy(spec)
    for name in ("helmCharts", "tags"):
        random.shuffle(moved.get(name, []))
    first, second = ({"metadata": {"name": "x"}, "kind": "X", "spec": version} for version in (spec, moved))
    assert {path: repr(value) for path, value in fields_of(first).items()} == {
        path: repr(value) for path, value in fields_of(second).items()
    }
