"""Signed tags: plain git verifies them, a reader ignores the signature, and forgery is found."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gitsnap.archive import open_path
from gitsnap.errors import SecretsError
from gitsnap.signing import SshSigner
from tests.support.commands import gitsnap
from tests.support.remotes import generate_key

_PROFILE = "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: a\nspec: {}\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A signed sample, the key that signed it, and a file that allows that key."""
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "a.yaml").write_text(_PROFILE)
    public = generate_key(tmp_path / "key")
    (tmp_path / "allowed").write_text(f"platform@example.com {public}")
    done = _capture(tmp_path, "--signing-key", "key")
    assert done.returncode == 0, done.stderr
    return tmp_path


def _capture(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return gitsnap(folder, "capture", "--from-dir", "cluster", "--snapshot", "hourly", "--secrets-mode", "omit", *more)


def _verify_tag(folder: Path, allowed: str) -> bool:
    tag = open_path(folder / "hourly").samples()[-1].tag
    settings = ["-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={folder / allowed}"]
    command = ["git", "-C", str(folder / "hourly"), *settings, "verify-tag", tag]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_plain_git_verifies_it(place: Path) -> None:
    """With an allowed signers file that has the key, and not with one that has another."""
    other = generate_key(place / "other")
    (place / "others").write_text(f"platform@example.com {other}")

    assert _verify_tag(place, "allowed")
    assert not _verify_tag(place, "others")
    assert gitsnap(place, "list").stdout.count("hourly") == 1


def test_verify_demands_a_signature_of_every_sample(place: Path) -> None:
    """One that is not signed, and one that was changed after it was signed."""
    assert gitsnap(place, "verify", "--allowed-signers", "allowed").returncode == 0
    _capture(place)

    unsigned = gitsnap(place, "verify", "--allowed-signers", "allowed")

    assert unsigned.returncode == 5
    assert unsigned.stdout.count("is not signed by anybody") == 1
    assert gitsnap(place, "verify").returncode == 0
    assert gitsnap(place, "verify", "--allowed-signers", "missing").returncode == 3


def test_a_rollback_and_its_undo_sign_their_samples(place: Path) -> None:
    """Then all samples of the archive are signed; without the key those two are not."""
    (place / "cluster" / "a.yaml").write_text(_PROFILE.replace("spec: {}", "spec: {tier: 50}"))
    words = ("--from-dir", "cluster", "--yes", "--signing-key", "key")

    gitsnap(place, "rollback", "--sample", "latest", *words, code=0)
    gitsnap(place, "undo", *words, code=0)

    assert len(open_path(place / "hourly").samples()) == 5
    gitsnap(place, "verify", "--allowed-signers", "allowed", code=0)
    gitsnap(place, "rollback", "--sample", "latest~4", *words[:-2], code=0)
    unsigned = gitsnap(place, "verify", "--allowed-signers", "allowed", code=5)
    assert unsigned.stdout.count("is not signed by anybody") == 2


def test_a_rollback_says_that_its_samples_lack_the_signature_that_others_have(place: Path) -> None:
    """Where the policy names a key for the controller, and the command line none."""
    (place / "cluster" / "policy.yaml").write_text(
        "apiVersion: utils.projectsveltos.io/v1beta1\nkind: Snapshot\nmetadata:\n  name: hourly\n"
        "spec:\n  schedule: 0 * * * *\n  signing:\n    secretRef: {namespace: gitsnap, name: signing}\n"
    )
    words = ("rollback", "--sample", "latest", "--from-dir", "cluster", "--yes")
    for tier, more, warned in ((50, (), True), (60, ("--signing-key", "key"), False)):
        (place / "cluster" / "a.yaml").write_text(_PROFILE.replace("spec: {}", f"spec: {{tier: {tier}}}"))
        done = gitsnap(place, *words, *more, code=0)
        assert ("only with --signing-key" in done.stderr) is warned, done.stderr


def test_a_rollback_that_cannot_sign_writes_nothing(place: Path) -> None:
    """The sample before is part of the record, and is to be signed like all of it."""
    changed = _PROFILE.replace("spec: {}", "spec: {tier: 50}")
    (place / "cluster" / "a.yaml").write_text(changed)
    words = ("rollback", "--sample", "latest", "--from-dir", "cluster", "--yes", "--signing-key")

    for name in ("missing", "cluster/a.yaml"):
        assert name in gitsnap(place, *words, name, code=7).stderr

    assert (place / "cluster" / "a.yaml").read_text() == changed
    assert len(open_path(place / "hourly").samples()) == 1


def test_a_key_that_cannot_sign_is_said_so(place: Path) -> None:
    """Nothing is recorded, and nothing of the key is in the message."""
    generate_key(place / "locked", passphrase="open sesame")
    for name in ("locked", "cluster/a.yaml", "missing"):
        done = _capture(place, "--signing-key", name)
        assert (done.returncode, name in done.stderr) == (7, True), done.stderr
        assert "PRIVATE" not in done.stderr
    assert gitsnap(place, "list").stdout.count("hourly") == 1
    with pytest.raises(SecretsError, match="Secret a/b"):
        SshSigner(b"no key", source="Secret a/b")(b"payload")
