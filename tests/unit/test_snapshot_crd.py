"""The CRD in manifests/ and the parser of policies describe the same resource."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitsnap.core.errors import InputError
from gitsnap.format import load_documents
from gitsnap.policy import snapshot

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
CRD = MANIFESTS / "crd" / "utils.projectsveltos.io_snapshots.yaml"
TYPES = {"object", "array", "string", "integer", "number", "boolean"}

Schema = dict[str, Any]


def definition() -> dict[str, Any]:
    """The CRD of manifests/."""
    (document,) = load_documents(CRD.read_bytes(), CRD.name)
    assert isinstance(document, dict)
    return document


def version() -> dict[str, Any]:
    """The only version of the CRD."""
    (only,) = definition()["spec"]["versions"]
    assert isinstance(only, dict)
    return only


def schema() -> Schema:
    """The schema of a Snapshot."""
    found: Schema = version()["schema"]["openAPIV3Schema"]
    return found


def nodes(node: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Each node of a schema with its path. ``[]`` stands for the items of a list."""
    yield path, node
    for name, below in node.get("properties", {}).items():
        yield from nodes(below, f"{path}.{name}" if path else name)
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")


def document_with(path: str, value: Any) -> dict[str, Any]:
    """A Snapshot that has ``value`` at a path such as ``spec.resources[].kind``."""
    parts = path.replace("[]", ".[]").split(".")
    for part in reversed(parts):
        value = [value] if part == "[]" else {part: value}
    assert isinstance(value, dict)
    base = {"apiVersion": "utils.projectsveltos.io/v1beta1", "kind": "Snapshot", "metadata": {"name": "x"}}
    return base | value


def message_of(document: dict[str, Any]) -> str:
    """The error message of the parser for a document, or ``""`` for a valid document."""
    try:
        snapshot.from_resource(document)
    except InputError as error:
        return error.message
    return ""


def spec_nodes() -> list[tuple[str, Schema]]:
    """Each node of ``spec``, first ``spec`` itself."""
    return [(path, node) for path, node in nodes(schema()) if path == "spec" or path.startswith("spec.")]


@pytest.mark.parametrize("path", [path for path, _ in spec_nodes()])
def test_the_parser_knows_every_field_of_the_schema(path: str) -> None:
    """A field that the server accepts is never unknown to gitsnap."""
    assert "is unknown; known fields" not in message_of(document_with(path, None))


@pytest.mark.parametrize(
    ("path", "fields"), [(path, set(node["properties"])) for path, node in spec_nodes() if "properties" in node]
)
def test_the_schema_knows_every_field_of_the_parser(path: str, fields: set[str]) -> None:
    """A field that gitsnap reads is never pruned or refused by the server."""
    known = re.search(
        r"noSuchField: is unknown; known fields: (.*)", message_of(document_with(f"{path}.noSuchField", 1))
    )

    assert known is not None
    assert set(known[1].split(", ")) == fields


@pytest.mark.parametrize(("path", "node"), [(path, node) for path, node in spec_nodes() if "enum" in node])
def test_values_of_enumerations(path: str, node: Schema) -> None:
    """The parser accepts each value of an enumeration, and no other value."""
    assert all(message_of(document_with(path, value)) == "" for value in node["enum"])
    assert message_of(document_with(path, "other")).endswith(", ".join(node["enum"]))


@pytest.mark.parametrize(
    ("path", "node"), [(path, node) for path, node in spec_nodes() if node.get("type") == "integer"]
)
def test_bounds_of_numbers(path: str, node: Schema) -> None:
    """The parser has the lowest and highest values of the schema."""
    lowest, highest = node["minimum"], 2 ** (63 if node["format"] == "int64" else 31) - 1

    assert message_of(document_with(path, lowest)) == message_of(document_with(path, highest)) == ""
    assert message_of(document_with(path, lowest - 1))
    assert message_of(document_with(path, highest + 1))


TEXTS = {
    "spec.schedule": ([], [""]),
    "spec.storage": (["/", "/collection", "/a b"], ["x", "./x", "/a\nb"]),
    "spec.resources[].group": (["apps", "a.b-c.io"], ["apps/v1", "Apps", "-x"]),
    "spec.resources[].excludeNames[]": (["kube-root-ca.crt", "system:*"], ["a/b", ""]),
    "spec.resources[].namespaces[]": (["x", "team-*", "a?"], ["X", "a/b", ""]),
    "spec.secrets.secretRef.name": ([], ["a/b", "X"]),
    "spec.push.prefix": (["prod-eu", "a/b.c"], ["Prod", "/a", "a/"]),
    "spec.push.url": (
        ["https://h.example/x.git", "ssh://git@h/x", "git@h.example:x/y.git", "file:///srv/x", "/srv/x"],
        ["", "h/x", "https://u:p@h/x", "https://u@h/x", "ssh://u:p@h/x", "-x@h:y", "ext::sh"],
    ),
    "spec.retention.keepWithin": (["30d", "1y2m3d4h"], ["2w", "1d1y", "x"]),
    "spec.secrets.recipients[]": (
        ["age1a09l9ptfyh526p92h4scplaz9zspvjgzcugl5sf0g29rutjp5u2qsfjekv", "ssh-ed25519 AAAAC3Nz me@host"],
        ["AGE-SECRET-KEY-1X", "age1", "ssh-dss AAAA", "ssh-ed25519 AAAA\nx"],
    ),
}
"""Texts that schema and parser accept, and texts that both refuse."""


@pytest.mark.parametrize("path", TEXTS)
def test_patterns_of_strings(path: str) -> None:
    """Pattern and length in the schema accept the same texts as the parser."""
    node = dict(nodes(schema()))[path]
    good, bad = TEXTS[path]

    def passes(text: str) -> bool:
        lowest, highest = node.get("minLength", 0), node["maxLength"]
        return (
            lowest <= len(text) <= highest and re.search(node.get("pattern", "").replace("$", "\\Z"), text) is not None
        )

    def parses(text: str) -> bool:
        return f"  {path.replace('[]', '[0]')}:" not in message_of(document_with(path, text))

    assert [(text, passes(text), parses(text)) for text in good] == [(text, True, True) for text in good]
    assert [(text, passes(text), parses(text)) for text in bad] == [(text, False, False) for text in bad]


# The definition -------------------------------------------------------------------------------------------------------


def test_the_schema_is_structural() -> None:
    """Each node has one type and declares its content, as apiextensions.k8s.io/v1 requires."""
    for path, node in nodes(schema()):
        assert node["type"] in TYPES, path
        assert ("items" in node) == (node["type"] == "array"), path
        assert node["type"] == "object" or "properties" not in node, path
        assert set(node.get("required", ())) <= set(node.get("properties", ())), path
        assert not {"$ref", "oneOf", "anyOf", "allOf", "not", "definitions", "nullable"} & set(node), path


def test_every_field_is_described() -> None:
    """`kubectl explain` has a text for each field. The description of a list covers its items."""
    bare = [path for path, node in nodes(schema()) if "description" not in node and not path.endswith("[]")]

    assert bare == ["metadata"]


def test_strings_and_lists_are_bounded() -> None:
    """Strings and lists have a maximum size, so that CEL rules stay cheap and no user can fill etcd."""
    for path, node in spec_nodes():
        if node["type"] == "string":
            assert "maxLength" in node or "enum" in node, path
        if node["type"] == "array":
            assert "maxItems" in node, path
            assert "x-kubernetes-list-type" in node, path


def test_names_and_scope() -> None:
    """Group, version, names and scope are those of the old feature, so its Snapshots stay valid."""
    spec = definition()["spec"]

    assert definition()["apiVersion"] == "apiextensions.k8s.io/v1"
    assert definition()["metadata"]["name"] == "snapshots.utils.projectsveltos.io"
    assert (spec["group"], spec["scope"]) == (snapshot.GROUP, "Cluster")
    assert spec["names"] == {
        "kind": snapshot.SNAPSHOT.name,
        "listKind": "SnapshotList",
        "plural": "snapshots",
        "singular": "snapshot",
        "shortNames": ["gsnap"],
    }
    assert f"{spec['group']}/{version()['name']}" == snapshot.API_VERSION
    assert (version()["served"], version()["storage"]) == (True, True)


def test_status_is_a_subresource() -> None:
    """A user who can write Snapshots cannot write their status. The status has the fields of the controller."""
    assert version()["subresources"] == {"status": {}}
    assert set(schema()["properties"]["status"]["properties"]) == {
        "nextScheduleTime", "lastRunTime", "lastRunStatus", "failureMessage", "conditions", "lastSample", "lastCommit",
        "lastPushedCommit", "sampleCount", "repositoryBytes", "lastHandledCaptureAt", "observedGeneration",
        "scheduledSince",
    }  # fmt: skip


def test_columns_show_fields_that_exist() -> None:
    """Each column of `kubectl get snapshots` shows a field of the schema."""
    paths = dict(nodes(schema()))
    for column in version()["additionalPrinterColumns"]:
        path = re.sub(r"\[\?.*?\]", "[]", column["jsonPath"].removeprefix("."))
        assert path in paths or path == "metadata.creationTimestamp", column["name"]


def test_the_schema_contains_the_old_schema(shared: Path) -> None:
    """The CRD has each field of the old CRD with its type, and requires no other field."""
    old_file = shared / "crds" / "sveltos-v0.57" / CRD.name
    (old,) = load_documents(old_file.read_bytes(), old_file.name)
    assert isinstance(old, dict)
    before = old["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    new = dict(nodes(schema()))

    for path, node in nodes(before):
        assert path in new, path
        assert new[path].get("type", "object") == node.get("type", "object"), path
        assert new[path].get("format") == node.get("format"), path
    assert new["spec"]["required"] == before["properties"]["spec"]["required"]
    assert new["status.lastRunStatus"]["enum"] == before["properties"]["status"]["properties"]["lastRunStatus"]["enum"]
