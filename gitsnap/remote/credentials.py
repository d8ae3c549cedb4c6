"""Credentials for a remote, as the keys of a Secret name them, made into what git and ssh understand.

Keys are those of Flux (source.toolkit.fluxcd.io, "Secret reference") and of Argo CD (repository Secrets). They exist as
files only while a command runs, in a folder that nobody else can read; they are never part of a command line or a URL.
This module must not let a value into a message.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gitsnap.errors import SecretsError

_SSH = re.compile(r"ssh://|(?!\w+://)[^/]+:")
_PASSED_ON = ("SSH_AUTH_SOCK", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
              "http_proxy", "https_proxy", "no_proxy", "all_proxy",
              "LD_PRELOAD", "NSS_WRAPPER_PASSWD", "NSS_WRAPPER_GROUP")  # fmt: skip
"""What reaches git of this process's own environment: the ssh agent, proxies, and a user for a uid without one."""

_CONNECTION = "-o ConnectTimeout=20 -o ServerAliveInterval=15 -o ServerAliveCountMax=3"
_ASKPASS = """#!/bin/sh
case "$1" in
    Username*) printf '%s\\n' "$GITSNAP_USERNAME" ;;
    *) printf '%s\\n' "$GITSNAP_PASSWORD" ;;
esac
"""


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """The values of a Secret. Its representation shows nothing of them."""

    source: str
    """Where they come from, for messages: ``Secret gitsnap/remote``."""
    values: Mapping[str, bytes] = field(default_factory=dict)

    def text(self, *names: str) -> str:
        """The first of these keys that there is, ``""`` for none."""
        for name in names:
            if self.values.get(name):
                return self.values[name].decode("utf-8", "replace")
        return ""

    def secrets(self) -> list[str]:
        """Texts that must not appear in a message."""
        texts = [value.decode("utf-8", "replace").strip() for value in self.values.values()]
        return sorted((text for text in texts if len(text) > 3), key=len, reverse=True)


@contextmanager
def git_environment(url: str, credentials: Credentials | None) -> Iterator[dict[str, str]]:
    """The environment for a git command that talks to ``url``; what it needs in files is gone afterwards.

    Without credentials ssh uses the user's own keys, agent and known hosts. Raises SecretsError when a key is missing.
    """
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    if credentials is None:
        home = {"HOME": os.environ["HOME"]} if "HOME" in os.environ else {}
        yield {**passed_on, **home, "GIT_SSH_COMMAND": f"ssh -o BatchMode=yes {_CONNECTION}"}
        return
    with tempfile.TemporaryDirectory(prefix="gitsnap-remote-") as name:
        files = _Files(Path(name))
        made = _for_ssh(credentials, files) if _SSH.match(url) else _for_https(credentials, files)
        yield {**passed_on, **made}


class _Files:
    """A folder of files that only their owner can read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, text: str, *, mode: int = 0o600) -> str:
        """The path of a new file with this text. Raises FileExistsError rather than follow or overwrite anything."""
        path = self._folder / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return str(path)


def _for_ssh(credentials: Credentials, files: _Files) -> dict[str, str]:
    identity = credentials.text("identity", "sshPrivateKey", "ssh-privatekey")
    known_hosts = credentials.text("known_hosts")
    for name, value in (("identity", identity), ("known_hosts", known_hosts)):
        if not value:
            raise SecretsError(
                f"the {credentials.source} has no {name}, which a push by ssh needs",
                hint="identity is the private key, known_hosts the host keys of the server (ssh-keyscan).",
            )
    key = files.write("identity", identity if identity.endswith("\n") else f"{identity}\n")
    hosts = files.write("known_hosts", known_hosts)
    passphrase = credentials.text("password", "passphrase")
    options = [
        "-F", os.devnull, "-i", key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
        "-o", "StrictHostKeyChecking=yes",
        "-o", f"UserKnownHostsFile={hosts}", "-o", f"GlobalKnownHostsFile={os.devnull}",
        "-o", "PreferredAuthentications=publickey", "-o", f"BatchMode={'no' if passphrase else 'yes'}",
    ]  # fmt: skip
    made = {"GIT_SSH_COMMAND": f"ssh {shlex.join(options)} {_CONNECTION}"}
    if passphrase:
        made |= {
            "SSH_ASKPASS": files.write("askpass", _ASKPASS, mode=0o700),
            "SSH_ASKPASS_REQUIRE": "force",
            "GITSNAP_PASSWORD": passphrase,
        }
    return made


def _for_https(credentials: Credentials, files: _Files) -> dict[str, str]:
    settings: dict[str, str] = {"http.lowSpeedLimit": "1000", "http.lowSpeedTime": "60"}
    made: dict[str, str] = {}
    bearer, password = credentials.text("bearerToken"), credentials.text("password")
    if bearer:
        settings["http.extraHeader"] = f"Authorization: Bearer {bearer.strip()}"
    elif password:
        made |= {
            "GIT_ASKPASS": files.write("askpass", _ASKPASS, mode=0o700),
            "GITSNAP_USERNAME": credentials.text("username").strip() or "git",
            "GITSNAP_PASSWORD": password.strip(),
        }
    certificate, key = (
        credentials.text("tls.crt", "certFile", "tlsClientCertData"),
        credentials.text("tls.key", "keyFile", "tlsClientCertKey"),
    )
    if bool(certificate) != bool(key):
        raise SecretsError(f"the {credentials.source} has a client certificate or its key, but not both")
    if certificate:
        settings["http.sslCert"] = files.write("client.crt", certificate)
        settings["http.sslKey"] = files.write("client.key", key)
    authority = credentials.text("ca.crt", "caFile")
    if authority:
        settings["http.sslCAInfo"] = files.write("ca.crt", authority)
    made["GIT_CONFIG_COUNT"] = str(len(settings))
    for number, (name, value) in enumerate(sorted(settings.items())):
        made |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return made
