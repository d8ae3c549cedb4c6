"""The manifests as one archive for kustomize, and as one file for `kubectl apply -f`."""

from __future__ import annotations

from pathlib import Path

from scripts.packaging.build import ROOT, Build, BuildError, compress, read_folder, write_tar
from tests.testbed import binaries


def build_manifests(build: Build) -> list[Path]:
    """Write ``gitsnap-VERSION-manifests.tar.gz`` and ``gitsnap-VERSION-install.yaml``.

    The file is what kustomize makes of ``manifests/base``, with the image ``gitsnap:VERSION``. Raises BuildError.
    """
    archive = build.file(f"gitsnap-{build.version}-manifests.tar")
    write_tar(archive, read_folder(ROOT / "manifests", prefix="manifests/"), build.epoch)
    install = build.file(f"gitsnap-{build.version}-install.yaml")
    install.write_text(install_yaml(build))
    return [compress(archive, build), install]


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
