"""The JSON of an API server is read as Python's own parser reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.cluster.api.responses import Request
from gitsnap.cluster.api.transport import _parse
from gitsnap.core.errors import ClusterError
from gitsnap.core.objects import same_json

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters())
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
_REQUEST = Request("read a test", "https://test.example")


@given(value=_VALUES, ascii_only=st.booleans())
def test_an_answer_has_the_values_that_json_reads(*, value: Any, ascii_only: bool) -> None:
    """The texts include integers of any size, floats of any exponent, and lone surrogates."""
    content = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert same_json(_parse(content, _REQUEST, truncate=True), json.loads(content))


@pytest.mark.parametrize("content", [b'{"a": 1, "a": 2}', b"1e400", b"-0.0", b'"\\ud800"', b"[1e-400]", b" [1] "])
def test_edges_of_json(content: bytes) -> None:
    """Texts on which parsers differ."""
    assert same_json(_parse(content, _REQUEST, truncate=True), json.loads(content))


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"a"', b"\xff", b"[1,]", b"{} {}"])
def test_an_answer_that_is_not_json(content: bytes) -> None:
    """Such an answer is the page of a proxy, or half of a response."""
    with pytest.raises(ClusterError, match="the answer is not JSON"):
        _parse(content, _REQUEST, truncate=True)


def test_deep_nesting_is_truncated() -> None:
    """A parser that recurses cannot read it; the value below 400 levels is null."""
    depth = 200_000
    value = _parse(b"[" * depth + b"]" * depth, _REQUEST, truncate=True)
    levels = 0
    while value:
        value, levels = value[0], levels + 1
    assert levels == 400
