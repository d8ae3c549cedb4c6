"""One conversation with a remote: a git command with credentials, and its failure in gitsnap's words.

This module must not know what is pushed or fetched.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitsnap.errors import GitsnapError, RemoteChangedError, RemoteError, RemoteUnreachableError
from gitsnap.git import run_git
from gitsnap.remote.credentials import Credentials, git_environment

SECONDS = 900.0
"""How long one git command may take; ssh and http give up on a silent server long before."""

_LONGEST = 500
_SAYS_NOTHING = ("hint:", "Warning:", "Please make sure you have the correct access", "and the repository exists")
"""Lines that git says whatever has happened."""

_USER_INFO = re.compile(r"(\w+://)[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What certain words of git, ssh or curl stand for."""

    words: tuple[str, ...]
    """Regular expressions; any of them."""
    reason: str
    error: type[RemoteError]
    hint: str

    def fits(self, said: str) -> bool:
        """Whether these lines of git, ssh or curl say that."""
        return any(re.search(word, said, re.IGNORECASE) for word in self.words)


_MEANINGS = (
    _Meaning(
        ("host key verification failed", "remote host identification has changed", r"no \S+ host key is known"),
        "the server's host key is not the one in known_hosts",
        RemoteError,
        "Compare the server's host key with what its people publish, then put it into known_hosts.",
    ),
    _Meaning(
        ("ssl certificate problem", "certificate verif", "server verification failed", "unable to get local issuer"),
        "the server's TLS certificate is not trusted",
        RemoteError,
        "Give the certificate authority as ca.crt in the Secret.",
    ),
    _Meaning(
        (
            r"permission denied \(", "authentication failed", "returned error: 40[13]", "could not read username",
            "could not read password", "invalid credentials", "incorrect passphrase", "error in libcrypto",
        ),
        "the server does not accept the credentials",
        RemoteError,
        "Does the key or token have write access to this repository?",
    ),
    _Meaning(
        ("non-fast-forward", "fetch first", "stale info", r"\(already exists\)", "cannot lock ref"),
        "the remote has changed meanwhile",
        RemoteChangedError,
        "Push again: gitsnap compares the two first.",
    ),
    _Meaning(
        (
            "remote rejected", "hook declined", "unpacker error", "unpack failed", "no space left", "quota",
            "permission denied", "insufficient permission",
        ),
        "the remote refuses what is pushed",
        RemoteError,
        "A rule, a hook or a full disk of the server; its people can tell.",
    ),
    _Meaning(
        (
            "repository .*not found", "does not appear to be a git repository", "returned error: 404",
            "repository does not exist",
        ),
        "there is no such repository",
        RemoteError,
        "Check the URL. For a first push, make an empty repository there.",
    ),
    _Meaning(
        (
            "could not resolve", "connection (?:refused|reset|timed out|closed)", "timed? ?out", "unreachable",
            "early eof", "hung up", "failed to connect", "couldn't connect", r"returned error: 5\d\d", "rpc failed",
            "broken pipe", "transfer closed",
        ),
        "the remote cannot be reached",
        RemoteUnreachableError,
        "Is the server up, and the URL right? Samples are safe in the archive meanwhile.",
    ),
)  # fmt: skip
"""In the order in which they are looked for."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote, and how to talk to it."""

    url: str
    credentials: Credentials | None = None

    @property
    def shown(self) -> str:
        """The URL as it may stand in a message."""
        return _USER_INFO.sub(r"\1", self.url)

    def run(self, git_folder: Path, *arguments: str, given: str = "") -> str:
        """What a git command prints. Raises RemoteError and its kin, SecretsError, StorageError."""
        done = self.attempt(git_folder, *arguments, given=given)
        if done.returncode != 0:
            raise self.error(done.stderr)
        return done.stdout

    def attempt(self, git_folder: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """A git command whose exit code the caller looks at. Raises RemoteUnreachableError when it takes too long."""
        with git_environment(self.url, self.credentials) as environment:
            try:
                return run_git(git_folder, *arguments, given=given, environment=environment, seconds=SECONDS)
            except subprocess.TimeoutExpired:
                raise RemoteUnreachableError(
                    f"{self.shown}: git was not done after {SECONDS:.0f} s, and was ended"
                ) from None

    def error(self, said: str) -> GitsnapError:
        """The error that git's words stand for, with the end of them and without anything secret."""
        told = self._redacted(said)
        for meaning in _MEANINGS:
            if meaning.fits(said):
                return meaning.error(f"{self.shown}: {meaning.reason} ({told})", hint=meaning.hint)
        return RemoteError(f"{self.shown}: git failed: {told}")

    def refs(self, git_folder: Path, branch: str) -> Mapping[str, str]:
        """Name -> object of the branch and of its tags, as the remote has them."""
        listed = self.run(git_folder, "ls-remote", "--refs", self.url, f"refs/heads/{branch}", f"refs/tags/{branch}/*")
        pairs = (line.partition("\t") for line in listed.splitlines())
        return {name: target for target, tab, name in pairs if tab}

    def _redacted(self, said: str) -> str:
        lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith(_SAYS_NOTHING)]
        text = "; ".join(lines[-4:])
        for secret in self.credentials.secrets() if self.credentials else ():
            text = text.replace(secret, "…")
        text = _USER_INFO.sub(r"\1", text)
        return text if len(text) <= _LONGEST else f"…{text[-_LONGEST:]}"
