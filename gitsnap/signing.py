"""Signs the tags of samples with an SSH key, as git does with ``gpg.format=ssh``: `git verify-tag` understands them.

By ssh-keygen, which reads any key that ssh does. This module must not know what is signed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from gitsnap.errors import SecretsError

_NAMESPACE = "git"
"""What a signature is for (PROTOCOL.sshsig): git's own, so that git verifies it."""


class SshSigner:
    """A private key that signs. Its representation shows nothing of it."""

    def __init__(self, key: bytes, *, source: str) -> None:
        """``source`` names the key in messages. Raises SecretsError where there is no ssh-keygen."""
        self._key = key if key.endswith(b"\n") else key + b"\n"
        self._source = source
        program = shutil.which("ssh-keygen")
        if program is None:
            raise SecretsError("the program ssh-keygen was not found", hint="Install openssh-client to sign tags.")
        self._program = program

    def __call__(self, payload: bytes) -> bytes:
        """The armoured signature of a tag's content. Raises SecretsError when the key cannot be used."""
        with tempfile.TemporaryDirectory(prefix="gitsnap-signing-") as folder:
            file = Path(folder) / "key"
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as target:
                target.write(self._key)
            done = subprocess.run(
                [self._program, "-q", "-Y", "sign", "-n", _NAMESPACE, "-f", str(file), "-P", ""],
                input=payload,
                capture_output=True,
                check=False,
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": folder, "SSH_ASKPASS_REQUIRE": "never"},
            )
        if done.returncode != 0 or b"BEGIN SSH SIGNATURE" not in done.stdout:
            raise SecretsError(
                f"{self._source} cannot sign: it is no SSH private key without a passphrase",
                hint="ssh-keygen -t ed25519 -N '' makes one; its public key belongs into the allowed signers file.",
            )
        return done.stdout


def signer_from_file(file: Path | None) -> SshSigner | None:
    """The key in a file; None where there is no file to sign with. Raises SecretsError."""
    if file is None:
        return None
    try:
        return SshSigner(file.read_bytes(), source=str(file))
    except OSError as error:
        raise SecretsError(f"cannot read the signing key {file}: {error.strerror}") from None
