"""Credentials for a remote, as the keys of a Secret name them, made into what git and ssh understand.

Keys are those of Flux (source.toolkit.fluxcd.io, "Secret reference") and of Argo CD (repository Secrets). They exist as
files only while a command runs, in a folder that nobody else can read; they are never part of a command line or a URL.
This module must not let a value into a message.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gitsnap.core.errors import InputError, SecretsError
from gitsnap.core.files import temporary_folder, write_temporary
from gitsnap.git.process import git_settings, run_git

_SSH = re.compile(r"ssh://|(?!\w+://)[^/]+:")
_PASSED_ON = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
              "http_proxy", "https_proxy", "no_proxy", "all_proxy",
              "LD_PRELOAD", "NSS_WRAPPER_PASSWD", "NSS_WRAPPER_GROUP")  # fmt: skip
"""What reaches git of this process's own environment with a Secret's credentials: proxies, and a user for a uid without
one."""

_OF_A_PERSON = frozenset({
    "GIT_ASKPASS", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_CERT",
    "GIT_SSL_KEY",
})  # fmt: skip
"""Variables of git that count for who talks to a remote with credentials of his own; all others may redirect git."""

_CONFIGURATION_OF_A_PERSON = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
_PROTOCOLS = "file:git:http:https:ssh"
"""With a Secret's credentials git runs no other helper for a URL."""

_PATIENCE = {"http.lowSpeedLimit": "1000", "http.lowSpeedTime": "60"}
_CONNECTION = "-o ConnectTimeout=20 -o ServerAliveInterval=15 -o ServerAliveCountMax=3"
_ASKPASS = """#!/bin/sh
printf '%s\\n' "$GITSNAP_PASSWORD"
"""
_HELPER = """!answer() {
    test "$1" = get && printf 'username=%s\\npassword=%s\\n' "$GITSNAP_USERNAME" "$GITSNAP_PASSWORD"
}; answer"""
"""A credential helper of git, in the words of a shell."""

_ORIGIN = re.compile(r"https?://[^/]+", re.IGNORECASE)


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
        if password := self.text("password").strip():  # a server may repeat the header that it got
            user = self.text("username").strip() or "git"
            texts.append(base64.b64encode(f"{user}:{password}".encode()).decode())
        return sorted((text for text in texts if len(text) > 3), key=len, reverse=True)


@contextmanager
def git_environment(url: str, credentials: Credentials | None) -> Iterator[dict[str, str | None]]:
    """The environment for a git command that talks to ``url``; what it needs in files is gone afterwards.

    Without credentials a person talks to the remote: with his own keys, agent, known hosts and credential helpers.
    Raises SecretsError when a key is missing, InputError where his git configuration cannot be read.
    """
    if credentials is None:
        yield _of_a_person(url)
        return
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    with temporary_folder() as folder:
        files = _Files(folder)
        made = _for_ssh(credentials, files) if _SSH.match(url) else _for_https(url, credentials, files)
        yield {**passed_on, "GIT_ALLOW_PROTOCOL": _PROTOCOLS, **made}


def _of_a_person(url: str) -> dict[str, str | None]:
    """The person's environment, as his helpers and ssh need it, without the variables that redirect git."""
    own: dict[str, str | None] = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _OF_A_PERSON
    }
    settings = list(_PATIENCE.items())
    if url.startswith(("http://", "https://")):
        settings += _credential_settings()
    own.setdefault("GIT_SSH_COMMAND", None if "GIT_SSH" in own else f"ssh -o BatchMode=yes {_CONNECTION}")
    return {**own, "LC_ALL": "C", "LANGUAGE": None, **git_settings(settings)}


def _credential_settings() -> list[tuple[str, str]]:
    """The settings credential.* of the person's and the machine's git configuration, and no others.

    Conditional includes do not see the archive: whoever can write there must not choose what is included.
    """
    environment: dict[str, str | None] = dict(os.environ)
    for name in list(environment):
        if name.startswith("GIT_") and name not in _CONFIGURATION_OF_A_PERSON:
            del environment[name]
    for name in _CONFIGURATION_OF_A_PERSON:
        environment.setdefault(name, None)
    done = run_git(None, "config", "-z", "--get-regexp", r"^credential\.", environment=environment)
    if done.returncode not in (0, 1):  # 1: there are none
        raise InputError(f"your git configuration cannot be read: {done.stderr.strip()}")
    pairs = (entry.partition("\n") for entry in done.stdout.split("\0") if entry)
    return [(name, value if newline else "true") for name, newline, value in pairs]


class _Files:
    """A folder of files that only their owner can read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, text: str, *, mode: int = 0o600) -> str:
        """The path of a new file with this text. Raises StorageError."""
        return str(write_temporary(self._folder / name, text.encode(), mode=mode))


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


def _for_https(url: str, credentials: Credentials, files: _Files) -> dict[str, str]:
    """Credentials count for the scheme, host and port of the URL alone: a server may redirect git to another one.

    git sends a header of its own to every host that it is redirected to, so with a token it follows no redirect.
    """
    settings = dict(_PATIENCE)
    made: dict[str, str] = {}
    match = _ORIGIN.match(url)
    if match is None:  # git:// and folders take no credentials
        return git_settings(settings)
    bearer, password = credentials.text("bearerToken"), credentials.text("password")
    if bearer:
        settings["http.extraHeader"] = f"Authorization: Bearer {bearer.strip()}"
        settings["http.followRedirects"] = "false"
    elif password:
        settings[f"credential.{match[0]}.helper"] = _HELPER
        made |= {
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
    return {**made, **git_settings(settings)}
