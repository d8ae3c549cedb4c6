"""Captures by a user who may not read all Secrets: readable objects are captured, and the sample is incomplete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gitsnap.archive import open_archive
from gitsnap.core.model import Area
from tests.support.adapters import connect
from tests.support.commands import gitsnap
from tests.support.trees import config_map, policy_ref, profile, secret
from tests.testbed.apiserver import ApiServer

_GROUPS = ["config.projectsveltos.io", "lib.projectsveltos.io", "cluster.x-k8s.io", "source.toolkit.fluxcd.io", "apps"]
_ALL_BUT_SECRETS = (
    {"apiGroups": _GROUPS, "resources": ["*"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["namespaces", "configmaps"], "verbs": ["get", "list"]},
)
_ONE_SECRET = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["named"], "verbs": ["get", "list"]}


def _capture(folder: Path, kubeconfig: Path, *words: str, code: int) -> Any:
    arguments = ("capture", "--snapshot", "hourly", "-o", "json", *words)
    done = gitsnap(folder, *arguments, code=code, KUBECONFIG=str(kubeconfig))
    return json.loads(done.stdout) if done.stdout else done.stderr


@pytest.fixture
def filled(api: ApiServer) -> ApiServer:
    """A profile that refers to a ConfigMap and two Secrets."""
    cluster = connect(kubeconfig=str(api.kubeconfig()))
    refs = [policy_ref("content"), policy_ref("named", "Secret"), policy_ref("other", "Secret")]
    for document in (
        {key: value for key, value in profile("base", {"policyRefs": refs}).items() if key != "status"},
        config_map("content", {"a": "b"}),
        secret("named", {"a": "b"}),
        secret("other", {"a": "b"}),
    ):
        cluster.create(document)
    return api


def _secrets(folder: Path) -> list[str]:
    archive = open_archive(folder, "hourly")
    return [path for path in archive.tree(archive.samples()[-1]).files(Area.CONFIGURATION) if "/Secret/" in path]


def test_no_secret_may_be_read(filled: ApiServer, tmp_path: Path) -> None:
    """A capture without the right to Secrets has all other objects. With --require-complete there is no sample."""
    reader = filled.kubeconfig(filled.new_user(*_ALL_BUT_SECRETS))

    taken = _capture(tmp_path, reader, "--secrets-mode", "redact", code=13)

    assert taken["sample"]["incomplete"] == [{"kind": "Secret", "substitute": "missing", "reason": "forbidden"}]
    assert taken["sample"]["objects"] == 2
    _capture(tmp_path, reader, "--require-complete", code=12)
    assert len(open_archive(tmp_path, "hourly").samples()) == 1


def test_secrets_of_the_previous_sample_are_carried_forward(filled: ApiServer, tmp_path: Path) -> None:
    """Secrets that can no longer be read stay in the archive."""
    _capture(tmp_path, filled.kubeconfig(), "--secrets-mode", "redact", code=0)
    before = _secrets(tmp_path)

    taken = _capture(tmp_path, filled.kubeconfig(filled.new_user(*_ALL_BUT_SECRETS)), code=13)

    assert taken["sample"]["incomplete"] == [{"kind": "Secret", "substitute": "carried", "reason": "forbidden"}]
    assert _secrets(tmp_path) == before == ["default/Secret/named.yaml", "default/Secret/other.yaml"]
    assert taken["newCommit"] is False or taken["sample"]["changes"] == {"added": 0, "modified": 0, "deleted": 0}


def test_rights_to_single_secrets_are_used(filled: ApiServer, tmp_path: Path) -> None:
    """Without the right to list Secrets, each Secret is read by name."""
    reader = filled.kubeconfig(filled.new_user(*_ALL_BUT_SECRETS, _ONE_SECRET))

    _capture(tmp_path, reader, "--secrets-mode", "redact", code=13)

    assert _secrets(tmp_path) == ["default/Secret/named.yaml"]
