"""One conversation with a remote: a git command with credentials, and its failure in gitsnap's words.

This module must not know what is pushed or fetched.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitsnap.archive.remote.credentials import Credentials, git_environment
from gitsnap.archive.remote.failures import Said, meaning_of
from gitsnap.core.errors import GitsnapError, RemoteError, RemoteRefusedError, RemoteUnreachableError, UsageError
from gitsnap.git.process import run_git

SECONDS = 900.0
"""How long one git command may take; ssh and http give up on a silent server long before."""

_LONGEST = 500
_USER_INFO = re.compile(r"(\w+://)[^/@\s]+@")
_SHA1_DIGITS = 40


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote, and how to talk to it."""

    url: str
    credentials: Credentials | None = None
    """None for a person's own: his keys, agent and credential helpers."""

    def __post_init__(self) -> None:
        """Raises UsageError for a URL that git would take for an option, which may name a program."""
        if self.url.startswith("-"):
            raise UsageError(f"{self.url}: the URL of a remote does not begin with a dash")

    @property
    def shown(self) -> str:
        """The URL as it may stand in a message."""
        return _USER_INFO.sub(r"\1", self.url)

    def run(self, git_folder: Path, *arguments: str, given: str = "") -> str:
        """What a git command prints. Raises RemoteError and its kin, SecretsError, StorageError."""
        done = self.attempt(git_folder, *arguments, given=given)
        if done.returncode != 0:
            raise self.error(done.stderr, done.stdout)
        return done.stdout

    def attempt(self, git_folder: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """A git command whose exit code the caller looks at. Raises RemoteUnreachableError when it takes too long."""
        with git_environment(self.url, self.credentials) as environment:
            try:
                return run_git(git_folder, *arguments, given=given, environment=environment, seconds=SECONDS)
            except subprocess.TimeoutExpired:
                raise RemoteUnreachableError(
                    f"{self.shown}: git did not finish within {SECONDS:.0f} s, and was ended"
                ) from None

    def error(self, printed: str, porcelain: str = "") -> GitsnapError:
        """The error that git's words stand for. The server's own words come first; nothing secret is in it.

        ``porcelain``: the lines of `git push --porcelain`.
        """
        said = Said.of(printed, porcelain)
        meaning = meaning_of(printed, porcelain, self.url)
        server = self._shortened("; ".join(said.server))
        own = self._shortened(said.reasons() or "; ".join(said.own[-4:]))
        subject = f"{self.shown} says: {server}" if server else self.shown
        if meaning is None:
            return RemoteError(f"{subject}: git failed: {own}")
        hint = (meaning.own_hint if self.credentials is None else "") or meaning.hint
        return meaning.error(f"{subject}: {meaning.reason}" + (f" ({own})" if own else ""), hint=hint)

    def refs(self, git_folder: Path, branch: str) -> Mapping[str, str]:
        """Name -> object of the branch and of its tags, as the remote has them."""
        listed = self.run(git_folder, "ls-remote", "--refs", self.url, f"refs/heads/{branch}", f"refs/tags/{branch}/*")
        pairs = (line.partition("\t") for line in listed.splitlines())
        found = {name: target for target, tab, name in pairs if tab}
        if any(len(target) != _SHA1_DIGITS for target in found.values()):
            raise RemoteRefusedError(
                f"{self.shown}: its object ids are SHA-256, and those of an archive are SHA-1",
                hint="Use another repository: an archive can be neither pushed there nor compared with it.",
            )
        return found

    def _shortened(self, text: str) -> str:
        for secret in self.credentials.secrets() if self.credentials else ():
            text = text.replace(secret, "…")
        text = _USER_INFO.sub(r"\1", text)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
