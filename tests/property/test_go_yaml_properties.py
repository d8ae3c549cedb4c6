"""gitsnap reads documents, scalars and archived files as Go does. The oracle is sigs.k8s.io/yaml itself."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitsnap.format import encode
from tests.support.go_yaml import REFUSED, GoYaml, differences, exact, ours
from tests.testbed import binaries

_NUMBERS = "0123456789_+-.xXobBeEaAfF"
_MIXED = _NUMBERS + "yYnNtTrulsi~=<>!'\"#,[]{}:*&?| "
_TAGS = ("int", "float", "str", "bool", "null", "timestamp", "binary", "merge", "other")
_ODD = [
    "yes", "No", "ON", "off", "y", "N", "true", "TRUE", "tRUE", "~", "null", "Null", "nULL", "=", "<<", "!", "",
    "0400", "0o400", "0O17", "08", "0_8", "-0400", "0b101", "-0b101", "0b+1", "0b-1", "-0b+1", "0x1F", "0X1f", "0x",
    "0xg", "1_000", "_1", "1_", "+1", "+", "-", "--1", "1e3", "1E+3", "1e400", "-1e400", "1e-400", ".5", "+.5", ".5_0",
    ".", "1.", "1.e5", "1_0.5", ".inf", "-.INF", "+.Inf", ".nan", "nan", "inf", "123e4567", "0x123456789abcdef01",
    "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
    "+18446744073709551615",
    "-9223372036854775808", "-9223372036854775809", "0b" + "1" * 64, "0b" + "1" * 65, "0" * 90 + "7", "7" * 400,
    "12:30:45", "1:20", "2001-12-14", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.10 -5", "2001-13-40",
    "1e20", "1e21", "1.0", "-0", "-0.0", "1.5e-7", "0.1", "123456789012345678901", "http://a:1", "a:b", "-1_", "0_",
]  # fmt: skip
_HOLDERS = ("a: {}", "{}: a", "[{}]", "- {}", "a: '{}'", 'a: "{}"', "? {}", "{}")


@pytest.fixture(scope="module")
def oracle() -> Iterator[GoYaml]:
    """The Go program. Without Go the tests are skipped, except in CI, where the tests fail."""
    try:
        program = binaries.obtain_yaml_oracle()
    except binaries.MissingError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    running = GoYaml(program)
    yield running
    running.close()


def test_the_oracle_is_the_library_of_the_api_server() -> None:
    """The two modules pin the same versions, so that an update of Kubernetes updates the oracle."""
    for module in ("sigs.k8s.io/yaml", "go.yaml.in/yaml/v2"):
        assert binaries.pinned_version(module, binaries.YAML_MODULE) == binaries.pinned_version(module)


def _scalars() -> list[str]:
    chance = random.Random(1)
    numbers = ["".join(chance.choices(_NUMBERS, k=chance.randint(1, 9))) for _ in range(6000)]
    mixed = ["".join(chance.choices(_MIXED, k=chance.randint(1, 7))) for _ in range(2000)]
    short = ["".join(chars) for chars in itertools.product("01489_+-.xobeE", repeat=3)]
    return [*_ODD, *numbers, *mixed, *short]


def test_ten_thousand_scalars(oracle: GoYaml) -> None:
    """Scalars as values and as keys."""
    scalars = _scalars()

    assert len(scalars) > 10_000
    assert differences(oracle, (f"a: {scalar}" for scalar in scalars)) == []
    # The library of Go ignores text after an empty collection at the start.
    keys = (scalar for scalar in scalars if not scalar.startswith(("{}", "[]")))
    assert differences(oracle, (f"{scalar}: 1" for scalar in keys)) == []


@pytest.mark.parametrize("holder", _HOLDERS)
def test_odd_scalars_anywhere(oracle: GoYaml, holder: str) -> None:
    """Unusual scalars in flow and block collections, quoted, as keys and alone."""
    assert differences(oracle, (holder.replace("{}", scalar) for scalar in _ODD)) == []


@pytest.mark.parametrize("tag", _TAGS)
def test_tags(oracle: GoYaml, tag: str) -> None:
    """A tag is applied or refused in the same way for quoted and plain text."""
    scalars = [*_ODD, *_scalars()[::40]]

    assert differences(oracle, (f"a: !!{tag} {scalar}" for scalar in scalars)) == []
    assert differences(oracle, (f"a: !!{tag} {json.dumps(scalar)}" for scalar in scalars)) == []


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=20) | st.from_regex(r"[-+0-9_.eExob]*")
)
def test_any_text(oracle: GoYaml, text: str) -> None:
    """Any text after a key."""
    assert differences(oracle, [f"a: {text}"]) == []


_PIECES = [
    "a", "b: ", "- ", "? ", ": ", "\n", "\n  ", "\n    ", "{", "}", "[", "]", ", ", "'x'", '"y"', "&a ", "*a", "*b",
    "&b ", "<<: ", "!!int ", "!foo ", "! ", "1", "0400", "yes", "~", "|\n", "|-\n", "|2\n", ">\n", ">+\n", "# c\n",
    " #c", "---\n", "...\n", "\t", " ", "http://x:1", '"\\x41\\u263a\\n"', "'it''s'", "\r\n", "key: value\n",
    "list:\n- 1\n- 2\n", "m: &a {x: 1}\n", "n:\n  <<: *a\n", "é", "a:b", "[a:b]", "{a:1}", '{"a":1}', "@", "`", "=",
]  # fmt: skip


def test_documents_of_odd_pieces(oracle: GoYaml) -> None:
    """Random text, valid or not. gitsnap reads what Go reads, except text that begins with an empty collection."""
    chance = random.Random(2)
    texts = ["".join(chance.choices(_PIECES, k=chance.randint(1, 9))) for _ in range(20_000)]

    odd = differences(oracle, (text for text in texts if not text.startswith("\t")))  # Go reads these as JSON.

    assert [entry for entry in odd if exact(REFUSED) == entry[1]] == [], "read, though Go refuses it"
    assert [entry for entry in odd if entry[1] not in ("{}", "[]", '""')] == []
    assert len(odd) < 20


def _multiplied(levels: int, width: int, scalar: str = "x") -> str:
    lines = [f"a0: &a0 [{', '.join([scalar] * width)}]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]" for level in range(1, levels)]
    return "\n".join(lines)


_DOCUMENTS = [
    "a: 1\na: 2", "a: 1\n'a': 2", "a: {x: 1}\na: {y: 2}", "a: 1\n---\na: 2", "---\n...\n---\na: 1", "", "# c", "---",
    "a: &x {k: 1}\nb: {<<: *x, k: 2}", "a: &x {k: 1}\nb: {k: 2, <<: *x}", "<<: {a: 1}\nb: 2",
    "<<: [{a: 1}, {a: 2, b: 3}]",
    "<<: 1", "<<: ~", "<<: [1]", "'<<': {a: 1}", "a: &x [{k: 1}]\nb: {<<: *x}", "a: &x {k: 1}\nb: {<<: [*x, {k: 2}]}",
    "!!merge <<: {a: 1}", "&m <<: {a: 1}\nb: *m", "? <<\n: {a: 1}", "<<: {<<: {a: 1}, a: 2}",
    "a: &x 1\nb: *x\n*x : c", "a: &x [*x]", "a: &x {b: *x}", "a: *x", "a: &x 1\nb: &x 2\nc: *x", "&a [&a x, *a]",
    "[a, [b]]: c", "{a: 1}: c", "? [a]\n: c", "~: a", "? \n: a", "18446744073709551615: a", "1.5: a\n1e40: b",
    ".nan: a",
    "a: .nan", "a: .inf\na: 1", "b: {~: 1}\nb: 2", "a: !!binary aGk=", "a: !!binary /w==", "a: !!binary a",
    "a: !foo {b: 1}",
    "a: !!set {b, c}", "a: !!omap [b: 1]", "a: ! 12", "%TAG !e! tag:e,2:\n---\na: !e!x 1", "%YAML 1.1\n---\na: yes",
    "%YAML 1.2\n---\na: yes", "a: [http://x:1, b:c, {d:e}]", "{a:1, b: [c:2]}", "[a:,b]", "{a:}", "{\"a\":1,'b':2}",
    "{a: !<tag:yaml.org,2002:str> 1, b: c:d}", "[*a:b]", "&x {y: [a:b], z: *x}", "a: |\n  x:y [a:b]\nb: [c:d]",
    "a: \ufeffb\n\ufeffc: d", "\ufeffa: 1", "a:\n\tb: 1", "a: 'b\n\n  c'", 'a: "\\ud83d\\ude00"', 'a: "\\/"',
    '{"a": "\\ud83d\\ude00"}', '{"a": "\\ud800"}', '{"a": 1.0, "b": 1e3, "c": 1e400, "d": 18446744073709551616}',
    '{"a": NaN}', '{"a": 1, "a": 2}', '{"a": -0, "b": -0.0, "c": 123456789012345678901234}', '{"a": 1}\n{"b": 2}',
    _multiplied(3, 10), _multiplied(4, 10), _multiplied(5, 10), _multiplied(8, 10), _multiplied(2, 500, "{k: v}"),
    "a: &x {k: v}\n" + "\n".join(f"k{number}: {{<<: *x}}" for number in range(500)),
    "a: &x " + "x" * 1000 + "\nb: [" + ", ".join(["*x"] * 5000) + "]", "[" * 150 + "]" * 150,
]  # fmt: skip
_READ_AS_JSON = {
    '{"a": "\\ud83d\\ude00"}': {"a": "😀"},
    '{"a": "\\ud800"}': {"a": "\ufffd"},
    'a: "\\/"': {"a": "/"},
}
"""Escapes of JSON, which Go's YAML refuses and gitsnap reads. Go reads most text that begins with ``{`` as JSON."""


@pytest.mark.parametrize("text", _DOCUMENTS, ids=range(len(_DOCUMENTS)))
def test_documents(oracle: GoYaml, text: str) -> None:
    """Equal keys, merge keys, aliases, keys other than strings, tags, and multiplying aliases."""
    if text in _READ_AS_JSON:
        assert oracle.read(text) == REFUSED
        assert ours(text) == _READ_AS_JSON[text]
    else:
        assert differences(oracle, [text]) == []


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.text(max_size=30),
    st.sampled_from(_ODD),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9) | st.sampled_from(_ODD), inner),
    max_leaves=12,
)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_VALUES)
def test_go_reads_the_archive(oracle: GoYaml, value: Any) -> None:
    """kubectl, which uses this library, reads the same value from an archived file."""
    assert exact(oracle.read(encode(value).decode())) == exact(value)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats(oracle: GoYaml, value: float) -> None:
    """Go converts YAML to JSON, in which a float without a fraction is an integer."""
    assert differences(oracle, [f"a: {value!r}", f"{value!r}: a", f'{{"a": {value!r}}}']) == []
