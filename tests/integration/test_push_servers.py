"""Servers with limited capabilities, and the credential helpers of a user."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitsnap.archive import GitArchive, open_archive_at
from gitsnap.archive.remote import Credentials, Remote, push
from gitsnap.archive.remote.ref_updates import read_back
from gitsnap.core.consequences import consequence_of
from gitsnap.core.errors import RemoteDivergedError, RemoteError, RemoteRefusedError
from tests.support.commands import gitsnap
from tests.support.remotes import HttpServer, bare_repository, http_server, make_certificate, refs_of

_PROFILE = (
    "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: a\nspec:\n  tier: {}\n"
)
_PASSWORD = "correct-horse-battery"


class _Place:
    """An archive of two samples, and an empty repository of a server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "cluster").mkdir()
        (folder / "server").mkdir()
        self.target = bare_repository(folder / "server" / "record.git")
        self._tier = 0
        for _ in range(2):
            self.capture()

    def capture(self) -> None:
        self._tier += 1
        (self.folder / "cluster" / "a.yaml").write_text(_PROFILE.format(self._tier))
        words = ("capture", "--create", "--from-dir", "cluster", "--snapshot", "hourly", "--secrets-mode", "omit")
        gitsnap(self.folder, *words, code=0)

    @property
    def archive(self) -> GitArchive:
        return open_archive_at(self.folder / "hourly")

    def push(self, *, prune: bool = False) -> int:
        return push(self.archive.git_folder, "hourly", Remote(f"file://{self.target}"), prune=prune).tags

    def refs(self) -> dict[str, str]:
        """The refs of the archive that a push sends."""
        return {name: target for name, target in refs_of(self.folder / "hourly").items() if "refs/gitsnap" not in name}

    def configure(self, name: str, value: str) -> None:
        subprocess.run(["git", "-C", self.target, "config", name, value], check=True)

    def hook(self, name: str, script: str) -> None:
        file = self.target / "hooks" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    """See _Place."""
    return _Place(tmp_path)


# Without atomic pushes ------------------------------------------------------------------------------------------------


def test_without_atomic_pushes_all_refs_arrive(place: _Place) -> None:
    """The tags arrive before the branch, so a concurrent reader sees no commit without its sample."""
    place.configure("receive.advertiseAtomic", "false")
    place.hook("post-receive", f"cut -d' ' -f3 >>{place.folder}/order")

    assert place.push() == 2
    place.capture()
    assert place.push() == 1
    assert place.push() == 0

    assert refs_of(place.target) == place.refs()
    kinds = [line.split("/")[1] for line in (place.folder / "order").read_text().splitlines()]
    assert kinds == ["tags", "tags", "heads", "tags", "heads"]


def test_without_atomic_pushes_a_refused_branch_is_pushed_later(place: _Place) -> None:
    """The tags arrive, the push fails with the reason of the server, and the next push sends the branch."""
    place.configure("receive.advertiseAtomic", "false")
    place.hook("update", 'case "$1" in refs/heads/*) echo "POLICY-17: no branches" >&2; exit 1;; esac')

    with pytest.raises(RemoteRefusedError, match="POLICY-17: no branches") as error:
        place.push()
    assert "hook declined: hourly)" in error.value.message
    assert {name.split("/")[1] for name in refs_of(place.target)} == {"tags"}

    (place.target / "hooks" / "update").unlink()
    assert place.push() == 0  # no new samples; the branch is pushed
    assert refs_of(place.target) == place.refs()


def test_without_atomic_pushes_pruned_samples_are_removed(place: _Place) -> None:
    """Each deletion has a lease."""
    place.configure("receive.advertiseAtomic", "false")
    place.push()
    with place.archive.writer() as writer:
        writer.remove(place.archive.samples()[:1])

    done = push(place.archive.git_folder, "hourly", Remote(f"file://{place.target}"), prune=True)

    assert (done.removed, done.problem) == (1, "")
    assert refs_of(place.target) == place.refs()


def test_by_https_without_atomic_pushes(place: _Place) -> None:
    """A push by https works as by any other transport."""
    place.configure("receive.advertiseAtomic", "false")
    with http_server(place.target.parent, password=_PASSWORD) as server:
        values = {"username": b"git", "password": _PASSWORD.encode(), "ca.crt": server.authority.encode()}
        push(place.archive.git_folder, "hourly", Remote(f"{server.url}/record.git", Credentials("s", values)))

    assert refs_of(place.target) == place.refs()


# What a server cannot do ----------------------------------------------------------------------------------------------


def _sha256(folder: Path) -> Path:
    made = subprocess.run(["git", "init", "--quiet", "--bare", "--object-format=sha256", folder], check=False)
    if made.returncode != 0:
        pytest.skip("this git makes no SHA-256 repository")
    return folder


@pytest.mark.parametrize("filled", ["", "filled"])
def test_a_repository_of_the_other_hash(place: _Place, tmp_path: Path, filled: str) -> None:
    """A push to an empty or a filled SHA-256 repository fails with the hash algorithm, not with a network error."""
    other = _sha256(tmp_path / "other.git")
    if filled:
        tree = subprocess.run(["git", "-C", other, "mktree"], input="", text=True, capture_output=True, check=True)
        identity = ("-c", "user.name=a", "-c", "user.email=a@localhost")
        command = ["git", "-C", str(other), *identity, "commit-tree", "-m", "x", tree.stdout.strip()]
        commit = subprocess.run(command, text=True, capture_output=True, check=True).stdout.strip()
        subprocess.run(["git", "-C", other, "update-ref", "refs/heads/hourly", commit], check=True)

    pushed = gitsnap(place.folder, "push", "--to", f"file://{other}", code=18)
    compared = gitsnap(place.folder, "verify", "--remote", f"file://{other}", code=18 if filled else 5)

    assert "SHA-256" in pushed.stderr
    assert "cannot be reached" not in pushed.stderr
    assert ("SHA-256" in compared.stderr) is bool(filled)  # the empty one has no branch


def test_a_read_only_server(place: _Place) -> None:
    """A push to an http server that serves only reads is refused. It is no network error."""
    with http_server(place.target.parent, password=_PASSWORD, pushes=False) as server:
        values = {"username": b"git", "password": _PASSWORD.encode(), "ca.crt": server.authority.encode()}
        with pytest.raises(RemoteError) as error:
            push(place.archive.git_folder, "hourly", Remote(f"{server.url}/record.git", Credentials("s", values)))
    assert not consequence_of(error.value).transient


# Reading back ---------------------------------------------------------------------------------------------------------


def test_differences_of_refs_after_a_push(place: _Place) -> None:
    """Another object, an object unknown to the archive, and no object. The check adds no objects to the archive."""
    place.push()
    remote, folder = Remote(f"file://{place.target}"), place.archive.git_folder
    wanted = {name: target for name, target in place.refs().items() if name.startswith("refs/")}
    read_back(folder, "hourly", remote, wanted)
    first, second = sorted(name for name in wanted if "tags" in name)
    before = sorted((folder / "objects").rglob("*"))

    def git(*words: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@localhost")
        command = ["git", "-C", str(place.target), *identity, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    for change in (
        ("update-ref", first, wanted[second]),
        ("tag", "-f", "-a", "-m", "x", first.removeprefix("refs/tags/"), "hourly"),
        ("update-ref", "-d", first),
    ):
        git(*change)
        with pytest.raises(RemoteError, match=f"{first} is not there"):
            read_back(folder, "hourly", remote, wanted)
    git("update-ref", first, wanted[first])
    git("update-ref", "refs/heads/hourly", git("commit-tree", "-p", "hourly", "-m", "x", "hourly^{tree}"))
    with pytest.raises(RemoteError, match="refs/heads/hourly is not there"):
        read_back(folder, "hourly", remote, wanted)
    assert sorted((folder / "objects").rglob("*")) == before


# Credentials of a person ----------------------------------------------------------------------------------------------


@pytest.fixture
def https(place: _Place) -> Iterator[HttpServer]:
    """A server that accepts a password."""
    with http_server(place.target.parent, password=_PASSWORD) as server:
        (place.folder / "ca.crt").write_text(server.authority)
        yield server


def _home(folder: Path, *lines: str) -> dict[str, str]:
    """A home folder with a credential helper that knows the password, and more lines of git configuration."""
    home = folder / "home"
    home.mkdir()
    helper = home / "helper"
    helper.write_text(
        f'#!/bin/sh\necho "$1 $HELPER_NEEDS" >>{home}/asked\necho username=git\necho password={_PASSWORD}\n'
    )
    helper.chmod(0o755)
    (home / ".gitconfig").write_text("\n".join([f"[credential]\n\thelper = {helper}", *lines, ""]))
    global_file = {"GIT_CONFIG_GLOBAL": str(home / ".gitconfig")}  # the tests' own says that there is none
    return {**global_file, "HOME": str(home), "GIT_SSL_CAINFO": str(folder / "ca.crt"), "HELPER_NEEDS": "this"}


def test_the_helper_of_a_user_is_asked(place: _Place, https: HttpServer) -> None:
    """A push, a read and a diff of a user ask the credential helper, with the environment that the helper needs."""
    person = _home(place.folder)
    url = f"{https.url}/record.git"

    gitsnap(place.folder, "push", "--to", url, code=0, **person)
    gitsnap(place.folder, "list", "--archive", url, code=0, **person)
    gitsnap(place.folder, "verify", "--remote", url, code=0, **person)

    assert set((place.folder / "home" / "asked").read_text().splitlines()) == {"get this", "store this"}


def test_other_settings_of_a_user_are_ignored(place: _Place, https: HttpServer) -> None:
    """Other URLs, hooks, programs and a setting that disables the check of certificates have no effect."""
    trace = place.folder / "ran"
    program = f"touch {trace} #"
    person = _home(
        place.folder,
        f'[url "ext::sh -c \\"{program}\\" "]\n\tinsteadOf = https://\n[protocol "ext"]\n\tallow = always',
        f"[core]\n\thooksPath = {place.folder}/hooks\n\tsshCommand = {program}\n\taskPass = {program}",
        "[http]\n\tsslVerify = false\n\tproxy = http://127.0.0.1:9",
    )
    url = f"{https.url}/record.git"

    gitsnap(place.folder, "push", "--to", url, code=0, **person)
    other, _ = make_certificate(place.folder, "other")
    untrusted = gitsnap(place.folder, "push", "--to", url, code=18, **{**person, "GIT_SSL_CAINFO": str(other)})

    assert "certificate is not trusted" in untrusted.stderr
    assert "GIT_SSL_CAINFO" in untrusted.stderr
    assert not trace.exists()


def test_a_helper_of_the_archive_is_never_asked(place: _Place, https: HttpServer) -> None:
    """A writer of the archive could otherwise get the credentials of the user and run programs."""
    person = _home(place.folder)
    trace = place.folder / "ran"
    command = ["git", "-C", str(place.folder / "hourly"), "config", "credential.helper", f"!touch {trace} #"]
    subprocess.run(command, check=True)

    gitsnap(place.folder, "push", "--to", f"{https.url}/record.git", code=0, **person)

    assert not trace.exists()


def test_without_a_helper_the_error_names_the_options(place: _Place, https: HttpServer) -> None:
    """A message that git cannot prompt would not help the user."""
    person = _home(place.folder)
    (place.folder / "home" / ".gitconfig").unlink()

    refused = gitsnap(place.folder, "push", "--to", f"{https.url}/record.git", code=18, **person)

    assert "does not accept the credentials" in refused.stderr
    assert "credential.helper" in refused.stderr


def test_with_a_secret_no_helper_is_asked(place: _Place, https: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller uses only the credentials of the Secret, and no settings of its machine."""
    for name, value in _home(place.folder).items():
        monkeypatch.setenv(name, value)
    values = {"ca.crt": https.authority.encode()}

    with pytest.raises(RemoteError, match="does not accept the credentials"):
        push(place.archive.git_folder, "hourly", Remote(f"{https.url}/record.git", Credentials("s", values)))

    assert not (place.folder / "home" / "asked").exists()


def test_a_broken_configuration_is_reported(place: _Place, https: HttpServer) -> None:
    """The error names the file, as the error of git does."""
    person = _home(place.folder, "[broken")

    done = gitsnap(place.folder, "push", "--to", f"{https.url}/record.git", code=3, **person)

    assert ".gitconfig" in done.stderr


def test_a_tag_of_another_history_is_no_network_error(place: _Place) -> None:
    """A different tag at the remote needs a decision of the user, also without atomic pushes."""
    place.configure("receive.advertiseAtomic", "false")
    place.push()
    place.capture()
    newest = max(name for name in place.refs() if "tags" in name)
    subprocess.run(["git", "-C", place.target, "update-ref", newest, "hourly"], check=True)

    with pytest.raises(RemoteDivergedError):
        place.push()
