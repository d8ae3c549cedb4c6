"""Defaults of the CRDs: a field with its default equals an absent field."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitsnap.core.model import JsonObject, Kind
from gitsnap.diff.comparison import compare
from gitsnap.format import iterate_documents, load_documents
from gitsnap.sveltos.defaults import DEFAULTS, without_defaults
from tests.support.trees import W, build, cluster, config_map, policy_ref, profile


def _declared(schema: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Each default in an OpenAPI schema, with its path."""
    if isinstance(schema, dict):
        if "default" in schema:
            yield path, schema["default"]
        for field, below in (schema.get("properties") or {}).items():
            yield from _declared(below, f"{path}.{field}")
        yield from _declared(schema.get("items"), f"{path}[]")


def _flat(table: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(table, dict):
        for field, below in table.items():
            yield from _flat(below, f"{path}.{field}")
    elif isinstance(table, list):
        yield from _flat(table[0], f"{path}[]")
    else:
        yield path, table


def test_the_table_equals_the_published_crds(shared: Path) -> None:
    """Every default of every kind that users write, in v0.57 and v1.14, except defaults whose value changed."""
    declared: dict[Kind, dict[str, list[Any]]] = {}
    for file in sorted((shared / "crds").glob("sveltos-*/*.yaml")):
        for crd in iterate_documents(load_documents(file.read_bytes(), file.name), file.name):
            if crd.get("kind") != "CustomResourceDefinition":
                continue
            spec = crd["spec"]
            kind = Kind(spec["group"], spec["names"]["kind"])
            for version in spec["versions"]:
                schema = version["schema"]["openAPIV3Schema"]["properties"].get("spec")
                for path, value in _declared(schema, "spec"):
                    values = declared.setdefault(kind, {}).setdefault(path, [])
                    if value not in values:
                        values.append(value)

    for kind, table in DEFAULTS.items():
        always = {path: values[0] for path, values in declared[kind].items() if len(values) == 1}
        assert dict(_flat(table, "spec")) == always, kind


def _filled(defaults: Any) -> Any:
    """An object in which every field of a table of defaults holds its default."""
    if isinstance(defaults, dict):
        return {field: _filled(below) for field, below in defaults.items()}
    return [_filled(defaults[0])] if isinstance(defaults, list) else copy.deepcopy(defaults)


@pytest.mark.parametrize("kind", sorted(DEFAULTS), ids=str)
def test_defaults_are_removed(kind: Kind) -> None:
    """Defaults are removed at every depth. Their containers stay: an empty entry of a list has a meaning."""
    document = {"apiVersion": f"{kind.group}/v1", "kind": kind.name, "spec": _filled(DEFAULTS[kind])}

    stripped = without_defaults(document)

    assert list(_flat_values(stripped["spec"])) == []
    assert document["spec"] == _filled(DEFAULTS[kind]), "the original is not touched"


def _flat_values(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for below in value.values() if isinstance(value, dict) else value:
            yield from _flat_values(below)
    else:
        yield value


def _fleet(**spec: Any) -> list[JsonObject]:
    entry = policy_ref("content", **spec.pop("entry", {}))
    return [cluster(W), profile("p", {"policyRefs": [entry], **spec}, W), config_map("content", {"a": ""})]


def _changed(before: list[JsonObject], after: list[JsonObject]) -> list[str]:
    return [row.message for row in compare(build(before), build(after)).management]


def test_an_upgrade_that_fills_in_defaults_changes_nothing() -> None:
    """Defaults of the profile itself and of the entries of its lists."""
    upgraded = _fleet(tier=100, reloader=False, syncMode="Continuous", entry={"optional": False, "tier": 100})

    assert _changed(_fleet(), upgraded) == []
    assert _changed(upgraded, _fleet()) == []


def test_another_value_than_the_default_is_a_change() -> None:
    """Also if the field was absent before, and if the value is 0 and the default is false."""
    assert _changed(_fleet(), _fleet(tier=50, reloader=False)) == ["spec.tier"]
    assert _changed(_fleet(reloader=False), _fleet(reloader=True)) == ["spec.reloader"]
    assert _changed(_fleet(), _fleet(reloader=0)) == ["spec.reloader"]
