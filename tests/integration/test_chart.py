"""The Helm chart: its objects are those of kustomize, its values are checked, its releases work on a real server."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitsnap import __version__
from scripts.packaging.build import Build
from scripts.packaging.manifests import build_chart
from tests.support.charts import CHART, KUBERNETES, by_name, render, run_helm
from tests.support.controllers import MANIFESTS, SNAPSHOTS, Installation, kubectl, wait_for
from tests.testbed.apiserver import ApiServer

_LABELS = ("app.kubernetes.io/part-of", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart")
"""Labels that the chart sets, or that kustomize sets in the base only."""
_CONTAINER = "spec.template.spec.containers.0"
_IMAGE = f"{_CONTAINER}.image"
_DIGEST = f"sha256:{'0' * 64}"

_EXAMPLES = sorted(path.stem for path in (CHART / "examples").iterdir())
_ADDED = {"alerts", "dashboard", "stamp"}
"""The overlays that are applied in addition to another one."""


def test_each_overlay_has_an_example() -> None:
    """The examples are the base and all overlays of manifests/."""
    overlays = {path.parent.name for path in MANIFESTS.glob("overlays/*/kustomization.yaml")}
    assert set(_EXAMPLES) == overlays | {"base"}


@pytest.mark.parametrize("overlay", _EXAMPLES)
def test_the_chart_renders_the_objects_of_kustomize(helm: Path, api: ApiServer, overlay: str) -> None:
    """The example values of each overlay give its objects: the same rights, policies and pod, except labels."""
    rendered = render(helm, "--include-crds", "--values", CHART / "examples" / f"{overlay}.yaml")
    folder = MANIFESTS / ("base" if overlay == "base" else f"overlays/{overlay}")
    expected: dict[tuple[str, str], dict[str, Any]] = {}
    for source in (MANIFESTS / "base", folder) if overlay in _ADDED else (folder,):
        expected |= by_name(kubectl("kustomize", str(source), kubeconfig=api.kubeconfig()))
    if (folder / "snapshot.yaml").is_file():
        expected |= by_name((folder / "snapshot.yaml").read_text())
    del expected["Namespace", "gitsnap"]  # `helm install --create-namespace`
    del rendered["StatefulSet", "gitsnap"]["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"]

    assert rendered.keys() == expected.keys()
    for name, document in expected.items():
        assert _plain(rendered[name]) == _plain(document), name


@pytest.mark.parametrize("example", _EXAMPLES)
def test_the_server_accepts_every_object(helm: Path, installed: Installation, example: str) -> None:
    """The API server knows every field of every object. It lacks the kinds of the Prometheus Operator."""
    values = CHART / "examples" / f"{example}.yaml"
    done = run_helm(helm, "template", "gitsnap", CHART, "--namespace", "gitsnap", KUBERNETES, "--values", values)
    documents = [document for document in yaml.safe_load_all(done.stdout) if document]
    served = [document for document in documents if not document["apiVersion"].startswith("monitoring.coreos.com/")]

    accepted = kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-",
        kubeconfig=installed.api.kubeconfig(), stdin=yaml.safe_dump_all(served),
    )  # fmt: skip

    assert len(accepted.splitlines()) == len(served)


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
        ("web.enabled=perhaps", "enabled"),
        ("web.allowedHosts={http://a}", "allowedHosts"),
        ("web.userHeader=X User", "userHeader"),
        ("alerts.rules=x", "rules"),
        ("snapshots.Hourly.schedule=@hourly", "snapshots"),
        ("snapshots.hourly.storage=/collection", "schedule"),
        ("snapshots.hourly.schedule=@hourly", "storage"),
        ("snapshots.hourly.shedule=@hourly", "shedule"),
        ("snapshots.hourly.follow.quiet=1", "quiet"),
        ("snapshots.hourly.follow.quietSeconds=-1", "quietSeconds"),
        ("snapshots.hourly.secrets.mode=hidden", "mode"),
        ("snapshots.hourly.resources[0].kind=deployment", "kind"),
        ("snapshots.hourly.resources[0].group=apps", "kind"),
        ("snapshots.hourly.retention.keepDaily=few", "keepDaily"),
        ("rbac.kindsOfSnapshots=some", "kindsOfSnapshots"),
        ("alerts.monitor=Probe", "monitor"),
        ("alerts.rules.GitsnapLate.for=1h", "rules"),
        ("alerts.rules.GitsnapAbsent.for=soon", "for"),
        ("alerts.rules.GitsnapAbsent.severity=critical", "severity"),
        ("dashboard.labels=x", "labels"),
        ("dashboard.title=x", "title"),
        ("authorStamp.enabled=perhaps", "enabled"),
        ("resources.limit.memory=1Gi", "limit"),
        ("nodeSelector.disk=1", "nodeSelector"),
        ("podLabels=x", "podLabels"),
    ],
)
def test_wrong_values_are_refused(helm: Path, option: str, field: str) -> None:
    """A key that the chart does not know, and a value of another form, are errors that name the field."""
    done = run_helm(helm, "template", "gitsnap", CHART, KUBERNETES, "--set", option)

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
        (["web.enabled=true,web.allowedHosts={a.b}"], "StatefulSet", f"{_CONTAINER}.args.5", "--web-allowed-host=a.b"),
        (["web.enabled=true,web.userHeader=X-User"], "StatefulSet", f"{_CONTAINER}.args.5", "--web-user-header=X-User"),
        (["storage.size=9Gi"], "StatefulSet", "spec.volumeClaimTemplates.0.spec.resources.requests.storage", "9Gi"),
        (["storage.storageClass=fast"], "StatefulSet", "spec.volumeClaimTemplates.0.spec.storageClassName", "fast"),
        (["resources.limits.memory=2Gi"], "StatefulSet", f"{_CONTAINER}.resources.limits.memory", "2Gi"),
        (["nodeSelector.disk=ssd"], "StatefulSet", "spec.template.spec.nodeSelector", {"disk": "ssd"}),
        (["priorityClassName=high"], "StatefulSet", "spec.template.spec.priorityClassName", "high"),
        (["podAnnotations.a=b"], "StatefulSet", "spec.template.metadata.annotations", {"a": "b"}),
        (["podLabels.team=a"], "StatefulSet", "spec.template.metadata.labels.team", "a"),
        (["networkPolicy.extraPorts={8443}"], "NetworkPolicy", "spec.egress.1.ports.3", {"port": 8443}),
        (["alerts.enabled=true,alerts.labels.release=a"], "PrometheusRule", "metadata.labels.release", "a"),
        (["alerts.enabled=true,alerts.labels.release=a"], "PodMonitor", "metadata.labels.release", "a"),
        (["alerts.enabled=true,alerts.monitor=ServiceMonitor"], "ServiceMonitor", "spec.endpoints.0.port", "http"),
        (
            ["alerts.enabled=true,alerts.monitor=ServiceMonitor,alerts.labels.release=a"],
            "ServiceMonitor", "metadata.labels.release", "a",
        ),
        (["dashboard.enabled=true"], "ConfigMap gitsnap-dashboard", "metadata.labels.grafana_dashboard", "1"),
        (
            ["dashboard.enabled=true,dashboard.annotations.folder=Sveltos"],
            "ConfigMap gitsnap-dashboard", "metadata.annotations.folder", "Sveltos",
        ),
        (
            ["snapshots.often.schedule=@hourly,snapshots.often.storage=/collection,snapshots.often.follow.maxSeconds=5"],
            "Snapshot often", "spec.follow", {"maxSeconds": 5},
        ),
        (["image.pullPolicy=Always"], "StatefulSet", f"{_CONTAINER}.imagePullPolicy", "Always"),
        (["tolerations[0].key=a"], "StatefulSet", "spec.template.spec.tolerations", [{"key": "a"}]),
        (["affinity.podAffinity.a=b"], "StatefulSet", "spec.template.spec.affinity", {"podAffinity": {"a": "b"}}),
    ],
)  # fmt: skip
def test_values_reach_their_fields(helm: Path, options: list[str], kind: str, path: str, expected: Any) -> None:
    """A value changes the field that it is about."""
    kind, _, name = kind.partition(" ")
    value: Any = render(helm, *(word for option in options for word in ("--set", option)))[kind, name or "gitsnap"]
    for step in path.split("."):
        value = value[int(step)] if step.isdecimal() else value[step]
    assert value == expected


def test_labels_of_the_pod_do_not_replace_its_selector(helm: Path) -> None:
    """A label of the values cannot take the pod away from the StatefulSet, the Service and the NetworkPolicy."""
    workload = render(helm, "--set", "podLabels.app\\.kubernetes\\.io/name=other")["StatefulSet", "gitsnap"]

    assert workload["spec"]["template"]["metadata"]["labels"] == workload["spec"]["selector"]["matchLabels"]


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        ("admissionPolicies.enabled=false", "ValidatingAdmissionPolicy"),
        ("flowControl.enabled=false", "FlowSchema"),
        ("networkPolicy.enabled=false", "NetworkPolicy"),
        ("alerts.monitor=none", "PodMonitor"),
        ("alerts.monitor=ServiceMonitor", "PodMonitor"),
        ("alerts.enabled=false", "PrometheusRule"),
        ("dashboard.enabled=false", "ConfigMap"),
        ("authorStamp.enabled=false", "MutatingAdmissionPolicy"),
    ],
)
def test_parts_can_be_left_out(helm: Path, option: str, kind: str) -> None:
    """A value removes all objects of a part."""
    everything = ["--set", "alerts.enabled=true,dashboard.enabled=true,authorStamp.enabled=true"]

    assert kind in {name for name, _ in render(helm, *everything)}
    assert kind not in {name for name, _ in render(helm, *everything, "--set", option)}


def test_another_namespace_is_in_all_objects(helm: Path) -> None:
    """A release in another namespace has no object and no subject in the namespace gitsnap."""
    done = run_helm(
        helm, "template", "gitsnap", CHART, "--namespace", "record", KUBERNETES, "--set", "rbac.rollback=true"
    )

    assert "namespace: gitsnap" not in done.stdout
    assert done.stdout.count("namespace: record") > 10


def test_the_chart_has_the_version_of_gitsnap() -> None:
    """The version has one place; a test keeps the chart with it."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_the_chart_passes_lint(helm: Path) -> None:
    """`helm lint --strict` finds nothing."""
    done = run_helm(helm, "lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout


def test_the_archive_of_the_chart_is_the_chart(helm: Path, tmp_path: Path) -> None:
    """`scripts/release chart` writes an archive that renders the same, without links."""
    (archive,) = build_chart(Build(__version__, 1_700_000_000, tmp_path, tmp_path))
    whole = run_helm(helm, "template", "gitsnap", archive, "--namespace", "gitsnap", KUBERNETES, "--include-crds")

    assert whole.returncode == 0, whole.stderr
    with tarfile.open(archive) as files:
        assert all(file.isreg() for file in files)
    assert by_name(whole.stdout) == render(helm, "--include-crds")


@pytest.fixture
def installation(api: ApiServer, tmp_path: Path) -> Iterator[Installation]:
    """An API server without gitsnap, and one ClusterProfile to capture."""
    made = Installation(api, tmp_path)
    made.profile("guestbook", tier=100)
    yield made
    made.remove()


def _remove_leftovers(helm: Path, kubeconfig: Path) -> None:
    """Delete the objects of other tests that a release would not take over."""
    text = run_helm(helm, "template", "gitsnap", CHART, "--namespace", "gitsnap", KUBERNETES).stdout
    kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", kubeconfig=kubeconfig, stdin=text)


def test_install_upgrade_rollback_and_uninstall(helm: Path, installation: Installation, tmp_path: Path) -> None:
    """A Snapshot in the values works with the first install; the controller has only the rights of the chart."""
    kubeconfig = installation.api.kubeconfig()
    values = tmp_path / "values.yaml"

    def release(*words: str | Path) -> None:
        done = run_helm(helm, *words, "--namespace", "gitsnap", "--kubeconfig", kubeconfig)
        assert done.returncode == 0, done.stderr

    def write(schedule: str) -> None:
        snapshot = {"schedule": schedule, "storage": str(installation.storage)}
        values.write_text(yaml.safe_dump({"snapshots": {"often": snapshot}}))

    _remove_leftovers(helm, kubeconfig)
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


def test_the_crd_is_upgraded_before_the_release(helm: Path, installation: Installation, tmp_path: Path) -> None:
    """The steps of the README: the definition from the archive, then `helm upgrade`. A new field of Snapshots works."""
    kubeconfig = installation.api.kubeconfig()
    definition = yaml.safe_load((MANIFESTS / "crd" / "utils.projectsveltos.io_snapshots.yaml").read_text())
    del definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["follow"]
    apply = ("apply", "--server-side", "--force-conflicts", "-f")
    (archive,) = build_chart(Build(__version__, 1_700_000_000, tmp_path, tmp_path))
    with tarfile.open(archive) as files:
        files.extractall(tmp_path, filter="data")

    def release(*words: str | Path) -> None:
        done = run_helm(helm, *words, "--namespace", "gitsnap", "--kubeconfig", kubeconfig)
        assert done.returncode == 0, done.stderr

    _remove_leftovers(helm, kubeconfig)
    kubectl(*apply, "-", kubeconfig=kubeconfig, stdin=yaml.safe_dump(definition))
    wait_for(lambda: installation.api.request("GET", SNAPSHOTS)[0] == 200, "the kind Snapshot to be served")
    first = "snapshots.often.schedule=@yearly,snapshots.often.storage=/collection"
    release("install", "gitsnap", archive, "--create-namespace", "--set", first)
    kubectl(*apply, str(tmp_path / "gitsnap" / "crds"), kubeconfig=kubeconfig)
    new = "snapshots.often.follow.maxSeconds=5"
    release("upgrade", "gitsnap", archive, "--reset-then-reuse-values", "--set", new)
    spec = installation.api.ask("GET", f"{SNAPSHOTS}/often")["spec"]
    release("uninstall", "gitsnap")

    assert spec == {"schedule": "@yearly", "storage": "/collection", "follow": {"maxSeconds": 5}}
