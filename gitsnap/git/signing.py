"""Signs the tags of samples with an SSH key, and verifies such signatures, as git does with ``gpg.format=ssh``.

By ssh-keygen, which reads any key that ssh does, with arguments of gitsnap's own: git would ask the archive's own
configuration which program verifies. `git verify-tag` understands the signatures.
This module must not know what is signed.
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

from gitsnap.core.errors import SecretsError
from gitsnap.core.files import temporary_folder, write_temporary
from gitsnap.git.child_process import run_child

_NAMESPACE = "git"
"""What a signature is for (PROTOCOL.sshsig): git's own, so that git verifies it."""

_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"
_TAGGER = re.compile(rb"^tagger [^\n]*> (\d{1,12}) [+-]\d{4}$", re.MULTILINE)
_KEY = re.compile(r"\bwith (\S+ key \S+)")
_NOT_VALID_THEN = ("has expired", "not yet valid")


class SshSigner:
    """A private key that signs. Its representation shows nothing of it."""

    def __init__(self, key: bytes, *, source: str) -> None:
        """``source`` names the key in messages. Raises SecretsError where there is no ssh-keygen."""
        self._key = key if key.endswith(b"\n") else key + b"\n"
        self._source = source
        self._program = _ssh_keygen("sign tags")

    def __call__(self, payload: bytes) -> bytes:
        """The armoured signature of a tag's content. Raises SecretsError when the key cannot be used."""
        with temporary_folder() as folder:
            file = write_temporary(folder / "key", self._key)
            done = _run(self._program, "sign", "-q", "-n", _NAMESPACE, "-f", str(file), "-P", "", given=payload)
        if done.returncode != 0 or b"BEGIN SSH SIGNATURE" not in done.stdout:
            raise SecretsError(
                f"{self._source} cannot sign: it is no SSH private key without a passphrase",
                hint="ssh-keygen -t ed25519 -N '' makes one; its public key belongs into the allowed signers file.",
            )
        return done.stdout


class AllowedSigners:
    """A file that names who may sign (ssh-keygen(1), ALLOWED SIGNERS), and the verification of tags against it."""

    def __init__(self, file: Path) -> None:
        """Raises SecretsError where there is no ssh-keygen."""
        self._file = file
        self._program = _ssh_keygen("verify signatures")
        self._principals: dict[bytes, str] = {}
        """Public key -> the principal that a signature by it was last verified for."""

    def problem(self, tag: bytes) -> str:
        """Why the content of a git tag is not signed by somebody in the file; ``""`` where it is.

        A key must have been valid at the tag's own time, as for git.
        """
        payload, mark, rest = tag.rpartition(b"\n" + _BEGIN)
        if not mark:
            return "it has no SSH signature"
        if not rest.endswith(_END) or rest.count(b"-----END") != 1:
            return "its signature is damaged, or followed by other text"
        signature = _BEGIN + rest
        with temporary_folder() as folder:
            file = write_temporary(folder / "signature", signature)
            return self._problem(payload + b"\n", file, _public_key(signature))

    def _problem(self, payload: bytes, signature: Path, key: bytes) -> str:
        when = _time_option(payload)
        known = self._principals.get(key)
        if known is not None and self._verify(payload, signature, known, when).returncode == 0:
            return ""
        found = _run(self._program, "find-principals", *when, "-s", str(signature), "-f", str(self._file))
        said = found.stderr
        for principal in _principals(found.stdout.decode("utf-8", "replace")) if found.returncode == 0 else ():
            done = self._verify(payload, signature, principal, when)
            if done.returncode == 0:
                self._principals[key] = principal
                return ""
            said += done.stderr
        return self._refusal(payload, signature, said.decode("utf-8", "replace"))

    def _verify(
        self, payload: bytes, signature: Path, principal: str, when: tuple[str, ...]
    ) -> subprocess.CompletedProcess[bytes]:
        words = ("-n", _NAMESPACE, "-f", str(self._file), "-I", principal, "-s", str(signature))
        return _run(self._program, "verify", *when, *words, given=payload)

    def _refusal(self, payload: bytes, signature: Path, said: str) -> str:
        """Why nobody in the file signed: ``said`` is what ssh-keygen told of those who might have."""
        done = _run(self._program, "check-novalidate", "-n", _NAMESPACE, "-s", str(signature), given=payload)
        told = (done.stdout + done.stderr).decode("utf-8", "replace")
        if done.returncode != 0:
            reason = (told.strip().splitlines() or ["ssh-keygen failed"])[-1]
            return f"its signature does not fit its content: {reason}"
        key = match[1] if (match := _KEY.search(told)) else "its key"
        if any(words in said for words in _NOT_VALID_THEN):
            return f"{key} was not valid when the tag was made"
        if "not permitted for use in signature namespace" in said:
            return f'{key} may not sign for the namespace "{_NAMESPACE}"'
        return f"signed with the {key}, which is not in the file"


def signer_from_file(file: Path | None) -> SshSigner | None:
    """The key in a file; None where there is no file to sign with. Raises SecretsError."""
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


def _run(program: str, action: str, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.devnull,
        "LC_ALL": "C",
        "SSH_ASKPASS_REQUIRE": "never",
        **({"TZ": os.environ["TZ"]} if "TZ" in os.environ else {}),
    }
    return run_child([program, "-Y", action, *words], environment=environment, given=given)


def _time_option(payload: bytes) -> tuple[str, ...]:
    """The time of the tag for ssh-keygen, which reads it, and the times in the file, in the zone of this machine."""
    match = _TAGGER.search(payload.partition(b"\n\n")[0])
    return (f"-Overify-time={time.strftime('%Y%m%d%H%M%S', time.localtime(int(match[1])))}",) if match else ()


def _principals(listed: str) -> list[str]:
    """The principals that ssh-keygen lists. A line may be the whole list of a key, which itself is no principal."""
    found = [name for line in listed.splitlines() for name in (line, *line.split(",")) if name]
    return [name for name in dict.fromkeys(found) if not name.startswith("!")]


def _public_key(signature: bytes) -> bytes:
    """The public key in a signature (PROTOCOL.sshsig), ``b""`` where that is damaged: ssh-keygen then says so."""
    armoured = signature.removeprefix(_BEGIN).removesuffix(_END)
    try:
        blob = base64.b64decode(armoured)
        (length,) = struct.unpack_from(">I", blob, 10)  # behind "SSHSIG" and the version
    except (binascii.Error, struct.error):
        return b""
    return blob[14 : 14 + length]
