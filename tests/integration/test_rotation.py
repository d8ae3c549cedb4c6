"""The commands `gitsnap secrets rotate` and `rekey`: which identity reads which sample, and the rows of a diff."""

from __future__ import annotations

import json
import shlex
import subprocess
from datetime import timedelta
from pathlib import Path

import pyrage
import pytest

from gitsnap.archive import open_archive
from gitsnap.core.model import Area
from gitsnap.secrets import archive_keys, rotation
from tests.support.commands import gitsnap
from tests.support.remotes import generate_key
from tests.support.trees import policy_ref, profile, secret

_VALUE = "correct-horse-battery"


class _Place:
    """A cluster in a folder with one Secret, and an archive that encrypts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "cluster").mkdir()
        self.put(_VALUE)
        self.run("capture --snapshot hourly --from-dir cluster")

    def put(self, value: str) -> None:
        objects = [profile("p", {"policyRefs": [policy_ref("s", "Secret")]}), secret("s", {"password": value})]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        (self.folder / "cluster" / "all.json").write_text(text)

    def run(self, command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = gitsnap(self.folder, *shlex.split(command), code=code)
        assert _VALUE not in done.stdout + done.stderr or "--decrypt" in command
        return done

    def decrypted(self, sample: str, *, identity: str = "", code: int = 0) -> str:
        """The output of `show --decrypt` for the Secret, with its errors."""
        more = f" --identity {identity}" if identity else ""
        done = self.run(f"show Secret/s --decrypt --sample {sample}{more}", code)
        return done.stdout + done.stderr

    def identity(self, name: str) -> str:
        """Create an identity file, and return the public key."""
        key = pyrage.x25519.Identity.generate()
        (self.folder / name).write_text(f"{key}\n")
        (self.folder / name).chmod(0o600)
        return str(key.to_public())

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.folder / "hourly", capture_output=True, text=True, check=True)
        return done.stdout


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    """A cluster and an archive with a sample of a Secret."""
    return _Place(tmp_path)


_IN_BASE64 = "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5"


def test_rotate_to_new_recipients(place: _Place) -> None:
    """The new identity reads the new samples, the old identity the old sample. A diff has no row."""
    public = place.identity("new.txt")

    done = place.run(f"secrets rotate --recipient {public}")

    assert f"now encrypted to 1 recipient ({public[:12]}…)" in done.stdout
    assert f"recipient added: {public[:12]}…" in done.stderr
    assert "recipient dropped: age1" in done.stderr
    assert "no changes" in place.run("diff").stdout
    assert _IN_BASE64 in place.decrypted("latest", identity="new.txt")
    assert _IN_BASE64 in place.decrypted("latest~1")
    (place.folder / ".keys" / "hourly" / "identity.txt").unlink()
    assert "cannot be read with the identities at hand" in place.decrypted("latest~1", identity="new.txt", code=7)
    assert "Gitsnap-Changed: secrets" in place.git("log", "-1", "--format=%B")
    place.run("capture --snapshot hourly --from-dir cluster")
    assert _IN_BASE64 in place.decrypted("latest", identity="new.txt")
    place.run("verify")


def test_rekey_replaces_the_fingerprint_key(place: _Place) -> None:
    """The fingerprints change and the values do not. The old key is kept, so older samples stay readable."""
    file = place.folder / ".keys" / "hourly" / "fingerprint.key"
    old_key, old_tree = file.read_text(), place.run("show Secret/s").stdout

    place.run("secrets rekey")

    assert file.read_text() != old_key
    assert [old.read_text() for old in file.parent.glob("fingerprint.key.*")] == [old_key]
    assert {entry.stat().st_mode & 0o777 for entry in file.parent.iterdir()} == {0o600}
    assert place.run("show Secret/s").stdout != old_tree
    assert _IN_BASE64 in place.decrypted("latest")
    assert _IN_BASE64 in place.decrypted("latest~1")
    shown = place.run("diff", 13)
    assert shown.stdout == "no changes detected in what could be compared\n"
    assert "cannot tell: Secret" in shown.stderr
    place.run("capture --snapshot hourly --from-dir cluster")
    assert "no changes" in place.run("diff").stdout
    place.put("another-value-altogether")
    place.run("capture --snapshot hourly --from-dir cluster")
    assert "data.password" in place.run("diff").stdout
    place.run("verify")


def test_a_killed_rekey_leaves_no_sample_without_its_key(place: _Place) -> None:
    """A rekey is killed before it renames the key file. Captures continue without an identity."""
    archive = open_archive(place.folder, "hourly")
    rekeying = archive_keys.for_rekeying(archive)
    moment = archive.samples()[-1].metadata.time + timedelta(seconds=5)
    rotation.rotate(archive, old=rekeying.old, new=rekeying.new, time=moment, before_recording=rekeying.stage)
    (place.folder / ".keys" / "hourly" / "identity.txt").rename(place.folder / "elsewhere.txt")
    recipient = archive.tree(archive.samples()[-1]).info.secrets.recipients[0]

    place.run(f"capture --snapshot hourly --from-dir cluster --recipient {recipient}")

    assert "no changes" in place.run("diff").stdout
    assert _IN_BASE64 in place.decrypted("latest", identity="elsewhere.txt")
    assert _IN_BASE64 in place.decrypted("latest~2", identity="elsewhere.txt")


def test_a_sample_of_a_rotation_can_be_signed(place: _Place) -> None:
    """The samples of `rekey` and `rotate` are signed with --signing-key."""
    public = generate_key(place.folder / "key")
    (place.folder / "allowed").write_text(f"platform@example.com {public}")

    place.run("secrets rekey --signing-key key")
    place.run(f"secrets rotate --recipient {place.identity('new.txt')} --signing-key key")

    unsigned = place.run("verify --allowed-signers allowed", 5).stdout
    assert unsigned.count("is not signed") == 1  # the first sample


def test_a_refused_rekey_leaves_no_key_file(place: _Place) -> None:
    """The current key is the only file in the folder of keys."""
    place.run("capture --create --snapshot other --from-dir cluster --secrets-mode redact")

    place.run("secrets rekey --snapshot other --identity .keys/hourly/identity.txt", 7)

    assert [file.name for file in (place.folder / ".keys" / "other").iterdir()] == ["fingerprint.key"]


def test_a_diff_shows_values_on_request(place: _Place) -> None:
    """A diff shows plain values only with --decrypt and an identity, also across a new fingerprint key."""
    place.put("another-value-altogether")
    place.run("capture --snapshot hourly --from-dir cluster")

    shown = place.run("diff --raw-diff --decrypt").stdout

    assert f"-  password: {_VALUE}" in shown
    assert "+  password: another-value-altogether" in shown
    assert shown.count("Secret default/s from") == 2
    assert "another-value" not in place.run("diff --raw-diff").stdout
    assert "another-value" in place.run("diff --raw-diff --decrypt -o json").stdout
    place.run("diff --decrypt", 2)
    place.run("secrets rekey")
    same = place.run("diff --raw-diff --decrypt --exit-code")
    assert same.stdout == "no changes detected\n"
    assert "cannot tell" not in same.stderr
    place.run("diff --raw-diff --decrypt --exit-code --from-sample latest~2", 1)
    (place.folder / ".keys" / "hourly" / "identity.txt").unlink()
    place.run("diff --raw-diff --decrypt --from-sample latest~2", 7)


def test_old_samples_are_readable_without_the_old_key_file(place: _Place) -> None:
    """Each sample has an encrypted copy of its fingerprint key."""
    place.run("secrets rekey")
    for file in (place.folder / ".keys" / "hourly").glob("fingerprint.key.*"):
        file.unlink()

    assert _IN_BASE64 in place.decrypted("latest~1")


def test_a_rollback_to_a_sample_before_a_rekey(place: _Place) -> None:
    """The values of a sample with an older key are restored."""
    place.run("secrets rekey")
    place.put("another-value-altogether")
    place.run("capture --snapshot hourly --from-dir cluster")

    place.run("rollback --snapshot hourly --from-dir cluster --sample latest~2 --yes")

    written = [file.read_text() for file in (place.folder / "cluster").iterdir()]
    assert any(_IN_BASE64 in text for text in written)


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("secrets rotate --recipient AGE-SECRET-KEY-1X", 7, "recipient"),
        ("secrets rotate", 2, "--recipient"),
        ("secrets rotate --recipient PUBLIC --identity none.txt", 7, "none.txt"),
    ],
)
def test_invalid_commands_are_refused(place: _Place, command: str, code: int, message: str) -> None:
    """The command fails, and there is no new commit."""
    before = place.git("rev-parse", "HEAD")

    done = place.run(command.replace("PUBLIC", place.identity("new.txt")), code)

    assert message in done.stderr
    assert place.git("rev-parse", "HEAD") == before


def test_rekey_of_an_archive_without_ciphertexts(tmp_path: Path) -> None:
    """The mode redact has no ciphertexts, so the command fails and says so."""
    place = _Place(tmp_path)
    place.run("capture --create --snapshot other --from-dir cluster --secrets-mode redact")

    done = place.run("secrets rekey --snapshot other --identity .keys/hourly/identity.txt", 7)

    assert "there is nothing to encrypt again" in done.stderr


def test_a_forged_ciphertext_is_refused(place: _Place) -> None:
    """`rotate` does not re-encrypt a value that somebody with write access to the archive planted."""
    public = place.identity("new.txt")
    own = open_archive(place.folder, "hourly")
    recipient = pyrage.x25519.Identity.from_str(
        (place.folder / ".keys" / "hourly" / "identity.txt").read_text().strip().splitlines()[-1]
    ).to_public()
    (path,) = [path for path in own.tree(own.samples()[-1]).files(Area.SEALED) if "/Secret/" in path]
    forged = b'apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  namespace: default\ndata:\n  password: "QUFB"\n'
    (place.folder / "hourly" / "sealed" / path).write_bytes(pyrage.encrypt(forged, [recipient]))
    identity = ("-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false")
    place.git(*identity, "commit", "-qam", "forged")
    tag = own.samples()[-1].tag
    message = place.git("for-each-ref", "--format=%(contents)", f"refs/tags/{tag}")
    place.git(*identity, "tag", "-f", "-a", tag, "-m", message)

    done = place.run(f"secrets rotate --recipient {public}", 7)

    assert "Secret default/s" in done.stderr


def test_drift_shows_values_with_decrypt_only(place: _Place) -> None:
    """Both commands show the values of the sample and of the live cluster. Nothing is written."""
    before = place.git("for-each-ref")
    place.put("another-value")

    masked = place.run("drift --raw-diff --from-dir cluster").stdout
    drift = place.run("drift --raw-diff --decrypt --from-dir cluster").stdout
    diff = place.run("diff --to-sample live --raw-diff --decrypt --from-dir cluster").stdout
    document = json.loads(place.run("drift --raw-diff --decrypt -o json --from-dir cluster").stdout)

    assert "another-value" not in masked
    assert "gitsnap:hmac-sha256:" in masked
    assert f"-  password: {_VALUE}\n+  password: another-value\n" in drift
    assert diff == drift
    assert [raw["title"] for raw in document["rawDiff"]] == ["/Secret default/s"]
    assert place.git("for-each-ref") == before
    assert not [path for path in place.folder.rglob("*") if path.is_file() and b"another-value" in path.read_bytes()
                and path.parent.name != "cluster"]  # fmt: skip
    assert "--decrypt needs --raw-diff" in place.run("drift --decrypt --from-dir cluster", code=2).stderr


def test_drift_decrypt_needs_an_identity_of_the_sample(place: _Place) -> None:
    """Without an identity the command fails, and shows no value of the live cluster either."""
    place.identity("other.txt")
    (place.folder / ".keys" / "hourly" / "identity.txt").rename(place.folder / "identity-elsewhere.txt")
    place.put("another-value")

    refused = place.run("drift --raw-diff --decrypt --from-dir cluster --identity other.txt", code=7)
    shown = place.run("drift --raw-diff --decrypt --from-dir cluster --identity identity-elsewhere.txt").stdout

    assert "another-value" not in refused.stdout + refused.stderr
    assert "+  password: another-value" in shown


def test_the_documents_of_rotations_and_marks(place: _Place) -> None:
    """The JSON names the new sample and the changes. It has only public keys."""
    first, second = place.identity("first.txt"), place.identity("second.txt")

    rotated = json.loads(place.run(f"secrets rotate --recipient {first} --recipient {second} -o json").stdout)
    again = json.loads(place.run(f"secrets rotate --recipient {first} --identity first.txt -o json").stdout)
    rekeyed = json.loads(place.run("secrets rekey --identity first.txt -o json").stdout)
    kept = json.loads(place.run("keep latest~1 -o json").stdout)
    unmarked = json.loads(place.run("keep latest~1 --remove -o json").stdout)

    assert (rotated["kind"], sorted(rotated["recipients"])) == ("SecretsRotation", sorted([first, second]))
    assert (len(rotated["added"]), len(rotated["dropped"])) == (2, 1)
    assert (again["recipients"], again["added"], len(again["dropped"])) == ([first], [], 1)
    assert rekeyed["kind"] == "SecretsRekey"
    assert (place.folder / rekeyed["keyFile"]).is_file()
    listed = json.loads(place.run("list -o json").stdout)["samples"]
    assert [rotated["sample"]["tag"], again["sample"]["tag"], rekeyed["sample"]["tag"]] == [
        sample["tag"] for sample in listed[1:]
    ]
    assert kept == {"kind": "Keep", "samples": [{**listed[2], "kept": True}]}
    assert unmarked["samples"][0]["kept"] is False
