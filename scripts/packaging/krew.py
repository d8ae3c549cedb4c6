"""The manifest of the kubectl plugin for krew (https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from scripts.packaging.build import Build, BuildError

_SHORT = "Git history of a Sveltos management cluster"
"""At most 50 characters: krew's rule."""
_DESCRIPTION = """\
gitsnap records the configuration of a Sveltos management cluster in git: normalized YAML, one tag for each sample.
It shows what changed between two samples, by managed cluster and resource, and restores selected objects.
"""
_CAVEATS = """\
The plugin needs git. `kubectl gitsnap capture` needs the right to list the kinds that it captures.
"""


def write_krew_manifest(build: Build, archive: Path, base_url: str) -> Path:
    """Write ``gitsnap-VERSION-krew.yaml`` for an archive with the folder ``gitsnap/``, and return its path.

    ``base_url``: the address below which people download the files of this release. Raises BuildError without it.
    """
    if not base_url.startswith("https://"):
        raise BuildError("the krew manifest names the address of the archive: --base-url https://… is missing")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    path = build.file(f"gitsnap-{build.version}-krew.yaml")
    path.write_text(
        f"""\
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: gitsnap
spec:
  version: v{build.version}
  shortDescription: {_SHORT}
  description: |
{_indented(_DESCRIPTION)}
  caveats: |
{_indented(_CAVEATS)}
  platforms:
    - selector:
        matchLabels: {{os: linux, arch: {build.architecture}}}
      uri: {base_url.rstrip("/")}/{archive.name}
      sha256: {digest}
      files:
        - {{from: gitsnap/*, to: .}}
      bin: gitsnap
"""
    )
    return path


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
