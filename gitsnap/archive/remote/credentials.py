"""Turns the credentials of a Secret into an environment for git and ssh.

The keys of the Secret are those of Flux (source.toolkit.fluxcd.io, "Secret reference") and of Argo CD (repository
Secrets). Values are in files only while a command runs, in a folder that only this user can read. They are never part
of a command line or of a URL. This module must not put a value into a message.
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
"""Variables of this process that git gets together with the credentials of a Secret: proxies, and those of nss_wrapper,
which gives a user name to a uid that has none."""

_USER_VARIABLES = frozenset({
    "GIT_ASKPASS", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_CERT",
    "GIT_SSL_KEY",
})  # fmt: skip
"""Variables of git that a user's own credentials may need. The other variables of git may redirect git."""

_CONFIGURATION_VARIABLES = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
_PROTOCOLS = "file:git:http:https:ssh"
"""The only transports that git uses with the credentials of a Secret."""

_LOW_SPEED = {"http.lowSpeedLimit": "1000", "http.lowSpeedTime": "60"}
_CONNECTION = "-o ConnectTimeout=20 -o ServerAliveInterval=15 -o ServerAliveCountMax=3"
_ASKPASS = """#!/bin/sh
printf '%s\\n' "$GITSNAP_PASSWORD"
"""
_HELPER = """!answer() {
    test "$1" = get && printf 'username=%s\\npassword=%s\\n' "$GITSNAP_USERNAME" "$GITSNAP_PASSWORD"
}; answer"""
"""A credential helper for git (gitcredentials(7)), as a shell snippet."""

_ORIGIN = re.compile(r"https?://[^/]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """The values of a Secret. The representation does not show them."""

    source: str
    """The origin of the values, for messages: ``Secret gitsnap/remote``."""
    values: Mapping[str, bytes] = field(default_factory=dict)

    def text(self, *names: str) -> str:
        """The value of the first of these keys that is present and not empty; ``""`` for none."""
        for name in names:
            if self.values.get(name):
                return self.values[name].decode("utf-8", "replace")
        return ""

    def secrets(self) -> list[str]:
        """Texts that must not appear in a message, the longest first."""
        texts = [value.decode("utf-8", "replace").strip() for value in self.values.values()]
        if password := self.text("password").strip():  # a server may echo the Authorization header
            user = self.text("username").strip() or "git"
            texts.append(base64.b64encode(f"{user}:{password}".encode()).decode())
        return sorted((text for text in texts if len(text) > 3), key=len, reverse=True)


@contextmanager
def git_environment(url: str, credentials: Credentials | None) -> Iterator[dict[str, str | None]]:
    """Yield the environment for a git command that connects to ``url``. The files in it exist only within the context.

    Without ``credentials``, git uses the keys, agent, known hosts and credential helpers of the user.
    Raises SecretsError where the Secret lacks a key, InputError where the user's git configuration cannot be read,
    StorageError.
    """
    if credentials is None:
        yield _user_environment(url)
        return
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    with temporary_folder() as folder:
        files = _Files(folder)
        variables = _for_ssh(credentials, files) if _SSH.match(url) else _for_https(url, credentials, files)
        yield {**passed_on, "GIT_ALLOW_PROTOCOL": _PROTOCOLS, **variables}


def _user_environment(url: str) -> dict[str, str | None]:
    """The user's environment, which credential helpers and ssh need, without the variables that redirect git."""
    environment: dict[str, str | None] = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _USER_VARIABLES
    }
    settings = list(_LOW_SPEED.items())
    if url.startswith(("http://", "https://")):
        settings += _credential_settings()
    if "GIT_SSH" not in environment:
        environment.setdefault("GIT_SSH_COMMAND", f"ssh -o BatchMode=yes {_CONNECTION}")
    return {**environment, "LC_ALL": "C", "LANGUAGE": None, **git_settings(settings)}


def _credential_settings() -> list[tuple[str, str]]:
    """The settings ``credential.*`` of the git configuration of the user and of the machine.

    git reads them outside of the archive, so that a writer of the archive cannot select a conditional include.
    """
    environment: dict[str, str | None] = dict(os.environ)
    for name in list(environment):
        if name.startswith("GIT_") and name not in _CONFIGURATION_VARIABLES:
            del environment[name]
    for name in _CONFIGURATION_VARIABLES:
        environment.setdefault(name, None)
    done = run_git(None, "config", "-z", "--get-regexp", r"^credential\.", environment=environment)
    if done.returncode not in (0, 1):  # 1: no such settings
        raise InputError(f"your git configuration cannot be read: {done.stderr.strip()}")
    pairs = (entry.partition("\n") for entry in done.stdout.split("\0") if entry)
    return [(name, value if newline else "true") for name, newline, value in pairs]


class _Files:
    """A temporary folder for files with secrets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, text: str, *, mode: int = 0o600) -> str:
        """Write a new file, and return its path. Raises StorageError."""
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
    variables = {"GIT_SSH_COMMAND": f"ssh {shlex.join(options)} {_CONNECTION}"}
    if passphrase:
        variables |= {
            "SSH_ASKPASS": files.write("askpass", _ASKPASS, mode=0o700),
            "SSH_ASKPASS_REQUIRE": "force",
            "GITSNAP_PASSWORD": passphrase,
        }
    return variables


def _for_https(url: str, credentials: Credentials, files: _Files) -> dict[str, str]:
    """The environment for https. User name and password are sent only to the scheme, host and port of the URL.

    git sends ``http.extraHeader`` to every host that it is redirected to, so git follows no redirect with a token.
    """
    settings = dict(_LOW_SPEED)
    variables: dict[str, str] = {}
    match = _ORIGIN.match(url)
    if match is None:  # git:// URLs and paths take no credentials
        return git_settings(settings)
    bearer, password = credentials.text("bearerToken"), credentials.text("password")
    if bearer:
        settings["http.extraHeader"] = f"Authorization: Bearer {bearer.strip()}"
        settings["http.followRedirects"] = "false"
    elif password:
        settings[f"credential.{match[0]}.helper"] = _HELPER
        variables |= {
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
    return {**variables, **git_settings(settings)}
