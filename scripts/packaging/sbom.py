"""The list of third-party software in the image, as CycloneDX: the locked Python packages and the Debian packages."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scripts.packaging.build import ROOT, Build, BuildError, normalized_name

PACKAGE_LIST = "usr/share/gitsnap/debian-packages"


def write_sbom(build: Build, image: Path) -> Path:
    """Write ``gitsnap-VERSION-image-ARCHITECTURE.cdx.json`` for an image, and return its path. Raises BuildError."""
    path = build.file(f"{image.stem}.cdx.json")
    text = build.run(
        sys.executable, "-m", "cyclonedx_py", "requirements", "--output-reproducible", "--short-PURLs",
        "--pyproject", ROOT / "pyproject.toml", ROOT / "requirements/image.txt",
    )  # fmt: skip
    document: dict[str, Any] = json.loads(text)
    installed = python_packages(image)
    document["components"] = [part for part in document["components"] if normalized_name(part["name"]) in installed]
    document["components"] += [_component(*line.split()) for line in debian_packages(image)]
    for component in document["components"]:
        component.pop("externalReferences", None)  # the address of the package index of this machine
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    return path


def _component(name: str, version: str, architecture: str) -> dict[str, Any]:
    purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={architecture}&distro=debian-12"
    return {"type": "library", "bom-ref": f"deb-{name}", "name": name, "version": version, "purl": purl}


def debian_packages(image: Path) -> list[str]:
    """Return ``NAME VERSION ARCHITECTURE`` for each Debian package of an image."""
    for layer in _layers(image):
        if PACKAGE_LIST in layer.getnames() and (file := layer.extractfile(PACKAGE_LIST)):
            return file.read().decode().splitlines()
    raise BuildError(f"{image.name} has no {PACKAGE_LIST}")


def python_packages(image: Path) -> set[str]:
    """Return the normalized names of the Python packages of an image. The lock file also names what is left out."""
    folders = {Path(name).parent.name for layer in _layers(image) for name in layer.getnames()}
    return {normalized_name(name.partition("-")[0]) for name in folders if name.endswith(".dist-info")}


def _layers(image: Path) -> Iterator[tarfile.TarFile]:
    """Yield the layers of an OCI archive."""
    with tarfile.open(image) as archive:
        for member in archive:
            blob = archive.extractfile(member) if member.name.startswith("blobs/") else None
            content = blob.read() if blob else b""
            if content.startswith(b"\x1f\x8b"):
                with tarfile.open(fileobj=io.BytesIO(content)) as layer:
                    yield layer
