"""Signed tags: plain git verifies them, readers ignore the signature, and forgeries are detected."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gitsnap.archive import open_archive_at
from gitsnap.core.errors import SecretsError
from gitsnap.git.signing import SshSigner
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
    words = ("capture", "--create", "--from-dir", "cluster", "--snapshot", "hourly", "--secrets-mode", "omit")
    return gitsnap(folder, *words, *more)


def _verify_tag(folder: Path, allowed: str) -> bool:
    tag = open_archive_at(folder / "hourly").samples()[-1].tag
    settings = ["-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={folder / allowed}"]
    command = ["git", "-C", str(folder / "hourly"), *settings, "verify-tag", tag]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_plain_git_verifies_a_sample(place: Path) -> None:
    """git accepts the signature with an allowed signers file that has the key, and only then."""
    other = generate_key(place / "other")
    (place / "others").write_text(f"platform@example.com {other}")

    assert _verify_tag(place, "allowed")
    assert not _verify_tag(place, "others")
    assert gitsnap(place, "list").stdout.count("hourly") == 1


def test_verify_requires_a_signature_of_each_sample(place: Path) -> None:
    """With --allowed-signers, `verify` reports an unsigned sample."""
    assert gitsnap(place, "verify", "--allowed-signers", "allowed").returncode == 0
    _capture(place)

    unsigned = gitsnap(place, "verify", "--allowed-signers", "allowed")

    assert unsigned.returncode == 5
    assert unsigned.stdout.count("is not signed by anybody") == 1
    assert gitsnap(place, "verify").returncode == 0
    assert gitsnap(place, "verify", "--allowed-signers", "missing").returncode == 3


def test_a_rollback_and_its_undo_sign_their_samples(place: Path) -> None:
    """With --signing-key all samples are signed. Without the key, the two samples of a rollback are unsigned."""
    (place / "cluster" / "a.yaml").write_text(_PROFILE.replace("spec: {}", "spec: {tier: 50}"))
    words = ("--from-dir", "cluster", "--yes", "--signing-key", "key")

    gitsnap(place, "rollback", "--sample", "latest", *words, code=0)
    gitsnap(place, "undo", *words, code=0)

    assert len(open_archive_at(place / "hourly").samples()) == 5
    gitsnap(place, "verify", "--allowed-signers", "allowed", code=0)
    gitsnap(place, "rollback", "--sample", "latest~4", *words[:-2], code=0)
    unsigned = gitsnap(place, "verify", "--allowed-signers", "allowed", code=5)
    assert unsigned.stdout.count("is not signed by anybody") == 2


def test_a_rollback_warns_about_unsigned_samples(place: Path) -> None:
    """The policy has a signing key for the controller, and the command line has no key."""
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
    """The sample before the rollback must be signed, so the rollback fails before its first write."""
    changed = _PROFILE.replace("spec: {}", "spec: {tier: 50}")
    (place / "cluster" / "a.yaml").write_text(changed)
    words = ("rollback", "--sample", "latest", "--from-dir", "cluster", "--yes", "--signing-key")

    for name in ("missing", "cluster/a.yaml"):
        assert name in gitsnap(place, *words, name, code=7).stderr

    assert (place / "cluster" / "a.yaml").read_text() == changed
    assert len(open_archive_at(place / "hourly").samples()) == 1


def test_a_key_that_cannot_sign_is_reported(place: Path) -> None:
    """No sample is taken, and the error does not contain the key."""
    generate_key(place / "locked", passphrase="open sesame")
    for name in ("locked", "cluster/a.yaml", "missing"):
        done = _capture(place, "--signing-key", name)
        assert (done.returncode, name in done.stderr) == (7, True), done.stderr
        assert "PRIVATE" not in done.stderr
    assert gitsnap(place, "list").stdout.count("hourly") == 1
    with pytest.raises(SecretsError, match="Secret a/b"):
        SshSigner(b"no key", source="Secret a/b")(b"payload")


# Validity of signatures ----------------------------------------------------------------------------------------------


def _verified(place: Path, allowed: str, code: int = 5) -> str:
    return gitsnap(place, "verify", "--allowed-signers", allowed, code=code).stdout


def _git(place: Path, *words: str, given: bytes = b"") -> str:
    command = ["git", "-C", str(place / "hourly"), *words]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout.decode().strip()


def _retag(place: Path, content: bytes) -> None:
    """Replace the tag object of the newest sample."""
    tag = open_archive_at(place / "hourly").samples()[-1].tag
    made = _git(place, "hash-object", "-t", "tag", "-w", "--stdin", "--literally", given=content)
    _git(place, "update-ref", f"refs/tags/{tag}", made)


def _tag(place: Path) -> bytes:
    """The content of the tag object of the newest sample."""
    command = [
        "git",
        "-C",
        str(place / "hourly"),
        "cat-file",
        "tag",
        open_archive_at(place / "hourly").samples()[-1].tag,
    ]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("team@example.org {key}", ""),
        ("team@example.org,other@example.org {key}", ""),
        ("*@example.org {key}", ""),
        ('team@example.org namespaces="git" {key}', ""),
        ('team@example.org namespaces="git,file" {key}', ""),
        ('team@example.org valid-after="20200101",valid-before="20990101" {key}', ""),
        ('team@example.org namespaces="file" {key}', "may not sign for the namespace"),
        ('team@example.org valid-before="20200101" {key}', "was not valid when the tag was made"),
        ('team@example.org valid-after="20990101" {key}', "was not valid when the tag was made"),
        ("team@example.org {other}", "which is not in the file"),
        ("# nobody", "which is not in the file"),
    ],
)
def test_allowed_signers(place: Path, line: str, message: str) -> None:
    """The file has the format of ssh-keygen(1), git gives the same result, and a refusal names reason and key."""
    key, other = (place / "key.pub").read_text().strip(), generate_key(place / "another").strip()
    (place / "signers").write_text(line.format(key=key, other=other) + "\n")

    printed = _verified(place, "signers", code=5 if message else 0)

    assert message in printed
    assert (not message) is ("SHA256:" not in printed)
    assert _verify_tag(place, "signers") is (not message)


def test_a_public_key_file_is_no_allowed_signers_file(place: Path) -> None:
    """ssh-keygen would take the type of the key for a principal, and find no key."""
    printed = gitsnap(place, "verify", "--allowed-signers", "key.pub", code=3).stderr

    assert "key.pub, line 1: a public key without the name of its owner" in printed
    assert "cat key.pub" in printed


def test_an_expired_key_is_valid_for_older_tags(place: Path) -> None:
    """The time of the tag decides, as in git, so a key can be replaced without signing old samples again."""
    year = open_archive_at(place / "hourly").samples()[-1].time.year
    key = (place / "key.pub").read_text()
    (place / "signers").write_text(f'team@example.org valid-before="{year + 1}0101" {key}')
    assert "nothing wrong" in _verified(place, "signers", code=0)

    moved = re.sub(rb"(?m)^(tagger .*> )\d+", rb"\g<1>4102444800", _tag(place))
    payload, _, _ = moved.partition(b"-----BEGIN")
    signature = SshSigner((place / "key").read_bytes(), source="key")(payload)
    _retag(place, payload + signature)

    assert "was not valid when the tag was made" in _verified(place, "signers")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tag: tag.partition(b"-----BEGIN")[0], "it has no SSH signature"),
        (lambda tag: tag + b"Gitsnap-Sequence: 7\n", "followed by other text"),
        (lambda tag: tag.replace(b"\nU1NIU0", b"\nAAAAAA"), "does not fit its content"),
        (lambda tag: tag, ""),
        (lambda tag: re.sub(rb"Objects: \d+", b"Objects: 9", tag), "does not fit its content"),
        (lambda tag: tag.replace(b"SSH SIGNATURE", b"PGP SIGNATURE"), "it has no SSH signature"),
        (lambda tag: tag + tag[tag.index(b"-----BEGIN") :], "does not fit its content"),
    ],
)
def test_a_changed_tag(place: Path, change: Callable[[bytes], bytes], message: str) -> None:
    """A signed tag is valid only without changes."""
    _retag(place, change(_tag(place)))

    printed = _verified(place, "allowed", code=5 if message else 0)

    assert message in printed


def test_a_signature_for_another_namespace_is_invalid(place: Path) -> None:
    """The namespace is part of the signed data, so a signature of a file is no signature of a sample."""
    payload = _tag(place).partition(b"-----BEGIN")[0]
    (place / "payload").write_bytes(payload)
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", place / "key", place / "payload"], check=True)
    _retag(place, payload + (place / "payload.sig").read_bytes())

    assert "does not fit its content" in _verified(place, "allowed")


def test_refs_replace_does_not_affect_verification(place: Path) -> None:
    """git reads the replacement of an object from refs/replace. A signed tag would make a forged tag valid."""
    signed = _git(place, "rev-parse", f"refs/tags/{open_archive_at(place / 'hourly').samples()[-1].tag}")
    _retag(place, _tag(place).partition(b"-----BEGIN")[0])
    forged = _git(place, "rev-parse", f"refs/tags/{open_archive_at(place / 'hourly').samples()[-1].tag}")
    _git(place, "update-ref", f"refs/replace/{forged}", signed)
    assert _verify_tag(place, "allowed")  # by git

    assert "it has no SSH signature" in _verified(place, "allowed")


def test_verification_runs_no_configured_program(place: Path) -> None:
    """A gpg.ssh.program in the archive or in the user's configuration that accepts each signature has no effect."""
    other = generate_key(place / "other")
    (place / "others").write_text(f"team@example.org {other}")
    fake = place / "fake"
    good = 'Good \\"git\\" signature for team@example.org with ED25519 key SHA256:x'
    fake.write_text(
        f'#!/bin/sh\ncase "$*" in *find-principals*) echo team@example.org;; *) cat >/dev/null; echo "{good}";; esac\n'
    )
    fake.chmod(0o755)
    _git(place, "config", "gpg.ssh.program", str(fake))
    (place / "gitconfig").write_text(f'[gpg "ssh"]\n\tprogram = {fake}\n')
    assert _verify_tag(place, "others")  # by git

    done = gitsnap(place, "verify", "--allowed-signers", "others", code=5, GIT_CONFIG_GLOBAL=str(place / "gitconfig"))

    assert "which is not in the file" in done.stdout
