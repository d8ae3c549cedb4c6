"""Rows for changes outside the sources: template inputs, revisions of Flux sources, and settings of references."""

from __future__ import annotations

from typing import Any

import pytest

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.core.objects import KubeObject
from gitsnap.diff.comparison import compare
from gitsnap.sveltos import inventory, kinds
from tests.support.rows import (
    SEE,
    chart,
    content,
    installed,
    joined,
    listed,
    referring,
    rows_by_cluster,
    service,
    services,
    stage,
)
from tests.support.trees import O, W, build, cluster, config_map, deployed_by, inventory_of, policy_ref, profile

_REPOSITORY = ObjectKey(kinds.GIT_REPOSITORY, "flux-system", "apps")


# What templates read ------------------------------------------------------------------------------------------------


def _templates(*texts: str, labels: dict[str, str] | None = None, data: str = "1") -> list[JsonObject]:
    """A templated ConfigMap for two clusters, of which one has labels, and an object that templates may read."""
    reference = {
        "identifier": "Limits",
        "resource": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "limits"},
    }
    deployed = deployed_by("p", *listed("a", "b"))
    return [
        cluster(W, **(labels or {})),
        cluster(O, zone="x"),
        content(joined(*texts), annotations={"projectsveltos.io/template": "ok"}),
        config_map("limits", {"ports": data}),
        profile("p", {"policyRefs": [policy_ref("content")], "templateResourceRefs": [reference]}, W, O),
        inventory_of(W, deployed),
        inventory_of(O, deployed),
    ]


def test_a_label_that_a_template_reads_modifies_resources() -> None:
    """On the cluster whose label changed, for the documents that evaluate differently."""
    texts = (service("a", "{{ .Cluster.metadata.labels.zone }}"), service("b"))

    def labelled(zone: str) -> list[JsonObject]:
        return _templates(*texts, labels={"zone": zone, "other": zone})

    assert rows_by_cluster(labelled("x"), labelled("y")) == [(str(W), "a", "modified", SEE)]
    comparison = compare(build(labelled("x")), build(labelled("y")))
    (raw,) = [raw.text for raw in comparison.raw_diffs("x", "y") if raw.title == "/Service test/a"]
    assert "-  port: x\n+  port: y\n" in raw


def test_a_label_that_no_template_reads_modifies_nothing() -> None:
    """The template reads another field of the cluster."""
    texts = (service("a", "{{ .Cluster.metadata.name }}"), service("b", "{{ .ClusterName | quote }}"))

    assert rows_by_cluster(_templates(*texts, labels={"zone": "x"}), _templates(*texts, labels={"zone": "y"})) == []


def test_a_template_for_sveltos_alone_names_its_possible_inputs() -> None:
    """The template is the same, so the row names the object to compare."""
    texts = (service("a", '{{ (index .MgmtResources "Limits").data.ports }}'), service("b"))
    message = "To see diff compare ConfigMap default/limits"

    assert rows_by_cluster(_templates(*texts), _templates(*texts, data="2")) == [
        (str(W), "a", "modified", message),
        (str(O), "a", "modified", message),
    ]


def test_a_template_is_carried_out_as_a_whole() -> None:
    """Sveltos splits the evaluated text, so that a condition may enclose several documents."""
    condition = '{{ if eq .ClusterName "west" }}\n' + services("ab", 2)
    ours = condition + "{{ else }}\n" + services("ab") + "{{ end }}\n"

    assert rows_by_cluster(_templates(service("a"), service("b")), _templates(ours)) == [
        (str(W), "a", "modified", SEE),
        (str(W), "b", "modified", SEE),
    ]


def _values(label: str, text: str) -> list[JsonObject]:
    return [
        cluster(W, zone=label),
        profile("p", {"helmCharts": [chart(values=text)]}, W),
        inventory_of(W, deployed_by("p", charts=[installed()])),
    ]


def test_a_label_that_values_of_a_chart_read() -> None:
    """The values of a chart are always templates."""
    reading, other = "zone: {{ .Cluster.metadata.labels.zone }}", "zone: {{ .ClusterName }}"

    assert rows_by_cluster(_values("x", reading), _values("y", reading)) == [
        (str(W), "web", "modified", "values changed, compare SveltosCluster default/west")
    ]
    assert rows_by_cluster(_values("x", other), _values("y", other)) == []


_OF_A_LABEL = "{{ .Cluster.metadata.labels.zone }}.0.0"
_OF_AN_OBJECT = '{{ (index .MgmtResources "Limits").data.ports }}'


def _chart_stage(zone: str, data: str = "1", **fields: str) -> list[JsonObject]:
    """A release of which a field is a template, and an object that templates may read."""
    reference = {
        "identifier": "Limits",
        "resource": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "limits"},
    }
    return [
        cluster(W, zone=zone),
        config_map("limits", {"ports": data}),
        profile("p", {"helmCharts": [chart(**fields)], "templateResourceRefs": [reference]}, W),
        inventory_of(W, deployed_by("p", charts=[installed("1.0.0")])),
    ]


@pytest.mark.parametrize(("field", "word"), [("chartVersion", "version"), ("chartName", "chart")])
def test_a_field_of_a_chart_that_reads_a_label(field: str, word: str) -> None:
    """Sveltos evaluates the field at the next deployment."""
    actual = rows_by_cluster(_chart_stage("1", **{field: _OF_A_LABEL}), _chart_stage("2", **{field: _OF_A_LABEL}))

    message = f"To {word}: 2.0.0 From {word} 1.0.0 (may have changed: the {word} is a template)"
    assert actual == [(str(W), "web", "modified", message)]
    assert (
        rows_by_cluster(_chart_stage("1", **{field: _OF_A_LABEL}), _chart_stage("1", "2", **{field: _OF_A_LABEL})) == []
    )


@pytest.mark.parametrize(
    ("field", "word"), [("chartVersion", "version"), ("chartName", "chart"), ("repositoryURL", "repository")]
)
def test_a_field_of_a_chart_that_only_sveltos_evaluates(field: str, word: str) -> None:
    """There is a row if an object that the template may read changed, or the template itself."""
    same = {field: _OF_AN_OBJECT}

    assert rows_by_cluster(_chart_stage("1", **same), _chart_stage("1", "2", **same)) == [
        (str(W), "web", "modified", f"{word} may have changed, compare ConfigMap default/limits")
    ]
    assert rows_by_cluster(_chart_stage("1", **same), _chart_stage("1", **{field: f"{_OF_AN_OBJECT}-1"})) == [
        (str(W), "web", "modified", f"{word} may have changed, compare ClusterProfile p")
    ]
    assert rows_by_cluster(_chart_stage("1", **same), _chart_stage("2", **same)) == []


# Flux sources -------------------------------------------------------------------------------------------------------


def _flux(revision: str = "main@sha1:aaa", *, url: str = "https://git.example.com", **more: Any) -> list[JsonObject]:
    """A profile that deploys a ConfigMap, and what a Git repository holds, by policyRefs or as a kustomization."""
    field = more.pop("field", "policyRefs")
    reference = {"kind": "GitRepository", "namespace": "flux-system", "name": "apps", **more}
    source = content(service("a"))
    user = referring(source)
    user["spec"][field] = [*user["spec"].get(field, []), reference]
    feature = "Resources" if field == "policyRefs" else "Kustomize"
    entry = deployed_by("p", *listed("a"))
    entry["Features"] += deployed_by("p", "apps/Deployment test/web", feature=feature)["Features"]
    return [
        cluster(W),
        source,
        user,
        inventory_of(W, entry),
        {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": {"namespace": "flux-system", "name": "apps"},
            "spec": {"url": url, "interval": more.get("interval", "1m")},
            "status": {"artifact": {"revision": revision, "digest": f"sha256:{revision}", "lastUpdateTime": "now"}},
        },
    ]


def test_the_revision_of_a_flux_source_is_kept() -> None:
    """The inventory keeps the revision, without times."""
    source = _flux()[-1]

    assert inventory.distill(KubeObject.of(source)) == {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": "apps", "namespace": "flux-system"},
        "status": {"artifact": {"revision": "main@sha1:aaa", "digest": "sha256:main@sha1:aaa"}},
    }
    assert inventory.distill(KubeObject.of({**source, "status": {}})) is None


@pytest.mark.parametrize("field", ["policyRefs", "kustomizationRefs"])
def test_another_revision_modifies_resources_of_the_source(field: str) -> None:
    """Resources from documents are not modified. The row gives both revisions."""
    assert rows_by_cluster(_flux(field=field), _flux("main@sha1:bbb", field=field)) == [
        (
            str(W),
            "web",
            "modified",
            "To see diff compare GitRepository flux-system/apps (revision main@sha1:aaa, now main@sha1:bbb)",
        )
    ]


def test_another_address_of_a_flux_source() -> None:
    """Another interval deploys the same content, another URL does not."""
    assert [row[1] for row in rows_by_cluster(_flux(), _flux(url="https://other.example.com"))] == ["web"]
    slower = _flux()
    slower[-1]["spec"]["interval"] = "1h"
    assert rows_by_cluster(_flux(), slower) == []


def test_a_sample_without_the_revision_cannot_tell() -> None:
    """Older versions of gitsnap did not record the revision: that is not a change."""
    unknown = _flux()
    del unknown[-1]["status"]

    assert rows_by_cluster(unknown, _flux()) == []


@pytest.mark.parametrize("field", ["policyRefs", "kustomizationRefs"])
def test_another_path_in_a_repository(field: str) -> None:
    """Another path in the same source is a change, another tier of the reference is not."""
    actual = rows_by_cluster(_flux(field=field, path="./a"), _flux(field=field, path="./b"))

    assert actual == [(str(W), "web", "modified", "To see diff compare ClusterProfile p")]
    assert rows_by_cluster(_flux(field=field, path="./a"), _flux(field=field, path="./a", tier=50)) == []


def test_a_path_from_a_label() -> None:
    """The path of the cluster whose label changed differs, while profile and repository are the same."""

    def labelled(zone: str) -> list[JsonObject]:
        return [cluster(W, zone=zone), *_flux(path="./{{ .Cluster.metadata.labels.zone }}")[1:]]

    assert [row[1:3] for row in rows_by_cluster(labelled("x"), labelled("y"))] == [("web", "modified")]


def test_a_chart_in_a_flux_source() -> None:
    """The chart changes with the revision of its source and keeps its version."""

    def holding(revision: str) -> list[JsonObject]:
        asked = chart("", repositoryURL="gitrepository://flux-system/apps/charts/web")
        return [
            cluster(W),
            profile("p", {"helmCharts": [asked]}, W),
            inventory_of(W, deployed_by("p", charts=[installed()])),
            _flux(revision)[-1],
        ]

    ((_, name, action, message),) = rows_by_cluster(holding("a"), holding("b"))
    assert (name, action) == ("web", "modified")
    assert message.startswith("source of the chart changed, compare GitRepository flux-system/apps (revision a, now b)")


# What is asked ------------------------------------------------------------------------------------------------------


def test_another_url() -> None:
    """The API does not contain what a URL serves, but it contains the URL."""

    def behind(url: str, interval: str = "5m") -> list[JsonObject]:
        reference = {"remoteURL": {"url": url, "interval": interval}}
        return [
            cluster(W),
            profile("p", {"policyRefs": [reference]}, W),
            inventory_of(W, deployed_by("p", *listed("a"))),
        ]

    assert [row[1:3] for row in rows_by_cluster(behind("https://a/1"), behind("https://a/2"))] == [("a", "modified")]
    assert rows_by_cluster(behind("https://a/1"), behind("https://a/1", "1h")) == []


def test_patches_of_a_chart() -> None:
    """A patch that selects no other resource of its profile may be for objects of the chart."""

    def patched(kind: str = "") -> list[JsonObject]:
        patch = {"target": {"kind": kind}, "patch": "- op: remove\n  path: /spec\n"}
        spec = {"helmCharts": [chart()], **({"patches": [patch]} if kind else {})}
        deployed = inventory_of(W, deployed_by("p", *listed("a"), charts=[installed()]))
        return [*stage(content(service("a")), **spec)[:-1], deployed]

    message = "patches changed, compare ClusterProfile p"
    assert rows_by_cluster(patched(), patched("Deployment")) == [(str(W), "web", "modified", message)]
    assert rows_by_cluster(patched(), patched("Service")) == [(str(W), "a", "modified", message)]


# How texts are read -------------------------------------------------------------------------------------------------


def _listed(text: str, *, kind: str = "ConfigMap", owner: bool = False, **annotations: str) -> list[JsonObject]:
    """A source with two Services, and an inventory that names the owner where Sveltos is an old one."""
    entry = deployed_by("p", *listed("a", "b"))
    for resource in entry["Features"][0]["resources"] if owner else ():
        resource["owner"] = {"kind": kind, "namespace": "default", "name": "content"}
    written = {f"projectsveltos.io/{name}": value for name, value in annotations.items()}
    return [*stage(content(text, kind=kind, annotations=written))[:-1], inventory_of(W, entry)]


@pytest.mark.parametrize(
    ("kind", "words"), [("ConfigMap", "To see diff compare"), ("Secret", "may have changed, compare")]
)
def test_other_subresources_modify_every_resource_of_the_source(kind: str, words: str) -> None:
    """A subresource is applied now, or no longer. The order of the names does not matter."""
    text = services("ab")
    before, after = _listed(text, kind=kind), _listed(text, kind=kind, subresources="status,scale")

    message = f"{words} {kind} default/content"
    assert rows_by_cluster(before, after) == [(str(W), name, "modified", message) for name in ("a", "b")]
    assert rows_by_cluster(after, _listed(text, kind=kind, subresources="scale, status")) == []


def test_a_document_on_the_line_of_its_separator() -> None:
    """Sveltos before 1.0, known by its inventory, read such a document. Later versions refuse the whole text."""

    def text(port: int) -> str:
        return (
            service("a") + f"--- {{apiVersion: v1, kind: Service, metadata: {{name: b, namespace: test}}, p: {port}}}\n"
        )

    assert rows_by_cluster(_listed(text(1), owner=True), _listed(text(2), owner=True)) == [
        (str(W), "b", "modified", SEE)
    ]
    actual = rows_by_cluster(_listed(text(1)), _listed(text(2)))
    assert [row[1] for row in actual] == ["a", "b"]
    assert {row[3] for row in actual} == {"may have changed, compare ConfigMap default/content"}
