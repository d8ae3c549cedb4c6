"""The generated files of the Helm chart: its README, and the part of its schema that is about Snapshots.

    python -m scripts.packaging.chart    writes both files

The README comes from README.md.gotmpl and the comments of values.yaml, by helm-docs. The schema of a Snapshot's spec
comes from the CRD.
"""

from __future__ import annotations

import json
import subprocess
import sys

from ruamel.yaml import YAML

from scripts.packaging.build import ROOT, BuildError
from scripts.packaging.schemas import CRD, strict_schema
from tests.testbed import binaries

CHART = ROOT / "manifests/chart"


def chart_readme() -> str:
    """Return the README of the chart. Raises BuildError without helm-docs."""
    try:
        program = binaries.obtain_helm_docs()
    except binaries.MissingError as error:
        raise BuildError(f"the README of the chart needs helm-docs: {error}") from error
    command = [
        str(program),
        "--dry-run",
        "--sort-values-order",
        "file",
        "--skip-version-footer",
        "--log-level",
        "error",
    ]
    done = subprocess.run(command, cwd=CHART, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"helm-docs failed: {done.stderr}")
    return f"{done.stdout.strip()}\n"


def values_schema() -> str:
    """Return values.schema.json with the schema of a Snapshot's spec from the CRD."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    definition = YAML(typ="safe").load(CRD)
    version = definition["spec"]["versions"][0]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    snapshots = schema["properties"]["snapshots"]
    snapshots["patternProperties"] = dict.fromkeys(snapshots["patternProperties"], strict_schema(spec))
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    (CHART / "README.md").write_text(chart_readme())
    (CHART / "values.schema.json").write_text(values_schema())
    sys.exit(0)
