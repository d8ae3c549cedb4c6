"""Templates in names against what Go's html/template with sprig v3.3.0 made of them: the same text, or none at all.

The recording was made with Option("missingkey=error") and the cluster below, whole numbers as int64 as
Kubernetes' unstructured converter makes them; a text of null is an error in Go.
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
"""What Go has a text for and gitsnap leaves to Sveltos: recorded as unresolved, never guessed."""


def _root() -> Root:
    return Root(name="West-1", namespace="team-a", fetch=lambda: template_view(_CLUSTER))


def _rendered(template: str) -> str | None:
    try:
        return render_template(template, _root())
    except TemplateError:
        return None


@pytest.mark.parametrize("case", _CASES, ids=[one["template"] for one in _CASES])
def test_the_text_is_gos_or_there_is_none(case: dict[str, Any]) -> None:
    """Never another text than Go's; and Go's wherever it is not listed as left to Sveltos."""
    found = _rendered(case["template"])

    assert found in (case["text"], None)
    assert found is not None or case["text"] is None or case["template"] in _NOT_EVALUATED


def test_what_only_the_live_cluster_has_is_not_guessed() -> None:
    """Status, uid and the like are not in an archive: asking for them is an error, not an empty answer."""
    for template in (
        "{{ .Cluster.status.ready }}",
        "{{ .Cluster.metadata.uid }}",
        '{{ if hasKey .Cluster "status" }}a{{ else }}b{{ end }}',
        '{{ index .Cluster.metadata "resourceVersion" }}',
        "{{ .Resource.metadata.name }}",
    ):
        assert _rendered(template) is None


def test_names_that_are_known_by_name_only() -> None:
    """The name and namespace need no object; anything else of the cluster does."""
    west = ClusterRef(SVELTOS_CLUSTER, "team-a", "West-1")

    assert render("{{ .ClusterName | lower }}-{{ .Cluster.metadata.namespace }}", west) == "west-1-team-a"
    assert render("{{ .Cluster.metadata.labels.env }}", west) is None
    assert render("{{ .Cluster.metadata.labels.env }}", west, lambda _: template_view(_CLUSTER)) == "Prod"


def test_content_is_not_escaped() -> None:
    """Names pass html/template, content text/template."""
    west = ClusterRef(SVELTOS_CLUSTER, "team-a", "a")
    quoted = '{{ printf "%s" "<&>" }}'

    assert render(quoted, west) == "&lt;&amp;&gt;"
    assert render(quoted, west, escape=False) == "<&>"


@given(st.text('{}.|"` ()-CclusterNam$%dsif end else printf lower index', max_size=60))
def test_any_text_is_rendered_or_left_alone(template: str) -> None:
    """Nothing that people write ends in another way than a text or a TemplateError."""
    found = _rendered(template)

    assert found is None or isinstance(found, str)
    if "{{" not in template:
        assert found == template
