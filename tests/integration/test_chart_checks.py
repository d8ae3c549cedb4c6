"""Checks by other programs: helm-unittest, kubeconform, and a program with Grafana's types of dashboards."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.packaging.build import BuildError
from scripts.packaging.conformance import check_objects, fits, run_chart_tests
from scripts.packaging.schemas import KUBERNETES, schema_options
from tests.support.charts import CHART, run_helm
from tests.support.controllers import MANIFESTS, kubectl
from tests.testbed import binaries
from tests.testbed.apiserver import ApiServer

_VERSIONS = sorted(KUBERNETES)
_OLDEST, _NEWEST = _VERSIONS[0], _VERSIONS[-1]
"""`scripts/release --check` checks the versions between them too."""


def _obtain(program: Callable[[], object]) -> None:
    """Build a program or download the schemas. Skips if that is impossible, fails with CI=true."""
    try:
        program()
    except (binaries.MissingError, BuildError) as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))


def test_the_tests_in_the_chart_pass() -> None:
    """helm-unittest renders the chart for each test of manifests/chart/tests. It has run all of them."""
    _obtain(binaries.obtain_helm_unittest)
    written = [test for file in CHART.glob("tests/*_test.yaml") for test in yaml.safe_load(file.read_text())["tests"]]

    assert run_chart_tests() == f"{len(written)} tests of the chart"
    assert len(written) >= 60


@pytest.fixture(params=[_OLDEST, _NEWEST])
def version(request: pytest.FixtureRequest) -> str:
    """A version of Kubernetes whose schemas could be downloaded."""
    chosen: str = request.param
    _obtain(binaries.obtain_kubeconform)
    _obtain(lambda: schema_options(chosen))
    return chosen


def test_kubeconform_accepts_every_object(helm: Path, api: ApiServer, tmp_path: Path, version: str) -> None:
    """What the chart renders for each example, and what kustomize makes of each overlay, fits the schemas."""
    options = ["--include-crds", "--kube-version", version, "--values"]
    texts = {
        f"chart-{path.stem}": run_helm(helm, "template", "gitsnap", CHART, *options, path).stdout
        for path in (CHART / "examples").iterdir()
        if fits(path.stem, version)
    }
    for folder in (MANIFESTS / "base", *(MANIFESTS / "overlays").iterdir()):
        if fits(folder.name, version):
            texts[folder.name] = kubectl("kustomize", str(folder), kubeconfig=api.kubeconfig())

    count = check_objects(texts, version, tmp_path)

    assert count == sum(len(re.findall(r"^kind:", text, re.MULTILINE)) for text in texts.values())


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("StatefulSet", "spec.template.spec.containers.0.imagePullPolice", "Always"),
        ("StatefulSet", "spec.replicas", "1"),
        ("NetworkPolicy", "spec.egresses", []),
        ("PodMonitor", "spec.podMetricsEndpoints.0.prot", "http"),
        ("PrometheusRule", "spec.groups.0.rules.0.expression", "up"),
        ("Snapshot", "spec.shedule", "@hourly"),
        ("Snapshot", "spec.secrets", {"mode": "hidden"}),
        ("CustomResourceDefinition", "spec.names.shortName", ["snap"]),
        ("StatefulSet", "apiVersion", "apps/v2"),
    ],
)
def test_kubeconform_refuses_wrong_fields(
    helm: Path, tmp_path: Path, version: str, kind: str, path: str, value: Any
) -> None:
    """An unknown field, a wrong type and an unknown API version are errors that name the object."""
    snapshot = "snapshots.hourly.schedule=@hourly,snapshots.hourly.storage=/collection"
    options = ["--include-crds", "--kube-version", version, "--set", f"alerts.enabled=true,{snapshot}"]
    rendered = run_helm(helm, "template", "gitsnap", CHART, *options).stdout
    (document,) = [item for item in yaml.safe_load_all(rendered) if item and item["kind"] == kind]
    check_objects({"right": yaml.safe_dump(document)}, version, tmp_path)
    *steps, last = path.split(".")
    place: Any = document
    for step in steps:
        place = place[int(step)] if step.isdecimal() else place[step]
    place[last] = value

    with pytest.raises(BuildError, match=f"{kind} {document['metadata']['name']}"):
        check_objects({"wrong": yaml.safe_dump(document)}, version, tmp_path)


def test_grafana_knows_every_field_of_the_dashboard() -> None:
    """The dashboard has the form that Grafana publishes, panels and queries included. A misspelt field is noticed."""
    _obtain(binaries.obtain_dashboard_check)
    text = (MANIFESTS / "overlays/dashboard/gitsnap.json").read_text()
    wrong = json.loads(text)
    panel = next(panel for panel in wrong["panels"] if panel.get("targets"))
    panel["targets"][0]["expression"] = panel["targets"][0].pop("expr")

    assert _check_dashboard(text) == (0, "")
    code, problem = _check_dashboard(json.dumps(wrong))
    assert code == 1
    assert "expression" in problem


def _check_dashboard(text: str) -> tuple[int, str]:
    command = [binaries.obtain_dashboard_check()]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout
