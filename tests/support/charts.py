"""Runs helm on the chart of gitsnap. This module must not be imported by the package."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.controllers import MANIFESTS
from tests.testbed import binaries

CHART = MANIFESTS / "chart"
KUBERNETES = "--kube-version=1.30.0"
"""The oldest Kubernetes of the chart."""


def find_helm() -> Path:
    """Return helm, built from its Go modules. Skips if helm cannot be built, fails with CI=true."""
    try:
        return binaries.obtain_helm()
    except binaries.MissingError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))


def run_helm(helm: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run helm, without its remarks about the symbolic links of the chart."""
    done = subprocess.run([helm, *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    done.stderr = "".join(line for line in done.stderr.splitlines(keepends=True) if not line.startswith("walk.go:"))
    return done


def render(helm: Path, *options: str | Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the objects of the chart by kind and name."""
    done = run_helm(helm, "template", "gitsnap", CHART, "--namespace", "gitsnap", KUBERNETES, *options)
    assert done.returncode == 0, done.stderr
    return by_name(done.stdout)


def by_name(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the objects of a YAML text by kind and name."""
    objects = [document for document in yaml.safe_load_all(text) if document]
    named = {(document["kind"], document["metadata"]["name"]): document for document in objects}
    assert len(named) == len(objects)
    return named
