"""Checksums of the files of a release, and a signature over them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from scripts.packaging.build import Build, need

NAMESPACE = "gitsnap-release"
"""The namespace of the signature, as `ssh-keygen -Y verify -n` takes it."""


def release_files(build: Build) -> list[Path]:
    """Return the files of this version in the output folder, those of earlier runs too: parts can be built alone."""
    return sorted(build.output.glob(f"gitsnap-*{build.version}*"))


def write_checksums(build: Build, files: Sequence[Path], key: str) -> list[Path]:
    """Write ``SHA256SUMS``, and with an SSH key ``SHA256SUMS.sig``. Returns the paths. Raises BuildError."""
    sums = build.file("SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(files)]
    sums.write_text("".join(lines))
    if not key:
        return [sums]
    need({"ssh-keygen": "openssh-client"})
    signature = sums.with_name("SHA256SUMS.sig")
    signature.unlink(missing_ok=True)
    build.run("ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", NAMESPACE, sums)
    return [sums, signature]
