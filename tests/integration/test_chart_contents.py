"""Rights, alert rules, metadata and generated files of the Helm chart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitsnap import __version__
from scripts.packaging.chart import chart_readme, values_schema
from tests.support.charts import CHART, KUBERNETES, render, run_helm
from tests.support.controllers import MANIFESTS


def test_additional_kinds_get_the_right_to_be_read(helm: Path) -> None:
    """`rbac.extraKinds` grants list and watch, and nothing else."""
    options = ["--set", "rbac.extraKinds[0].apiGroup=example.com,rbac.extraKinds[0].resources={widgets}"]
    role = render(helm, *options)["ClusterRole", "gitsnap-extra-kinds"]

    assert role["rules"] == [{"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["list", "watch"]}]


def _rules_of(role: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(rule["apiGroups"][0], rule["resources"][0], " ".join(rule["verbs"])) for rule in role["rules"]]


@pytest.mark.parametrize(
    ("entry", "namespace", "rule"),
    [
        ({"group": "apps", "kind": "Deployment"}, "", ("apps", "deployments", "list watch")),
        ({"group": "apps", "kind": "Deployment", "namespaces": ["a"]}, "a", ("apps", "deployments", "list watch")),
        ({"group": "apps", "kind": "Deployment", "namespaces": ["a", "b*"]}, "", ("apps", "deployments", "list watch")),
        ({"kind": "Service", "namespaces": list("abcdefghi")}, "", ("", "services", "list watch")),
        ({"kind": "Endpoints"}, "", ("", "endpoints", "list watch")),
        ({"group": "networking.k8s.io", "kind": "Ingress"}, "", ("networking.k8s.io", "ingresses", "list watch")),
        ({"group": "e.com", "kind": "NetworkPolicy"}, "", ("e.com", "networkpolicies", "list watch")),
        ({"group": "e.com", "kind": "Gateway"}, "", ("e.com", "gateways", "list watch")),
        ({"kind": "Secret"}, "", ("", "namespaces", "list")),
    ],
)  # fmt: skip
def test_kinds_of_snapshots_get_the_right_to_be_read(
    helm: Path, tmp_path: Path, entry: dict[str, Any], namespace: str, rule: tuple[str, str, str]
) -> None:
    """A kind that a Snapshot of the values adds can be read where the controller lists it, and nowhere else."""
    values = _snapshot_values(tmp_path, entry)
    objects = render(helm, "--values", values)
    kinds = [kind for kind, name in objects if name == "gitsnap-extra-kinds"]
    role = objects["Role" if namespace else "ClusterRole", "gitsnap-extra-kinds"]
    without = render(helm, "--values", values, "--set", "rbac.kindsOfSnapshots=false")

    assert len(kinds) == 2
    assert role["metadata"].get("namespace", "") == namespace
    assert _rules_of(role) == [rule]
    assert not [name for _, name in without if name == "gitsnap-extra-kinds"]


def _snapshot_values(folder: Path, *entries: dict[str, Any]) -> Path:
    spec = {"schedule": "@hourly", "storage": "/collection", "resources": list(entries)}
    values = folder / "values.yaml"
    values.write_text(yaml.safe_dump({"snapshots": {"hourly": spec}}))
    return values


def test_secrets_in_single_namespaces_need_no_other_right(helm: Path, tmp_path: Path) -> None:
    """`rbac.secrets` has the right to list Secrets. Without it, such a Snapshot is refused."""
    values = _snapshot_values(tmp_path, {"kind": "Secret", "namespaces": ["a"]})
    refused = run_helm(
        helm, "template", "gitsnap", CHART, KUBERNETES, "--values", values, "--set", "rbac.secrets=false"
    )

    assert not [name for _, name in render(helm, "--values", values) if name == "gitsnap-extra-kinds"]
    assert refused.returncode != 0
    assert "rbac.secrets" in refused.stderr


def test_alert_rules_can_be_changed(helm: Path) -> None:
    """`alerts.rules` changes the time and the labels of an alert, or leaves it out. Other alerts stay as they are."""
    before = render(helm, "--set", "alerts.enabled=true")["PrometheusRule", "gitsnap"]["spec"]["groups"][0]["rules"]
    changes = [
        "alerts.enabled=true",
        "alerts.rules.GitsnapAbsent.enabled=false",
        "alerts.rules.GitsnapNotReady.for=2h",
        "alerts.rules.GitsnapNotReady.labels.severity=critical",
    ]
    after = render(helm, "--set", ",".join(changes))["PrometheusRule", "gitsnap"]["spec"]["groups"][0]["rules"]

    expected = [rule for rule in before if rule["alert"] != "GitsnapAbsent"]
    for rule in expected:
        if rule["alert"] == "GitsnapNotReady":
            rule.update({"for": "2h", "labels": {"severity": "critical"}})
    assert after == expected


def test_the_schema_knows_every_alert() -> None:
    """An unknown name in `alerts.rules` would have no effect."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    documents = yaml.safe_load_all((MANIFESTS / "overlays/alerts/alerts.yaml").read_text())
    names = [
        rule["alert"]
        for document in documents
        for group in document["spec"].get("groups", ())
        for rule in group["rules"]
    ]

    assert schema["properties"]["alerts"]["properties"]["rules"]["properties"].keys() == set(names)


def test_generated_files_of_the_chart_are_fresh(helm: Path) -> None:
    """`python -m scripts.packaging.chart` writes the README, and the schema of Snapshots from the CRD."""
    assert helm.is_file()  # helm-docs is built from the same module
    assert (CHART / "README.md").read_text() == chart_readme()
    assert (CHART / "values.schema.json").read_text() == values_schema()


def test_the_metadata_for_artifact_hub_is_complete() -> None:
    """Each annotation has the form of Artifact Hub, and the example has only fields that the CRD knows."""
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    values = {key.removeprefix("artifacthub.io/"): yaml.safe_load(value) for key, value in annotations.items()}
    definition = yaml.safe_load((MANIFESTS / "crd/utils.projectsveltos.io_snapshots.yaml").read_text())

    (crd,) = values["crds"]
    (example,) = values["crdsExamples"]
    (image,) = values["images"]
    assert (crd["kind"], crd["name"]) == (definition["spec"]["names"]["kind"], definition["metadata"]["name"])
    assert (
        example["spec"].keys()
        <= definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"].keys()
    )
    assert image["image"] == f"gitsnap:{__version__}"
    assert {"license", "category", "changes", "operator"} <= values.keys()
    assert (CHART / "artifacthub-repo.yml").is_file()
