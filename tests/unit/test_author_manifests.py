"""The audit policy and the admission policy for authors cover the kinds that gitsnap captures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitsnap.core.objects import KubeObject
from gitsnap.kube.author_stamp import AUTHOR_ANNOTATION, stamped_author
from gitsnap.sveltos.kinds import KINDS, SECRET, Role

_MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
_ROLES = {Role.USER, Role.CLUSTER, Role.REFERENCED, Role.SOURCE}
_CAPTURED = {(row.kind.group, row.plural) for row in KINDS if row.role in _ROLES}
_SECRETS = (SECRET.group, "secrets")


def _rules() -> list[dict[str, Any]]:
    policy: dict[str, Any] = yaml.safe_load((_MANIFESTS / "audit" / "policy.yaml").read_text())
    return list(policy["rules"])


def test_the_audit_policy_records_the_writes_of_every_captured_kind() -> None:
    """The response has the resource version. Only Secrets are recorded without it, and no kind is recorded twice."""
    recorded = [
        ((rule["group"], resource), entry["level"])
        for entry in _rules()
        for rule in entry["resources"]
        for resource in rule["resources"]
    ]

    assert dict(recorded) == dict.fromkeys(_CAPTURED, "RequestResponse") | {_SECRETS: "Metadata"}
    assert len(recorded) == len(_CAPTURED)
    assert all(rule["verbs"] == ["create", "update", "patch", "delete", "deletecollection"] for rule in _rules())


def test_the_stamp_covers_every_captured_kind() -> None:
    """Secrets are stamped, too. The stamp has no value."""
    policy, binding = yaml.safe_load_all((_MANIFESTS / "overlays" / "stamp" / "policy.yaml").read_text())
    rules = policy["spec"]["matchConstraints"]["resourceRules"]

    assert {(group, name) for rule in rules for group in rule["apiGroups"] for name in rule["resources"]} == _CAPTURED
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    assert AUTHOR_ANNOTATION in policy["spec"]["mutations"][0]["applyConfiguration"]["expression"]


def _yaml(path: str) -> Any:
    return yaml.safe_load((_MANIFESTS / path).read_text())


def test_the_receiver_of_the_overlay_has_its_options_files_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """The options exist, the files are those of the Secret in AUTHORS.md, and the Service leads to the port."""
    operations = _yaml("overlays/audit/statefulset.yaml")
    added: dict[str, list[Any]] = {}
    for operation in operations:
        added.setdefault(operation["path"].split("/")[-2], []).append(operation["value"])
    monkeypatch.setenv("COLUMNS", "200")
    options = dict(word.split("=") for word in added["args"])
    shown = subprocess.run(
        [sys.executable, "-m", "gitsnap", "controller", "--help"], capture_output=True, text=True, check=True
    ).stdout
    guide = (_MANIFESTS.parent / "docs" / "AUTHORS.md").read_text()

    assert all(option in shown for option in options)
    (mount,), (volume,), (port,) = added["volumeMounts"], added["volumes"], added["ports"]
    files = [Path(value) for option, value in options.items() if option != "--audit-listen"]
    assert {str(file.parent) for file in files} == {mount["mountPath"]}
    assert mount["name"] == volume["name"]
    create = f"create secret generic {volume['secret']['secretName']} "
    assert create + " ".join(f"--from-file={name}" for name in ("token", "tls.crt", "tls.key")) in guide
    assert {file.name for file in files} == {"token", "tls.crt", "tls.key"}
    service, network = _yaml("overlays/audit/service.yaml"), _yaml("overlays/audit/networkpolicy.yaml")
    assert options["--audit-listen"] == f":{port['containerPort']}"
    assert (
        service["spec"]["ports"][0]["targetPort"] == network["spec"]["ingress"][0]["ports"][0]["port"] == port["name"]
    )
    name = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    assert f"tls-server-name: {name}" in guide
    assert f"subjectAltName=DNS:{name}" in guide
    assert f"subjectAltName=DNS:{name}" in (_MANIFESTS / "overlays" / "audit" / "kustomization.yaml").read_text()


@pytest.mark.parametrize(
    ("stamp", "replaced", "author"),
    [
        ("- alice", "", "alice"),
        ("12 alice", "12", "alice"),
        ("12 alice", "11", ""),
        ("12 alice", "", ""),
        ("- alice", "12", ""),
        ("12 ", "12", ""),
        ("12", "12", ""),
        ("", "", ""),
        (None, "", ""),
        (5, "5", ""),
        ("12 system:serviceaccount:flux-system:helm", "12", "flux-system/helm"),
        ("12 a b\nc", "12", "a b\nc"),
    ],
)
def test_a_stamp_counts_only_for_the_write_that_set_it(stamp: Any, replaced: str, author: str) -> None:
    """The stamp of an earlier write names nobody."""
    annotations = {} if stamp is None else {AUTHOR_ANNOTATION: stamp}
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "annotations": annotations}}
    assert stamped_author(KubeObject.of(document), replaced=replaced) == author
