"""Classifies failed pushes and fetches: a table from the output of git, ssh and curl to typed errors.

The output of git itself and the reason of each refused ref decide first. The output of the server's hooks decides only
where nothing else does. The URL, which git repeats in its output, never decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gitsnap.core.errors import RemoteChangedError, RemoteError, RemoteRefusedError, RemoteUnreachableError
from gitsnap.core.text import join_names

_SERVER = "remote:"
"""Prefix of the lines that the server sent: output of its hooks, and of its git."""

_SERVER_GIT = ("remote: error:", "remote: fatal:")
_UNINFORMATIVE = (
    "hint:", "Warning:", "Please make sure you have the correct access", "and the repository exists",
    "error: failed to push some refs to",
)  # fmt: skip
"""Prefixes of lines that git prints for every cause."""

_REF_LINE = re.compile(r"!\t[^\t]*:(?P<name>[^\t:]*)\t\[(?P<kind>[^]]+)\](?: \((?P<reason>.*)\))?")
"""A line of `git push --porcelain` about a ref that was not updated."""

_FAILED_WITH_OTHERS = ("atomic push failed", "atomic push failure", "atomic transaction failed")
_QUOTED = re.compile(r"(?<!\w)'[^'\n]*'|\"[^\"\n]*\"")
_HOST = re.compile(r"(?:\w+://|(?!\w+://))(?:[^/@\s]*@)?(?:\[(?P<address>[^]\s]+)\]|(?P<name>[^/:\s]+))[:/]")
"""The host of a URL, or of the scp-like form ``user@host:path``."""

_BEFORE_HOST = r"(?:(?<=host )|(?<=host: )|(?<=hostname )|(?<=@)|(?<=for )|(?<=to )|(?<=by ))"
"""The words that git, ssh and curl print before a host name. Elsewhere a word may equal the name of the host."""

_NO_ATOMIC = re.compile(r"does not support --atomic", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FailureCause:
    """A cause of failure, and the output of git, ssh or curl that shows it."""

    patterns: tuple[str, ...]
    """Regular expressions. One match is enough; case is ignored."""
    reason: str
    error: type[RemoteError]
    hint: str
    user_hint: str = ""
    """The hint for a user with credentials of their own, where it differs from ``hint``."""

    def matches(self, text: str) -> bool:
        """Whether a pattern matches the text."""
        return any(re.search(pattern, text, re.IGNORECASE) for pattern in self.patterns)


FAILURE_CAUSES = (
    FailureCause(
        ("host key verification failed", "remote host identification has changed", r"no \S+ host key is known"),
        "the server's host key is not the one in known_hosts",
        RemoteError,
        "Compare the server's host key with the key that its administrators publish, then put it into known_hosts.",
    ),
    FailureCause(
        ("ssl certificate problem", "certificate verif", "server verification failed", "unable to get local issuer",
         "problem with the ssl ca cert"),
        "the server's TLS certificate is not trusted",
        RemoteError,
        "Give the certificate authority as ca.crt in the Secret.",
        "Name a file with the certificate authority in GIT_SSL_CAINFO.",
    ),
    FailureCause(
        (
            r"permission denied \(", "authentication failed", r"returned error: 40[13]\b", "could not read username",
            "could not read password", "invalid credentials", "incorrect passphrase", "error in libcrypto",
        ),
        "the server does not accept the credentials",
        RemoteError,
        "Does the key or token have write access to this repository?",
        "For https, gitsnap asks the credential helpers of your git configuration (credential.helper), GIT_ASKPASS and "
        "~/.netrc; for ssh, your keys and agent. Do they have access to this repository?",
    ),
    FailureCause(
        (r"returned error: 30[12378]\b", "unable to update url base from redirection"),
        "the server redirects to another address",
        RemoteError,
        "Put the new address into the URL. With a bearer token no redirect is followed: it would get the token.",
    ),
    FailureCause(
        ("repository's hash algorithm", "mismatched algorithms"),
        "its object ids are SHA-256, and those of an archive are SHA-1",
        RemoteRefusedError,
        "Recreate the repository with `git init --bare --object-format=sha1`.",
    ),
    FailureCause(
        (
            "does not support --", "server does not support", "remote does not support", "server doesn't support",
            "git-http-push failed", "dumb http", "unknown service", "service not enabled", "git_receive_pack not perm",
        ),
        "the server lacks a feature that is needed",
        RemoteRefusedError,
        "Ask its administrators to enable the feature, or use another server.",
    ),
    FailureCause(
        (
            "non-fast-forward", "fetch first", "stale info", r"\(already exists\)", "cannot lock ref",
            "remote ref updated since checkout", "incorrect old value", "needs force",
        ),
        "the remote has changed meanwhile",
        RemoteChangedError,
        "Push again: gitsnap compares the two first.",
    ),
    FailureCause(
        (
            r"\brejected \(", "hook declined", "unpacker error", "unpack failed", "no space left", "quota",
            "permission denied", "insufficient permission", "read-only file system",
        ),
        "the remote refuses the push",
        RemoteRefusedError,
        "The cause may be a rule, a hook or a full disk of the server. Ask its administrators.",
    ),
    FailureCause(
        (
            "repository .*not found", "does not appear to be a git repository", r"returned error: 404\b",
            "repository does not exist",
        ),
        "there is no such repository",
        RemoteError,
        "Check the URL. For a first push, make an empty repository there.",
    ),
    FailureCause(
        (
            "could not resolve", "connection (?:refused|reset|timed out|closed)", "timed? ?out", "unreachable",
            "early eof", "hung up", "failed to connect", "couldn't connect", r"returned error: (?:429|5\d\d)\b",
            "rpc failed", "broken pipe", "transfer closed", "failed to report status", "no route to host",
        ),
        "the remote cannot be reached",
        RemoteUnreachableError,
        "Is the server up, and the URL right? Samples are safe in the archive meanwhile.",
    ),
)  # fmt: skip
"""The first match in this order is the cause."""


@dataclass(frozen=True, slots=True)
class RefusedRef:
    """A ref that a push did not update."""

    name: str
    kind: str
    """git's summary: ``rejected`` (by the local git), ``remote rejected`` or ``remote failure``."""
    reason: str

    @property
    def short(self) -> str:
        """The name of the branch or tag."""
        return self.name.removeprefix("refs/heads/").removeprefix("refs/tags/")


@dataclass(frozen=True, slots=True)
class CommandOutput:
    """The output of a failed git command, sorted by its origin."""

    server: tuple[str, ...]
    """Lines that the server sent."""
    client: tuple[str, ...]
    """Lines of the local git, ssh and curl."""
    refused: tuple[RefusedRef, ...]
    """The refs that were not updated. Refs that failed only together with others are left out, unless all did."""

    @classmethod
    def parse(cls, stderr: str, porcelain: str = "") -> CommandOutput:
        """Parse the standard error of git and the lines of `git push --porcelain`."""
        lines = [line.strip() for line in stderr.splitlines() if line.strip()]
        server = [line.removeprefix(_SERVER).strip() for line in lines if line.startswith(_SERVER)]
        client = [line for line in lines if not line.startswith((_SERVER, *_UNINFORMATIVE))]
        matches = [match for line in porcelain.splitlines() if (match := _REF_LINE.match(line))]
        refused = [RefusedRef(match["name"], match["kind"], match["reason"] or match["kind"]) for match in matches]
        decisive = [ref for ref in refused if not ref.reason.startswith(_FAILED_WITH_OTHERS)]
        texts = tuple(line for line in server if line.strip("=*-#_ "))
        return cls(texts, tuple(client), tuple(decisive or refused))

    def reasons(self) -> str:
        """All refused refs in one line: each reason with its refs; ``""`` where no ref was refused."""
        grouped: dict[str, list[str]] = {}
        for ref in self.refused:
            grouped.setdefault(ref.reason, []).append(ref.short)
        return "; ".join(f"{reason}: {join_names(names, most=1)}" for reason, names in grouped.items())


def find_cause(stderr: str, porcelain: str, url: str) -> FailureCause | None:
    """The cause of a failed command; None where the table has no match.

    ``stderr``: the standard error of git. ``porcelain``: the lines of `git push --porcelain`. ``url``: of the remote.
    """
    for text in _texts_to_match(stderr, porcelain, url):
        for cause in FAILURE_CAUSES:
            if cause.matches(text):
                return cause
    return None


def lacks_atomic(stderr: str) -> bool:
    """Whether a push failed because the server does not support atomic pushes."""
    return _NO_ATOMIC.search(stderr) is not None


def _texts_to_match(stderr: str, porcelain: str, url: str) -> Iterator[str]:
    """The texts to match, in this order: output of git and reasons of the refs, then the whole output."""
    output = CommandOutput.parse(stderr, porcelain)
    lines = [line.strip() for line in stderr.splitlines()]
    refs = [f"{ref.kind} ({_QUOTED.sub(' ', ref.reason)})" for ref in output.refused]
    hook_declined = any("hook declined" in ref for ref in refs)
    server_lines = () if hook_declined else (line for line in lines if line.startswith(_SERVER_GIT))
    yield "\n".join((_without_arguments((*output.client, *server_lines), url), *refs))
    yield _without_arguments(lines, url)


def _without_arguments(lines: Iterable[str], url: str) -> str:
    """The lines without the arguments that git repeats: quoted names, and the URL with its path and host."""
    text = "\n".join(lines)
    path = re.sub(r"^\w+://[^/]*", "", url)
    for part in sorted({url, path, path.rstrip("/")} - {"", "/"}, key=len, reverse=True):
        if "/" in part:
            text = text.replace(part, " ")
    text = _QUOTED.sub(" ", text)
    if match := _HOST.match(url):
        host = re.escape(match["address"] or match["name"])
        text = re.sub(rf"{_BEFORE_HOST}{host}(?![\w.-])", " ", text)
    return text
