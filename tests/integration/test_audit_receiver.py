"""The audit receiver on a real API server with a real audit webhook: who made each change, and nobody waits for it."""

from __future__ import annotations

import http.client
import json
import random
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gitsnap.core.model import ObjectKey
from gitsnap.sveltos import kinds
from tests.support.audit_receivers import TOKEN, Relay, event_list
from tests.support.controllers import MANIFESTS, ControllerProcess, Installation, wait_for
from tests.support.followers import config_map, profile
from tests.support.ports import reserve_port
from tests.support.remotes import make_certificate
from tests.testbed import apiserver
from tests.testbed.apiserver import ApiServer, User
from tests.testbed.definitions import definitions
from tests.testbed.fixtures import SHARED, find_binaries

_MAPS = "/api/v1/namespaces/default/configmaps"
_PROFILES = "/apis/config.projectsveltos.io/v1beta1/clusterprofiles"
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_NAMES = ("first", "second", "third", "fourth", "fifth", "sixth")


@dataclass
class Webhook:
    """An API server whose audit webhook is a receiver, and the installation of the present test."""

    api: ApiServer
    folder: Path
    port: int
    users: Sequence[User]
    installed: Installation = field(init=False)

    def start(self, *flags: str, port: int = 0) -> ControllerProcess:
        """Start a controller that receives the events. ``port``: another port than that of the webhook."""
        tokens = self.installed.folder / "tokens"
        tokens.write_text(f"{TOKEN}\n")
        return self.installed.start(
            flags=(
                "--audit-listen", f"127.0.0.1:{port or self.port}",
                "--audit-cert", str(self.folder / "audit.crt"), "--audit-key", str(self.folder / "audit.key"),
                "--audit-token-file", str(tokens), *flags,
            )
        )  # fmt: skip

    def follow(self, running: ControllerProcess, *, secrets: str = "redact", **settings: Any) -> None:
        """Create a Snapshot with follow mode, and wait until its changes are followed."""
        self.installed.snapshot(
            "follow", {"schedule": "@yearly", "follow": {"quietSeconds": 2, **settings}, "secrets": {"mode": secrets}}
        )
        wait_for(lambda: running.metric("gitsnap_following", "follow") == 1, "follow mode")

    def write(self, method: str, path: str, body: Any = None, *, user: User, code: int = 200, **more: Any) -> Any:
        """Send a request as a user."""
        status, answer = self.api.request(method, path, body, user=user, **more)
        assert status == code, answer
        return answer

    def patch(self, name: str, text: str, user: User, **more: Any) -> None:
        """Change a ConfigMap, as `kubectl edit` does."""
        path = f"{_MAPS}/{name}?fieldManager=kubectl-edit"
        self.write("PATCH", path, {"data": {"text": text}}, user=user, content_type=_MERGE, **more)

    def git(self, *words: str) -> str:
        """The output of git in the archive."""
        command = ["git", "-C", str(self.installed.storage / "follow"), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    def authors(self) -> list[str]:
        """The author of each change and the changed objects, oldest first, as plain git shows them."""
        text = self.git("log", "--reverse", "--format=%x00%an|%(trailers:key=Gitsnap-Object,valueonly)", "follow")
        changes = []
        for entry in text.split("\0"):
            name, _, objects = entry.partition("|")
            if objects.strip():
                names = sorted(line.rpartition("/")[2] for line in objects.split("\n") if line.strip())
                changes.append(f"{name}: {' '.join(names)}")
        return changes

    def newest_revision(self) -> int:
        """The highest resource version in the archive."""
        revision = self.git("log", "-1", "--format=%(trailers:key=Gitsnap-Revision,valueonly)", "follow").strip()
        return int(revision) if revision else 0

    def audited(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """The user of each change whose commit has a name of audit events, and (uid, version) of its objects."""
        keys = "%(trailers:key=Gitsnap-Author-Source,valueonly)|%(trailers:key=Gitsnap-Object,valueonly)"
        for entry in self.git("log", f"--format=%x00%an|{keys}", "follow").split("\0"):
            name, _, rest = entry.partition("|")
            source, _, objects = rest.partition("|")
            if source.strip() == "audit":
                lines = [line.split(" ") for line in objects.splitlines() if line.strip()]
                yield name, [(uid, version) for uid, version, _ in lines]

    def sources(self) -> set[str]:
        """The sources of the authors of all changes."""
        text = self.git("log", "--format=%(trailers:key=Gitsnap-Author-Source,valueonly)", "follow")
        return {line for line in text.splitlines() if line}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    """An API server with the audit policy of the manifests. Its webhook sends events after half a second."""
    folder = tmp_path_factory.mktemp("webhook")
    certificate, _ = make_certificate(folder, "audit")
    port = reserve_port()
    webhook = folder / "webhook.yaml"
    webhook.write_text(json.dumps(_webhook_kubeconfig(certificate, port)))
    flags = (
        f"--audit-policy-file={MANIFESTS / 'audit' / 'policy.yaml'}",
        f"--audit-webhook-config-file={webhook}",
        "--audit-webhook-batch-max-wait=500ms",
        "--audit-webhook-initial-backoff=1s",
    )
    with apiserver.running(find_binaries(), folder / "server", flags=flags) as api:
        api.install(definitions(SHARED if SHARED.is_dir() else None))
        rules: tuple[dict[str, list[str]], ...] = (
            {"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": ["*"]},
            {"apiGroups": ["config.projectsveltos.io"], "resources": ["clusterprofiles"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]},
        )
        yield Webhook(api, folder, port, [api.new_user(*rules) for _ in range(3)])


def _webhook_kubeconfig(certificate: Path, port: int) -> dict[str, Any]:
    """The kubeconfig of docs/AUTHORS.md."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "gitsnap",
                "cluster": {"server": f"https://127.0.0.1:{port}/audit", "certificate-authority": str(certificate)},
            }
        ],
        "users": [{"name": "apiserver", "user": {"token": TOKEN}}],
        "contexts": [{"name": "audit", "context": {"cluster": "gitsnap", "user": "apiserver"}}],
        "current-context": "audit",
    }


@pytest.fixture
def webhook(server: Webhook, tmp_path: Path) -> Iterator[Webhook]:
    """The server with an installation, and a profile that refers to ConfigMaps."""
    server.installed = Installation(server.api, tmp_path)
    server.installed.apply()
    for name in _NAMES:
        server.api.ask("POST", f"{_MAPS}?fieldManager=setup", config_map(name, "0"))
    keys = [ObjectKey(kinds.CONFIG_MAP, "default", name) for name in (*_NAMES, "created")]
    server.api.ask("POST", f"{_PROFILES}?fieldManager=setup", profile("p", keys, "x"))
    yield server
    server.installed.remove()
    for path in (*(f"{_MAPS}/{name}" for name in (*_NAMES, "created")), f"{_PROFILES}/p"):
        server.api.request("DELETE", path)


def test_each_commit_has_the_name_of_its_author(webhook: Webhook) -> None:
    """Every verb, by one field manager in one quiet time, with dry runs, conflicts and writes without effect."""
    alice, bob, carol = webhook.users
    running = webhook.start()
    webhook.follow(running)

    webhook.patch("first", "1", alice)
    webhook.patch("second", "1", bob)
    webhook.patch("second", "1", carol)  # changes nothing
    applied = {**config_map("third", "1"), "kind": "ConfigMap", "apiVersion": "v1"}
    webhook.write("PATCH", f"{_MAPS}/third?fieldManager=flux&force=true", applied, user=alice, content_type=_APPLY)
    live = webhook.write("GET", f"{_MAPS}/fourth", user=bob)
    webhook.write("PUT", f"{_MAPS}/fourth", {**live, "data": {"text": "1"}}, user=bob)
    webhook.write("PUT", f"{_MAPS}/fourth", {**live, "data": {"text": "2"}}, user=carol, code=409)
    webhook.write("PATCH", f"{_MAPS}/fifth?dryRun=All", {"data": {"x": "y"}}, user=carol, content_type=_MERGE)
    webhook.write("DELETE", f"{_MAPS}/fifth", user=alice)
    webhook.patch("sixth", "1", alice, impersonate=bob.name)
    webhook.write("POST", _MAPS, config_map("created", "1"), user=bob, code=201)

    expected = {
        f"{alice.name}: fifth first third",
        f"{bob.name}: created fourth",
        f"{alice.name} as {bob.name}: sixth",
    }
    wait_for(lambda: len(webhook.authors()) >= 4, "the changes")
    wait_for(lambda: "created" in str(webhook.authors()), "the last change")
    assert {_without(entry, "second") for entry in webhook.authors()} >= expected, webhook.authors()
    # The events of two users have the same version of `second`. The name of the wrong user is worse than none.
    assert not [entry for entry in webhook.authors() if entry.startswith(carol.name)]
    assert running.terminate() == 0
    assert "Traceback" not in str(running.log)


def _without(entry: str, name: str) -> str:
    author, _, names = entry.partition(": ")
    return f"{author}: {' '.join(word for word in names.split() if word != name)}"


def test_names_that_arrive_after_the_commit_are_notes_and_are_pushed(webhook: Webhook, tmp_path: Path) -> None:
    """The webhook delivers its events only after the commits."""
    alice, bob, _ = webhook.users
    remote = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(remote)], check=True)
    port = reserve_port()
    running = webhook.start("--allow-local-push", port=port)
    webhook.installed.snapshot(
        "follow",
        {
            "schedule": "@yearly",
            "follow": {"quietSeconds": 0},
            "secrets": {"mode": "redact"},
            "push": {"url": str(remote)},
        },
    )
    wait_for(lambda: running.metric("gitsnap_following", "follow") == 1, "follow mode")
    relay = Relay(webhook.port, port)
    relay.opened.clear()
    webhook.patch("first", "late", alice)
    wait_for(lambda: len(webhook.authors()) == 1, "the first change")
    time.sleep(1.1)  # two writes within a second have no certain manager
    webhook.patch("first", "later", bob)
    wait_for(lambda: len(webhook.authors()) == 2, "the second change")
    relay.opened.set()

    notes = ["git", "-C", str(remote), "log", "--notes=gitsnap-authors", "--format=%N", "follow"]

    def pushed() -> str:
        return subprocess.run(notes, capture_output=True, text=True, check=False).stdout

    wait_for(lambda: pushed().count("Gitsnap-Author-Source: audit") == 2, "the notes at the remote", seconds=60)
    named = [line.partition(": ")[2] for line in pushed().splitlines() if line.startswith("Gitsnap-Author: ")]
    assert named == [bob.name, alice.name]
    assert [entry.partition(":")[0] for entry in webhook.authors()] == ["kubectl-edit", "kubectl-edit"]
    assert running.metric("gitsnap_audit_late_names_total", "follow") == 2
    relay.close()
    assert running.terminate() == 0


@pytest.mark.parametrize("who", ["none", "manager", "pseudonym"])
def test_who_decides_which_names_are_recorded(webhook: Webhook, who: str) -> None:
    """No name of a user is anywhere in the archive. With pseudonyms, each user has a pseudonym."""
    alice, bob, _ = webhook.users
    running = webhook.start()
    webhook.follow(running, who=who)
    webhook.patch("first", "a", alice)
    wait_for(lambda: len(webhook.authors()) == 1, "the first change")
    webhook.patch("second", "a", bob)
    wait_for(lambda: len(webhook.authors()) == 2, "the second change")
    webhook.patch("third", "a", alice)
    wait_for(lambda: len(webhook.authors()) == 3, "the third change")

    authors = [entry.partition(":")[0] for entry in webhook.authors()]
    history = webhook.git("log", "--format=%B%an%ae%N", "--notes=*", "-3", "follow")
    assert alice.name not in history
    assert bob.name not in history
    if who == "pseudonym":
        assert authors[0] == authors[2] != authors[1]
        assert all(author.startswith("person-") for author in authors)
        assert webhook.sources() == {"audit"}
    else:
        assert set(authors) == {"unknown" if who == "none" else "kubectl-edit"}
        assert ("kubectl-edit" in history) == (who == "manager")
    assert running.terminate() == 0


def test_requests_that_are_refused_and_clients_that_are_slow(webhook: Webhook) -> None:
    """The running controller answers with these statuses, and still receives names."""
    alice = webhook.users[0]
    running = webhook.start()
    webhook.follow(running)
    context = ssl.create_default_context(cafile=str(webhook.folder / "audit.crt"))

    def post(body: bytes, *, token: str = TOKEN, **headers: str) -> int:
        connection = http.client.HTTPSConnection("127.0.0.1", webhook.port, timeout=30, context=context)
        try:
            connection.request("POST", "/audit", body, {"Authorization": f"Bearer {token}", **headers})
            return connection.getresponse().status
        finally:
            connection.close()

    assert post(event_list(), token="wrong") == 401
    assert post(b"a=b") == post(b"{") == post(b"") == 400
    assert post(b"", **{"Content-Length": str(1 << 40)}) == 413
    assert post(event_list()) == post(b'{"log": "x"}\n{"log": "y"}\n') == 200
    silent = [socket.create_connection(("127.0.0.1", webhook.port), timeout=30) for _ in range(200)]
    webhook.patch("first", "a", alice)
    wait_for(lambda: webhook.authors() == [f"{alice.name}: first"], "the name of the author")
    for client in silent:
        client.close()
    metrics = running.get("/metrics")[1]
    assert 'gitsnap_audit_requests_total{code="401"} 1.0' in metrics
    assert 'gitsnap_audit_requests_total{code="413"} 1.0' in metrics
    assert "gitsnap_audit_dropped_events_total 0.0" in metrics
    assert TOKEN not in str(running.log)
    assert running.terminate() == 0


@pytest.mark.parametrize("receiver", ["dead", "silent"])
def test_the_api_server_does_not_wait_for_the_receiver(webhook: Webhook, receiver: str) -> None:
    """The receiver does not listen, or accepts connections and never answers. Writes continue as before."""
    listeners = []
    if receiver == "silent":
        listeners = [socket.create_server(("127.0.0.1", webhook.port), backlog=100)]
    start = time.monotonic()
    for number in range(100):
        webhook.patch("first", str(number), webhook.users[number % 2])
    assert time.monotonic() - start < 30, "a write waits for the webhook, whose timeout is 30 s"
    for listener in listeners:
        listener.close()


def test_names_go_on_after_the_receiver_was_away(webhook: Webhook) -> None:
    """The API server retries its events, or later events arrive. Changes after the outage have names."""
    alice, bob, _ = webhook.users
    running = webhook.start()
    webhook.follow(running)
    running.kill()
    webhook.patch("first", "away", alice)
    again = webhook.start()
    wait_for(lambda: again.metric("gitsnap_following", "follow") == 1, "follow mode")
    wait_for(lambda: len(webhook.authors()) == 1, "the change that nobody saw")
    webhook.patch("second", "back", bob)
    wait_for(lambda: len(webhook.authors()) == 2, "the next change")

    assert webhook.authors()[0].partition(":")[0] in ("kubectl-edit", "unknown", alice.name)
    assert webhook.authors()[1].partition(":")[0] in ("kubectl-edit", bob.name)
    webhook.patch("third", "back", alice)
    wait_for(lambda: any(entry.endswith(" third") for entry in webhook.authors()), "the third change")
    assert webhook.authors()[-1] == f"{alice.name}: third"
    assert again.terminate() == 0


@dataclass
class Writer:
    """A user who writes objects at random, and notes which versions the writes made."""

    api: ApiServer
    user: User
    random: random.Random
    made: dict[tuple[str, str], str] = field(default_factory=dict)
    """Uid and resource version -> name of the user."""
    deleted: dict[str, str] = field(default_factory=dict)
    """Uid -> name of the user."""

    def run(self, writes: int) -> None:
        """Write some times."""
        for number in range(writes):
            self._write(self.random.choice((*_NAMES, "created")), f"{self.user.name}-{number}")
            time.sleep(self.random.random() * 0.1)
        self.api.disconnect()

    def _write(self, name: str, text: str) -> None:
        path, options = f"{_MAPS}/{name}", {"user": self.user, "content_type": _MERGE}
        kind = self.random.randrange(10)
        if kind < 4:
            self._note(self.api.request("PATCH", path, {"data": {self.user.name: text}}, **options))  # type: ignore[arg-type]
        elif kind < 6:  # changes nothing, and is answered with the version of somebody else
            self.api.request("PATCH", path, {"data": {}}, **options)  # type: ignore[arg-type]
        elif kind < 7:
            self.api.request("PATCH", f"{path}?dryRun=All", {"data": {"dry": text}}, **options)  # type: ignore[arg-type]
        elif kind < 8:
            status, live = self.api.request("GET", path, user=self.user)
            if status == 200:
                self._note(self.api.request("PUT", path, {**live, "data": {"put": text}}, user=self.user))
        elif kind < 9:
            status, answer = self.api.request("DELETE", path, user=self.user)
            if status == 200:
                self.deleted[answer["details"]["uid"]] = self.user.name
        else:
            self._note(self.api.request("POST", _MAPS, config_map(name, text), user=self.user))

    def _note(self, answered: tuple[int, Any]) -> None:
        status, answer = answered
        if status in (200, 201):
            self.made[answer["metadata"]["uid"], answer["metadata"]["resourceVersion"]] = self.user.name


def test_users_who_write_the_same_objects_never_get_the_name_of_another(webhook: Webhook) -> None:
    """Three users with patches, updates, creations, deletions, dry runs and writes without effect, all at once."""
    seed = random.randrange(1 << 32)
    running = webhook.start()
    webhook.follow(running, quietSeconds=1)
    port = int(webhook.api.url.rpartition(":")[2])
    writers = [
        Writer(
            ApiServer(port=port, etcd_port=0, folder=webhook.api.folder, users=[webhook.api.admin]),
            user,
            random.Random(f"{seed} {user.name}"),
        )
        for user in webhook.users
    ]
    threads = [threading.Thread(target=writer.run, args=(150,)) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = {version: name for writer in writers for version, name in writer.made.items()}
    deleted = {uid: name for writer in writers for uid, name in writer.deleted.items()}
    last = max(int(version) for _, version in made)
    wait_for(lambda: webhook.newest_revision() >= last, f"the last change (seed {seed})", seconds=60)

    named = 0
    for author, objects in webhook.audited():
        for uid, version in objects:
            truth = made.get((uid, version)) or deleted.get(uid)
            assert truth is not None, f"seed {seed}: {author} is named for a version that nobody made"
            assert author == truth, f"seed {seed}: {author} is named for the write of {truth}"
            named += 1
    assert named > 30, f"seed {seed}: hardly anybody is named"
    assert running.terminate() == 0
