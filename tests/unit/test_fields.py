"""The paths of fields: keys of elements, documents in ConfigMaps, values of charts."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from gitsnap.core.objects import changed_fields
from gitsnap.history.fields import fields_of, has_position, plain_path, positional_paths

_DOCUMENTS = """\
apiVersion: v1
kind: Service
metadata: {name: redis, namespace: test}
spec: {ports: [{port: 6379}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: redis, namespace: test, labels: {app: redis}}
"""


def _paths(kind: str, **fields: Any) -> dict[str, Any]:
    return dict(fields_of({"apiVersion": "v1", "kind": kind, "metadata": {"name": "x", "namespace": "y"}, **fields}))


@pytest.mark.parametrize(
    ("elements", "names"),
    [
        ([{"kind": "ConfigMap", "name": "a", "namespace": "b"}, {"kind": "ConfigMap", "name": "a"}],
         ["ConfigMap/b/a", "ConfigMap/a"]),
        ([{"releaseName": "a", "releaseNamespace": "b", "name": "x"}], ["b/a"]),
        ([{"containerPort": 80, "protocol": "UDP"}, {"containerPort": 80, "protocol": "TCP"}], ["UDP/80", "TCP/80"]),
        ([{"key": "env", "operator": "In"}], ["env"]),
        ([{"name": "a"}, {"name": "a"}], ["0", "1"]),
        ([{"name": "a"}, {"other": "a"}], ["0", "1"]),
        ([{"name": True}], ["0"]),
        (["a", "b", "a"], ["a", "b", "a#2"]),
        ([1, True, None, 0.5], ["1", "true", "null", "0.5"]),
        ([[1], [2]], ["0][1", "1][2"]),
        (["a]b", 'a"b'], ['"a]b"', '"a\\"b"']),
    ],
)  # fmt: skip
def test_names_of_elements(elements: list[Any], names: list[str]) -> None:
    """An element is named by the most specific key that is unique in the list, or by its position."""
    paths = _paths("X", spec={"list": elements})
    assert {path.partition(".list[")[2].rpartition("]")[0] for path in paths} == set(names)


_PODS: dict[str, Any] = {
    "containers": [
        {"name": "web", "image": "a", "ports": [{"containerPort": 80, "name": "http"}], "args": ["-v", "-q"]},
        {"name": "log", "image": "b", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
    ],
    "constraints": [{"other": "a"}, {"other": "b"}],
    "nested": [[1, 2], [3]],
    "flag": True,
}


def _leaves(value: Any, steps: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for step, child in inner for leaf in _leaves(child, (*steps, step))]
    return [steps]


def test_positions_are_those_of_a_log() -> None:
    """The path in which `log` names a changed field is the positional path of this field, and of no other field."""
    document: dict[str, Any] = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": _PODS}
    values, positions = fields_of(document), positional_paths(document)
    for steps in _leaves(_PODS):
        changed = copy.deepcopy(document)
        parent: Any = changed["spec"]
        for step in steps[:-1]:
            parent = parent[step]
        value, parent[steps[-1]] = parent[steps[-1]], {"changed": "here"}
        (written,) = changed_fields(document, changed)
        assert [values[path] for path in values if positions.get(path, path) == written] == [value]
        assert has_position(written) is any(isinstance(step, int) for step in steps)


def test_positions_in_documents_and_values_of_charts() -> None:
    """The texts have positional paths, and so have the fields in these texts."""
    charts = [{"releaseName": "a", "values": "list: [{name: b, c: 1}]"}]
    document = {"apiVersion": "v1", "kind": "P", "metadata": {"name": "x"}, "spec": {"helmCharts": charts}}
    assert positional_paths(document) == {
        "spec.helmCharts[a].releaseName": "spec.helmCharts[0].releaseName",
        "spec.helmCharts[a].values": "spec.helmCharts[0].values",
        "spec.helmCharts[a].values.list[b].c": "spec.helmCharts[0].values.list[0].c",
        "spec.helmCharts[a].values.list[b].name": "spec.helmCharts[0].values.list[0].name",
    }
    documents = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a.yaml": _DOCUMENTS}}
    (path,) = positional_paths(documents).values()
    assert plain_path(path) == "data.a.yaml[Service/test/redis].spec.ports[0].port"


def test_the_documents_in_a_config_map() -> None:
    """The path of a field has the name of its document. Names with a dot are quoted."""
    assert _paths("ConfigMap", data={"a.yaml": _DOCUMENTS, "plain": "text"}) == {
        'data["a.yaml"][Deployment/test/redis].apiVersion': "apps/v1",
        'data["a.yaml"][Deployment/test/redis].metadata.labels.app': "redis",
        'data["a.yaml"][Service/test/redis].apiVersion': "v1",
        'data["a.yaml"][Service/test/redis].spec.ports[6379].port': 6379,
        "data.plain": "text",
    }


@pytest.mark.parametrize("text", ["kind: X\n", "{{ .Cluster }}", "a: [", _DOCUMENTS + "---\nnot: an object\n"])
def test_a_text_that_is_not_all_documents_is_one_field(text: str) -> None:
    """The text is one field."""
    assert _paths("ConfigMap", data={"a": text}) == {"data.a": text}


def test_json_in_a_config_map() -> None:
    """JSON that is no Kubernetes object has fields too; the elements of its lists are named by their keys."""
    text = '{"server": {"port": 80, "tls": true}, "users": [{"name": "a", "level": 1.5}], "none": []}'
    assert _paths("ConfigMap", data={"c.json": text, "list": '[{"kind": "X", "name": "y", "z": null}]'}) == {
        'data["c.json"].none': [],
        'data["c.json"].server.port': 80,
        'data["c.json"].server.tls': True,
        'data["c.json"].users[a].level': 1.5,
        'data["c.json"].users[a].name': "a",
        "data.list[X/y].kind": "X",
        "data.list[X/y].name": "y",
        "data.list[X/y].z": None,
    }


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", "5", '"a"', "{a: 1}", '{"a": 1', '{"a": 1} {"b": 2}', '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 1e999}',
     '{"\\u0000a": 1}', '["\\ud800"]', "[" * 5000 + "]" * 5000, '{"a": {{ .x }}}', "{a}", "[section]\nkey=value\n"],
)  # fmt: skip
def test_a_text_that_is_no_json_is_one_field(text: str) -> None:
    """Neither an empty or a broken text, nor a text that two readers read differently."""
    assert _paths("ConfigMap", data={"a": text}) == {"data.a": text}


def test_json_is_no_json_elsewhere() -> None:
    """Only the data of a ConfigMap has texts with content."""
    assert _paths("X", data={"a": '{"b": 1}'}) == {"data.a": '{"b": 1}'}


def test_a_template_is_one_field() -> None:
    """Only Sveltos evaluates such a template."""
    metadata = {"name": "x", "annotations": {"projectsveltos.io/template": "ok"}}
    fields = fields_of({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": _DOCUMENTS}})
    assert fields["data.a"] == _DOCUMENTS


def test_the_values_of_a_chart() -> None:
    """The values of a chart are text, and a change of one value is a change of one field."""
    chart = {"releaseName": "podinfo", "releaseNamespace": "web", "values": "debug: info\nports: {http: 80}\n"}
    paths = _paths("ClusterProfile", spec={"helmCharts": [chart]})
    assert paths["spec.helmCharts[web/podinfo].values.debug"] == "info"
    assert paths["spec.helmCharts[web/podinfo].values.ports.http"] == 80
    assert _paths("ClusterProfile", spec={"other": chart["values"]}) == {"spec.other": chart["values"]}


def test_deep_nesting_ends_in_one_field() -> None:
    """A hostile document must not exhaust the stack."""
    value: Any = "end"
    for _ in range(5000):
        value = [value]
    assert len(_paths("X", spec=value)) == 1
