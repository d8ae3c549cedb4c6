"""Three attackers against the real controller on the real API server, each with the rights of one principal.

The attackers may write Snapshots, the remote, or the volume (docs/SECURITY.md). Each tries to get a canary that the
attacker may not read. The canary must be found nowhere.
"""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gitsnap.archive import open_archive
from gitsnap.core.model import SecretsMode
from tests.support.canaries import contents, forms_of
from tests.support.commands import gitsnap
from tests.support.controllers import SNAPSHOTS, ControllerProcess, Installation, wait_for
from tests.support.remotes import bare_repository
from tests.support.trees import policy_ref, profile
from tests.testbed.apiserver import ApiServer

_RECIPIENT = "age1a09l9ptfyh526p92h4scplaz9zspvjgzcugl5sf0g29rutjp5u2qsfjekv"
_TYPED = "addons.projectsveltos.io/cluster-profile"
_WRITER = {
    "apiGroups": ["utils.projectsveltos.io"],
    "resources": ["snapshots"],
    "verbs": ["get", "list", "create", "update", "patch", "delete"],
}


class _Catcher(BaseHTTPRequestHandler):
    """The attacker's server: it asks for credentials, and records every request."""

    caught: list[str]

    def do_GET(self) -> None:
        self.caught.append(f"{self.path} {self.headers}")
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET  # noqa: N815 - the name in the library

    def log_message(self, format: str, *args: object) -> None:
        """Print no request."""


@dataclass
class _Stage:
    """A cluster with canaries, the controller's installation, and the attacker's server."""

    installed: Installation
    folder: Path
    port: int
    caught: list[str]
    canaries: dict[str, str] = field(default_factory=dict)

    @property
    def api(self) -> ApiServer:
        """The API server."""
        return self.installed.api

    @property
    def storage(self) -> Path:
        """The volume."""
        return self.installed.storage

    def secret(self, namespace: str, name: str, *, kind: str = "Opaque") -> None:
        """Create a Secret with a canary as its password."""
        canary = self.canaries[f"{namespace}/{name}"] = f'cAnary@{namespace}-{name} "7é/+'
        data = {"username": "admin", "password": canary}
        document = {"metadata": {"name": name}, "type": kind, "stringData": data}
        self.api.ask("POST", f"/api/v1/namespaces/{namespace}/secrets", document)

    def start(self, *flags: str) -> ControllerProcess:
        """Start the controller with verbose logs."""
        folder = self.folder / "tmp"
        folder.mkdir(exist_ok=True)
        return self.installed.start(verbose=True, environment={"TMPDIR": str(folder)}, flags=flags)

    def sample(self, name: str, value: str) -> None:
        """Request a sample, and wait for it."""
        self.installed.request_sample(name, value)
        wait_for(lambda: self.installed.status(name).get("lastHandledCaptureAt") == value, "a sample")

    def find_canaries(self, process: ControllerProcess) -> set[tuple[str, str]]:
        """Return each canary that is found, with its place."""
        outputs = [process.log, process.get("/metrics")[1], self.api.ask("GET", SNAPSHOTS), self.caught]
        outputs.append(self.api.ask("GET", "/apis/events.k8s.io/v1/namespaces/default/events"))
        repositories = [file.parent for file in self.folder.rglob("HEAD") if (file.parent / "objects").is_dir()]
        places = [("output", json.dumps(outputs, ensure_ascii=False).encode()), *contents(self.folder, repositories)]
        canary_forms = {name: tuple(forms_of(canary)) for name, canary in self.canaries.items()}
        return {
            (name, place)
            for name, forms in canary_forms.items()
            for place, content in places
            if any(form in content for form in forms)
        }


@pytest.fixture
def stage(api: ApiServer, tmp_path: Path) -> Iterator[_Stage]:
    """The base of the manifests, a Secret that a profile refers to, and a Secret of another team."""
    installed = Installation(api, tmp_path)
    installed.apply()
    caught: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Catcher,), {"caught": caught}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    made = _Stage(installed, tmp_path, server.server_address[1], caught)
    api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "payments"}})
    made.secret("payments", "unrelated")
    made.secret("default", "db", kind=_TYPED)
    api.ask(
        "POST",
        "/apis/config.projectsveltos.io/v1beta1/clusterprofiles",
        profile("p", {"policyRefs": [policy_ref("db", "Secret")]}),
    )
    yield made
    installed.remove()
    server.shutdown()
    server.server_close()


def _attacks(stage: _Stage) -> Mapping[str, tuple[dict[str, Any], str]]:
    """Return each attempt of an author of Snapshots, with the field that the refusal names."""
    evil = f"http://127.0.0.1:{stage.port}/evil.git"
    theirs = {"namespace": "payments", "name": "unrelated"}
    victim = stage.storage / "victim"
    every = [{"kind": "Secret"}]
    return {
        "a-password": ({"push": {"url": evil, "secretRef": theirs}}, "spec.push.secretRef"),
        "a-password-by-https": (
            {"push": {"url": evil.replace("http:", "https:"), "secretRef": theirs}},
            "spec.push.secretRef",
        ),
        "a-signing-key": ({"signing": {"secretRef": theirs}}, "spec.signing.secretRef"),
        "a-fingerprint-key": ({"secrets": {"mode": "redact", "secretRef": theirs}}, "spec.secrets.secretRef"),
        "plaintext": ({"secrets": {"mode": "plaintext"}, "push": {"url": evil}}, "spec.secrets.mode"),
        "all-secrets": ({"resources": every, "secrets": {"mode": "plaintext"}}, "spec.resources"),
        "all-secrets-for-me": ({"resources": every, "secrets": {"recipients": [_RECIPIENT]}}, "spec.resources"),
        "into-refs": ({"storage": f"{victim}/.git/refs/tags/victim"}, "spec.storage"),
        "into-an-archive": ({"storage": str(victim)}, "spec.storage"),
        "into-keys": ({"storage": f"{stage.storage}/.keys"}, "spec.storage"),
        "outside": ({"storage": str(stage.folder)}, "spec.storage"),
        "push-into-an-archive": ({"push": {"url": f"{victim}/.git"}}, "spec.push.url"),
        "push-into-an-archive-by-url": ({"push": {"url": f"file://{victim}/.git"}}, "spec.push.url"),
    }


def _refs(stage: _Stage) -> dict[str, str]:
    return {sample.tag: sample.tag_id for sample in open_archive(stage.storage, "victim").samples()}


def test_who_writes_snapshots_gets_no_more_than_he_has(stage: _Stage) -> None:
    """The admission policies deny each attempt. On a cluster without policies, the controller refuses.

    No value of a Secret is sent or written anywhere, and the archive of another Snapshot stays unchanged.
    """
    author = stage.api.new_user(_WRITER)
    stage.installed.snapshot("victim", {"schedule": "@yearly", "secrets": {"mode": "redact"}})
    process = stage.start()
    stage.sample("victim", "first")
    before = _refs(stage)
    attacks = _attacks(stage)
    asked_of_the_author = {"a-password", "a-signing-key", "a-fingerprint-key", "plaintext", "all-secrets-for-me"}

    def attempt(name: str) -> int:
        """Create the Snapshot of an attack. Return the status."""
        document = {
            "apiVersion": "utils.projectsveltos.io/v1beta1",
            "kind": "Snapshot",
            "metadata": {"name": name},
            "spec": {"schedule": "@yearly", "storage": str(stage.storage), **attacks[name][0]},
        }
        return stage.api.request("POST", SNAPSHOTS, document, user=author)[0]

    for name in sorted(asked_of_the_author):
        wait_for(lambda name=name: attempt(name) in (403, 409), f"{name} to be refused")  # type: ignore[misc]
        stage.api.request("DELETE", f"{SNAPSHOTS}/{name}")

    root = "/apis/admissionregistration.k8s.io/v1"
    for binding in stage.api.ask("GET", f"{root}/validatingadmissionpolicybindings")["items"]:
        stage.api.ask("DELETE", f"{root}/validatingadmissionpolicybindings/{binding['metadata']['name']}")
    for name in attacks:
        wait_for(lambda name=name: attempt(name) in (201, 409), f"{name} to be taken")  # type: ignore[misc]
    refused = ("False", "NotPermitted")
    for name, (_, named) in attacks.items():
        wait_for(lambda name=name: stage.installed.condition(name, "Ready") == refused, name)  # type: ignore[misc]
        assert named in stage.installed.status(name)["failureMessage"]
        stage.installed.request_sample(name, "now")
    stage.sample("victim", "second")

    assert {name: stage.installed.samples(name) for name in attacks} == {name: [] for name in attacks}
    assert "NotPermitted" in dict(stage.installed.events("plaintext"))
    assert stage.find_canaries(process) == set()
    assert stage.caught == []
    assert before.items() <= _refs(stage).items()
    assert not [finding for finding in open_archive(stage.storage, "victim").check() if finding.wrong]


def _push_forged_sample(stage: _Stage, remote: Path, *words: str) -> None:
    """Push a sample to the remote whose metadata decides how Secrets are kept."""
    place = stage.folder / "forger"
    (place / "cluster").mkdir(parents=True)
    uid = stage.api.ask("GET", "/api/v1/namespaces/kube-system")["metadata"]["uid"]
    metadata = {"name": "db", "namespace": "default"}
    value = base64.b64encode(b"another value").decode()
    documents = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": uid}},
        {"apiVersion": "v1", "kind": "Secret", "type": _TYPED, "metadata": metadata, "data": {"password": value}},
        profile("p", {"policyRefs": [policy_ref("db", "Secret")]}),
    ]
    for number, document in enumerate(documents):
        (place / "cluster" / f"{number}.json").write_text(json.dumps(document))
    gitsnap(place, "capture", "--create", "--snapshot", "often", "--from-dir", "cluster", *words, code=0)
    gitsnap(place, "push", "--snapshot", "often", "--to", str(remote), code=0)
    shutil.rmtree(place)


def test_who_writes_the_remote_decides_nothing(stage: _Stage) -> None:
    """The volume is lost, and the controller restores the archive from the remote. The default mode is `redact`."""
    remote = bare_repository(stage.folder / "remote.git")
    _push_forged_sample(stage, remote, "--secrets-mode", "plaintext")
    stage.installed.snapshot("often", {"schedule": "@yearly", "push": {"url": str(remote)}})
    process = stage.start("--allow-local-push")

    stage.sample("often", "first")
    wait_for(lambda: stage.installed.condition("often", "Pushed") == ("True", "Pushed"), "a push")

    first, second = open_archive(stage.storage, "often").samples()
    tree = open_archive(stage.storage, "often").tree(second)
    assert tree.info.secrets.mode is SecretsMode.REDACT
    assert tree.info.secrets.recipients == ()
    assert stage.installed.condition("often", "SecretsRestorable") == ("False", "NoRecipients")
    notes = dict(stage.installed.events("often"))
    assert "mode redact instead of plaintext" in notes["SecretsChanged"]
    assert first.commit != second.commit
    assert stage.find_canaries(process) == set()


def test_the_remote_does_not_add_a_recipient(stage: _Stage) -> None:
    """The controller refuses to continue an archive whose fingerprint key it lacks."""
    remote = bare_repository(stage.folder / "remote.git")
    _push_forged_sample(stage, remote, "--recipient", _RECIPIENT)
    stage.installed.snapshot("often", {"schedule": "@yearly", "push": {"url": str(remote)}})
    process = stage.start("--allow-local-push")

    stage.sample("often", "first")

    assert "fingerprint key" in stage.installed.status("often")["failureMessage"]
    assert len(open_archive(stage.storage, "often").samples()) == 1
    assert stage.find_canaries(process) == set()


def test_who_writes_the_volume_leads_no_archive_elsewhere(stage: _Stage) -> None:
    """Links from the storage to outside, into an archive and to keys. Programs in the archive's settings."""
    stage.installed.snapshot("victim", {"schedule": "@yearly", "secrets": {"mode": "redact"}})
    process = stage.start()
    stage.sample("victim", "first")
    before = _refs(stage)
    ran = stage.folder / "ran"
    program = stage.folder / "program"
    program.write_text(f"#!/bin/sh\necho ran >> {ran}\n")
    program.chmod(0o755)
    git = stage.storage / "victim" / ".git"
    with (git / "config").open("a") as config:
        config.write(f'[core]\n\tfsmonitor = {program}\n\tsshCommand = {program}\n[filter "x"]\n\tclean = {program}\n')
    (git / "hooks").mkdir(exist_ok=True)
    for name in ("pre-commit", "post-commit", "reference-transaction", "post-index-change"):
        (git / "hooks" / name).symlink_to(program)
    targets = {"out": stage.folder, "in": git, "keys": stage.storage / ".keys"}
    for name, target in targets.items():
        (stage.storage / name).mkdir()
        stage.installed.snapshot(f"through-{name}", {"schedule": "@yearly", "storage": str(stage.storage / name)})
        wait_for(
            lambda name=name: stage.installed.condition(f"through-{name}", "Ready") == ("True", "Scheduled"),  # type: ignore[misc]
            "the Snapshot to be seen",
        )
        (stage.storage / name).rmdir()
        (stage.storage / name).symlink_to(target)

    for name in targets:
        stage.installed.request_sample(f"through-{name}", "now")
        wait_for(
            lambda name=name: "spec.storage" in stage.installed.status(f"through-{name}").get("failureMessage", ""),  # type: ignore[misc]
            "the refusal",
        )
    stage.sample("victim", "second")

    for name, target in targets.items():
        assert not (target / f"through-{name}").exists()
    assert not ran.exists()
    assert before.items() <= _refs(stage).items()
    assert stage.find_canaries(process) == set()
