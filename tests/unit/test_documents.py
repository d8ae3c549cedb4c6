"""Documents inside ConfigMaps and Secrets, split as Sveltos splits them (libsveltos: deployer.CustomSplit)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.core.errors import InputError
from gitsnap.core.model import Kind, ObjectKey
from gitsnap.sveltos.documents import Identity, identify, identify_text, is_program, is_rendered, load, split

_PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("", []),
        ("# only\n\n# comments\n", []),
        ("---\n---\n# a\n---\n", []),
        ("a: 1", ["a: 1\n"]),
        ("a: 1\n---\nb: 2\n", ["a: 1\n", "b: 2\n"]),
        ("a: 1\n---   # why\nb: 2\n", ["a: 1\n", "b: 2\n"]),
        ("# kept\na: 1\n---\n\n# kept too\nb: 2\n", ["# kept\na: 1\n", "# kept too\nb: 2\n"]),
        ("a: |\n  ---\n  text\n", ["a: |\n  ---\n  text\n"]),
        ("- |\n  a: 1\n- |\n  b: 2\n", ["a: 1\n", "b: 2\n"]),
        ("- a: 1\n- b: 2\n", ["- a: 1\n- b: 2\n"]),
        ("- |\n  a: 1\n  ---\n  b: 2\n- |\n  c: 3\n", ["a: 1\n", "b: 2\n", "c: 3\n"]),
        ("a: 1\r\n---\r\nb: 2\r\n", ["a: 1\r\n", "b: 2\r\n"]),
        ("---\r\n# only\r\n", []),
        ("a: 1\n---# why\nb: 2\n", ["a: 1\n", "b: 2\n"]),
        ("a: 1\n--- \t\nb: 2\n", ["a: 1\n", "b: 2\n"]),
        ('{"a": 1}\n---\n{"b": 2}\n', ['{"a": 1}\n', '{"b": 2}\n']),
        ("{a: 1}\n---\nb: 2\n", ["{a: 1}\n", "b: 2\n"]),
        ('{"a": 1}\n{"b": "---"}\n', ['{"a": 1}\n', '{"b": "---"}\n']),
    ],
)
def test_split(text: str, documents: list[str]) -> None:
    """Separators, comments, lists of manifests and streams of JSON."""
    assert split(text) == documents


def test_defect_11_a_certificate_is_no_separator() -> None:
    """Indented dashes inside a value do not separate documents."""
    indented = "".join(f"    {line}\n" for line in _PEM.splitlines())
    first = f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\nstringData:\n  tls.crt: |\n{indented}"

    assert split(f"{first}---\nb: 2\n") == [first, "b: 2\n"]


@pytest.mark.parametrize("line", ["--- b: 2", "----", "---\tb", "-----BEGIN CERTIFICATE-----"])
def test_text_after_a_separator_is_refused(line: str) -> None:
    """Sveltos refuses the whole content; the error names the line."""
    with pytest.raises(InputError, match="line 2"):
        split(f"a: 1\n{line}\nc: 3\n")


def test_sveltos_before_1_0_reads_a_stream_of_yaml() -> None:
    """A document may begin on the line of its separator; a line that YAML reads as text is refused nevertheless."""
    assert split("a: 1\n--- {b: 2}\n---\tc\n---\n", as_stream=True) == ["a: 1\n", "--- {b: 2}\n", "---\tc\n"]
    assert load("--- {b: 2}\n") == {"b": 2}
    with pytest.raises(InputError, match="line 2"):
        split("a: 1\n----\n", as_stream=True)


@given(st.lists(st.text("abc: \n#{}[]-'\"", max_size=30), max_size=5))
def test_any_content_is_split_or_refused(pieces: list[str]) -> None:
    """Any text is split into documents that cannot be split further, or raises InputError."""
    text = "\n---\n".join(pieces)
    try:
        documents = split(text)
    except InputError:
        return
    for document in documents:
        assert split(document) == [document]
        load(document)
        identify_text(document)


_LINES = st.sampled_from(["a: 1", "# a comment", "b: --- c", "d:", "  - e", "", "f: |", "  ---"])
_DOCUMENTS = st.lists(_LINES, max_size=4).map(lambda lines: "\n".join(["x: y", *lines, "z: {}"]) + "\n")


@given(st.lists(_DOCUMENTS, max_size=4), st.sampled_from(["---\n", "--- # a comment\n", "---\n\n---\n"]))
def test_no_line_of_a_document_is_lost(documents: list[str], separator: str) -> None:
    """The documents between separators are returned as they are, with comments and empty lines."""
    assert split(separator.join(documents)) == documents


def test_defect_11_documents_are_distinguished_by_their_whole_identity() -> None:
    """Group, kind, namespace and name are compared whole, not as substrings."""
    found = identify(load("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: shop\n"))

    assert found == Identity(Kind("apps", "Deployment"), "shop", "web")
    assert found.fits(ObjectKey(Kind("apps", "Deployment"), "shop", "web"))
    for other in (
        ObjectKey(Kind("", "Deployment"), "shop", "web"),
        ObjectKey(Kind("apps", "Deployment"), "shop", "web-2"),
        ObjectKey(Kind("apps", "Deployment"), "shop-2", "web"),
        ObjectKey(Kind("apps", "DaemonSet"), "shop", "web"),
    ):
        assert not found.fits(other)


def test_namespaces_are_adjusted_as_sveltos_does() -> None:
    """A namespaced resource without a namespace gets default; a cluster-scoped resource has none in any case."""
    without = Identity(Kind("", "Service"), "", "a")
    scoped = Identity(Kind("", "Namespace"), "written", "a")

    assert without.fits(ObjectKey(Kind("", "Service"), "default", "a"))
    assert not without.fits(ObjectKey(Kind("", "Service"), "other", "a"))
    assert scoped.fits(ObjectKey(Kind("", "Namespace"), "", "a"))
    assert scoped.key() == ObjectKey(Kind("", "Namespace"), "", "a")


def test_templates_fit_around_their_actions() -> None:
    """A document that cannot be parsed is identified by its lines; the text around actions must fit the name."""
    text = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web-{{ .Cluster.metadata.name }}\n  labels: {{ $x }}\n"
    found = identify_text(text)

    assert found is not None
    assert found.fits(ObjectKey(Kind("", "Service"), "default", "web-west"))
    assert not found.fits(ObjectKey(Kind("", "Service"), "default", "db-west"))


def test_annotations_change_the_meaning_by_their_presence() -> None:
    """The value of an annotation does not matter; the template annotation takes precedence over Lua."""

    def annotated(*names: str) -> dict[str, object]:
        return {"metadata": {"annotations": {f"projectsveltos.io/{name}": "" for name in names}}}

    assert [is_rendered(annotated(name)) for name in ("template", "lua", "instantiate", "subresources")] == [
        True,
        True,
        True,
        False,
    ]
    assert is_program(annotated("lua"))
    assert not is_program(annotated("lua", "template"))


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\r\nkind: Service\r\nmetadata:\r\n  name: web-{{ .x }}\r\n  namespace: shop\r\n",
        "apiVersion: v1\nkind: Service\nmetadata: {name: 'web-{{ .x }}', namespace: shop}\n",
        (
            "{{ if .y }}\napiVersion: v1\nkind: Service\nmetadata:\n  {{- with .z }}\n  labels: {{ . }}\n  {{- end }}\n"
            "  name: web-{{ .x }}\n  namespace: shop\n{{ end }}\n"
        ),
        (
            "kind: Service\nspec:\n  metadata:\n    name: other\nmetadata:\n  name: web-{{ .x }}\n  namespace: shop\n"
            "apiVersion: v1\n"
        ),
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: web-{{ .x }}\n  namespace: shop\nspec:\n  a: [{{ .b }\n",
    ],
)
def test_templates_are_identified_in_any_style(text: str) -> None:
    """Line ends, flow style, actions between lines, and order of fields; broken YAML is identified by its lines."""
    assert identify_text(text) == Identity(Kind("", "Service"), "shop", "web-{{ .x }}")


@pytest.mark.parametrize("field", ["name: yes", "name: 5", "name: a\n  namespace: 0400"])
def test_names_that_are_not_strings(field: str) -> None:
    """Go's YAML reads them as booleans or numbers, which a server refuses; the document is identified by its text."""
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  {field}\n"

    assert identify(load(text)) is None
    assert str(identify_text(text)).count(field.rpartition(" ")[2]) == 1
