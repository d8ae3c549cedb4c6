"""The bytes of archived YAML. Every later version must write the same bytes, or each object would seem changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitsnap.core.errors import InputError
from gitsnap.format import encode

_GOLDEN = Path(__file__).parents[1] / "golden" / "format" / "scalars.yaml"

_TEXTS = [
    "yes", "NO", "on", "y", "0o7", "012", "12:30:45", "1e3", "1_000", "0x1f", "~", "null", "NaN", ".inf", "=", "<<",
    "2020-01-01", "\x85", "a\rb", "a\tb", "trailing \n space ", "😀", "- a\n- b", "# c\n", "  lead\nx", "\n\nx",
    "x\n\n\n", "\ttab\nx", "a: b", "a #b", "%x", "@a", "`", "x:", "---", "...", "---\na\n", "a\n---\nb\n", "a/b:c@d=e",
    "a\u2028b\nc", "é\nü", "{}", "[]", "", "\n", " ", "a  b", "-", "?", "!x", "&a", "*a", "|", ">", "'", '"', "\\",
    "k\n \nx", "k\n\n\n\n \n\n  \nx\n", "\n \n\nx", "\ufeffbom\nx", "a\x07b\nc",
    "-----BEGIN KEY-----\nabc=\n-----END KEY-----\n",
    "plain words (with brackets) and-dashes", "ends in colon:", "Ünïcode",
]  # fmt: skip


def _document() -> dict[str, object]:
    """Every text as a value, in a list and as a key, at two depths; numbers, and empty collections."""
    return {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "spec": {"nested": [{"texts": _TEXTS}, [[], {}, [{"a": {}, "b": []}]]]},
        "metadata": {"zeta": 1, "annotations": {}, "labels": {"b": "1", "a": "true"}, "name": "x", "namespace": "y"},
        "data": {f"{number:02}": text for number, text in enumerate(_TEXTS)},
        "keys": {text: number for number, text in enumerate(_TEXTS)},
        "numbers": [0, -1, 10**20, 1.5, 1e30, 1e-7, -0.0, True, False, None],
    }


def test_bytes_are_those_of_the_first_version() -> None:
    """The first emitter wrote the golden file. It cannot be regenerated, because it must never change."""
    assert encode(_document()) == _GOLDEN.read_bytes()


@pytest.mark.parametrize(
    "document", [{1: "a"}, {"a": 1, 2: "b"}, {"metadata": {None: "a"}}, {"a": [{True: 1, "b": 2}]}]
)
def test_keys_that_are_not_strings_are_refused(document: dict[object, object]) -> None:
    """JSON has no other keys: a number would be read back as a text."""
    with pytest.raises(InputError, match="a key is not a string"):
        encode(document)
