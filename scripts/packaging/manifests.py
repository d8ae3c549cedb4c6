"""The manifests as one archive for kustomize, as a Helm chart, and as one file for `kubectl apply -f`."""

from __future__ import annotations

from pathlib import Path

from scripts.packaging.build import ROOT, Build, BuildError, Entry, compress, read_folder, write_tar
from tests.testbed import binaries

_SOURCES = ("README.md.gotmpl", "artifacthub-repo.yml")
"""Files beside the chart that are no part of it."""


def build_manifests(build: Build) -> list[Path]:
    """Write ``gitsnap-VERSION-manifests.tar.gz`` and ``gitsnap-VERSION-install.yaml``.

    The file is what kustomize makes of ``manifests/base``, with the image ``gitsnap:VERSION``. Raises BuildError.
    """
    archive = build.file(f"gitsnap-{build.version}-manifests.tar")
    write_tar(archive, _kustomize_files(), build.epoch)
    install = build.file(f"gitsnap-{build.version}-install.yaml")
    install.write_text(install_yaml(build))
    return [compress(archive, build), install]


def _kustomize_files() -> list[Entry]:
    """Return the files of manifests/ without the chart."""
    entries = read_folder(ROOT / "manifests", prefix="manifests/")
    return [entry for entry in entries if not entry.name.startswith("manifests/chart")]


def build_chart(build: Build) -> list[Path]:
    """Write ``gitsnap-chart-VERSION.tgz``, the Helm chart. Links to the manifests become files of the chart."""
    chart = ROOT / "manifests/chart"
    files = [path for path in sorted(chart.rglob("*")) if path.is_file() and path.name not in _SOURCES]
    files = [path for path in files if not {"examples", "tests"} & set(path.relative_to(chart).parts)]
    entries = [Entry(f"gitsnap/{path.relative_to(chart)}", path.read_bytes()) for path in files]
    archive = build.file(f"gitsnap-chart-{build.version}.tar")
    write_tar(archive, entries, build.epoch)
    return [compress(archive, build).rename(archive.with_suffix(".tgz"))]


def install_yaml(build: Build) -> str:
    """Return the objects of ``manifests/base`` as one YAML text. Raises BuildError without kubectl."""
    folder = build.work / "install"
    folder.mkdir(exist_ok=True)
    base = Path("..", *([".."] * (len(folder.resolve().parts) - 2)), *(ROOT / "manifests/base").parts[1:])
    (folder / "kustomization.yaml").write_text(
        f"resources: [{base}]\nimages:\n  - {{name: gitsnap, newName: gitsnap, newTag: {build.version}}}\n"
    )
    return build.run(find_kubectl(), "kustomize", "--load-restrictor=LoadRestrictionsNone", folder)


def find_kubectl() -> Path:
    """Return the kubectl that the tests build."""
    try:
        return binaries.obtain() / "kubectl"
    except binaries.MissingError as error:
        raise BuildError(f"install.yaml needs kubectl: {error}") from error
