"""Pushes to real servers on loopback by ssh and https: the refs that arrive, and the error of each refusal."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitsnap.archive import GitArchive, create_archive, maintenance, open_archive
from gitsnap.archive import remote as remotes
from gitsnap.archive.remote import Credentials, Remote, cached_clone, clone, connection, count_unpushed, push
from gitsnap.archive.remote.verify import compare_history
from gitsnap.capture import Request, capture, tree_info
from gitsnap.core.consequences import consequence_of
from gitsnap.core.errors import (
    RemoteChangedError,
    RemoteDivergedError,
    RemoteError,
    RemoteUnreachableError,
    SecretsError,
)
from gitsnap.core.model import SecretsMode, Trigger
from gitsnap.git.process import run_git
from gitsnap.policy.snapshot import from_resource
from tests.support.adapters import open_directory
from tests.support.interruption import Switch
from tests.support.remotes import (
    HttpServer,
    SshServer,
    bare_repository,
    generate_key,
    http_server,
    make_certificate,
    ssh_server,
)

_PROFILE = (
    "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: a\nspec:\n  tier: {}\n"
)
_POLICY = {
    "apiVersion": "utils.projectsveltos.io/v1beta1",
    "kind": "Snapshot",
    "metadata": {"name": "hourly"},
    "spec": {"secrets": {"mode": "omit"}},
}
_START = datetime(2026, 1, 1, tzinfo=UTC)
_PASSWORD = "correct-horse-battery"


class _Source:
    """An archive, and a cluster that changes before each sample."""

    def __init__(self, folder: Path) -> None:
        self.storage = folder / "storage"
        self.storage.mkdir(parents=True)
        self._cluster = folder / "cluster"
        self._cluster.mkdir()
        self.archive: GitArchive = create_archive(self.storage, "hourly")
        self._count = 0

    def copy(self, folder: Path) -> _Source:
        """Copy the archive and its cluster, as a user does who moves an archive."""
        shutil.copytree(self.storage.parent, folder)
        other = copy.copy(self)
        other.storage, other._cluster = folder / "storage", folder / "cluster"
        other.archive = open_archive(other.storage, "hourly")
        return other

    def sample(self, count: int = 1, *, changed: bool = True) -> None:
        """Take a number of samples, each an hour after the one before. ``changed``: each has a change."""
        info = tree_info(from_resource(_POLICY), branch="hourly", keeper=None)
        assert info.secrets.mode is SecretsMode.OMIT
        for _ in range(count):
            self._count += 1
            if changed:
                (self._cluster / "a.yaml").write_text(_PROFILE.format(self._count))
            moment = _START + timedelta(hours=self._count)
            capture(open_directory(self._cluster), self.archive, Request(info, None, moment, Trigger.SCHEDULE))

    @property
    def git(self) -> Path:
        return self.archive.git_folder


@pytest.fixture
def source(tmp_path: Path) -> _Source:
    """An archive with two samples."""
    made = _Source(tmp_path / "source")
    made.sample(2)
    return made


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The empty repository of a server."""
    (tmp_path / "server").mkdir()
    return bare_repository(tmp_path / "server" / "record.git")


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[SshServer]:
    """A server that accepts the key ``allowed``."""
    with ssh_server(tmp_path / "sshd") as server:
        server.authorize(generate_key(tmp_path / "allowed"))
        yield server


@pytest.fixture
def https(target: Path) -> Iterator[HttpServer]:
    """A server that accepts a password or a token."""
    with http_server(target.parent, password=_PASSWORD, token="a-bearer-token") as server:
        yield server


def _key(server: SshServer, path: Path, **more: bytes) -> Credentials:
    values = {"identity": path.read_bytes(), "known_hosts": server.known_hosts.encode(), **more}
    return Credentials("Secret gitsnap/remote", values)


def _refs(folder: Path) -> dict[str, str]:
    done = subprocess.run(
        ["git", "-C", folder, "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return dict(line.split(" ") for line in done.stdout.splitlines())


def _objects(folder: Path) -> set[str]:
    command = ["git", "-C", str(folder), "cat-file", "--batch-check=%(objectname)", "--batch-all-objects"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_a_push_by_ssh_sends_branch_and_samples(source: _Source, target: Path, sshd: SshServer, tmp_path: Path) -> None:
    """The remote has the refs of the archive. A second push sends nothing, and a third push only new refs."""
    remote = Remote(sshd.url(target), _key(sshd, tmp_path / "allowed"))

    first = push(source.git, "hourly", remote)
    again = push(source.git, "hourly", remote)
    source.sample(2)
    assert count_unpushed(source.git, "hourly") == 2
    third = push(source.git, "hourly", remote)

    assert (first.tags, again.tags, third.tags) == (2, 0, 2)
    assert _refs(target) == _refs(source.git)
    assert count_unpushed(source.git, "hourly") == 0


def test_a_push_adds_no_object_to_the_archive(source: _Source, target: Path) -> None:
    """gitsnap never prunes objects, so the state of a push must not add objects to the archive."""
    before = _objects(source.git)

    push(source.git, "hourly", Remote(str(target)))

    assert _objects(source.git) == before
    assert count_unpushed(source.git, "hourly") == 0


def test_a_push_reads_the_refs_of_the_remote_rarely(
    source: _Source, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push reads all refs once, and after sending only the sent refs. Without missing refs it reads once."""
    asked: list[str] = []
    original = run_git

    def noted(git_folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        asked.append(arguments[0])
        return original(git_folder, *arguments, **options)

    monkeypatch.setattr(connection, "run_git", noted)

    push(source.git, "hourly", Remote(str(target)))
    assert asked == ["ls-remote", "push", "fetch"]
    asked.clear()
    push(source.git, "hourly", Remote(str(target)))
    assert asked == ["ls-remote"]


def test_a_key_with_a_passphrase(source: _Source, target: Path, sshd: SshServer, tmp_path: Path) -> None:
    """The passphrase is in the Secret. The error of a wrong passphrase says that it is not accepted."""
    sshd.authorize(generate_key(tmp_path / "locked", passphrase="open sesame"))
    right = _key(sshd, tmp_path / "locked", password=b"open sesame")
    wrong = _key(sshd, tmp_path / "locked", password=b"open barley")

    with pytest.raises(RemoteError, match="does not accept the credentials") as refused:
        push(source.git, "hourly", Remote(sshd.url(target), wrong))
    assert "barley" not in str(refused.value)
    assert push(source.git, "hourly", Remote(sshd.url(target), right)).tags == 2


def test_ssh_refusals_have_names(source: _Source, target: Path, sshd: SshServer, tmp_path: Path) -> None:
    """A refused key, a wrong or unknown host key, and a Secret without a key or host keys have their own errors."""
    generate_key(tmp_path / "stranger")
    other_host = " ".join(generate_key(tmp_path / "other-host").split()[:2])
    url = sshd.url(target)
    allowed = (tmp_path / "allowed").read_bytes()

    def refused(**values: bytes) -> Exception:
        with pytest.raises((RemoteError, SecretsError)) as error:
            push(source.git, "hourly", Remote(url, Credentials("Secret gitsnap/remote", values)))
        return error.value

    hosts = sshd.known_hosts.encode()
    assert "does not accept the credentials" in str(
        refused(identity=(tmp_path / "stranger").read_bytes(), known_hosts=hosts)
    )
    impostor = f"[127.0.0.1]:{sshd.port} {other_host}\n".encode()
    assert "host key" in str(refused(identity=allowed, known_hosts=impostor))
    assert "host key" in str(refused(identity=allowed, known_hosts=b"elsewhere ssh-ed25519 AAAA\n"))
    assert "known_hosts" in str(refused(identity=allowed))
    assert "identity" in str(refused(known_hosts=hosts))
    assert _refs(target) == {}


def test_by_https_with_password_or_token(source: _Source, https: HttpServer) -> None:
    """Password and token work with the certificate authority of the Secret, and appear in no message."""
    url = f"{https.url}/record.git"
    authority = https.authority.encode()
    by_password = {"username": b"git", "password": _PASSWORD.encode(), "ca.crt": authority}
    by_token = {"bearerToken": b"a-bearer-token", "caFile": authority}

    assert push(source.git, "hourly", Remote(url, Credentials("s", by_password))).tags == 2
    source.sample()
    assert push(source.git, "hourly", Remote(url, Credentials("s", by_token))).tags == 1


def test_by_https_with_a_client_certificate(source: _Source, target: Path, tmp_path: Path) -> None:
    """The client certificate suffices. Without it, or with a foreign certificate, nothing arrives."""
    certificate, key = make_certificate(tmp_path, "client")
    other = make_certificate(tmp_path, "stranger")
    with http_server(target.parent, client=certificate) as server:
        url, authority = f"{server.url}/record.git", server.authority.encode()
        stranger = {"tls.crt": other[0].read_bytes(), "tls.key": other[1].read_bytes(), "ca.crt": authority}
        for refused in ({"ca.crt": authority}, stranger):
            with pytest.raises(RemoteError):
                push(source.git, "hourly", Remote(url, Credentials("s", refused)))
        with pytest.raises(SecretsError, match="but not both"):
            push(source.git, "hourly", Remote(url, Credentials("s", {"tls.crt": certificate.read_bytes()})))
        assert _refs(target) == {}

        own = {"tls.crt": certificate.read_bytes(), "tls.key": key.read_bytes(), "ca.crt": authority}
        assert push(source.git, "hourly", Remote(url, Credentials("s", own))).tags == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"password": b"wrong-horse-battery"}, "does not accept the credentials"),
        ({"password": b""}, "does not accept the credentials"),
        ({"ca.crt": b""}, "TLS certificate is not trusted"),
    ],
)
def test_https_refusals_have_names(
    source: _Source, https: HttpServer, target: Path, changed: dict[str, bytes], message: str
) -> None:
    """A wrong password, no password and an untrusted server have their own errors. No message has the password."""
    values = {"username": b"git", "password": _PASSWORD.encode(), "ca.crt": https.authority.encode(), **changed}

    with pytest.raises(RemoteError, match=message) as error:
        push(source.git, "hourly", Remote(f"{https.url}/record.git", Credentials("s", values)))

    assert not consequence_of(error.value).transient
    assert "horse" not in str(error.value)
    assert _refs(target) == {}


def test_a_missing_repository(source: _Source, https: HttpServer, target: Path) -> None:
    """The user must create the repository: gitsnap creates no repositories on servers."""
    values = {"password": _PASSWORD.encode(), "ca.crt": https.authority.encode()}
    with pytest.raises(RemoteError, match="no such repository"):
        push(source.git, "hourly", Remote(f"{https.url}/nothing.git", Credentials("s", values)))
    with pytest.raises(RemoteError, match="no such repository") as raised:
        push(source.git, "hourly", Remote(str(target.parent / "nothing.git")))
    assert raised.value.hint.startswith("Check the URL.")  # a reader of an archive must not create it there


def _other_history(tmp_path: Path, target: Path) -> None:
    other = _Source(tmp_path / "other")
    other.sample(3)
    push(other.git, "hourly", Remote(str(target)))


def test_a_diverged_remote_is_left_alone(source: _Source, target: Path, tmp_path: Path) -> None:
    """The error names both commits, and the push is not forced."""
    _other_history(tmp_path, target)
    before = _refs(target)

    with pytest.raises(RemoteDivergedError) as error:
        push(source.git, "hourly", Remote(str(target)))

    assert before["refs/heads/hourly"][:12] in error.value.message
    assert _refs(source.git)["refs/heads/hourly"][:12] in error.value.message
    assert _refs(target) == before


def test_another_archive_continues_the_samples_without_a_change(source: _Source, target: Path, tmp_path: Path) -> None:
    """Both branches name the same commit. The second push is refused, and the remote stays complete."""
    remote = Remote(str(target))
    push(source.git, "hourly", remote)
    laptop = source.copy(tmp_path / "laptop")
    source.sample(changed=False)
    push(source.git, "hourly", remote)
    before = _refs(target)
    laptop._count += 5
    laptop.sample(changed=False)
    assert laptop.archive.samples()[-1].commit == source.archive.samples()[-1].commit

    with pytest.raises(RemoteDivergedError) as error:
        push(laptop.git, "hourly", remote)

    assert _refs(target) == before
    assert "another archive of hourly is pushed there" in error.value.message
    source.sample(changed=False)
    push(source.git, "hourly", remote)
    assert compare_history(source.git, "hourly", source.archive.samples(), remote) == []


def test_a_hook_that_refuses_tags_refuses_all(source: _Source, target: Path) -> None:
    """The push is atomic: if the tags are refused, the branch is not pushed."""
    hook = target / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase "$1" in refs/tags/*) echo "no tags here" >&2; exit 1;; esac\n')
    hook.chmod(0o755)

    with pytest.raises(RemoteError, match="refuses the push") as error:
        push(source.git, "hourly", Remote(str(target)))

    assert not consequence_of(error.value).transient
    assert _refs(target) == {}


def test_a_hook_that_drops_accepted_refs_is_noticed(source: _Source, target: Path) -> None:
    """A push succeeds only if the remote has the refs afterwards."""
    hook = target / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nfor ref in $(git for-each-ref --format='%(refname)' refs/tags); do\n"
                    "  git update-ref -d $ref; done\n")  # fmt: skip
    hook.chmod(0o755)

    with pytest.raises(RemoteError, match="is not there"):
        push(source.git, "hourly", Remote(str(target)))


def test_a_connection_that_breaks(source: _Source, target: Path, sshd: SshServer, tmp_path: Path) -> None:
    """The error allows a retry, and after the retry no ref is missing."""
    switch = Switch(sshd.port)
    url = sshd.url(target).replace(f":{sshd.port}/", f":{switch.port}/")
    hosts = sshd.known_hosts.replace(str(sshd.port), str(switch.port)).encode()
    remote = Remote(url, Credentials("s", {"identity": (tmp_path / "allowed").read_bytes(), "known_hosts": hosts}))
    hook = target / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {target}/receiving\nsleep 3\n")
    hook.chmod(0o755)
    cutter = threading.Thread(target=_cut, args=(switch, target / "receiving"))
    cutter.start()

    with pytest.raises(RemoteUnreachableError) as error:
        push(source.git, "hourly", remote)
    cutter.join()
    assert consequence_of(error.value).transient
    with pytest.raises(RemoteUnreachableError):
        push(source.git, "hourly", remote)

    hook.unlink()
    switch.on()
    push(source.git, "hourly", remote)
    assert _refs(target) == _refs(source.git)
    switch.close()


def _cut(switch: Switch, mark: Path) -> None:
    for _ in range(200):
        if mark.exists():
            break
        threading.Event().wait(0.05)
    switch.off()


def test_a_full_disk_at_the_remote(source: _Source, tmp_path: Path) -> None:
    """The push is refused, the remote has no partial push, and a later push succeeds."""
    volume = tmp_path / "volume"
    volume.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(volume)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        full = bare_repository(volume / "record.git")
        filler = volume / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                pass
        with pytest.raises(RemoteError):
            push(source.git, "hourly", Remote(str(full)))
        assert _refs(full) == {}
        filler.unlink()
        assert push(source.git, "hourly", Remote(str(full))).tags == 2
    finally:
        subprocess.run(["umount", volume], check=True)


def test_concurrent_pushes(source: _Source, target: Path) -> None:
    """The push that loses the race reads the refs again. No push fails, and the remote is complete."""
    source.sample(3)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: push(source.git, "hourly", Remote(str(target))), range(4)))

    assert {push.commit for push in done} == {_refs(source.git)["refs/heads/hourly"]}
    assert _refs(target) == _refs(source.git)


def test_a_locked_ref_of_the_remote_allows_a_retry(source: _Source, target: Path) -> None:
    """A locked ref is no diverged history: the lock may disappear by itself."""
    lock = target / "refs" / "heads" / "hourly.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()

    with pytest.raises(RemoteChangedError) as error:
        push(source.git, "hourly", Remote(str(target)))
    assert consequence_of(error.value).transient
    assert _refs(target) == {}

    lock.unlink()
    assert push(source.git, "hourly", Remote(str(target))).tags == 2


def test_pruned_samples_are_removed_from_the_remote_only_on_request(source: _Source, target: Path) -> None:
    """By default a push removes nothing. On request it removes only samples that the archive removed."""
    remote = Remote(str(target))
    source.sample(2)
    push(source.git, "hourly", remote)
    with source.archive.writer() as writer:
        writer.remove(source.archive.samples()[:2])

    assert push(source.git, "hourly", remote).removed == 0
    foreign = "refs/tags/hourly/1999-01-01T00-00-00Z"
    subprocess.run(["git", "-C", target, "tag", "-a", "-m", "x", foreign.removeprefix("refs/tags/"), "hourly"],
                   check=True, env={**os.environ, "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a"})  # fmt: skip
    assert push(source.git, "hourly", remote, prune=True).removed == 2

    assert set(_refs(target)) - set(_refs(source.git)) == {foreign}


def test_a_failed_removal_does_not_fail_the_push(source: _Source, target: Path) -> None:
    """If the server forbids deletions, the push succeeds and reports the samples that it could not remove."""
    remote = Remote(str(target))
    push(source.git, "hourly", remote)
    with source.archive.writer() as writer:
        writer.remove(source.archive.samples()[:1])
    hook = target / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\nif [ "$3" = {"0" * 40} ]; then echo "no deletions" >&2; exit 1; fi\n')
    hook.chmod(0o755)
    source.sample()

    done = push(source.git, "hourly", remote, prune=True)

    assert (done.tags, done.removed) == (1, 0)
    assert "refuses" in done.problem


def test_a_lost_volume_is_cloned_back(source: _Source, target: Path, tmp_path: Path) -> None:
    """The history continues. A new archive is created only if the remote certainly has no branch."""
    remote = Remote(str(target))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert clone(remote, empty, "hourly") is False
    assert list(empty.iterdir()) == []
    with pytest.raises(RemoteError):
        clone(Remote(str(target.parent / "away.git")), empty, "hourly")
    assert list(empty.iterdir()) == []

    push(source.git, "hourly", remote)
    assert clone(remote, empty, "hourly") is True

    assert _refs(empty / "hourly") == _refs(source.git)
    restored = create_archive(empty, "hourly")
    assert [sample.tag for sample in restored.samples()] == [sample.tag for sample in source.archive.samples()]


def test_an_archive_is_read_from_a_url(source: _Source, target: Path, tmp_path: Path) -> None:
    """`--archive URL` clones the archive or updates the copy. Commands that change the branch are refused."""
    push(source.git, "hourly", Remote(str(target)))
    url = f"file://{target}"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def gitsnap(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gitsnap", *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert gitsnap("list", "--archive", url).stdout.count("2026-01-01") == 2
    source.sample()
    push(source.git, "hourly", Remote(str(target)))
    listed = gitsnap("list", "--archive", url, "--snapshot", "hourly")
    assert (listed.stdout.count("2026-01-01"), listed.returncode) == (3, 0)
    shown = gitsnap("diff", "--archive", url)
    assert "spec.tier" in shown.stdout
    refused = gitsnap("prune", "--archive", url, "--keep-last", "1")
    assert (refused.returncode, "through a URL" in refused.stderr) == (2, True)
    unknown = gitsnap("list", "--archive", url, "--snapshot", "daily")
    assert (unknown.returncode, "hourly" in unknown.stderr) == (4, True)
    for words in (
        "list",
        "show",
        "log",
        "diff",
        "search tier",
        "blame ClusterProfile/a",
        "verify",
        "addons --sample latest",
    ):
        done = gitsnap(*words.split(), "--archive", url)
        assert (words, url in done.stderr, "cache" in done.stderr) == (words, True, False)
    assert gitsnap("status", "--archive", url).stdout.startswith(f"hourly in {url}\n")


def test_the_push_command(source: _Source, target: Path, tmp_path: Path) -> None:
    """The command prints a line about the result, without the user and password of the URL."""

    def gitsnap(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gitsnap", *words, "--storage", str(source.storage)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = gitsnap("push", "--to", str(target))
    again = gitsnap("push", "--to", str(target))
    away = gitsnap("push", "--to", "https://somebody:hunter22@127.0.0.1:1/record.git")

    commit = source.archive.samples()[-1].commit[:12]
    assert done.stdout == f"hourly: pushed 2 samples, commit {commit}, at {target}\n"
    assert again.stdout == f"hourly: up to date, commit {commit}, at {target}\n"
    assert (away.returncode, "127.0.0.1" in away.stderr) == (18, True)
    assert "hunter22" not in away.stdout + away.stderr


def test_a_remote_that_lost_its_branch(source: _Source, target: Path, tmp_path: Path) -> None:
    """The tags show that the remote is not empty. No new archive is created, and a push reports its result."""
    remote = Remote(f"file://{target}")
    push(source.git, "hourly", remote)
    subprocess.run(["git", "-C", target, "update-ref", "-d", "refs/heads/hourly"], check=True)
    empty = tmp_path / "empty"
    empty.mkdir()

    with pytest.raises(RemoteError, match=r"has samples of hourly, such as hourly/.* and not the branch"):
        clone(remote, empty, "hourly")
    with pytest.raises(RemoteError, match=r"has samples of hourly, such as hourly/.* and not the branch"):
        cached_clone(remote, tmp_path / "cache", "")
    (found,) = compare_history(source.git, "hourly", source.archive.samples(), remote)
    assert found.message.endswith("has no branch hourly: only tags of its samples")
    command = [sys.executable, "-m", "gitsnap", "push", "--storage", str(source.storage), "--to", remote.url]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("hourly: pushed the branch, commit ")
    assert _refs(target) == _refs(source.git)


def test_the_representation_of_credentials_has_no_values() -> None:
    """Credentials do not appear in a debugger or a log."""
    credentials = remotes.Credentials("Secret a/b", {"password": b"hunter22"})

    assert "hunter22" not in repr(credentials)
    assert "hunter22" not in repr(Remote("https://example.com", credentials))


def test_a_copy_of_a_remote_is_kept_tidy(
    source: _Source, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetch writes a file for each tag, and no capture packs a copy. Opening the copy packs it."""
    monkeypatch.setattr(maintenance, "LOOSE_TAGS", 2)
    remote = Remote(f"file://{target}")
    push(source.git, "hourly", remote)

    copy = cached_clone(remote, tmp_path / "cache", "")

    assert "refs/tags/hourly/" in (copy.git_folder / "packed-refs").read_text()
    assert not list((copy.git_folder / "refs/tags").rglob("*Z"))
    assert [sample.tag for sample in copy.samples()] == [sample.tag for sample in source.archive.samples()]
