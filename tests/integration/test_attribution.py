"""Authors of changes from the audit log of a real API server: who wrote each version, and when no name is certain."""

from __future__ import annotations

import base64
import gzip
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from gitsnap.archive import GitArchive, open_archive
from gitsnap.core.changes import Author, AuthorSource, ChangedObject, Revision
from gitsnap.core.model import Area, BlobId, JsonObject, ObjectKey
from gitsnap.core.objects import KubeObject
from gitsnap.core.recording import ChangeDraft
from gitsnap.format import encode, path_of
from gitsnap.history.author_join import SKEW
from gitsnap.kube.author_stamp import AUTHOR_ANNOTATION, stamped_author
from gitsnap.sveltos.kinds import BY_KIND, CLUSTER_PROFILE, CONFIG_MAP, SECRET
from gitsnap.sveltos.normalize import normalize
from tests.support.commands import gitsnap
from tests.support.controllers import MANIFESTS, kubectl, wait_for
from tests.testbed import apiserver
from tests.testbed.apiserver import ApiServer, User
from tests.testbed.definitions import definitions
from tests.testbed.fixtures import SHARED, find_binaries

POLICY = MANIFESTS / "audit" / "policy.yaml"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
SECRETS = "/api/v1/namespaces/default/secrets"
PROFILES = "/apis/config.projectsveltos.io/v1beta1/clusterprofiles"
MERGE_PATCH = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"

PROFILE = ObjectKey(CLUSTER_PROFILE, "", "verbs")


@dataclass
class Audited:
    """An API server with an audit log, its users, and an archive of its configuration."""

    api: ApiServer
    log: Path
    alice: User
    bob: User
    robot: User
    """A service account of the namespace default."""
    folder: Path = Path()
    uids: dict[ObjectKey, str] = field(default_factory=dict)

    @property
    def archive(self) -> GitArchive:
        """The archive of the present test."""
        return open_archive(self.folder, "hourly")

    def write(
        self, method: str, path: str, body: Any = None, *, user: User | None = None, code: int = 200, **more: Any
    ) -> dict[str, Any]:
        """Send a request as a user. ``code`` is the required status."""
        status, answer = self.api.request(method, path, body, user=user, **more)
        assert status == code, answer
        return dict(answer)

    def change(self, *keys: ObjectKey, absent: Sequence[ObjectKey] = ()) -> str:
        """Record the present state of some objects as one change, as follow mode does. Return the commit.

        ``absent``: the objects that exist and are no longer referenced.
        """
        files: dict[str, BlobId | None] = {}
        objects = []
        with self.archive.writer() as writer:
            for key in keys:
                document = self._live(key) if key not in absent else None
                metadata = document["metadata"] if document else {}
                uid = self.uids[key] = metadata.get("uid") or self.uids[key]
                files[path_of(key)] = writer.store(encode(normalize(document))) if document else None
                objects.append(ChangedObject(key, uid, metadata.get("resourceVersion", "")))
            version = max(
                (changed.resource_version for changed in objects if changed.resource_version), key=int, default="1"
            )
            draft = ChangeDraft(
                {Area.CONFIGURATION: files},
                Author("kubectl-edit", AuthorSource.MANAGER),
                _now(),
                (Revision(version),),
                objects=tuple(objects),
            )
            return writer.record_changes([draft], cluster="c", time=_now())[0].commit

    def _live(self, key: ObjectKey) -> JsonObject | None:
        row = BY_KIND[key.kind]
        root = "/api/v1" if not key.kind.group else f"/apis/{key.kind.group}/{row.versions[0]}"
        namespace = f"/namespaces/{key.namespace}" if key.namespace else ""
        status, answer = self.api.request("GET", f"{root}{namespace}/{row.plural}/{key.name}")
        assert status in (200, 404)
        return (
            {**answer, "apiVersion": root.removeprefix("/apis/").removeprefix("/api/"), "kind": key.kind.name}
            if status == 200
            else None
        )

    def attribute(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Run the command when the log has all requests so far. Return its document."""
        marker = self.api.ask("POST", CONFIG_MAPS, {"metadata": {"generateName": "marker-"}})["metadata"]["name"]
        wait_for(lambda: f'"name":"{marker}"' in self.log.read_text(), "the audit log")
        done = self.gitsnap("attribute", "--audit", str(self.log), "-o", "json", *words, code=code)
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def gitsnap(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command on the archive."""
        return gitsnap(self.folder, *words, "--storage", str(self.folder), code=code)

    def git(self, *words: str) -> str:
        """The output of git in the archive."""
        command = ["git", "-C", str(self.folder / "hourly"), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def notes(self) -> dict[str, str]:
        """Commit -> note, as git shows the notes."""
        text = self.git("log", "--notes=gitsnap-authors", "--format=%H%x01%N%x00", "hourly")
        pairs = (entry.strip().split("\x01") for entry in text.split("\0") if entry.strip())
        return {commit: note.strip() for commit, note in pairs if note.strip()}


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    """A server with the audit policy of the manifests, and two users."""
    folder = tmp_path_factory.mktemp("audited")
    log = folder / "audit.log"
    flags = (f"--audit-policy-file={POLICY}", f"--audit-log-path={log}", "--audit-log-mode=blocking")
    with apiserver.running(find_binaries(), folder / "server", flags=flags) as api:
        api.install(definitions(SHARED if SHARED.is_dir() else None))
        rules: tuple[Mapping[str, list[str]], ...] = (
            {"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": ["*"]},
            {"apiGroups": ["config.projectsveltos.io"], "resources": ["clusterprofiles"], "verbs": ["*"]},
        )
        alice, bob = (
            api.new_user(*rules, {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]})
            for _ in range(2)
        )
        audited = Audited(api, log, alice, bob, _service_account(api, *rules))
        # A complete log covers the time around a sample. So the log begins well before the sample of the first test.
        api.ask("POST", CONFIG_MAPS, {"metadata": {"name": "first-event"}})
        time.sleep(SKEW.total_seconds() + 1.2)
        yield audited


def _service_account(api: ApiServer, *rules: Mapping[str, list[str]]) -> User:
    """A service account ``robot`` with these rules."""
    root, group = "/apis/rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io"
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    api.ask("POST", accounts, {"metadata": {"name": "robot"}})
    api.ask("POST", f"{root}/clusterroles", {"metadata": {"name": "robot"}, "rules": list(rules)})
    role = {"kind": "ClusterRole", "name": "robot", "apiGroup": group}
    subjects = [{"kind": "ServiceAccount", "namespace": "default", "name": "robot"}]
    binding = {"metadata": {"name": "robot"}, "roleRef": role, "subjects": subjects}
    api.ask("POST", f"{root}/clusterrolebindings", binding)
    token = api.ask("POST", f"{accounts}/robot/token", {"spec": {"expirationSeconds": 3600}})["status"]["token"]
    robot = User("robot", token)
    wait_for(lambda: api.request("GET", CONFIG_MAPS, user=robot)[0] == 200, "the rights of the service account")
    return robot


@pytest.fixture
def audited(server: Audited, tmp_path: Path) -> Audited:
    """The server with an archive that has one sample. Each test changes objects of its own after the sample."""
    server.folder, server.uids = tmp_path, {}
    gitsnap(
        tmp_path, "capture", "--create", "--snapshot", "hourly", "--storage", str(tmp_path), "--allow-empty",
        "--kubeconfig", str(server.api.kubeconfig()), "--secrets-mode", "omit",
    )  # fmt: skip
    assert server.archive.samples()
    return server


def test_each_change_gets_the_name_of_the_user_who_wrote_it(audited: Audited) -> None:
    """Each verb; users with equal field managers, an impersonating user, and a service account."""
    alice, bob = audited.alice, audited.bob
    key, path = ObjectKey(CONFIG_MAP, "default", "verbs"), f"{CONFIG_MAPS}/verbs"
    profile = {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterProfile",
        "metadata": {"name": "verbs"},
    }
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "verbs"}, "data": {"applied": "1"}}
    expected = {}

    audited.write("POST", CONFIG_MAPS, {"metadata": {"name": "verbs"}}, user=alice, code=201)
    expected[audited.change(key)] = alice.name
    audited.write("PATCH", path, {"data": {"patched": "1"}}, user=bob, content_type=MERGE_PATCH)
    expected[audited.change(key)] = bob.name
    audited.write("PATCH", f"{path}?fieldManager=flux&force=true", applied, user=alice, content_type=APPLY)
    expected[audited.change(key)] = alice.name
    document = audited.write("GET", path)
    audited.write("PUT", path, {**document, "data": {"replaced": "1"}}, user=bob)
    expected[audited.change(key)] = bob.name
    patch = {"data": {"impersonated": "1"}}
    audited.write("PATCH", path, patch, user=alice, impersonate=bob.name, content_type=MERGE_PATCH)
    expected[audited.change(key)] = f"{alice.name} as {bob.name}"
    audited.write("PATCH", path, {"data": {"robot": "1"}}, user=audited.robot, content_type=MERGE_PATCH)
    expected[audited.change(key)] = "default/robot"
    audited.write("POST", PROFILES, profile, user=bob, code=201)
    expected[audited.change(PROFILE)] = bob.name
    audited.write("DELETE", path, user=alice)
    audited.write("DELETE", f"{PROFILES}/verbs", user=bob)
    expected[audited.change(key)] = alice.name
    expected[audited.change(PROFILE)] = bob.name

    answer = audited.attribute()

    assert {change["change"]: change["logAuthor"]["name"] for change in answer["changes"]} == expected
    notes = audited.notes()
    assert {commit: note.splitlines()[0].split(": ")[1] for commit, note in notes.items()} == {
        commit: name.replace(" ", "%20") for commit, name in expected.items()
    }
    assert all("Gitsnap-Author-Source: audit" in note for note in notes.values())
    shown = audited.gitsnap("show", next(iter(expected)))
    assert f"{alice.name} (audit)" in shown.stderr + shown.stdout


def test_a_second_run_records_nothing(audited: Audited) -> None:
    """The names are known, and the ref of the notes stays where it is."""
    commit = _created(audited, "twice", audited.alice)
    first = audited.attribute()
    head = audited.git("rev-parse", "refs/notes/gitsnap-authors")

    second = audited.attribute()

    assert [change["outcome"] for change in first["changes"]] == ["named"]
    assert [(change["change"], change["outcome"]) for change in second["changes"]] == [(commit, "known")]
    assert audited.git("rev-parse", "refs/notes/gitsnap-authors") == head


def test_a_dry_run_records_nothing(audited: Audited) -> None:
    """The names are shown, and there are no notes."""
    _created(audited, "tried", audited.alice)

    assert audited.attribute("--dry-run")["changes"][0]["logAuthor"] == {"name": audited.alice.name, "source": "audit"}
    assert not audited.notes()


def test_writes_without_effect_give_no_name(audited: Audited) -> None:
    """Another user makes dry runs, refused writes, and writes that change nothing, around the author's write."""
    key, path = ObjectKey(CONFIG_MAP, "default", "effect"), f"{CONFIG_MAPS}/effect"
    created = _created(audited, "effect", audited.alice)

    def disturb() -> None:
        live = audited.write("GET", path)
        stale = {**live, "metadata": {**live["metadata"], "resourceVersion": "1"}, "data": {"x": "y"}}
        audited.write("PATCH", f"{path}?dryRun=All", {"data": {"dry": "1"}}, user=audited.bob, content_type=MERGE_PATCH)
        audited.write("DELETE", path, {"dryRun": ["All"]}, user=audited.bob)
        audited.write("PUT", path, stale, user=audited.bob, code=409)
        audited.write("PUT", path, live, user=audited.bob)
        audited.write(
            "PATCH", path, {"metadata": {"name": "other"}}, user=audited.bob, code=400, content_type=MERGE_PATCH
        )

    disturb()
    audited.write("PATCH", path, {"data": {"real": "1"}}, user=audited.alice, content_type=MERGE_PATCH)
    disturb()
    changed = audited.change(key)

    answer = audited.attribute()

    assert {change["change"]: change["logAuthor"] and change["logAuthor"]["name"] for change in answer["changes"]} == {
        created: audited.alice.name,
        changed: audited.alice.name,
    }, answer


def test_a_change_with_the_writes_of_several_users_gets_no_name(audited: Audited) -> None:
    """Two users wrote one object before the change was recorded, or two objects of one change."""
    key, path = ObjectKey(CONFIG_MAP, "default", "both"), f"{CONFIG_MAPS}/both"
    _created(audited, "both", audited.alice)
    audited.write("PATCH", path, {"data": {"a": "1"}}, user=audited.alice, content_type=MERGE_PATCH)
    audited.write("PATCH", path, {"data": {"b": "1"}}, user=audited.bob, content_type=MERGE_PATCH)
    one_object = audited.change(key)
    keys = [ObjectKey(CONFIG_MAP, "default", name) for name in ("first", "second")]
    for key, user in zip(keys, (audited.alice, audited.bob), strict=True):
        audited.write("POST", CONFIG_MAPS, {"metadata": {"name": key.name}}, user=user, code=201)
    two_objects = audited.change(*keys)

    answers = {change["change"]: change for change in audited.attribute()["changes"]}

    both = ", ".join(sorted((audited.alice.name, audited.bob.name)))
    assert answers[one_object]["outcome"] == answers[two_objects]["outcome"] == "unnamed"
    assert answers[one_object]["reason"] == f"ConfigMap default/both was written by several authors: {both}"
    assert answers[two_objects]["reason"] == f"its objects were written by several authors: {both}"
    assert not {one_object, two_objects} & audited.notes().keys()


def test_an_object_that_existed_before_gets_no_name_when_it_enters_the_configuration(audited: Audited) -> None:
    """The writer of the object did not make the change: another object began to refer to the object."""
    path = f"{CONFIG_MAPS}/referenced"
    audited.write("POST", CONFIG_MAPS, {"metadata": {"name": "referenced"}}, user=audited.alice, code=201)
    audited.gitsnap("capture", "--snapshot", "hourly", "--allow-empty", "--kubeconfig", str(audited.api.kubeconfig()))
    audited.write("PATCH", path, {"data": {"a": "1"}}, user=audited.bob, content_type=MERGE_PATCH)
    time.sleep(0.1)
    commit = audited.change(ObjectKey(CONFIG_MAP, "default", "referenced"))

    (answer,) = audited.attribute()["changes"]

    assert (answer["change"], answer["outcome"]) == (commit, "unnamed")


def test_who_adds_or_removes_a_reference_is_the_author_of_the_change(audited: Audited) -> None:
    """The ConfigMap of another user enters and leaves with the reference of a profile."""
    audited.write("POST", CONFIG_MAPS, {"metadata": {"name": "brought"}}, user=audited.alice, code=201)
    time.sleep(SKEW.total_seconds() + 1.2)  # the time of a sample is a whole second
    audited.gitsnap("capture", "--snapshot", "hourly", "--allow-empty", "--kubeconfig", str(audited.api.kubeconfig()))
    brought = ObjectKey(CONFIG_MAP, "default", "brought")
    reference = {"kind": "ConfigMap", "namespace": "default", "name": "brought"}
    profile = {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterProfile",
        "metadata": {"name": "verbs"},
    }
    audited.write("POST", PROFILES, {**profile, "spec": {"policyRefs": [reference]}}, user=audited.bob, code=201)
    added = audited.change(PROFILE, brought)
    patch = {"spec": {"policyRefs": None}}
    audited.write("PATCH", f"{PROFILES}/verbs", patch, user=audited.bob, content_type=MERGE_PATCH)
    removed = audited.change(PROFILE, brought, absent=[brought])
    audited.write("DELETE", f"{PROFILES}/verbs")

    answers = {change["change"]: change for change in audited.attribute()["changes"]}

    assert [answers[commit]["logAuthor"]["name"] for commit in (added, removed)] == [audited.bob.name] * 2


def test_secrets_get_a_name_only_where_the_log_is_complete(audited: Audited) -> None:
    """The policy keeps the values of Secrets out of the log, and with them the resource versions."""
    key = ObjectKey(SECRET, "default", "token")
    body = {"metadata": {"name": "token"}, "stringData": {"token": "correct-horse-battery"}}
    audited.write("POST", SECRETS, body, user=audited.bob, code=201)
    commit = audited.change(key)

    (uncertain,) = audited.attribute()["changes"]
    (early,) = audited.attribute("--complete-log")["changes"]
    time.sleep(SKEW.total_seconds() + 0.2)  # a later event must show that the log has all writes until the change
    (certain,) = audited.attribute("--complete-log")["changes"]

    assert uncertain["reason"] == (
        "the log has no answer with the recorded version of Secret default/token; "
        f"writes at that time: {audited.bob.name}"
    )
    assert early["outcome"] == "outside"
    assert (certain["change"], certain["logAuthor"]["name"]) == (commit, audited.bob.name)
    log = audited.log.read_text()
    assert "correct-horse-battery" not in log
    assert base64.b64encode(b"correct-horse-battery").decode() not in log
    assert all(user.token not in log for user in (audited.alice, audited.bob))


def test_a_log_that_contradicts_a_name_changes_nothing_and_is_reported(audited: Audited) -> None:
    """The exit code is 13, and the note stays."""
    _created(audited, "contradicted", audited.alice)
    audited.attribute()
    notes = audited.notes()
    doctored = audited.folder / "doctored.log"
    doctored.write_text(audited.log.read_text().replace(f'"username":"{audited.alice.name}"', '"username":"mallory"'))

    done = audited.gitsnap("attribute", "--audit", str(doctored), code=13)

    assert "the log names mallory" in done.stdout
    assert "1 contradicting the recorded name" in done.stdout
    assert audited.notes() == notes


def test_names_that_arrive_late_are_added(audited: Audited) -> None:
    """The log of another day is compressed, in a folder, or on standard input."""
    commit = _created(audited, "late", audited.alice)
    audited.attribute("--dry-run")
    lines = audited.log.read_bytes().splitlines(keepends=True)
    about = [line for line in lines if b'"late"' in line]
    before = [line for line in lines if line < about[0] and b'"late"' not in line]
    folder = audited.folder / "logs"
    folder.mkdir()
    (folder / "audit-1.log").write_bytes(b"".join(lines[:1]))
    early = audited.gitsnap("attribute", "--audit", str(folder))
    (folder / "audit-2.log.gz").write_bytes(gzip.compress(b"".join(lines[1:])))
    late = audited.gitsnap("attribute", "--audit", str(folder))

    assert "no new name; 1 outside the time of the log" in early.stdout, before
    assert "1 name recorded" in late.stdout
    assert commit in audited.notes()


@pytest.fixture
def stamped(audited: Audited) -> Iterator[Audited]:
    """The server with the admission policy that records authors in annotations."""
    kubeconfig = audited.api.kubeconfig()
    kubectl(
        "apply",
        "--server-side",
        "--validate=strict",
        "-k",
        str(MANIFESTS / "overlays" / "stamp"),
        kubeconfig=kubeconfig,
    )
    probe = {"metadata": {"generateName": "probe-"}}
    wait_for(
        lambda: AUTHOR_ANNOTATION in audited.api.ask("POST", CONFIG_MAPS, probe)["metadata"].get("annotations", {}),
        "the admission policy to be in force",
    )
    profile = {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterProfile",
        "metadata": {"name": "probe"},
    }
    # The API server answers 503 until its mutating policies have learned the schemas of custom resources.
    wait_for(
        lambda: audited.api.request("POST", f"{PROFILES}?dryRun=All", profile)[0] == HTTPStatus.CREATED,
        "the admission policy to know custom resources",
    )
    yield audited
    kubectl("delete", "-k", str(MANIFESTS / "overlays" / "stamp"), kubeconfig=kubeconfig)


def test_a_stamp_names_the_author_of_exactly_the_write_that_changed_the_configuration(stamped: Audited) -> None:
    """Each verb has its author. A write without effect, and a forged annotation, do not change the author."""
    path, seen, version = f"{CONFIG_MAPS}/stamped", [], ""
    alice, bob = stamped.alice, stamped.bob
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "stamped"}, "data": {"applied": "1"}}

    def note(answer: dict[str, Any]) -> None:
        nonlocal version
        seen.append(stamped_author(KubeObject.of(answer), replaced=version))
        version = answer["metadata"]["resourceVersion"]

    note(stamped.write("POST", CONFIG_MAPS, {"metadata": {"name": "stamped"}}, user=alice, code=201))
    note(stamped.write("PATCH", path, {"data": {"a": "1"}}, user=bob, content_type=MERGE_PATCH))
    note(stamped.write("PATCH", f"{path}?fieldManager=flux&force=true", applied, user=alice, content_type=APPLY))
    live = stamped.write("GET", path)
    note(stamped.write("PUT", path, {**live, "data": {"b": "1"}}, user=bob))
    forged = {"metadata": {"annotations": {AUTHOR_ANNOTATION: f"{version} carol"}}}
    note(stamped.write("PATCH", path, forged, user=alice, content_type=MERGE_PATCH))
    finalizers = {"metadata": {"finalizers": ["example.com/wait"]}}
    note(stamped.write("PATCH", path, finalizers, user=bob, content_type=MERGE_PATCH))
    same = stamped.write("PATCH", path, {"data": {"b": "1"}}, user=alice, content_type=MERGE_PATCH)
    assert same["metadata"]["resourceVersion"] == version, "a stamp must not turn a write without effect into a change"
    note(stamped.write("PATCH", path, {"metadata": {"finalizers": None}}, user=alice, content_type=MERGE_PATCH))
    note(stamped.write("PATCH", path, {"data": {"c": "1"}}, user=stamped.robot, content_type=MERGE_PATCH))

    assert seen == [alice.name, bob.name, alice.name, bob.name, alice.name, "", "", "default/robot"]


def test_a_stamp_names_the_impersonated_user(stamped: Audited) -> None:
    """An admission policy does not see the impersonating user. The audit log names this user."""
    answer = stamped.write(
        "POST", CONFIG_MAPS, {"metadata": {"name": "as"}}, user=stamped.alice, impersonate=stamped.bob.name, code=201
    )
    assert stamped_author(KubeObject.of(answer), replaced="") == stamped.bob.name


def test_a_server_that_does_not_serve_the_policy_refuses_it(tmp_path: Path) -> None:
    """Servers before Kubernetes 1.36 refuse the policy, and apply no part that looks like a source of names."""
    flags = ("--emulated-version=1.35",)
    with apiserver.running(find_binaries(), tmp_path / "server", flags=flags) as api:
        with pytest.raises(AssertionError, match="MutatingAdmissionPolicy"):
            kubectl("apply", "-k", str(MANIFESTS / "overlays" / "stamp"), kubeconfig=api.kubeconfig())
        answer = api.ask("POST", CONFIG_MAPS, {"metadata": {"name": "a"}})
        assert AUTHOR_ANNOTATION not in answer["metadata"].get("annotations", {})


def test_the_stamp_is_not_configuration(stamped: Audited) -> None:
    """Neither the stamp of a ConfigMap nor that of a custom resource is in the archive. Secrets are stamped, too."""
    profile = {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterProfile",
        "metadata": {"name": "verbs"},
    }
    made = stamped.write("POST", PROFILES, profile, user=stamped.bob, code=201)
    secret = stamped.write("POST", SECRETS, {"metadata": {"name": "stamped"}}, user=stamped.bob, code=201)
    stamped.gitsnap("capture", "--snapshot", "hourly", "--kubeconfig", str(stamped.api.kubeconfig()))

    for document in (made, secret):
        assert stamped_author(KubeObject.of(document), replaced="") == stamped.bob.name
    assert AUTHOR_ANNOTATION not in stamped.gitsnap("show", "latest", "ClusterProfile/verbs").stdout
    stamped.write("DELETE", f"{PROFILES}/verbs")


@contextmanager
def _following(audited: Audited) -> Iterator[None]:
    """`gitsnap follow` as a process, which starts with a new sample."""
    words = ["follow", "--snapshot", "hourly", "--storage", str(audited.folder), "--secrets-mode", "omit"]
    log = audited.folder / "follow.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "gitsnap",
                *words,
                "--kubeconfig",
                str(audited.api.kubeconfig()),
                "--quiet-seconds",
                "0.3",
            ],
            cwd=audited.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_for(lambda: "stop with Ctrl-C" in log.read_text(), "follow to start")
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def _writes_of_two_users(audited: Audited) -> list[str]:
    """Write a profile in turn by two users, each write after the change of the one before. Return the users."""
    path, authors = f"{PROFILES}/verbs", [audited.alice, audited.bob, audited.alice]
    profile = {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterProfile",
        "metadata": {"name": "verbs"},
    }
    audited.write("POST", PROFILES, profile, user=authors[0], code=201)
    for number, user in enumerate(authors[1:], 1):
        _wait_for_changes(audited, number)
        audited.write("PATCH", path, {"spec": {"tier": number}}, user=user, content_type=MERGE_PATCH)
    _wait_for_changes(audited, len(authors))
    audited.write("DELETE", path, user=audited.bob)
    _wait_for_changes(audited, len(authors) + 1)
    return [user.name for user in authors]


def _wait_for_changes(audited: Audited, count: int) -> None:
    wait_for(
        lambda: audited.git("log", "hourly").count("Gitsnap-Author-Source: ") == count, "the change to be recorded"
    )


def test_follow_mode_names_the_user_of_the_stamp(stamped: Audited) -> None:
    """Plain git finds the name in the commit. A deletion has no stamp, and the audit log names its author."""
    with _following(stamped):
        names = _writes_of_two_users(stamped)

    lines = stamped.git(
        "log", "--reverse", "--format=%an %(trailers:key=Gitsnap-Author-Source,valueonly)", "-4", "hourly"
    )
    assert [line for line in lines.splitlines() if line] == [*(f"{name} stamp" for name in names), "unknown unknown"]
    stamped.attribute()
    assert [change["author"] for change in _log(stamped)] == [
        {"name": name, "source": "audit"} for name in (*names, stamped.bob.name)
    ]


def test_the_changes_of_follow_mode_get_names_from_the_log(audited: Audited) -> None:
    """Follow mode alone knows only the field manager."""
    with _following(audited):
        names = _writes_of_two_users(audited)

    answers = audited.attribute()["changes"]

    assert [answer["logAuthor"]["name"] for answer in answers] == [*names, audited.bob.name], answers


def _log(audited: Audited) -> list[dict[str, Any]]:
    """The changes of the profile, oldest first."""
    changes: list[dict[str, Any]] = json.loads(audited.gitsnap("log", "ClusterProfile/verbs", "-o", "json").stdout)[
        "changes"
    ]
    return changes[::-1]


def _created(audited: Audited, name: str, user: User) -> str:
    """Create a ConfigMap as a user, and record the change."""
    audited.write("POST", CONFIG_MAPS, {"metadata": {"name": name}}, user=user, code=201)
    return audited.change(ObjectKey(CONFIG_MAP, "default", name))
