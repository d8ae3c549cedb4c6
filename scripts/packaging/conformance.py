"""Checks the objects of the chart and of the manifests against the schemas of each Kubernetes version.

The chart is also checked by `helm lint` and by its own tests in manifests/chart/tests, which helm-unittest runs.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.packaging.build import Build, BuildError
from scripts.packaging.chart import CHART
from scripts.packaging.manifests import find_kubectl
from scripts.packaging.schemas import KUBERNETES, schema_options
from tests.testbed import binaries

_SINCE = {"stamp": (1, 36)}
"""The oldest Kubernetes of an overlay that needs a newer version than the chart."""


def check_chart(build: Build, archive: Path) -> list[str]:
    """Run `helm lint` and the chart's tests, and check the objects of each example of values."""
    helm = _program(binaries.obtain_helm)
    build.run(helm, "lint", "--strict", archive)
    tests = run_chart_tests()
    examples = sorted((CHART / "examples").iterdir())

    def render(version: str) -> Mapping[str, str]:
        options = ("--include-crds", "--kube-version", version, "--values")
        return {
            path.stem: build.run(helm, "template", "gitsnap", archive, *options, path)
            for path in examples
            if fits(path.stem, version)
        }

    checked = _check_versions(build, render)
    return [f"{archive.name}: helm lint, {tests}", f"{archive.name}: {checked}"]


def check_manifests(build: Build, archive: Path) -> list[str]:
    """Check the objects that kustomize writes for the base and for each overlay in the archive."""
    build.run("tar", "--extract", "--gzip", "--file", archive, "--directory", build.work)
    folders = sorted(path.parent for path in build.work.glob("manifests/**/kustomization.yaml"))
    texts = {folder.name: build.run(find_kubectl(), "kustomize", folder) for folder in folders}
    return [f"{archive.name}: {_check_versions(build, lambda version: _fitting(texts, version))}"]


def check_install(build: Build, file: Path) -> list[str]:
    """Check the objects of install.yaml."""
    return [f"{file.name}: {_check_versions(build, lambda _: {'install': file.read_text()})}"]


def run_chart_tests() -> str:
    """Run the tests in the chart, and return how many passed, as a text. Raises BuildError if a test fails."""
    command = [str(_program(binaries.obtain_helm_unittest)), "--strict", str(CHART)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise BuildError(f"helm-unittest failed:\n{done.stdout}{done.stderr}")
    passed = next(line for line in done.stdout.splitlines() if line.startswith("Tests:"))
    return f"{passed.split()[1]} tests of the chart"


def check_objects(texts: Mapping[str, str], version: str, folder: Path) -> int:
    """Check objects with kubeconform for a version of Kubernetes, such as ``1.30.14``.

    Args:
        texts: YAML texts by name.
        version: A key of ``schemas.KUBERNETES``.
        folder: A folder for the files that kubeconform reads.

    Returns the number of objects. Raises BuildError with the problems, and if a schema is missing.
    """
    files = []
    for name, text in texts.items():
        files.append(folder / f"{name}-{version}.yaml")
        files[-1].write_text(text)
    command = [str(_program(binaries.obtain_kubeconform)), *schema_options(version), "-summary", "-output", "json"]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    if not done.stdout:
        raise BuildError(f"kubeconform failed: {done.stderr}")
    answer = json.loads(done.stdout)
    if done.returncode:
        problems = [f"{item['kind']} {item['name']}: {item['msg']}" for item in answer["resources"]]
        raise BuildError("\n".join([f"kubeconform finds for Kubernetes {version}:", *problems]))
    return int(answer["summary"]["valid"])


def _check_versions(build: Build, render: Callable[[str], Mapping[str, str]]) -> str:
    """Check objects for each version of Kubernetes. ``render``: returns YAML texts by name, for a version."""
    counts = [check_objects(render(version), version, build.work) for version in KUBERNETES]
    first, *_, last = (version.rpartition(".")[0] for version in KUBERNETES)
    return f"{max(counts)} objects checked by kubeconform for Kubernetes {first} to {last}"


def _fitting(texts: Mapping[str, str], version: str) -> dict[str, str]:
    """Return the texts of the overlays that a version of Kubernetes can have."""
    return {name: text for name, text in texts.items() if fits(name, version)}


def fits(overlay: str, version: str) -> bool:
    """Return whether a version of Kubernetes, such as ``1.30.14``, has the kinds of an overlay."""
    return _SINCE.get(overlay, (1, 0)) <= tuple(int(number) for number in version.split(".")[:2])


def _program(obtain: Callable[[], Path]) -> Path:
    """Return a program that the tests build. Raises BuildError if it cannot be built."""
    try:
        return obtain()
    except binaries.MissingError as error:
        raise BuildError(str(error)) from error
