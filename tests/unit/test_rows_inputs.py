"""Rows where no source changed, but what templates read, what a Flux source holds, or what is asked of a source."""

from __future__ import annotations

from typing import Any

import pytest

from gitsnap.compare import compare
from gitsnap.model import JsonObject, ObjectKey
from gitsnap.sveltos import inventory, kinds
from tests.support.trees import (
    O,
    W,
    build,
    cluster,
    config_map,
    deployed_by,
    inventory_of,
    policy_ref,
    profile,
    secret,
)

_SEE = "use --raw-diff option to see diff"
_REPOSITORY = ObjectKey(kinds.GIT_REPOSITORY, "flux-system", "apps")


def _service(name: str, value: str = "1") -> str:
    return f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: test\nspec:\n  port: {value}\n"


def _rows(before: list[JsonObject], after: list[JsonObject]) -> list[tuple[str, ...]]:
    found = compare(build(before), build(after))
    return [(row.cluster, row.name, str(row.action), row.message) for row in found.rows]


# What templates read ------------------------------------------------------------------------------------------------


def _templates(*texts: str, labels: dict[str, str] | None = None, data: str = "1") -> list[JsonObject]:
    """A templated ConfigMap for two clusters, of which one has labels, and an object that templates may read."""
    reference = {
        "identifier": "Limits",
        "resource": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "limits"},
    }
    listed = deployed_by("p", "/Service test/a", "/Service test/b")
    return [
        cluster(W, **(labels or {})),
        cluster(O, zone="x"),
        config_map("content", {"all.yaml": "---\n".join(texts)}, annotations={"projectsveltos.io/template": "ok"}),
        config_map("limits", {"ports": data}),
        profile("p", {"policyRefs": [policy_ref("content")], "templateResourceRefs": [reference]}, W, O),
        inventory_of(W, listed),
        inventory_of(O, listed),
    ]


def test_a_label_that_a_template_reads_modifies_what_is_made_of_it() -> None:
    """On the cluster whose label changed, and only the documents that come out otherwise."""
    texts = (_service("a", "{{ .Cluster.metadata.labels.zone }}"), _service("b"))

    def stage(zone: str) -> list[JsonObject]:
        return _templates(*texts, labels={"zone": zone, "other": zone})

    assert _rows(stage("x"), stage("y")) == [(str(W), "a", "modified", _SEE)]
    found = compare(build(stage("x")), build(stage("y")))
    (raw,) = [raw.text for raw in found.raw_diffs("x", "y") if raw.title == "/Service test/a"]
    assert "-  port: x\n+  port: y\n" in raw


def test_a_label_that_no_template_reads_modifies_nothing() -> None:
    """Also where the template reads another field of the cluster."""
    texts = (_service("a", "{{ .Cluster.metadata.name }}"), _service("b", "{{ .ClusterName | quote }}"))

    assert _rows(_templates(*texts, labels={"zone": "x"}), _templates(*texts, labels={"zone": "y"})) == []


def test_what_only_sveltos_can_evaluate_names_what_it_may_have_read() -> None:
    """The template is the same: the row says which object to compare."""
    texts = (_service("a", '{{ (index .MgmtResources "Limits").data.ports }}'), _service("b"))
    message = "To see diff compare ConfigMap default/limits"

    assert _rows(_templates(*texts), _templates(*texts, data="2")) == [
        (str(W), "a", "modified", message),
        (str(O), "a", "modified", message),
    ]


def test_a_template_is_carried_out_as_a_whole() -> None:
    """Sveltos splits what comes of it: a condition may hold several documents."""
    condition = '{{ if eq .ClusterName "west" }}\n' + _service("a", "2") + "---\n" + _service("b", "2")
    ours = condition + "{{ else }}\n" + _service("a") + "---\n" + _service("b") + "{{ end }}\n"

    assert _rows(_templates(_service("a"), _service("b")), _templates(ours)) == [
        (str(W), "a", "modified", _SEE),
        (str(W), "b", "modified", _SEE),
    ]


def _values(label: str, text: str) -> list[JsonObject]:
    chart = {"releaseName": "web", "releaseNamespace": "shop", "chartVersion": "1.0.0", "values": text}
    entry = {"releaseName": "web", "namespace": "shop", "chartVersion": "1.0.0", "repoURL": ""}
    return [
        cluster(W, zone=label),
        profile("p", {"helmCharts": [chart]}, W),
        inventory_of(W, deployed_by("p", charts=[entry])),
    ]


def test_a_label_that_values_of_a_chart_read() -> None:
    """Values are templates, whether or not anything says so."""
    reading, other = "zone: {{ .Cluster.metadata.labels.zone }}", "zone: {{ .ClusterName }}"

    assert _rows(_values("x", reading), _values("y", reading)) == [
        (str(W), "web", "modified", "values changed, compare SveltosCluster default/west")
    ]
    assert _rows(_values("x", other), _values("y", other)) == []


# Flux sources -------------------------------------------------------------------------------------------------------


def _flux(revision: str = "main@sha1:aaa", *, url: str = "https://git.example.com", **more: Any) -> list[JsonObject]:
    """A profile that deploys a ConfigMap, and what a Git repository holds, by policyRefs or as a kustomization."""
    field = more.pop("field", "policyRefs")
    reference = {"kind": "GitRepository", "namespace": "flux-system", "name": "apps", **more}
    spec: JsonObject = {"policyRefs": [policy_ref("content")]}
    spec[field] = [*spec.get(field, []), reference]
    feature = "Resources" if field == "policyRefs" else "Kustomize"
    entry = deployed_by("p", "/Service test/a")
    entry["Features"] += deployed_by("p", "apps/Deployment test/web", feature=feature)["Features"]
    return [
        cluster(W),
        config_map("content", {"all.yaml": _service("a")}),
        profile("p", spec, W),
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
    """In the inventory, without times: all that the API says of its content."""
    source = _flux()[-1]

    assert inventory.distill(source) == {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": "apps", "namespace": "flux-system"},
        "status": {"artifact": {"revision": "main@sha1:aaa", "digest": "sha256:main@sha1:aaa"}},
    }
    assert inventory.distill({**source, "status": {}}) is None


@pytest.mark.parametrize("field", ["policyRefs", "kustomizationRefs"])
def test_another_revision_modifies_what_comes_from_the_source(field: str) -> None:
    """Not what comes from documents; the row says from which revision to which."""
    assert _rows(_flux(field=field), _flux("main@sha1:bbb", field=field)) == [
        (
            str(W),
            "web",
            "modified",
            "To see diff compare GitRepository flux-system/apps (revision main@sha1:aaa, now main@sha1:bbb)",
        )
    ]


def test_another_address_of_a_flux_source() -> None:
    """The interval deploys nothing else, the address does."""
    assert [row[1] for row in _rows(_flux(), _flux(url="https://other.example.com"))] == ["web"]
    slower = _flux()
    slower[-1]["spec"]["interval"] = "1h"
    assert _rows(_flux(), slower) == []


def test_a_sample_without_the_revision_cannot_tell() -> None:
    """Older versions of gitsnap did not keep it: that is no change."""
    unknown = _flux()
    del unknown[-1]["status"]

    assert _rows(unknown, _flux()) == []


@pytest.mark.parametrize("field", ["policyRefs", "kustomizationRefs"])
def test_another_path_in_a_repository(field: str) -> None:
    """The same source, another folder of it; the tier of the reference, though, deploys nothing else."""
    rows = _rows(_flux(field=field, path="./a"), _flux(field=field, path="./b"))

    assert rows == [(str(W), "web", "modified", "To see diff compare ClusterProfile p")]
    assert _rows(_flux(field=field, path="./a"), _flux(field=field, path="./a", tier=50)) == []


def test_a_path_that_is_made_of_a_label() -> None:
    """The same profile and repository, another folder for the cluster whose label changed."""

    def stage(zone: str) -> list[JsonObject]:
        return [cluster(W, zone=zone), *_flux(path="./{{ .Cluster.metadata.labels.zone }}")[1:]]

    assert [row[1:3] for row in _rows(stage("x"), stage("y"))] == [("web", "modified")]


def test_a_chart_in_a_flux_source() -> None:
    """A revision of a chart that keeps its version."""

    def stage(revision: str) -> list[JsonObject]:
        chart = {"repositoryURL": "gitrepository://flux-system/apps/charts/web", "releaseName": "web"}
        entry = {"releaseName": "web", "namespace": "shop", "chartVersion": "1.0.0", "repoURL": "x"}
        return [
            cluster(W),
            profile("p", {"helmCharts": [{**chart, "releaseNamespace": "shop"}]}, W),
            inventory_of(W, deployed_by("p", charts=[entry])),
            _flux(revision)[-1],
        ]

    ((_, name, action, message),) = _rows(stage("a"), stage("b"))
    assert (name, action) == ("web", "modified")
    assert message.startswith("source of the chart changed, compare GitRepository flux-system/apps (revision a, now b)")


# What is asked ------------------------------------------------------------------------------------------------------


def test_another_url() -> None:
    """What stands behind it is not in the API; what it is, is."""

    def stage(url: str, interval: str = "5m") -> list[JsonObject]:
        reference = {"remoteURL": {"url": url, "interval": interval}}
        return [
            cluster(W),
            profile("p", {"policyRefs": [reference]}, W),
            inventory_of(W, deployed_by("p", "/Service test/a")),
        ]

    assert [row[1:3] for row in _rows(stage("https://a/1"), stage("https://a/2"))] == [("a", "modified")]
    assert _rows(stage("https://a/1"), stage("https://a/1", "1h")) == []


def test_patches_of_a_chart() -> None:
    """A patch that selects no other resource of its profile is for the objects of the chart."""

    def stage(kind: str = "") -> list[JsonObject]:
        objects = _values("x", "a: 1")
        objects.append(config_map("content", {"all.yaml": _service("a")}))
        spec = objects[1]["spec"]
        spec["policyRefs"] = [policy_ref("content")]
        if kind:
            spec["patches"] = [{"target": {"kind": kind}, "patch": "- op: remove\n  path: /spec\n"}]
        chart = {"releaseName": "web", "namespace": "shop", "chartVersion": "1.0.0", "repoURL": ""}
        objects[2] = inventory_of(W, deployed_by("p", "/Service test/a", charts=[chart]))
        return objects

    message = "patched otherwise, compare ClusterProfile p"
    assert _rows(stage(), stage("Deployment")) == [(str(W), "web", "modified", message)]
    assert _rows(stage(), stage("Service")) == [(str(W), "a", "modified", message)]


# How texts are read -------------------------------------------------------------------------------------------------


def _listed(text: str, *, kind: str = "ConfigMap", owner: bool = False, **annotations: str) -> list[JsonObject]:
    """A source with two Services, and an inventory that names the owner where Sveltos is an old one."""
    make = config_map if kind == "ConfigMap" else secret
    entry = deployed_by("p", "/Service test/a", "/Service test/b")
    for resource in entry["Features"][0]["resources"] if owner else ():
        resource["owner"] = {"kind": kind, "namespace": "default", "name": "content"}
    written = {f"projectsveltos.io/{name}": value for name, value in annotations.items()}
    return [
        cluster(W),
        make("content", {"all.yaml": text}, annotations=written),
        profile("p", {"policyRefs": [policy_ref("content", kind)]}, W),
        inventory_of(W, entry),
    ]


@pytest.mark.parametrize(
    ("kind", "words"), [("ConfigMap", "To see diff compare"), ("Secret", "may have changed, compare")]
)
def test_other_subresources_modify_every_resource_of_the_source(kind: str, words: str) -> None:
    """Their status is applied as well, or is not any more; the order of the names says nothing."""
    text = _service("a") + "---\n" + _service("b")
    before, after = _listed(text, kind=kind), _listed(text, kind=kind, subresources="status,scale")

    message = f"{words} {kind} default/content"
    assert _rows(before, after) == [(str(W), name, "modified", message) for name in ("a", "b")]
    assert _rows(after, _listed(text, kind=kind, subresources="scale, status")) == []


def test_a_document_on_the_line_of_its_separator() -> None:
    """Before 1.0 Sveltos read it, and its inventory tells such a Sveltos; later ones refuse the whole text."""

    def text(port: int) -> str:
        return (
            _service("a")
            + f"--- {{apiVersion: v1, kind: Service, metadata: {{name: b, namespace: test}}, p: {port}}}\n"
        )

    assert _rows(_listed(text(1), owner=True), _listed(text(2), owner=True)) == [(str(W), "b", "modified", _SEE)]
    rows = _rows(_listed(text(1)), _listed(text(2)))
    assert [row[1] for row in rows] == ["a", "b"]
    assert {row[3] for row in rows} == {"may have changed, compare ConfigMap default/content"}
