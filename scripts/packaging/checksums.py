"""Checksums of the files of a release, and a signature over them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.packaging.build import Build, BuildError, need

NAMESPACE = "gitsnap-release"
"""The namespace of the signature, as `ssh-keygen -Y verify -n` takes it."""
_SSH = ".sig"
_COSIGN = ".sigstore.json"
_SIGSTORE = "application/vnd.dev.sigstore"
_NO_SERVICES = {
    "signing-config": {
        "mediaType": f"{_SIGSTORE}.signingconfig.v0.2+json", "rekorTlogConfig": {}, "tsaConfig": {},
    },
    "trusted-root": {"mediaType": f"{_SIGSTORE}.trustedroot+json;version=0.1"},
}  # fmt: skip
"""Options of cosign, each with the content of its file: no transparency log and no time-stamp server."""


def release_files(build: Build) -> list[Path]:
    """Return the files of this version in the output folder, those of earlier runs too: parts can be built alone."""
    return sorted(build.output.glob(f"gitsnap-*{build.version}*"))


def write_checksums(build: Build, files: Sequence[Path], key: str) -> list[Path]:
    """Write ``SHA256SUMS``, and a signature over it if there is a key. Returns the paths. Raises BuildError.

    An SSH key makes ``SHA256SUMS.sig``, a key of cosign ``SHA256SUMS.sigstore.json``. Older signatures are removed.
    """
    sums = build.file("SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(files)]
    sums.write_text("".join(lines))
    for ending in (_SSH, _COSIGN):
        sums.with_name(sums.name + ending).unlink(missing_ok=True)
    if not key:
        return [sums]
    if Path(key).is_file() and "SIGSTORE PRIVATE KEY" in Path(key).read_text(errors="replace"):
        return [sums, _sign_by_cosign(build, sums, key)]
    need({"ssh-keygen": "openssh-client"})
    build.run("ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", NAMESPACE, sums)
    return [sums, sums.with_name(sums.name + _SSH)]


def _sign_by_cosign(build: Build, sums: Path, key: str) -> Path:
    """Sign with a key of cosign, and return the bundle. No server of Sigstore is contacted. Raises BuildError."""
    if shutil.which("cosign") is None:
        raise BuildError(f"not installed: cosign 3, which signs with {key}")
    if "COSIGN_PASSWORD" not in os.environ:
        raise BuildError(f"COSIGN_PASSWORD is not set: the password of {key}, empty if it has none")
    bundle = sums.with_name(sums.name + _COSIGN)
    with tempfile.TemporaryDirectory(prefix="gitsnap-release-") as folder:
        options: list[str | Path] = []
        for name, content in _NO_SERVICES.items():
            file = Path(folder) / name
            file.write_text(json.dumps(content))
            options += [f"--{name}", file]
        build.run("cosign", "sign-blob", "--yes", "--key", key, *options, "--bundle", bundle, sums)
    return bundle
