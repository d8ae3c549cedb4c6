"""Rollbacks on a laptop that has only the ssh URL of a remote, on a real API server, while a controller pushes."""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gitsnap.archive import GitArchive, open_archive
from gitsnap.archive.remote import Remote, cached_clone
from gitsnap.core.model import JsonObject, ObjectKey, Sample, Trigger
from gitsnap.sveltos.kinds import CLUSTER_PROFILE
from tests.support.adapters import connect
from tests.support.commands import gitsnap
from tests.support.controllers import Installation, wait_for
from tests.support.plans import custom
from tests.support.remotes import SshServer, bare_repository, generate_key, refs_of, ssh_server
from tests.support.rollbacks import put
from tests.testbed.apiserver import ApiServer

_REFERENCES = [{"kind": "Secret", "name": "database", "namespace": "default"}]
_PROFILE = custom(CLUSTER_PROFILE, "guestbook", {"policyRefs": _REFERENCES})
_DEFAULT_TIER = 100
"""The default of the server."""
_SELECTED = "--clusterprofile guestbook --with-references"


def _secret(password: str) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "database", "namespace": "default"},
        "type": "addons.projectsveltos.io/cluster-profile",
        "stringData": {"password": password},
    }


class _Place:
    """A controller that pushes to a remote by ssh, and a laptop whose key opens both the remote and the Secrets."""

    def __init__(self, folder: Path, installed: Installation, server: SshServer) -> None:
        self.folder, self.installed = folder, installed
        self.cluster = connect(kubeconfig=str(installed.api.kubeconfig()))
        self.target = bare_repository(folder / "record.git")
        self.url = server.url(self.target)
        for name in ("controller", "laptop"):
            server.authorize(generate_key(folder / name))
        self._config = folder / "ssh-config"
        (folder / "known-hosts").write_text(server.known_hosts)
        self._config.write_text(
            f"IdentityFile {folder / 'laptop'}\nIdentitiesOnly yes\nIdentityAgent none\n"
            f"UserKnownHostsFile {folder / 'known-hosts'}\nStrictHostKeyChecking yes\n"
        )
        self._make_secret("remote", identity=(folder / "controller").read_text(), known_hosts=server.known_hosts)
        self._make_secret("keys", **{"fingerprint.key": "ab" * 32})

    def _make_secret(self, name: str, **data: str) -> None:
        secret = {"metadata": {"name": name}, "stringData": data}
        self.installed.api.ask("POST", "/api/v1/namespaces/gitsnap/secrets", secret)

    def serve(self) -> None:
        """Start the controller. Secrets are encrypted to the laptop's key; the controller pushes with its own key."""
        recipient = (self.folder / "laptop.pub").read_text().strip()
        self.installed.snapshot(
            "often",
            {
                "schedule": "@every 1s",
                "secrets": {"recipients": [recipient], "secretRef": {"namespace": "gitsnap", "name": "keys"}},
                "push": {"url": self.url, "secretRef": {"namespace": "gitsnap", "name": "remote"}},
            },
        )
        self.installed.start()

    def run(self, words: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the laptop. The command must succeed."""
        places = ["--archive", self.url, "--kubeconfig", str(self.installed.api.kubeconfig())]
        identity = ["--identity", str(self.folder / "laptop")]
        environment = {"XDG_CACHE_HOME": str(self.folder / "cache"), "PATH": self._path()}
        return gitsnap(self.folder, *words.split(), *places, *identity, code=0, **environment)

    def copy(self) -> GitArchive:
        """A fresh clone of the remote."""
        return cached_clone(Remote(str(self.target)), self.folder / "another", "often")

    def pushed(self) -> list[Sample]:
        """The controller's samples that are at the remote, oldest first."""
        return [sample for sample in self.installed.samples("often") if f"refs/tags/{sample.tag}" in self.refs()]

    def refs(self) -> dict[str, str]:
        """The refs of the remote."""
        return refs_of(self.target)

    def _path(self) -> str:
        """A PATH whose ``ssh`` reads the laptop's configuration: ssh takes the home folder from the passwd file."""
        program = shutil.which("ssh")
        assert program is not None
        (self.folder / "bin").mkdir(exist_ok=True)
        wrapper = self.folder / "bin" / "ssh"
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(program)} -F {shlex.quote(str(self._config))} "$@"\n')
        wrapper.chmod(0o755)
        return f"{wrapper.parent}:{os.environ['PATH']}"


@pytest.fixture
def place(api: ApiServer, tmp_path: Path) -> Iterator[_Place]:
    """See _Place."""
    installation = Installation(api, tmp_path)
    installation.apply()
    with ssh_server(tmp_path / "sshd") as server:
        yield _Place(tmp_path, installation, server)
        installation.remove()


@contextmanager
def _changing(installed: Installation) -> Iterator[None]:
    """Change another profile continuously, so that each sample of the controller has its own commit."""
    ended = threading.Event()

    def change() -> None:
        tier = 0
        while not ended.wait(0.1):
            tier = tier % 1000 + 1
            installed.profile("another", tier=tier)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_laptop_rolls_back_by_ssh_while_the_controller_pushes(place: _Place) -> None:
    """A Secret and its profile are rolled back, and the rollback is undone. Both histories are complete in the end."""
    place.cluster.create(_secret("first"))
    put(place.cluster, _PROFILE)
    place.serve()
    with _changing(place.installed):
        wait_for(place.pushed, "a sample at the remote", seconds=60)
        first = place.pushed()[0]
        put(place.cluster, _secret("second"))
        put(place.cluster, custom(CLUSTER_PROFILE, "guestbook", {"policyRefs": _REFERENCES, "tier": 7}))
        written = len(place.installed.samples("often")) + 1
        wait_for(lambda: len(place.pushed()) > written, "the change at the remote", seconds=60)

        done = place.run(f"rollback --sample {first.tag} {_SELECTED} --yes")

        assert "rollback: 2 applied" in done.stdout
        assert _state(place) == ("first", _DEFAULT_TIER)
        rolled_back = len(place.pushed())
        wait_for(lambda: len(place.pushed()) >= rolled_back + 1, "a sample after it at the remote", seconds=60)
        place.run("undo --yes")
        assert _state(place) == ("second", 7)
        undone = len(place.pushed())
        wait_for(lambda: len(place.pushed()) >= undone + 1, "a sample after the undo at the remote", seconds=60)
    place.installed.change("often", {"spec": {"suspend": True}})
    own = open_archive(place.installed.storage, "often")
    tags = {f"refs/tags/{sample.tag}": sample.tag_id for sample in own.samples()}
    wait_for(lambda: tags.items() <= place.refs().items(), "all tags at the remote", seconds=60)
    _check_histories(place, own)


def _state(place: _Place) -> tuple[str, int]:
    """The password, and the tier of the profile."""
    secret, profile = (place.cluster.get(ObjectKey.of(document)) for document in (_secret(""), _PROFILE))
    return base64.b64decode(secret["data"]["password"]).decode(), profile["spec"]["tier"]


def _check_histories(place: _Place, own: GitArchive) -> None:
    """The branch has all samples of the controller and no others. The four samples of the laptop are only tags."""
    samples, copy = own.samples(), place.copy()
    assert place.refs()["refs/heads/often"] == samples[-1].commit
    assert [sample.metadata.sequence for sample in samples] == list(range(1, len(samples) + 1))
    assert {sample.metadata.trigger for sample in samples} == {Trigger.SCHEDULE}
    beside = [sample for sample in copy.samples() if sample.metadata.detached_from]
    assert [sample.metadata.trigger for sample in beside] == [Trigger.BEFORE_ROLLBACK, Trigger.AFTER_ROLLBACK] * 2
    assert {sample.tag for sample in copy.samples()} == {sample.tag for sample in (*samples, *beside)}
    assert [finding for finding in (*own.check(), *copy.check()) if finding.wrong] == []
    assert [note for reason, note in place.installed.events("often") if reason == "PushFailed"] == []
