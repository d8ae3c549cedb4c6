"""Archived YAML of any JSON value. Two independent readers are the oracles."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gitsnap.format import decode, encode
from gitsnap.format.yaml import canonical, emitter

_NASTY = [
    "yes", "NO", "on", "y", "0o7", "012", "12:30:45", "1e3", "1_000", "0x1f", "~", "null", "NaN", ".inf", "=", "<<",
    "2020-01-01", "\x85", "a\rb", "a\tb", "trailing \n space ", "😀", "- a\n- b", "# c\n", "  lead\nx", "\n\nx",
    "x\n\n\n", "\ttab\nx", "a: b", "a #b", "%x", "@a", "`", "x:", "---", "...", "---\na\n", "a\n---\nb\n",
    "a\u2028b\nc", "é\nü", "{}", "[]", "", "\n", " ", "a  b", "-", "?", "!x", "&a", "*a", "|", ">", "'", '"', "\\",
    "k\n \nx", "\ufeffbom\nx", "-----BEGIN KEY-----\nabc=\n-----END KEY-----\n", "x" * 3000 + "\n" + "y" * 90,
]  # fmt: skip
_TEXT = st.one_of(
    st.sampled_from(_NASTY), st.text(max_size=40), st.text(alphabet="ab \n\t:#-|>'\"\r\x85\u2028", max_size=20)
)
_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), _TEXT)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_TEXT, inner, max_size=4))
)


@settings(max_examples=800, deadline=None)
@given(_VALUES)
def test_readers_of_both_yaml_versions_read_the_value_back(value: Any) -> None:
    """Readers of YAML 1.2 (ruamel.yaml) and YAML 1.1 (PyYAML), and the fast reader of gitsnap, return the value."""
    written = encode(value)

    assert YAML(typ="safe", pure=True).load(written.decode()) == value
    assert yaml.safe_load(written) == value
    fast = canonical.read(written.decode())
    assert json.dumps(fast, sort_keys=True) == json.dumps(value, sort_keys=True)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(_TEXT, _VALUES, min_size=2, max_size=5))
def test_the_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    """Equal values have the same bytes, for any order of keys."""
    assert encode(dict(reversed(list(value.items())))) == encode(value)


def test_a_key_of_more_than_a_thousand_characters() -> None:
    """YAML requires the explicit form for such a key."""
    value = {"k" * 2000: {"b": 1}, "data": {"x": "y" * 100_000}}

    assert yaml.safe_load(encode(value)) == value
    assert decode(encode(value)) == value


def _plain_lines(value: Any, indent: str) -> list[str]:
    """The lines of a collection by the rules of docs/FORMAT.md, without a cache or a shortcut."""
    lines = []
    for item in sorted(value) if isinstance(value, dict) else range(len(value)):
        head = f"{indent}-"
        if isinstance(value, dict):
            key = emitter._scalar_text(str(item))
            head = f"{indent}{key}:" if len(key) <= 1000 else f"{indent}? {key}\n{indent}:"
        inner = value[item]
        if isinstance(inner, dict | list) and inner:
            is_below_key = isinstance(value, dict) and isinstance(inner, list)
            nested = _plain_lines(inner, indent if is_below_key else f"{indent}  ")
            lines += [head, *nested] if isinstance(value, dict) else [f"{head} {nested[0].lstrip(' ')}", *nested[1:]]
        else:
            lines.append(f"{head} {emitter._inline(inner, indent, 1)}")
    return lines


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_TEXT, _VALUES, min_size=1, max_size=40).filter(lambda value: "metadata" not in value))
def test_bytes_do_not_depend_on_caches(value: dict[str, Any]) -> None:
    """The same keys and texts at other depths, and in mappings of other sizes, are written as without a cache."""
    document = {"spec": [value, {"a": value, "b": [value]}], **{f"x{number:02}": value for number in range(40)}}

    assert encode(document).decode() == "\n".join([*_plain_lines(document, ""), ""])
