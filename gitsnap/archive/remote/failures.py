"""What git, ssh and curl say when a push or a fetch fails, and the error that it stands for. One table for all.

What decides is git's own words and the reason of each refused ref. The text of the URL, which git repeats, does not,
and neither does what a hook of the server says unless nothing else tells. This module must not run anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gitsnap.core.errors import RemoteChangedError, RemoteError, RemoteRefusedError, RemoteUnreachableError

_SERVER = "remote:"
"""How lines begin that the server sent: a hook's words, and those of its git."""

_GIT_OF_SERVER = ("remote: error:", "remote: fatal:")
_SAYS_NOTHING = (
    "hint:", "Warning:", "Please make sure you have the correct access", "and the repository exists",
    "error: failed to push some refs to",
)  # fmt: skip
"""Lines that git says whatever has happened."""

_REF_LINE = re.compile(r"!\t[^\t]*:(?P<name>[^\t:]*)\t\[(?P<kind>[^]]+)\](?: \((?P<reason>.*)\))?")
"""A ref in what `git push --porcelain` prints that was not updated."""

_ONLY_BECAUSE_OF_OTHERS = ("atomic push failed", "atomic push failure", "atomic transaction failed")
_QUOTED = re.compile(r"(?<!\w)'[^'\n]*'|\"[^\"\n]*\"")
_HOST = re.compile(r"(?:\w+://|(?!\w+://))(?:[^/@\s]*@)?(?:\[(?P<address>[^]\s]+)\]|(?P<name>[^/:\s]+))[:/]")
"""The host of a URL, or of git's short form ``user@host:path``."""

_BEFORE_HOST = r"(?:(?<=host )|(?<=host: )|(?<=hostname )|(?<=@)|(?<=for )|(?<=to )|(?<=by ))"
"""What git, ssh and curl write before the name of a host. A host may be called as a word that they say elsewhere."""

_NO_ATOMIC = re.compile(r"does not support --atomic", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What certain words of git, ssh or curl stand for."""

    words: tuple[str, ...]
    """Regular expressions; any of them."""
    reason: str
    error: type[RemoteError]
    hint: str
    own_hint: str = ""
    """The hint for a person who talks to the remote with credentials of his own; ``""`` for the same."""

    def fits(self, said: str) -> bool:
        """Whether these words are in a text."""
        return any(re.search(word, said, re.IGNORECASE) for word in self.words)


MEANINGS = (
    Meaning(
        ("host key verification failed", "remote host identification has changed", r"no \S+ host key is known"),
        "the server's host key is not the one in known_hosts",
        RemoteError,
        "Compare the server's host key with the key that its administrators publish, then put it into known_hosts.",
    ),
    Meaning(
        ("ssl certificate problem", "certificate verif", "server verification failed", "unable to get local issuer",
         "problem with the ssl ca cert"),
        "the server's TLS certificate is not trusted",
        RemoteError,
        "Give the certificate authority as ca.crt in the Secret.",
        "Name a file with the certificate authority in GIT_SSL_CAINFO.",
    ),
    Meaning(
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
    Meaning(
        (r"returned error: 30[12378]\b", "unable to update url base from redirection"),
        "the server redirects to another address",
        RemoteError,
        "Put the new address into the URL. With a bearer token no redirect is followed: it would get the token.",
    ),
    Meaning(
        ("repository's hash algorithm", "mismatched algorithms"),
        "its object ids are SHA-256, and those of an archive are SHA-1",
        RemoteRefusedError,
        "Make the repository anew with `git init --bare --object-format=sha1`.",
    ),
    Meaning(
        (
            "does not support --", "server does not support", "remote does not support", "server doesn't support",
            "git-http-push failed", "dumb http", "unknown service", "service not enabled", "git_receive_pack not perm",
        ),
        "the server lacks a feature that is needed",
        RemoteRefusedError,
        "Ask its administrators to enable the feature, or use another server.",
    ),
    Meaning(
        (
            "non-fast-forward", "fetch first", "stale info", r"\(already exists\)", "cannot lock ref",
            "remote ref updated since checkout", "incorrect old value", "needs force",
        ),
        "the remote has changed meanwhile",
        RemoteChangedError,
        "Push again: gitsnap compares the two first.",
    ),
    Meaning(
        (
            r"\brejected \(", "hook declined", "unpacker error", "unpack failed", "no space left", "quota",
            "permission denied", "insufficient permission", "read-only file system",
        ),
        "the remote refuses the push",
        RemoteRefusedError,
        "The cause may be a rule, a hook or a full disk of the server. Ask its administrators.",
    ),
    Meaning(
        (
            "repository .*not found", "does not appear to be a git repository", r"returned error: 404\b",
            "repository does not exist",
        ),
        "there is no such repository",
        RemoteError,
        "Check the URL. For a first push, make an empty repository there.",
    ),
    Meaning(
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
"""In the order in which they are looked for."""


@dataclass(frozen=True, slots=True)
class RefusedRef:
    """A ref that a push did not update."""

    name: str
    kind: str
    """git's word: ``rejected``, by git here; ``remote rejected``; ``remote failure``."""
    reason: str

    @property
    def short(self) -> str:
        """The name as people say it."""
        return self.name.removeprefix("refs/heads/").removeprefix("refs/tags/")


@dataclass(frozen=True, slots=True)
class Said:
    """What a failed command printed, by who said it."""

    server: tuple[str, ...]
    """Lines that the server sent."""
    own: tuple[str, ...]
    """Lines of git, ssh and curl."""
    refused: tuple[RefusedRef, ...]
    """The refs that were not updated, without those that only failed together with others."""

    @classmethod
    def of(cls, printed: str, porcelain: str = "") -> Said:
        """``printed`` on standard error; ``porcelain``: the lines of `git push --porcelain`."""
        lines = [line.strip() for line in printed.splitlines() if line.strip()]
        server = [line.removeprefix(_SERVER).strip() for line in lines if line.startswith(_SERVER)]
        own = [line for line in lines if not line.startswith((_SERVER, *_SAYS_NOTHING))]
        matches = [match for line in porcelain.splitlines() if (match := _REF_LINE.match(line))]
        refused = [RefusedRef(match["name"], match["kind"], match["reason"] or match["kind"]) for match in matches]
        decisive = [ref for ref in refused if not ref.reason.startswith(_ONLY_BECAUSE_OF_OTHERS)]
        told = tuple(line for line in server if line.strip("=*-#_ "))
        return cls(told, tuple(own), tuple(decisive or refused))

    def reasons(self) -> str:
        """One line about all refs that were refused: each reason with the refs; ``""`` where there are none."""
        grouped: dict[str, list[str]] = {}
        for ref in self.refused:
            grouped.setdefault(ref.reason, []).append(ref.short)
        return "; ".join(f"{reason}: {_counted(names)}" for reason, names in grouped.items())


def meaning_of(printed: str, porcelain: str, url: str) -> Meaning | None:
    """The first row of the table that fits, None for none."""
    for text in _deciding(printed, porcelain, url):
        for meaning in MEANINGS:
            if meaning.fits(text):
                return meaning
    return None


def lacks_atomic(printed: str) -> bool:
    """Whether a push failed because the server updates no several refs at once."""
    return _NO_ATOMIC.search(printed) is not None


def _deciding(printed: str, porcelain: str, url: str) -> Iterator[str]:
    """Texts that decide, the weightiest first: of the refs and git, then all."""
    said = Said.of(printed, porcelain)
    lines = [line.strip() for line in printed.splitlines()]
    refs = [f"{ref.kind} ({_QUOTED.sub(' ', ref.reason)})" for ref in said.refused]
    by_a_hook = any("hook declined" in ref for ref in refs)
    of_server = () if by_a_hook else (line for line in lines if line.startswith(_GIT_OF_SERVER))
    yield "\n".join((_plain((*said.own, *of_server), url), *refs))
    yield _plain(lines, url)


def _plain(lines: Iterable[str], url: str) -> str:
    """Lines without what git repeats of the command: quoted names, the URL, its path and its host."""
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


def _counted(names: Sequence[str]) -> str:
    more = len(names) - 1
    return names[0] + (f" and {more} more" if more else "")
