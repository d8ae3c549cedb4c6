"""Fingerprints for any key, name and value: nothing collides by moving bytes about, everything comes back."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gitsnap.core.model import Kind, ObjectKey
from gitsnap.format import fingerprint, masking

KEYS = st.binary(min_size=32, max_size=32)
# Few letters, so that parts often could be told apart by their borders alone.
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
def test_different_inputs_have_different_fingerprints(key: bytes, one: Input, two: Input) -> None:
    """Two (object, path, value) that differ never collide, however their parts are joined."""
    same = fingerprint.fingerprint(key, *one) == fingerprint.fingerprint(key, *two)

    assert same == (one == two)


@given(KEYS, KEYS, INPUTS)
def test_different_keys_have_different_fingerprints_and_ids(one: bytes, two: bytes, value: Input) -> None:
    """Whoever has another key sees other fingerprints, and can tell by the id."""
    same = fingerprint.fingerprint(one, *value) == fingerprint.fingerprint(two, *value)

    assert same == (one == two) == (fingerprint.key_id(one) == fingerprint.key_id(two))


@given(KEYS, SECRETS)
def test_any_secret_comes_back(key: bytes, data: dict[str, Any]) -> None:
    """Masked and sealed, a Secret is whole; masked alone, it shows its keys and nothing else."""
    original = secret(data)

    masked = masking.mask_secret(original, key)

    assert set(masked["data"]) == set(data)
    assert all(fingerprint.is_fingerprint(value) for value in masked["data"].values())
    assert masking.restore_secret(masked, masking.secret_values(original), key) == original


@given(KEYS, st.dictionaries(st.text(max_size=5), st.binary(min_size=1), min_size=1, max_size=3), st.data())
def test_any_change_of_a_value_changes_its_fingerprint_alone(
    key: bytes, values: dict[str, bytes], draw: st.DataObject
) -> None:
    """`git diff` says which key of a Secret changed."""
    changed = draw.draw(st.sampled_from(sorted(values)))
    before = {name: base64.b64encode(value).decode() for name, value in values.items()}
    after = before | {changed: base64.b64encode(values[changed] + b"x").decode()}

    old, new = masking.mask_secret(secret(before), key)["data"], masking.mask_secret(secret(after), key)["data"]

    assert {name for name in values if old[name] != new[name]} == {changed}
