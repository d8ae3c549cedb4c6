"""Signs tags with an SSH key and verifies such signatures, as git does with ``gpg.format=ssh``.

The signatures are those of `git tag --sign`, so `git verify-tag` verifies them. This module runs ssh-keygen itself: git
would take the name of the program from the configuration of the archive.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shutil
import struct
import subprocess
import time
from pathlib import Path

from gitsnap.core.errors import InputError, SecretsError
from gitsnap.core.files import temporary_folder, write_temporary
from gitsnap.git.child_process import run_child

_NAMESPACE = "git"
"""The namespace of a signature (PROTOCOL.sshsig) that git uses."""

_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"
_TAGGER = re.compile(rb"^tagger [^\n]*> (\d{1,12}) [+-]\d{4}$", re.MULTILINE)
_KEY = re.compile(r"\bwith (\S+ key \S+)")
_PUBLIC_KEY = re.compile(r"\s*(?:ssh-|ecdsa-sha2-|sk-)\S+\s+AAAA")
"""The beginning of a line of a public key file."""

_NOT_VALID_AT_TIME = ("has expired", "not yet valid")


class SshSigner:
    """Signs with an SSH private key. Its representation does not show the key."""

    def __init__(self, key: bytes, *, source: str) -> None:
        """``source`` names the key in messages. Raises SecretsError where ssh-keygen is not installed."""
        self._key = key if key.endswith(b"\n") else key + b"\n"
        self._source = source
        self._program = _ssh_keygen("sign tags")

    def __call__(self, payload: bytes) -> bytes:
        """The armoured signature of a tag's content. Raises SecretsError where the key cannot be used."""
        with temporary_folder() as folder:
            file = write_temporary(folder / "key", self._key)
            done = _run(self._program, "sign", "-q", "-n", _NAMESPACE, "-f", str(file), "-P", "", stdin=payload)
        if done.returncode != 0 or b"BEGIN SSH SIGNATURE" not in done.stdout:
            raise SecretsError(
                f"{self._source} cannot sign: it is not an SSH private key, or it has a passphrase",
                hint="Create a key: `ssh-keygen -t ed25519 -N ''`. Its public key belongs in the allowed signers file.",
            )
        return done.stdout


class AllowedSigners:
    """Verifies tags against an allowed signers file (ssh-keygen(1), ALLOWED SIGNERS)."""

    def __init__(self, file: Path) -> None:
        """Open an allowed signers file.

        Raises InputError for a file of public keys without principals, which verifies nothing, and SecretsError where
        ssh-keygen is not installed.
        """
        _check_principals(file)
        self._file = file
        self._program = _ssh_keygen("verify signatures")
        self._principals: dict[bytes, str] = {}
        """Public key -> the principal for whom a signature by this key was last verified."""

    def problem(self, tag: bytes) -> str:
        """Why ``tag``, the content of a git tag, has no valid signature by a key in the file; ``""`` where it has one.

        As for git, the key must have been valid at the time of the tag.
        """
        payload, separator, rest = tag.rpartition(b"\n" + _BEGIN)
        if not separator:
            return "it has no SSH signature"
        if not rest.endswith(_END) or rest.count(b"-----END") != 1:
            return "its signature is damaged, or followed by other text"
        signature = _BEGIN + rest
        with temporary_folder() as folder:
            file = write_temporary(folder / "signature", signature)
            return self._problem(payload + b"\n", file, _public_key(signature))

    def _problem(self, payload: bytes, signature: Path, key: bytes) -> str:
        verify_time = _time_option(payload)
        known = self._principals.get(key)
        if known is not None and self._verify(payload, signature, known, verify_time).returncode == 0:
            return ""
        done = _run(self._program, "find-principals", *verify_time, "-s", str(signature), "-f", str(self._file))
        errors = done.stderr
        for principal in _principals(done.stdout.decode("utf-8", "replace")) if done.returncode == 0 else ():
            done = self._verify(payload, signature, principal, verify_time)
            if done.returncode == 0:
                self._principals[key] = principal
                return ""
            errors += done.stderr
        return self._refusal(payload, signature, errors.decode("utf-8", "replace"))

    def _verify(
        self, payload: bytes, signature: Path, principal: str, verify_time: tuple[str, ...]
    ) -> subprocess.CompletedProcess[bytes]:
        options = ("-n", _NAMESPACE, "-f", str(self._file), "-I", principal, "-s", str(signature))
        return _run(self._program, "verify", *verify_time, *options, stdin=payload)

    def _refusal(self, payload: bytes, signature: Path, errors: str) -> str:
        """Why no key in the file verifies the signature. ``errors``: the output of ssh-keygen about each candidate."""
        done = _run(self._program, "check-novalidate", "-n", _NAMESPACE, "-s", str(signature), stdin=payload)
        output = (done.stdout + done.stderr).decode("utf-8", "replace")
        if done.returncode != 0:
            reason = (output.strip().splitlines() or ["ssh-keygen failed"])[-1]
            return f"its signature does not fit its content: {reason}"
        key = match[1] if (match := _KEY.search(output)) else "its key"
        if any(text in errors for text in _NOT_VALID_AT_TIME):
            return f"{key} was not valid when the tag was made"
        if "not permitted for use in signature namespace" in errors:
            return f'{key} may not sign for the namespace "{_NAMESPACE}"'
        return f"signed with the {key}, which is not in the file"


def _check_principals(file: Path) -> None:
    """Raise InputError where a line begins with the type of a key: ssh-keygen would take the type for a principal."""
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        raise InputError(f"cannot read the allowed signers file {file}: {error.strerror}") from None
    for number, line in enumerate(lines, start=1):
        if _PUBLIC_KEY.match(line):
            raise InputError(
                f"{file}, line {number}: a public key without the name of its owner",
                hint="Each line of an allowed signers file is NAME KEY: "
                f'`echo "ops@example.com $(cat {file})" > allowed_signers`. ssh-keygen(1) has more.',
            )


def signer_from_file(file: Path | None) -> SshSigner | None:
    """The signer for the private key in a file; None where ``file`` is None. Raises SecretsError."""
    if file is None:
        return None
    try:
        return SshSigner(file.read_bytes(), source=str(file))
    except OSError as error:
        raise SecretsError(f"cannot read the signing key {file}: {error.strerror}") from None


def _ssh_keygen(purpose: str) -> str:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise SecretsError("the program ssh-keygen was not found", hint=f"Install openssh-client to {purpose}.")
    return program


def _run(program: str, action: str, *options: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.devnull,
        "LC_ALL": "C",
        "SSH_ASKPASS_REQUIRE": "never",
        **({"TZ": os.environ["TZ"]} if "TZ" in os.environ else {}),
    }
    return run_child([program, "-Y", action, *options], environment=environment, stdin=stdin)


def _time_option(payload: bytes) -> tuple[str, ...]:
    """The option that sets the verification time to the time of the tag; none where the tag has no time.

    ssh-keygen reads this time, and the times in the allowed signers file, in the time zone of the machine.
    """
    match = _TAGGER.search(payload.partition(b"\n\n")[0])
    return (f"-Overify-time={time.strftime('%Y%m%d%H%M%S', time.localtime(int(match[1])))}",) if match else ()


def _principals(listed: str) -> list[str]:
    """The principals in the output of ``find-principals``: a line has one principal, or all of a key with commas."""
    names = [name for line in listed.splitlines() for name in (line, *line.split(",")) if name]
    return [name for name in dict.fromkeys(names) if not name.startswith("!")]


def _public_key(signature: bytes) -> bytes:
    """The public key in a signature (PROTOCOL.sshsig); ``b""`` for a damaged signature, which ssh-keygen reports."""
    armoured = signature.removeprefix(_BEGIN).removesuffix(_END)
    try:
        blob = base64.b64decode(armoured)
        (length,) = struct.unpack_from(">I", blob, 10)  # after "SSHSIG" and the version
    except (binascii.Error, struct.error):
        return b""
    return blob[14 : 14 + length]
