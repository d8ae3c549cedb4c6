"""The audit policy and the admission policy for authors cover the kinds that gitsnap captures."""

from __future__ import annotations

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
    """Secrets too: the stamp has no value."""
    policy, binding = yaml.safe_load_all((_MANIFESTS / "overlays" / "stamp" / "policy.yaml").read_text())
    rules = policy["spec"]["matchConstraints"]["resourceRules"]

    assert {(group, name) for rule in rules for group in rule["apiGroups"] for name in rule["resources"]} == _CAPTURED
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    assert AUTHOR_ANNOTATION in policy["spec"]["mutations"][0]["applyConfiguration"]["expression"]


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
