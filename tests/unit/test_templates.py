"""Templates in names, compared with the recorded output of Go's html/template with sprig v3.3.0.

The recording used Option("missingkey=error") and the cluster below, with integers as int64, as Kubernetes' unstructured
converter reads them. A text of null in the recording stands for an error in Go.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.core.model import JsonObject
from gitsnap.sveltos.clusters import template_view
from gitsnap.sveltos.kinds import SVELTOS_CLUSTER
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.references import render
from gitsnap.sveltos.templates import Root, TemplateError
from gitsnap.sveltos.templates import render as render_template

_RECORDED = Path(__file__).resolve().parents[1] / "golden" / "templates" / "go-html-template-sprig-v3.json"
_CASES: list[dict[str, Any]] = json.loads(_RECORDED.read_text())
_CLUSTER: JsonObject = {
    "apiVersion": "lib.projectsveltos.io/v1beta1",
    "kind": "SveltosCluster",
    "metadata": {
        "name": "West-1",
        "namespace": "team-a",
        "labels": {"env": "Prod", "zone": "eu-1", "empty": "", "dotted.example.com/key": "v"},
        "annotations": {"note": "a<b & \"c\" 'd' +e"},
    },
    "spec": {"paused": False, "count": 3, "list": ["x", "y"], "nested": {"deep": "value"}},
}
_NOT_EVALUATED = (
    "{{ .Cluster.spec.list }}",
    '{{ printf "%s" 3 }}',
    '{{ printf "%s" }}',
    "<b>{{ .ClusterName }}</b>",
    "{{ $x := .ClusterName }}{{ $x }}",
    "{{ range .Cluster.spec.list }}{{ . }}{{ end }}",
    "{{ with .ClusterName }}{{ . }}{{ end }}",
    "{{ index .Cluster.metadata.labels }}",
    "{{ default .ClusterName }}",
)
"""Templates that Go renders and gitsnap does not support: recorded as unresolved."""


def _root() -> Root:
    return Root(name="West-1", namespace="team-a", fetch=lambda: template_view(_CLUSTER))


def _rendered(template: str) -> str | None:
    try:
        return render_template(template, _root())
    except TemplateError:
        return None


@pytest.mark.parametrize("case", _CASES, ids=[case["template"] for case in _CASES])
def test_the_text_is_that_of_go_or_unresolved(case: dict[str, Any]) -> None:
    """The text equals that of Go, except for the templates that are listed as not supported."""
    found = _rendered(case["template"])

    assert found in (case["text"], None)
    assert found is not None or case["text"] is None or case["template"] in _NOT_EVALUATED


def test_fields_that_are_not_archived_are_errors() -> None:
    """A template that reads status, uid or a similar field raises an error and does not render an empty text."""
    for template in (
        "{{ .Cluster.status.ready }}",
        "{{ .Cluster.metadata.uid }}",
        '{{ if hasKey .Cluster "status" }}a{{ else }}b{{ end }}',
        '{{ index .Cluster.metadata "resourceVersion" }}',
        "{{ .Resource.metadata.name }}",
    ):
        assert _rendered(template) is None


def test_a_cluster_that_is_known_by_name_only() -> None:
    """Name and namespace do not need the object of the cluster; all other fields do."""
    west = ClusterRef(SVELTOS_CLUSTER, "team-a", "West-1")

    assert render("{{ .ClusterName | lower }}-{{ .Cluster.metadata.namespace }}", west) == "west-1-team-a"
    assert render("{{ .Cluster.metadata.labels.env }}", west) is None
    assert render("{{ .Cluster.metadata.labels.env }}", west, lambda _: template_view(_CLUSTER)) == "Prod"


def test_content_is_not_escaped() -> None:
    """Sveltos renders names with html/template and content with text/template."""
    west = ClusterRef(SVELTOS_CLUSTER, "team-a", "a")
    quoted = '{{ printf "%s" "<&>" }}'

    assert render(quoted, west) == "&lt;&amp;&gt;"
    assert render(quoted, west, escape=False) == "<&>"


@given(st.text('{}.|"` ()-CclusterNam$%dsif end else printf lower index', max_size=60))
def test_any_text_is_rendered_or_raises_a_template_error(template: str) -> None:
    """Any template yields a text or raises TemplateError."""
    found = _rendered(template)

    assert found is None or isinstance(found, str)
    if "{{" not in template:
        assert found == template
