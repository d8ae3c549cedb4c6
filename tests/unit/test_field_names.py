"""The fields that an error proposes in place of a misspelt path."""

from __future__ import annotations

import pytest

from gitsnap.history.field_names import begins_with, propose_fields

_PATHS = [
    'data["database.yaml"][Service/test/redis].spec.ports[6379].port',
    'data["database.yaml"][Service/test/redis].spec.selector.app',
    "spec.policyRefs[ConfigMap/default/database].kind",
    "spec.syncMode",
    "spec.tier",
]


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("spec.tire", "The nearest names: spec.tier, spec.policyRefs, spec.syncMode."),
        ("tier", "The nearest names: spec.tier."),
        ("data.databse.yaml", 'The nearest names: data["database.yaml"].'),
        ("spec.foobar.x", "Existing names: spec.policyRefs, spec.syncMode, spec.tier."),
        ("nothing.like.this", "Existing names: data, spec."),
        ("spec.policyRefs[Secret/x]", "The nearest names: spec.policyRefs[ConfigMap/default/database]."),
        ("", "Existing names: data, spec."),
    ],
)
def test_fields_of_the_same_depth_are_proposed(written: str, hint: str) -> None:
    """First fields that end with the path; then similar ones; then those below the part of the path that exists."""
    assert propose_fields(written, _PATHS, none="") == hint


def test_hostile_names_are_no_obstacle() -> None:
    """A name may have any characters. Without fields, there is another sentence."""
    assert propose_fields("data.x", ['data["a[b"]', "data]", '["', "data["], none="") != ""
    assert propose_fields("x", [], none="It has no fields.") == "It has no fields."
    many = [f"spec.f{number}" for number in range(20_000)]
    assert propose_fields("spec.qqqqqqqqqq", many, none="") == (
        "Existing names: spec.f0, spec.f1, spec.f10, spec.f100, spec.f1000 and 19995 more."
    )


def test_both_notations_of_a_name_are_equal() -> None:
    """Users write a path in either form."""
    assert begins_with('data["a.yaml"].spec', "data.a.yaml")
    assert begins_with("data.a.yaml", 'data["a.yaml"]')
    assert not begins_with("data.a.yaml", "spec")
