"""Captures that skip what has not changed give the trees of those that look at everything."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitsnap import capture as sampling
from gitsnap import policy, secrets
from gitsnap.archive import GitArchive, create_archive
from gitsnap.cluster import connect
from gitsnap.model import Sample, SecretsMode, Substitute, Trigger
from tests.testbed.apiserver import ApiServer

_PROFILES = "/apis/config.projectsveltos.io/v1beta1/clusterprofiles"
_START = datetime(2023, 8, 26, 5, 0, tzinfo=UTC)


class _Bench:
    """One archive, captured into by whoever has a kubeconfig."""

    def __init__(self, api: ApiServer, folder: Path) -> None:
        self._api = api
        self._folder = folder
        self.archive: GitArchive = create_archive(folder, "hourly")
        self._keeper = secrets.open_keeper(folder / ".keys" / "hourly", mode=SecretsMode.ENCRYPT, create=True)
        self._count = 0

    def capture(self, *, kubeconfig: Path | None = None, full: bool = False) -> Sample:
        """Take the next sample, a minute after the one before."""
        self._count += 1
        info = sampling.tree_info(policy.default("hourly"), branch="hourly", keeper=self._keeper)
        moment = _START + timedelta(minutes=self._count)
        request = sampling.Request(info, self._keeper, moment, Trigger.MANUAL, full=full)
        taken = sampling.capture(connect(kubeconfig=str(kubeconfig or self._api.kubeconfig())), self.archive, request)
        return taken.recorded.sample

    @property
    def seen(self) -> Path:
        """What is kept for the next capture."""
        return self._folder / "hourly" / ".git" / "gitsnap-seen.json"


@pytest.fixture
def bench(api: ApiServer, tmp_path: Path) -> _Bench:
    """A profile with a ConfigMap and a Secret that it refers to, and a cluster."""
    references = [{"kind": kind, "namespace": "default", "name": "content"} for kind in ("ConfigMap", "Secret")]
    spec = {"clusterSelector": {"matchLabels": {"env": "a"}}, "policyRefs": references}
    metadata = {"name": "content", "namespace": "default"}
    group = "lib.projectsveltos.io/v1beta1"
    for path, kind, document in (
        (_PROFILES, "config.projectsveltos.io/v1beta1 ClusterProfile", {"metadata": {"name": "p"}, "spec": spec}),
        ("/api/v1/namespaces/default/configmaps", "v1 ConfigMap", {"metadata": metadata, "data": {"a": "1"}}),
        (
            "/api/v1/namespaces/default/secrets",
            "v1 Secret",
            {
                "metadata": metadata,
                "stringData": {"a": "hidden"},
                "type": "addons.projectsveltos.io/cluster-profile",
            },
        ),
        (
            f"/apis/{group}/namespaces/default/sveltosclusters",
            f"{group} SveltosCluster",
            {"metadata": {"name": "c", "labels": {"env": "a", "speed": "fast"}}, "spec": {}},
        ),
    ):
        version, name = kind.split()
        api.ask("POST", path, {"apiVersion": version, "kind": name, **document})
    return _Bench(api, tmp_path)


def test_every_change_is_seen(api: ApiServer, bench: _Bench) -> None:
    """After each kind of change, the capture that skips gives the commit that a full one would confirm."""
    first = bench.capture()
    assert bench.capture().commit == first.commit
    merge = "application/merge-patch+json"
    content = "/api/v1/namespaces/default/{}/content"
    commits = [first.commit]
    for method, path, body in (
        ("PATCH", content.format("configmaps"), {"data": {"a": "2"}}),
        ("PATCH", content.format("secrets"), {"stringData": {"a": "other"}}),
        ("PATCH", f"{_PROFILES}/p", {"spec": {"tier": 7}}),
        ("DELETE", content.format("configmaps"), None),
        (
            "POST",
            "/apis/lib.projectsveltos.io/v1beta1/classifiers",
            {
                "apiVersion": "lib.projectsveltos.io/v1beta1",
                "kind": "Classifier",
                "metadata": {"name": "speed"},
                "spec": {
                    "classifierLabels": [{"key": "speed", "value": "fast"}],
                    "kubernetesVersionConstraints": [{"comparison": "Equal", "version": "1.30.0"}],
                },
            },
        ),
    ):
        api.ask(method, path, body, content_type=merge if method == "PATCH" else "application/json")
        quick = bench.capture()
        assert quick.commit != commits[-1], (method, path)
        assert bench.capture(full=True).commit == quick.commit, (method, path)
        commits.append(quick.commit)


def test_what_was_carried_forward_is_not_believed(api: ApiServer, bench: _Bench) -> None:
    """A kind that could not be read at a change: the next capture that can read it sees the change."""
    before = bench.capture()
    blind = api.new_user(
        {"apiGroups": [""], "resources": ["namespaces", "configmaps", "secrets"], "verbs": ["get", "list"]},
    )
    api.ask("PATCH", f"{_PROFILES}/p", {"spec": {"tier": 7}}, content_type="application/merge-patch+json")

    carried = bench.capture(kubeconfig=api.kubeconfig(blind))
    seeing = bench.capture()

    assert {one.substitute for one in carried.metadata.incomplete} == {Substitute.CARRIED}
    assert not carried.metadata.changes
    assert before.metadata.changes.added
    assert seeing.metadata.changes.modified == 1


@pytest.mark.parametrize("content", [b"", b"{", b'{"layout": 1}', b'{"layout": 99}', b"[]", b"\xff"])
def test_a_damaged_memory_is_no_memory(bench: _Bench, content: bytes) -> None:
    """It can be deleted or spoilt at any time: that costs time, nothing else."""
    first = bench.capture()
    bench.seen.write_bytes(content)

    assert bench.capture().commit == first.commit


def test_the_memory_holds_no_value(bench: _Bench) -> None:
    """Names, versions and hashes: nothing of what is in a Secret."""
    bench.capture()

    text = bench.seen.read_text()
    assert "hidden" not in text
    assert "default/Secret/content.yaml" in json.loads(text)["versions"]
    assert bench.seen.stat().st_mode & 0o077 == 0
