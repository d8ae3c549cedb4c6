"""Fingerprints for any key, name and value: different inputs never collide, and masked Secrets can be restored."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gitsnap.core.model import Kind, ObjectKey
from gitsnap.format import fingerprint, masking

KEYS = st.binary(min_size=32, max_size=32)
# Few letters, so that different parts often have the same concatenation.
PARTS = st.text(alphabet="ab/.\x00", max_size=3)
OBJECTS = st.builds(ObjectKey, st.builds(Kind, PARTS, PARTS), PARTS, PARTS)
INPUTS = st.tuples(OBJECTS, st.lists(PARTS, max_size=3).map(tuple), PARTS.map(str.encode))
VALUES = st.one_of(st.binary().map(lambda value: base64.b64encode(value).decode()), st.text(), st.none(), st.integers())
SECRETS = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)

Input = tuple[ObjectKey, tuple[str, ...], bytes]


def secret(data: dict[str, Any]) -> dict[str, Any]:
    """A Secret with this data."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "namespace": "y"}, "data": data}


@given(KEYS, INPUTS, INPUTS)
def test_different_inputs_have_different_fingerprints(key: bytes, first: Input, second: Input) -> None:
    """Two (object, path, value) that differ never collide, however their parts are joined."""
    same = fingerprint.fingerprint(key, *first) == fingerprint.fingerprint(key, *second)

    assert same == (first == second)


@given(KEYS, KEYS, INPUTS)
def test_different_keys_have_different_fingerprints_and_ids(first: bytes, second: bytes, value: Input) -> None:
    """Another key gives other fingerprints and another key id."""
    same = fingerprint.fingerprint(first, *value) == fingerprint.fingerprint(second, *value)

    assert same == (first == second) == (fingerprint.key_id(first) == fingerprint.key_id(second))


@given(KEYS, SECRETS)
def test_any_masked_secret_can_be_restored(key: bytes, data: dict[str, Any]) -> None:
    """A masked Secret shows its keys and fingerprints only. With its values, the Secret is complete again."""
    original = secret(data)

    masked = masking.mask_secret(original, key)

    assert set(masked["data"]) == set(data)
    assert all(fingerprint.is_fingerprint(value) for value in masked["data"].values())
    assert masking.restore_secret(masked, masking.secret_values(original), key) == original


@given(KEYS, st.dictionaries(st.text(max_size=5), st.binary(min_size=1), min_size=1, max_size=3), st.data())
def test_a_changed_value_changes_only_its_own_fingerprint(
    key: bytes, values: dict[str, bytes], draw: st.DataObject
) -> None:
    """`git diff` shows which key of a Secret changed."""
    changed = draw.draw(st.sampled_from(sorted(values)))
    before = {name: base64.b64encode(value).decode() for name, value in values.items()}
    after = before | {changed: base64.b64encode(values[changed] + b"x").decode()}

    old, new = masking.mask_secret(secret(before), key)["data"], masking.mask_secret(secret(after), key)["data"]

    assert {name for name in values if old[name] != new[name]} == {changed}
