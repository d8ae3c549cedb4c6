"""JSON schemas of Kubernetes objects, with which kubeconform checks manifests without a server of each version.

The schemas are those of the API servers: the OpenAPI document in the Go module of each Kubernetes release, and the CRDs
of the Prometheus Operator and of gitsnap. A field that the API server does not know is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from scripts.packaging.build import ROOT, BuildError, need
from tests.testbed import binaries

CRD = ROOT / "manifests/crd/utils.projectsveltos.io_snapshots.yaml"
KUBERNETES = {
    "1.30.14": "h1:MrlKXh9uhLIJpyxOeXhcndzRVSvwiV9iJ8NgH8nqPsg=",
    "1.31.14": "h1:UtjLfqvXLuSVDdJ4+NpQCIfFkKkLnAAVmxAEMsnkhjk=",
    "1.32.13": "h1:5TGYdZ6YZqdp6h/Rp1vX/4TIoybMPdgv97LCZCtPuNQ=",
    "1.33.13": "h1:bmH31xUdSzeA5vk0wZAK9MZp11mdLuzUSeKk0qN3hPQ=",
    "1.34.4": "h1:Yy6R4QB8C9kJPp25GFqEvX5XQwY5qzKeqD0Xx6oAcmk=",
    "1.35.4": "h1:o/8dBC/pHVpYoGV4OAIytAlNPZbdYVTXJHoYvXC4qzM=",
    "1.36.3": "h1:qDQdoMiluAE2Eab6Fa52YV+WjiGz9mZFFoagEA6cI+o=",
    "1.37.2": "h1:A2VDEiObzkYqFTKhSsn0ZEb0RlLEXpHWj93gi2HqEwE=",
}
"""The newest patch release of each minor version that the chart supports, with the checksum of its Go module."""
_KUBERNETES_MODULE = "k8s.io/kubernetes"
_OPERATOR_MODULE = "github.com/prometheus-operator/prometheus-operator"
_OPERATOR = ("0.85.0", "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=")
"""The version of the Prometheus Operator whose CRDs are used, with the checksum of its Go module."""
_OPERATOR_CRDS = [
    f"example/prometheus-operator-crd/monitoring.coreos.com_{resource}.yaml"
    for resource in ("podmonitors", "prometheusrules", "servicemonitors")
]
_KEYWORDS = (
    "type", "required", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
)  # fmt: skip
"""The keywords of OpenAPI that mean the same in JSON Schema."""
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_SCALAR = {"type": ["string", "number"]}
_FILE = "{{.Group}}_{{.ResourceAPIVersion}}_{{.ResourceKind}}.json"
"""The name of a schema's file, as kubeconform builds it. In the core group, the version takes its place."""


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema of OpenAPI as JSON Schema that refuses fields that the schema does not name."""
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return {**_SCALAR, **({"pattern": schema["pattern"]} if "pattern" in schema else {})}
    strict = {keyword: schema[keyword] for keyword in ("$ref", *_KEYWORDS) if keyword in schema}
    if "properties" in schema:
        strict["properties"] = {name: strict_schema(field) for name, field in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            strict["additionalProperties"] = False
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), Mapping):
            strict[keyword] = strict_schema(schema[keyword])
    return strict


def schemas_of_document(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the schema of each kind of an OpenAPI document (version 2) of an API server, by the name of its file."""
    definitions = {name: strict_schema(schema) for name, schema in document["definitions"].items()}
    definitions[_QUANTITY] = dict(_SCALAR)
    schemas = {}
    for name, schema in document["definitions"].items():
        for kind in schema.get("x-kubernetes-group-version-kind", ()):
            needed = {used: definitions[used] for used in sorted(_references(name, definitions))}
            file = _file_name(kind["group"], kind["version"], kind["kind"])
            schemas[file] = {"$ref": f"#/definitions/{name}", "definitions": needed}
    return schemas


def schemas_of_definition(definition: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the schema of each version of a CRD, by the name of its file."""
    spec = definition["spec"]
    return {
        _file_name(spec["group"], version["name"], spec["names"]["kind"]): strict_schema(
            version["schema"]["openAPIV3Schema"]
        )
        for version in spec["versions"]
    }


def _references(name: str, definitions: Mapping[str, Any]) -> set[str]:
    """Return the definitions that a definition needs, including the definition itself."""
    needed: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in needed:
            needed.add(current)
            waiting += _names(definitions[current])
    return needed


def _names(schema: object) -> Iterable[str]:
    """Yield the definitions that a schema refers to."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value.removeprefix("#/definitions/")
            else:
                yield from _names(value)


def _file_name(group: str, version: str, kind: str) -> str:
    return f"{group or version}_{version}_{kind.lower()}.json"


def schema_options(version: str) -> list[str]:
    """Return the options with which kubeconform checks objects for a version of Kubernetes, such as ``1.30.14``.

    The Go modules with the schemas are downloaded once. Raises BuildError if a module cannot be downloaded.
    """
    digest = hashlib.sha256(Path(__file__).read_bytes() + CRD.read_bytes()).hexdigest()
    cache = binaries.cache() / "schemas" / digest[:16]
    for name, read in (("crds", _read_definitions), (f"v{version}", lambda: _read_kubernetes(version))):
        if not (cache / name).is_dir():
            _write(cache / name, read())
    places = ("{{.NormalizedKubernetesVersion}}", "crds")
    locations = [f"-schema-location={cache}/{place}/{_FILE}" for place in places]
    return ["-strict", "-kubernetes-version", version, *locations]


def _read_kubernetes(version: str) -> dict[str, dict[str, Any]]:
    (text,) = _read_module(_KUBERNETES_MODULE, version, KUBERNETES[version], "api/openapi-spec/swagger.json")
    return schemas_of_document(json.loads(text))


def _read_definitions() -> dict[str, dict[str, Any]]:
    texts = [CRD.read_bytes(), *_read_module(_OPERATOR_MODULE, *_OPERATOR, *_OPERATOR_CRDS)]
    schemas: dict[str, dict[str, Any]] = {}
    for text in texts:
        schemas |= schemas_of_definition(YAML(typ="safe").load(text))
    return schemas


def _read_module(module: str, version: str, checksum: str, *paths: str) -> list[bytes]:
    """Return files of a Go module. Raises BuildError if the download fails or the module has another checksum."""
    need({"go": "golang-go"})
    with tempfile.TemporaryDirectory(prefix="gitsnap-schemas-") as folder:
        command = ["go", "mod", "download", "-json", f"{module}@v{version}"]
        # A cache of its own, because one file of the large module is needed. Its files can be deleted.
        environment = {**os.environ, "GOMODCACHE": folder, "GOFLAGS": "-modcacherw"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        answer = json.loads(done.stdout or "{}")
        if done.returncode or answer.get("Sum") != checksum:
            problem = answer.get("Error") or done.stderr or f"its checksum is {answer.get('Sum')} instead of {checksum}"
            raise BuildError(f"the Go module {module} v{version} cannot be used: {problem}")
        with zipfile.ZipFile(answer["Zip"]) as files:
            return [files.read(f"{module}@v{version}/{path}") for path in paths]


def _write(folder: Path, schemas: Mapping[str, Any]) -> None:
    """Write a file for each schema. The folder appears when it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".schemas-", dir=folder.parent) as scratch:
        made = Path(scratch) / folder.name
        made.mkdir()
        for name, schema in schemas.items():
            (made / name).write_text(json.dumps(schema))
        with contextlib.suppress(OSError):  # another process was faster
            made.rename(folder)
