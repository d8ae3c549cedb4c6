"""Values of a JSON document, read by a path."""

from __future__ import annotations

from typing import Any

import pytest

from gitsnap.core.json_paths import values_at

_DOCUMENT = {
    "spec": {
        "syncMode": "OneTime",
        "empty": None,
        "charts": [{"name": "a", "values": ["x", "y"]}, {"name": "b"}, "text", {"name": None}],
    }
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("spec.syncMode", ["OneTime"]),
        ("spec.charts[].name", ["a", "b"]),
        ("spec.charts[].values[]", ["x", "y"]),
        ("spec.charts", [_DOCUMENT["spec"]["charts"]]),
        ("spec.absent.name", []),
        ("spec.empty", []),
        ("spec.syncMode[]", []),
        ("spec.syncMode.name", []),
        ("spec.charts.name", []),
    ],
)
def test_a_path_yields_every_value_and_skips_other_shapes(path: str, values: list[Any]) -> None:
    """Elements come in the order of the list; an absent or null field and one of another type yield nothing."""
    assert list(values_at(_DOCUMENT, path)) == values


@pytest.mark.parametrize("root", [None, "text", 5, ["spec"]])
def test_a_root_that_is_no_mapping_has_no_values(root: Any) -> None:
    """A document of another type is not an error."""
    assert list(values_at(root, "spec.name")) == []
