"""The differences of two versions of an object, and the adoption of some of them."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gitsnap.core.objects import same_json
from gitsnap.history.fields import adopt, field_differences, fields_of

_SCALARS = st.sampled_from(["", "a", "b: 1", "x\n", 0, 1, 1.0, True, None])
_NAMES = st.sampled_from(["a", "b", "a.b", "a.yaml", "x[0]", "name"])
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=10,
)
_DOCUMENTS = st.sampled_from(["a", "b"]).flatmap(
    lambda name: st.builds(
        lambda value, comment: (
            f"{comment}kind: Service\napiVersion: v1\nmetadata:\n  name: {name}\nspec:\n  port: {value}\n"
        ),
        st.integers(0, 2),
        st.sampled_from(["", "# new\n"]),
    )
)


def _object(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "n", "namespace": "ns"}, **fields}


_THINGS = st.builds(lambda spec: _object("Thing", {"spec": spec}), _VALUES)
_CONFIG_MAPS = st.builds(
    lambda data, labels: {
        **_object("ConfigMap", {"data": data}),
        "metadata": {"name": "n", "namespace": "ns", "labels": labels},
    },
    st.dictionaries(_NAMES, _DOCUMENTS | st.sampled_from(["", "a: 1", "a:  1"]), max_size=3),
    st.dictionaries(_NAMES, st.sampled_from(["a", "b"]), max_size=2),
)
_PAIRS = st.tuples(_THINGS, _THINGS) | st.tuples(_CONFIG_MAPS, _CONFIG_MAPS)
"""Two versions of an object."""


@settings(max_examples=300)
@given(_PAIRS)
def test_all_or_nothing(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Equal objects have no differences. With all differences, the newer object is adopted; with none, nothing."""
    before, after = pair
    paths = [difference.path for difference in field_differences(before, after)]
    assert bool(paths) is not same_json(before, after)
    assert same_json(adopt(before, after, dict.fromkeys(paths, True)), after)
    assert same_json(adopt(before, after, dict.fromkeys(paths, False)), before)


@settings(max_examples=400)
@given(_PAIRS, st.integers(0, 2**64 - 1))
def test_no_other_difference_is_hidden(pair: tuple[dict[str, Any], dict[str, Any]], bits: int) -> None:
    """A difference that is not allowed remains, and no new one appears. The bits decide which ones are allowed."""
    before, after = pair
    allowed = {
        difference.path: bool(bits >> number % 64 & 1)
        for number, difference in enumerate(field_differences(before, after))
    }
    remaining = {difference.path for difference in field_differences(adopt(before, after, allowed), after)}
    assert {path for path, is_allowed in allowed.items() if not is_allowed} <= remaining <= allowed.keys()


@settings(max_examples=300)
@given(_PAIRS)
def test_the_paths_are_those_of_blame(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Each field that differs is at the path of a difference, or below it. An empty mapping may become fields."""
    before, after = fields_of(pair[0]), fields_of(pair[1])
    paths = {difference.path for difference in field_differences(*pair)}
    for path in before.keys() | after.keys():
        if path in before and path in after and same_json(before[path], after[path]):
            continue
        if any(side.get(path) in ({}, []) for side in (before, after)):
            continue
        assert any(path == known or path.startswith((f"{known}.", f"{known}[")) for known in paths)
