"""Runs one git command against a remote, with credentials, and turns its failure into a typed error."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitsnap.archive.remote.credentials import Credentials, git_environment
from gitsnap.archive.remote.failures import CommandOutput, find_cause
from gitsnap.core.errors import GitsnapError, RemoteError, RemoteRefusedError, RemoteUnreachableError, UsageError
from gitsnap.git.process import run_git

SECONDS = 900.0
"""Time limit for one git command. ssh and http give up on a silent server much earlier."""

_LONGEST_TEXT = 500
_USER_INFO = re.compile(r"(\w+://)[^/@\s]+@")
_SHA1_DIGITS = 40


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote repository and the credentials for it."""

    url: str
    credentials: Credentials | None = None
    """None: git uses the keys, the agent and the credential helpers of the user who runs gitsnap."""

    def __post_init__(self) -> None:
        """Raises UsageError for a URL that git would parse as an option: an option can name a program to run."""
        if self.url.startswith("-"):
            raise UsageError(f"{self.url}: the URL of a remote does not begin with a dash")

    @property
    def shown(self) -> str:
        """The URL without user name and password, for messages."""
        return _USER_INFO.sub(r"\1", self.url)

    def run(self, git_folder: Path, *arguments: str, stdin: str = "") -> str:
        """Run a git command, and return its standard output.

        Raises RemoteError and its subclasses for a failed command, and the errors of ``attempt``.
        """
        done = self.attempt(git_folder, *arguments, stdin=stdin)
        if done.returncode != 0:
            raise self.error(done.stderr, done.stdout)
        return done.stdout

    def attempt(self, git_folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a git command. The caller checks the exit code.

        Raises RemoteUnreachableError for a command that exceeds the time limit, SecretsError, InputError, StorageError.
        """
        with git_environment(self.url, self.credentials) as environment:
            try:
                return run_git(git_folder, *arguments, stdin=stdin, environment=environment, seconds=SECONDS)
            except subprocess.TimeoutExpired:
                raise RemoteUnreachableError(
                    f"{self.shown}: git did not finish within {SECONDS:.0f} s, and was ended"
                ) from None

    def error(self, stderr: str, porcelain: str = "") -> GitsnapError:
        """The typed error for a failed git command. The message quotes the server first, and contains no secret.

        ``stderr``: the standard error of the command. ``porcelain``: the lines of `git push --porcelain`.
        """
        output = CommandOutput.parse(stderr, porcelain)
        cause = find_cause(stderr, porcelain, self.url)
        server = self._redacted("; ".join(output.server))
        client = self._redacted(output.reasons() or "; ".join(output.client[-4:]))
        subject = f"{self.shown} says: {server}" if server else self.shown
        if cause is None:
            return RemoteError(f"{subject}: git failed: {client}")
        hint = (cause.user_hint if self.credentials is None else "") or cause.hint
        return cause.error(f"{subject}: {cause.reason}" + (f" ({client})" if client else ""), hint=hint)

    def refs(self, git_folder: Path, branch: str) -> Mapping[str, str]:
        """The refs of the branch and of its tags at the remote: name -> object id. Raises the errors of ``run``."""
        listed = self.run(git_folder, "ls-remote", "--refs", self.url, f"refs/heads/{branch}", f"refs/tags/{branch}/*")
        lines = [line for line in listed.splitlines() if "\t" in line]
        refs = {line[_SHA1_DIGITS + 1 :]: line[:_SHA1_DIGITS] for line in lines}
        if any(line.find("\t") != _SHA1_DIGITS for line in lines):
            raise RemoteRefusedError(
                f"{self.shown}: its object ids are SHA-256, and those of an archive are SHA-1",
                hint="Use another repository: an archive can be neither pushed there nor compared with it.",
            )
        return refs

    def _redacted(self, text: str) -> str:
        """A text of limited length, without the secrets of the credentials and without user names in URLs."""
        for secret in self.credentials.secrets() if self.credentials else ():
            text = text.replace(secret, "…")
        text = _USER_INFO.sub(r"\1", text)
        return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
