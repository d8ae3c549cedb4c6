"""The Helm chart: its objects are those of kustomize, and its releases work on a real server.

The tests in manifests/chart/tests are about single values: the fields that they set, and the values that are refused.
"""

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
