"""JSON schemas from OpenAPI documents and CRDs: what kubeconform checks manifests with."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.packaging.schemas import schemas_of_definition, schemas_of_document, strict_schema


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (
            {"type": "object", "properties": {"a": {"type": "null", "description": "text"}}, "required": ["a"]},
            {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"], "additionalProperties": False},
        ),
        ({"type": "object"}, {"type": "object"}),
        (
            {"type": "object", "additionalProperties": {"type": "string", "default": ""}},
            {"type": "object", "additionalProperties": {"type": "string"}},
        ),
        (
            {"type": "object", "properties": {}, "x-kubernetes-preserve-unknown-fields": True},
            {"type": "object", "properties": {}},
        ),
        (
            {"type": "array", "items": {"type": "object", "properties": {"b": {}}}},
            {"type": "array", "items": {"type": "object", "properties": {"b": {}}, "additionalProperties": False}},
        ),
        ({"anyOf": [{"type": "integer"}], "x-kubernetes-int-or-string": True}, {"type": ["string", "number"]}),
        ({"type": "string", "format": "int-or-string"}, {"type": ["string", "number"]}),
        ({"$ref": "#/definitions/a", "description": "text"}, {"$ref": "#/definitions/a"}),
    ],
)  # fmt: skip
def test_only_named_fields_are_allowed(schema: dict[str, Any], strict: dict[str, Any]) -> None:
    """Fields beside `properties` are refused; a map, an object of any form and a marked object stay open."""
    assert strict_schema(schema) == strict


def test_each_kind_of_a_document_has_the_definitions_that_it_needs() -> None:
    """References are followed, also in a circle. A definition that is no kind has no file."""
    group = {"group": "apps", "version": "v1", "kind": "Deployment"}
    core = {"group": "", "version": "v1", "kind": "Pod"}
    quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity"

    def reference(name: str) -> dict[str, str]:
        return {"$ref": f"#/definitions/{name}"}

    document = {
        "definitions": {
            "Deployment": {"properties": {"a": reference("A")}, "x-kubernetes-group-version-kind": [group]},
            "A": {"properties": {"next": {"items": reference("A")}, "size": reference(quantity)}},
            "Pod": {"type": "object", "x-kubernetes-group-version-kind": [core]},
            quantity: {"type": "string"},
        }
    }  # fmt: skip

    schemas = schemas_of_document(document)

    assert schemas.keys() == {"apps_v1_deployment.json", "v1_v1_pod.json"}
    deployment = schemas["apps_v1_deployment.json"]
    assert deployment["$ref"] == "#/definitions/Deployment"
    assert deployment["definitions"].keys() == {"Deployment", "A", quantity}
    assert deployment["definitions"][quantity] == {"type": ["string", "number"]}


def test_each_version_of_a_crd_has_a_schema() -> None:
    """The name of the file has group, version and kind."""
    versions = [
        {"name": name, "schema": {"openAPIV3Schema": {"type": "object", "properties": {name: {}}}}}
        for name in ("v1", "v2")
    ]
    definition = {"spec": {"group": "example.com", "names": {"kind": "Widget"}, "versions": versions}}

    schemas = schemas_of_definition(definition)

    assert schemas.keys() == {"example.com_v1_widget.json", "example.com_v2_widget.json"}
    assert schemas["example.com_v2_widget.json"]["properties"] == {"v2": {}}
