"""The YAML reader follows the rules of Go, and errors name the line. The property tests compare with Go itself."""

from __future__ import annotations

from typing import Any

import pytest

from gitsnap.core.errors import InputError
from gitsnap.core.objects import same_json
from gitsnap.format import decode, line_of, load_document, load_documents
from gitsnap.format.yaml.emitter import DEEPEST


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("0400", 256),
        ("400", 400),
        ("0o17", 15),
        ("0b11", 3),
        ("0x1F", 31),
        ("1_000", 1000),
        ("08", 8),
        ("1.0", 1),
        ("1e3", 1000),
        ("1.5", 1.5),
        ("yes", True),
        ("off", False),
        ("n", False),
        ("Null", None),
        ("~", None),
        ("=", "="),
        ("<<", "<<"),
        ("123e4567", "123e4567"),
        ("1e400", "1e400"),
        ("0x123456789abcdef0123456789abcdef0", "0x123456789abcdef0123456789abcdef0"),
        ("18446744073709551615", 18446744073709551615),
        ("12:30:45", "12:30:45"),
        ("2023-08-26", "2023-08-26"),
        ('"yes"', "yes"),
        ("! yes", "yes"),
        ("!!str 5", "5"),
        ("!!binary aGk=", "hi"),
        ("!anything 5", "5"),
        ("[http://a:1, b:c]", ["http://a:1", "b:c"]),
    ],
)
def test_scalars(written: str, value: Any) -> None:
    """Scalars have the types that Kubernetes, Helm and Sveltos read."""
    assert same_json(load_document(f"a: {written}", "x"), {"a": value})
    assert same_json(load_documents(f"a: {written}", "x"), [{"a": value}])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\na: 2", {"a": 2}),
        ("a: &x {k: 1}\nb: {k: 2, <<: *x}", {"a": {"k": 1}, "b": {"k": 1}}),
        ("1: a\ntrue: b\n1.5: c", {"1": "a", "true": "b", "1.5": "c"}),
        ("a: 1\n---\nb: [", {"a": 1}),
        ("# nothing", None),
        ('{"a": 1.0, "b": 1e400, "c": 2, "c": 3}', {"a": 1, "b": "1e400", "c": 3}),
        ('{"a": "\\ud800"}', {"a": "\ufffd"}),
    ],
)
def test_the_first_document_is_read(text: str, value: Any) -> None:
    """The first document of a text is read. Of several equal keys, the last key counts."""
    assert same_json(load_document(text, "x"), value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: .inf", "inf has no form in JSON"),
        ("a: {~: 1}", "the key null has no form in JSON"),
        ("a: 1\n? [b]\n: c", "line 2, column 3: a key is a collection"),
        ("a: *b", "line 1, column 4: unknown anchor 'b'"),
        ("a: &a [*a]", "contains itself"),
        ("a: !!int b", "does not fit the tag !!int"),
        ("<<: 1", "a merge key"),
        ("%YAML 1.2\n---\na: 1", "only YAML 1.1"),
        ("a: 1\n b: 2", "line 2"),
        ("[" * (DEEPEST + 2), "nested more than"),
        ('{"a":' * (DEEPEST + 2) + "1" + "}" * (DEEPEST + 2), "nested more than"),
    ],
)
def test_text_that_go_refuses(text: str, reason: str) -> None:
    """The error has the position and the reason."""
    with pytest.raises(InputError, match="x: ") as caught:
        load_document(text, "x")

    assert reason in caught.value.message


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3", '{\n"a": 1,\n"b": 2,\n"a": 3}', "k:\n- a: 1\n  b: 2\n  a: 3"])
def test_duplicate_keys_of_files_are_refused(text: str) -> None:
    """As in kubectl, a mapping of a file must not have a key twice."""
    with pytest.raises(InputError, match=r"line [34], column .*duplicate key 'a'"):
        load_documents(text, "x", unique_keys=True)


@pytest.mark.parametrize("text", ["a: &a {x: 1}\nb: {x: 2, <<: *a}", "- a: 1\n- a: 2", "a: {a: 1}"])
def test_merged_keys_are_not_duplicates(text: str) -> None:
    """A merged key and an equal key of another mapping are not duplicates."""
    assert load_documents(text, "x", unique_keys=True)


def test_aliases_that_multiply() -> None:
    """Aliases that expand to billions of values are refused. Hundreds of thousands of values are read, as in Go."""
    bomb = "\n".join([f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)])
    with pytest.raises(InputError, match="aliases multiply"):
        load_document(f"a0: &a0 [x, x]\n{bomb}", "x")

    many = load_document(f"a: &a [{', '.join(['x'] * 100)}]\nb: [{', '.join(['*a'] * 3000)}]", "x")
    assert sum(map(len, many["b"])) == 300_000
    many["b"][0][0] = "y"
    assert many["b"][1][0] == "x", "a change at one path changes no other path"


@pytest.mark.parametrize(
    ("text", "number", "path", "line"),
    [
        ("a: 1\nb:\n  c: 2\n", 0, ("b", "c"), 3),
        ("a: 1\n---\n---\nb:\n- x: 1\n- x: 2\n  z: 3\n", 1, ("b", 1, "z"), 7),
        ("items:\n- data: {x: 5}\n", 0, ("items", 0, "data", "x"), 2),
        ('{\n "data": {\n  "x": 5\n }\n}', 0, ("data", "x"), 3),
        ("data:\n  1: a\n", 0, ("data", "1"), 2),
        ("a: &x\n  b: 1\nc: *x\nd: 2\n", 0, ("d",), 4),
        ("a: 1\n", 0, ("b",), None),
        ("a: 1\n", 3, ("a",), None),
        ("a: [", 0, ("b",), None),
    ],
)
def test_lines_of_fields(text: str, number: int, path: tuple[str | int, ...], line: int | None) -> None:
    """The line of the key of a field, in YAML and in JSON."""
    assert line_of(text, number, path) == line


@pytest.mark.parametrize("content", [b"just text\n", b"- a\n", b"5\n", b"{}\n---\n{}\n", b"metadata: text\n", b""])
def test_an_archived_file_without_an_object(content: bytes) -> None:
    """The error names a damaged or foreign file. The file is never read as an object."""
    with pytest.raises(InputError, match=r"configuration/x\.yaml: "):
        decode(content, "configuration/x.yaml")
