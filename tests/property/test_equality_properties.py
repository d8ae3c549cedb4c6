"""Two JSON values are equal if and only if their archived bytes are equal."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gitsnap.core.objects import changed_fields, same_json
from gitsnap.format import encode

_ALIKE: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, 1, -1, 0.0, -0.0, 1.0, "", "0", "1", "true", "null", [], {}]
)
"""Values that some language takes for equal."""
_SCALARS = _ALIKE | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3)
_KEYS = st.sampled_from(["a", "b", "metadata", "data", "kind"])
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3), max_leaves=8
)


def _replaced(value: Any, choice: Any) -> Any:
    """The value with its first scalar replaced, and with the first key of each changed mapping moved to the end."""
    if isinstance(value, dict) and value:
        first, *others = value
        return {**{name: value[name] for name in others}, first: _replaced(value[first], choice)}
    if isinstance(value, list) and value:
        return [_replaced(value[0], choice), *value[1:]]
    return choice


@settings(max_examples=2000, deadline=None)
@given(_VALUES, _VALUES, _ALIKE, st.sampled_from(["near", "far"]))
def test_equal_values_have_equal_bytes(first: Any, other: Any, choice: Any, distance: str) -> None:
    """Two random values, and values that differ in one scalar or in the order of their keys."""
    second = _replaced(first, choice) if distance == "near" else other

    same = same_json(first, second)

    assert same == (encode(first) == encode(second))
    assert same == same_json(second, first)
    assert same == (changed_fields({"x": first}, {"x": second}) == ())


@settings(max_examples=300, deadline=None)
@given(_VALUES)
def test_a_copy_is_equal(value: Any) -> None:
    """A copy through JSON is equal."""
    assert same_json(value, json.loads(json.dumps(value)))
    assert changed_fields(value, json.loads(json.dumps(value))) == ()
