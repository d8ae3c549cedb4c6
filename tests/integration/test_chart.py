"""The Helm chart: its objects are those of kustomize, its values are checked, its releases work on a real server."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitsnap import __version__
from scripts.packaging.build import Build
from scripts.packaging.manifests import build_chart
from tests.support.controllers import MANIFESTS, SNAPSHOTS, Installation, kubectl, wait_for
from tests.testbed import binaries
from tests.testbed.apiserver import ApiServer

CHART = MANIFESTS / "chart"
_LABELS = ("app.kubernetes.io/part-of", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart")
"""Labels that the chart sets, or that kustomize sets in the base only."""
_CONTAINER = "spec.template.spec.containers.0"
_IMAGE = f"{_CONTAINER}.image"
_DIGEST = f"sha256:{'0' * 64}"
_KUBERNETES = "--kube-version=1.30.0"
"""The oldest Kubernetes of the chart."""


@pytest.fixture(scope="module")
def helm() -> Path:
    """Helm, built from its Go modules. Skips if helm cannot be built, fails with CI=true."""
    try:
        return binaries.obtain_helm()
    except binaries.MissingError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))


def _run(helm: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([helm, *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def _render(helm: Path, *options: str | Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the objects of the chart by kind and name."""
    done = _run(helm, "template", "gitsnap", CHART, "--namespace", "gitsnap", _KUBERNETES, *options)
    assert done.returncode == 0, done.stderr
    return _by_name(done.stdout)


def _by_name(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    objects = [document for document in yaml.safe_load_all(text) if document]
    named = {(document["kind"], document["metadata"]["name"]): document for document in objects}
    assert len(named) == len(objects)
    return named


@pytest.mark.parametrize("overlay", ["base", "rollback", "without-secrets", "alerts", "audit"])
def test_the_chart_renders_the_objects_of_kustomize(helm: Path, api: ApiServer, overlay: str) -> None:
    """The example values of each overlay give its objects: the same rights, policies and pod, except labels."""
    rendered = _render(helm, "--include-crds", "--values", CHART / "examples" / f"{overlay}.yaml")
    folders = (
        ["base", "overlays/alerts"]
        if overlay == "alerts"
        else [overlay if overlay == "base" else f"overlays/{overlay}"]
    )
    expected: dict[tuple[str, str], dict[str, Any]] = {}
    for folder in folders:
        expected |= _by_name(kubectl("kustomize", str(MANIFESTS / folder), kubeconfig=api.kubeconfig()))
    del expected["Namespace", "gitsnap"]  # `helm install --create-namespace`
    del rendered["StatefulSet", "gitsnap"]["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"]

    assert rendered.keys() == expected.keys()
    for name, document in expected.items():
        assert _plain(rendered[name]) == _plain(document), name


def _plain(value: Any) -> Any:
    """Return a value without the labels of the chart, and with single spaces: two parsers fold a text differently."""
    if isinstance(value, dict):
        plain = {key: _plain(item) for key, item in value.items() if key not in _LABELS}
        return {key: item for key, item in plain.items() if (key, item) != ("labels", {})}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return " ".join(value.split()) if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ("colour=red", "colour"),
        ("image.name=x", "name"),
        ("image.repository=", "repository"),
        ("image.digest=sha256:12", "digest"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("storage.size=many", "size"),
        ("storage.sizes=1Gi", "sizes"),
        ("extraArgs={allow}", "extraArgs"),
        ("rbac.secrets=perhaps", "secrets"),
        ("rbac.rollbacks=true", "rollbacks"),
        ("rbac.extraKinds[0].group=a", "extraKinds"),
        ("rbac.extraKinds[0].apiGroup=a", "resources"),
        ("networkPolicy.extraPorts={70000}", "extraPorts"),
        ("networkPolicy.ports={1}", "ports"),
        ("admissionPolicies.enable=true", "enable"),
        ("audit.enable=true", "enable"),
        ("audit.enabled=perhaps", "enabled"),
        ("alerts.rules=x", "rules"),
        ("snapshots.Hourly.schedule=@hourly", "snapshots"),
        ("snapshots.hourly.storage=/collection", "schedule"),
        ("resources.limit.memory=1Gi", "limit"),
        ("nodeSelector.disk=1", "nodeSelector"),
        ("podLabels=x", "podLabels"),
    ],
)
def test_wrong_values_are_refused(helm: Path, option: str, field: str) -> None:
    """A key that the chart does not know, and a value of another form, are errors that name the field."""
    done = _run(helm, "template", "gitsnap", CHART, _KUBERNETES, "--set", option)

    assert done.returncode != 0
    assert field in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("options", "kind", "path", "expected"),
    [
        (["image.tag=1.2"], "StatefulSet", _IMAGE, "gitsnap:1.2"),
        ([f"image.digest={_DIGEST}"], "StatefulSet", _IMAGE, f"gitsnap@{_DIGEST}"),
        (["image.repository=r/g"], "StatefulSet", _IMAGE, f"r/g:{__version__}"),
        (["imagePullSecrets[0].name=pull"], "StatefulSet", "spec.template.spec.imagePullSecrets", [{"name": "pull"}]),
        (["extraArgs={--verbose}"], "StatefulSet", f"{_CONTAINER}.args.3", "--verbose"),
        (["extraEnv[0].name=A,extraEnv[0].value=b"], "StatefulSet", f"{_CONTAINER}.env.3", {"name": "A", "value": "b"}),
        (["storage.size=9Gi"], "StatefulSet", "spec.volumeClaimTemplates.0.spec.resources.requests.storage", "9Gi"),
        (["storage.storageClass=fast"], "StatefulSet", "spec.volumeClaimTemplates.0.spec.storageClassName", "fast"),
        (["resources.limits.memory=2Gi"], "StatefulSet", f"{_CONTAINER}.resources.limits.memory", "2Gi"),
        (["nodeSelector.disk=ssd"], "StatefulSet", "spec.template.spec.nodeSelector", {"disk": "ssd"}),
        (["priorityClassName=high"], "StatefulSet", "spec.template.spec.priorityClassName", "high"),
        (["podAnnotations.a=b"], "StatefulSet", "spec.template.metadata.annotations", {"a": "b"}),
        (["podLabels.team=a"], "StatefulSet", "spec.template.metadata.labels.team", "a"),
        (["networkPolicy.extraPorts={8443}"], "NetworkPolicy", "spec.egress.1.ports.3", {"port": 8443}),
        (["alerts.enabled=true,alerts.labels.release=a"], "PrometheusRule", "metadata.labels.release", "a"),
    ],
)  # fmt: skip
def test_values_reach_their_fields(helm: Path, options: list[str], kind: str, path: str, expected: Any) -> None:
    """A value changes the field that it is about."""
    value: Any = _render(helm, *(word for option in options for word in ("--set", option)))[kind, "gitsnap"]
    for step in path.split("."):
        value = value[int(step)] if step.isdecimal() else value[step]
    assert value == expected


def test_labels_of_the_pod_do_not_replace_its_selector(helm: Path) -> None:
    """A label of the values cannot take the pod away from the StatefulSet, the Service and the NetworkPolicy."""
    workload = _render(helm, "--set", "podLabels.app\\.kubernetes\\.io/name=other")["StatefulSet", "gitsnap"]

    assert workload["spec"]["template"]["metadata"]["labels"] == workload["spec"]["selector"]["matchLabels"]


def test_additional_kinds_get_the_right_to_be_read(helm: Path) -> None:
    """`rbac.extraKinds` grants list and watch, and nothing else."""
    options = ["--set", "rbac.extraKinds[0].apiGroup=example.com,rbac.extraKinds[0].resources={widgets}"]
    role = _render(helm, *options)["ClusterRole", "gitsnap-extra-kinds"]

    assert role["rules"] == [{"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["list", "watch"]}]


def test_another_namespace_is_in_all_objects(helm: Path) -> None:
    """A release in another namespace has no object and no subject in the namespace gitsnap."""
    done = _run(helm, "template", "gitsnap", CHART, "--namespace", "record", _KUBERNETES, "--set", "rbac.rollback=true")

    assert "namespace: gitsnap" not in done.stdout
    assert done.stdout.count("namespace: record") > 10


def test_the_chart_has_the_version_of_gitsnap() -> None:
    """The version has one place; a test keeps the chart with it."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_the_chart_passes_lint(helm: Path) -> None:
    """`helm lint --strict` finds nothing."""
    done = _run(helm, "lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout


def test_the_archive_of_the_chart_is_the_chart(helm: Path, tmp_path: Path) -> None:
    """`scripts/release chart` writes an archive that renders the same, without links."""
    (archive,) = build_chart(Build(__version__, 1_700_000_000, tmp_path, tmp_path))
    whole = _run(helm, "template", "gitsnap", archive, "--namespace", "gitsnap", _KUBERNETES, "--include-crds")

    assert whole.returncode == 0, whole.stderr
    assert "symbolic link" not in whole.stderr
    assert _by_name(whole.stdout) == _render(helm, "--include-crds")


@pytest.fixture
def installation(api: ApiServer, tmp_path: Path) -> Iterator[Installation]:
    """An API server without gitsnap, and one ClusterProfile to capture."""
    made = Installation(api, tmp_path)
    made.profile("guestbook", tier=100)
    yield made
    made.remove()


def test_install_upgrade_rollback_and_uninstall(helm: Path, installation: Installation, tmp_path: Path) -> None:
    """A Snapshot in the values works with the first install; the controller has only the rights of the chart."""
    kubeconfig = installation.api.kubeconfig()
    values = tmp_path / "values.yaml"

    def release(*words: str | Path) -> None:
        done = _run(helm, *words, "--namespace", "gitsnap", "--kubeconfig", kubeconfig)
        assert done.returncode == 0, done.stderr

    def write(schedule: str) -> None:
        snapshot = {"schedule": schedule, "storage": str(installation.storage)}
        values.write_text(yaml.safe_dump({"snapshots": {"often": snapshot}}))

    leftovers = _run(helm, "template", "gitsnap", CHART, "--namespace", "gitsnap", _KUBERNETES).stdout  # of other tests
    kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", kubeconfig=kubeconfig, stdin=leftovers)
    write("@every 1s")
    release("install", "gitsnap", CHART, "--create-namespace", "--values", values)
    installation.start()
    wait_for(lambda: installation.status("often").get("sampleCount", 0) >= 1, "a sample", seconds=60)
    write("@every 2s")
    release("upgrade", "gitsnap", CHART, "--values", values)
    assert installation.api.ask("GET", f"{SNAPSHOTS}/often")["spec"]["schedule"] == "@every 2s"
    release("rollback", "gitsnap", "1")
    assert installation.api.ask("GET", f"{SNAPSHOTS}/often")["spec"]["schedule"] == "@every 1s"
    release("uninstall", "gitsnap")

    assert installation.api.request("GET", f"{SNAPSHOTS}/often")[0] == 404
    assert installation.api.request("GET", SNAPSHOTS)[0] == 200  # helm leaves the CRD: other Snapshots stay
    assert installation.samples("often")
