"""Signed tags: plain git verifies them, a reader ignores the signature, and forgery is found."""

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
    return gitsnap(folder, "capture", "--from-dir", "cluster", "--snapshot", "hourly", "--secrets-mode", "omit", *more)


def _verify_tag(folder: Path, allowed: str) -> bool:
    tag = open_archive_at(folder / "hourly").samples()[-1].tag
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

    assert len(open_archive_at(place / "hourly").samples()) == 5
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
    assert len(open_archive_at(place / "hourly").samples()) == 1


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


# Who signed, and whether that counts ----------------------------------------------------------------------------------


def _said(place: Path, allowed: str, code: int = 5) -> str:
    return gitsnap(place, "verify", "--allowed-signers", allowed, code=code).stdout


def _git(place: Path, *words: str, given: bytes = b"") -> str:
    command = ["git", "-C", str(place / "hourly"), *words]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout.decode().strip()


def _retag(place: Path, content: bytes) -> None:
    """Put another object in place of the sample's tag."""
    tag = open_archive_at(place / "hourly").samples()[-1].tag
    made = _git(place, "hash-object", "-t", "tag", "-w", "--stdin", "--literally", given=content)
    _git(place, "update-ref", f"refs/tags/{tag}", made)


def _tag(place: Path) -> bytes:
    """The content of the sample's tag."""
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
    ("line", "said"),
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
def test_who_may_sign(place: Path, line: str, said: str) -> None:
    """As ssh-keygen(1) describes the file; git agrees, and a refusal says why and names the key."""
    key, other = (place / "key.pub").read_text().strip(), generate_key(place / "another").strip()
    (place / "signers").write_text(line.format(key=key, other=other) + "\n")

    printed = _said(place, "signers", code=5 if said else 0)

    assert said in printed
    assert (not said) is ("SHA256:" not in printed)
    assert _verify_tag(place, "signers") is (not said)


def test_a_key_that_expired_since_still_counts_for_what_it_signed(place: Path) -> None:
    """The time of the tag decides, as for git: a key may be replaced without signing the past again."""
    year = open_archive_at(place / "hourly").samples()[-1].time.year
    key = (place / "key.pub").read_text()
    (place / "signers").write_text(f'team@example.org valid-before="{year + 1}0101" {key}')
    assert "nothing wrong" in _said(place, "signers", code=0)

    moved = re.sub(rb"(?m)^(tagger .*> )\d+", rb"\g<1>4102444800", _tag(place))
    payload, _, _ = moved.partition(b"-----BEGIN")
    signature = SshSigner((place / "key").read_bytes(), source="key")(payload)
    _retag(place, payload + signature)

    assert "was not valid when the tag was made" in _said(place, "signers")


@pytest.mark.parametrize(
    ("change", "said"),
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
def test_a_tag_that_was_changed(place: Path, change: Callable[[bytes], bytes], said: str) -> None:
    """Whatever is done to a signed tag, it is not signed any more; left as it was, it is."""
    _retag(place, change(_tag(place)))

    printed = _said(place, "allowed", code=5 if said else 0)

    assert said in printed


def test_a_signature_for_something_else_does_not_count(place: Path) -> None:
    """A key that signs files or mails is not asked for samples: the namespace is part of what is signed."""
    payload = _tag(place).partition(b"-----BEGIN")[0]
    (place / "payload").write_bytes(payload)
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", place / "key", place / "payload"], check=True)
    _retag(place, payload + (place / "payload.sig").read_bytes())

    assert "does not fit its content" in _said(place, "allowed")


def test_a_replacement_of_a_tag_is_not_verified_in_its_place(place: Path) -> None:
    """git reads another object where refs/replace names one: a signed tag would vouch for a forged one."""
    signed = _git(place, "rev-parse", f"refs/tags/{open_archive_at(place / 'hourly').samples()[-1].tag}")
    _retag(place, _tag(place).partition(b"-----BEGIN")[0])
    forged = _git(place, "rev-parse", f"refs/tags/{open_archive_at(place / 'hourly').samples()[-1].tag}")
    _git(place, "update-ref", f"refs/replace/{forged}", signed)
    assert _verify_tag(place, "allowed")  # by git

    assert "it has no SSH signature" in _said(place, "allowed")


def test_no_program_of_the_archive_is_asked_who_signed(place: Path) -> None:
    """One that calls every signature good; the user's own configuration is not asked either."""
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
