"""`gitsnap push` without --to uses the remote in the archive's git configuration, and no cluster."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from gitsnap.archive.remote import configured_remote
from gitsnap.core.errors import UsageError
from tests.support.commands import gitsnap


def _git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), *words], check=True)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with an archive of one sample at store/p and two empty remotes, without a reachable cluster."""
    (tmp_path / "c").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "c" / "n.yaml").write_text("{apiVersion: v1, kind: Namespace, metadata: {name: kube-system, uid: u}}")
    for name in ("a.git", "b.git"):
        _git(tmp_path, "init", "--quiet", "--bare", name)
    _push(tmp_path, command="capture --snapshot p --from-dir c --secrets-mode omit --allow-empty")
    return tmp_path


def _push(place: Path, *words: str, command: str = "push", code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {"GITSNAP_STORAGE": "store", "HOME": str(place), "KUBECONFIG": ""}
    return gitsnap(place, *command.split(), *words, code=code, **environment)


def _remotes(place: Path, *remotes: str) -> None:
    for remote in remotes:
        name, _, url = remote.partition("=")
        _git(place / "store" / "p", "remote", "add", name, url.replace("PLACE", str(place)))


def _pushed(place: Path) -> list[str]:
    return [name for name in ("a.git", "b.git") if (place / name / "refs" / "heads" / "p").exists()]


@pytest.mark.parametrize(
    ("remotes", "pushed"),
    [
        (["origin=PLACE/a.git"], "a.git"),
        (["backup=PLACE/a.git"], "a.git"),
        (["origin=../../a.git"], "a.git"),
        (["origin=file://PLACE/a.git"], "a.git"),
        (["backup=PLACE/b.git", "origin=PLACE/a.git"], "a.git"),
    ],
)
def test_the_remote_of_the_archive(place: Path, remotes: list[str], pushed: str) -> None:
    """`origin`, or the only remote. A path is relative to the archive, as in git."""
    _remotes(place, *remotes)

    done = json.loads(_push(place, "-o", "json").stdout)

    assert done["url"].endswith(str(place / pushed))
    assert done["samples"] == 1
    assert _pushed(place) == [pushed]


def test_the_url_to_push_to_takes_precedence(place: Path) -> None:
    """As in git, pushurl is the URL for pushes."""
    _remotes(place, "origin=PLACE/b.git")
    _git(place / "store" / "p", "config", "remote.origin.pushurl", str(place / "a.git"))

    _push(place)

    assert _pushed(place) == ["a.git"]


@pytest.mark.parametrize(
    ("remotes", "words", "message"),
    [
        ([], [], r"no remote is known for p.*no kubeconfig"),
        (["a=PLACE/a.git", "b=PLACE/b.git"], [], "the remotes a, b, and none is named origin"),
        (["origin=PLACE/a.git"], ["--kubeconfig", "missing"], "no remote is known for p"),
    ],
)
def test_no_remote_is_known(place: Path, remotes: list[str], words: list[str], message: str) -> None:
    """The error says how to name a remote. With --kubeconfig, the Snapshot names the remote."""
    _remotes(place, *remotes)

    refused = _push(place, *words, code=2)

    assert re.search(message, refused.stderr), refused.stderr
    assert "--to" in refused.stderr
    assert _pushed(place) == []


@pytest.mark.parametrize("url", ["PLACE/a.git", "../../a.git", "file://PLACE/a.git", "file:PLACE/a.git"])
def test_a_local_repository_of_another_user(place: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hooks of the repository would run as the user who pushes, although another user wrote the configuration."""
    _remotes(place, f"origin={url}")
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)

    with pytest.raises(UsageError, match="a repository of another user"):
        configured_remote(place / "store" / "p" / ".git")


@pytest.mark.parametrize(
    "url", ["https://user:secret@example.com/a.git", "ssh://git@example.com/a.git", "example.com:a.git"]
)
def test_a_url_stays_as_it_is(place: Path, url: str) -> None:
    """A URL is used unchanged. The password is not shown."""
    _remotes(place, f"origin={url}")

    remote = configured_remote(place / "store" / "p" / ".git")

    assert remote is not None
    assert remote.url == url
    assert "secret" not in remote.shown


def test_a_url_that_is_an_option_of_git(place: Path) -> None:
    """git would read the URL as an option that names a program."""
    _remotes(place, "origin=x")
    _git(place / "store" / "p", "config", "remote.origin.url", "--upload-pack=touch x;:")

    assert "does not begin with a dash" in _push(place, code=2).stderr
