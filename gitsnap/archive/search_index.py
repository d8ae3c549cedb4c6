"""The search index: the versions of each object and the lines that they ever had, so that a search need not run git.

The index is a file in the git directory. It may be deleted at any time: the next search makes it anew from the history
(docs/FORMAT.md, "What is not part of the format"). It has no lines of Secrets, and none of kinds with sensitive fields.
The lines only find the objects that may have a text; their versions are read from the archive.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pygit2

from gitsnap.archive.commit_history import logged_file, read_log
from gitsnap.archive.completeness import shallow_commits
from gitsnap.archive.object_reader import read_blob
from gitsnap.archive.refs import branch_heads
from gitsnap.core.commits import LoggedCommit, LoggedFile
from gitsnap.core.files import replace_file
from gitsnap.core.model import Area, BlobId, CommitId

_NAME = "gitsnap-search"
_LAYOUT = "gitsnap search 2"
_ROOT = f"{Area.CONFIGURATION}/"
_NONE = "-"
_LONGEST_LINE = 16384
"""Bytes of a line. The lines of an object with a longer line are not kept: every search reads its versions."""

Histories = Mapping[str, list[tuple[LoggedCommit, LoggedFile]]]
"""Path from the root of the tree -> the commits that changed the file, newest first."""


@dataclass(slots=True)
class _File:
    """What the index has about a file below ``configuration/``."""

    versions: bytes | memoryview
    """``COMMIT ACTION BEFORE AFTER`` of each change, oldest first; one per line."""
    lines: bytes | memoryview | None
    """The lines of all versions, each once; None for a file whose lines are not kept."""


def find_histories(
    repository: pygit2.Repository, branch: str, pattern: str, *, hidden_folders: Collection[str]
) -> Histories | None:
    """The histories of the files that may ever have matched a regular expression, without Secrets.

    Args:
        repository: The repository of the archive.
        branch: The branch of the archive.
        pattern: The regular expression; ``""`` matches every file.
        hidden_folders: The folders of kinds with sensitive fields, such as ``ConfigMap``. Their files are always in the
            result, and the index has none of their lines.

    Returns:
        None if the index cannot be used: the branch has no commit or several heads, or the git directory belongs to
        another user.

    Raises:
        ArchiveError: The history or a version cannot be read.
    """
    git_folder = Path(repository.path)
    heads = sorted(set(branch_heads(repository, branch).values()))
    if len(heads) != 1 or not _is_own(git_folder):
        return None
    key = _digest(json.dumps([branch, sorted(hidden_folders), sorted(shallow_commits(repository))]).encode())
    content = _load(git_folder, key)
    if content is None or content.head != heads[0]:
        content = _update(repository, branch, heads[0], content, frozenset(hidden_folders))
        _save(git_folder, key, content)
    return _histories(repository, content.find(pattern))


@dataclass(frozen=True, slots=True)
class _Content:
    """The content of the index."""

    head: str
    """The newest commit of the branch that the index covers."""
    files: list[tuple[str, int, int, int]]
    """Path, and three places in ``text``: the start and the end of the versions, and the end of the lines.

    A newline is between the versions and the lines. The end of the lines is -1 for a file whose lines are not kept.
    """
    text: memoryview

    def find(self, pattern: str) -> list[tuple[str, list[str]]]:
        """The path and the versions of each file that may have matched a regular expression."""
        expression = re.compile(pattern.encode(), re.MULTILINE)
        return [
            (path, self._versions(start, middle))
            for path, start, middle, end in self.files
            if end < 0 or expression.search(self.text, middle + 1, end)
        ]

    def _versions(self, start: int, end: int) -> list[str]:
        return str(self.text[start:end], "ascii").splitlines()

    def parsed(self) -> dict[str, _File]:
        """The files, for an update: as places in ``text``."""
        return {
            path: _File(self.text[start:middle], None if end < 0 else self.text[middle + 1 : end])
            for path, start, middle, end in self.files
        }


def _packed(head: str, files: Mapping[str, _File]) -> _Content:
    entries, parts, size = [], list[bytes | memoryview](), 0
    for path in sorted(files):
        versions, lines = files[path].versions, files[path].lines
        middle = size + len(versions)
        end = middle + 1 + len(lines or b"")
        entries.append((path, size, middle, -1 if lines is None else end))
        parts += [versions, b"\n", lines or b"", b"\n"]
        size = end + 1
    return _Content(head, entries, memoryview(b"".join(parts)))


# Making it ------------------------------------------------------------------------------------------------------------


def _update(
    repository: pygit2.Repository, branch: str, head: str, known: _Content | None, hidden_folders: frozenset[str]
) -> _Content:
    """An index up to a commit: the known one with newer commits, or a new one."""
    files = dict[str, _File]()
    commits: Iterable[LoggedCommit] | None = None
    folders = [str(Area.CONFIGURATION)]
    if known is not None:
        newer = list(read_log(repository, branch, folders, newest=None, after=CommitId(known.head)))
        if newer and newer[-1].parent == known.head:  # otherwise the branch was reset, or only other files changed
            files, commits = known.parsed(), newer
    if commits is None:
        commits = read_log(repository, branch, folders, newest=None)
    for path, changes in _changes(commits).items():
        is_kept = hidden_folders.isdisjoint(path.split("/")[2:3])
        files[path] = _extended(repository, files.get(path), changes, is_kept=is_kept)
    return _packed(head, files)


def _changes(commits: Iterable[LoggedCommit]) -> dict[str, list[bytes]]:
    """The versions of each file that commits changed, newest first. ``commits``: newest first."""
    changes: dict[str, list[bytes]] = {}
    for commit in commits:
        for file in commit.files:
            if file.path.split("/")[2:3] != ["Secret"]:
                version = f"{commit.id} {file.action} {file.before or _NONE} {file.after or _NONE}"
                changes.setdefault(file.path, []).append(version.encode("ascii"))
    return changes


def _extended(repository: pygit2.Repository, known: _File | None, changes: list[bytes], *, is_kept: bool) -> _File:
    """A file with newer versions. ``is_kept``: whether the index may have lines of the file."""
    oldest_first = changes[::-1]
    versions = b"\n".join([known.versions, *oldest_first] if known else oldest_first)
    if not is_kept or (known is not None and known.lines is None):
        return _File(versions, None)
    lines = dict.fromkeys(bytes(known.lines).split(b"\n")) if known is not None and known.lines is not None else {}
    blobs = [version.split(b" ")[3] for version in oldest_first]
    if known is None:
        blobs.insert(0, oldest_first[0].split(b" ")[2])
    for blob in blobs:
        if (name := _blob(blob.decode("ascii"))) is not None:
            content = read_blob(repository, name).split(b"\n")
            if max(map(len, content)) > _LONGEST_LINE:
                return _File(versions, None)
            lines.update(dict.fromkeys(content))
    return _File(versions, b"\n".join(lines))


def _histories(repository: pygit2.Repository, files: Iterable[tuple[str, list[str]]]) -> Histories:
    commits = dict[str, LoggedCommit]()
    return {
        path: [
            logged_file(repository, commits, CommitId(commit), LoggedFile(action, path, _blob(before), _blob(after)))
            for commit, action, before, after in (line.split(" ") for line in reversed(versions))
        ]
        for path, versions in files
    }


def _blob(name: str) -> BlobId | None:
    return None if name == _NONE else BlobId(name)


# The file -------------------------------------------------------------------------------------------------------------


def _load(git_folder: Path, key: str) -> _Content | None:
    """Read the index; None where the file is missing, damaged, of another layout, or made for another question."""
    with contextlib.suppress(OSError, ValueError):
        content = (git_folder / _NAME).read_bytes()
        start = content.index(b"\n") + 1
        body = memoryview(content)[start:]  # views, because the index may have many MiB
        if content[: start - 1].decode("ascii") == f"{_LAYOUT} {key} {_digest(body)}":
            end = content.index(b"\n", start)
            head, entries = json.loads(content[start:end])
            return _Content(head, list(map(tuple, entries)), body[end + 1 - start :])
    return None


def _save(git_folder: Path, key: str, content: _Content) -> None:
    """Write the index. A failure is ignored: the next search only takes longer."""
    table = json.dumps([content.head, content.files], separators=(",", ":")).encode() + b"\n"
    body = b"".join((table, content.text))
    with contextlib.suppress(OSError):
        replace_file(git_folder / _NAME, f"{_LAYOUT} {key} {_digest(body)}\n".encode("ascii") + body)


def _is_own(git_folder: Path) -> bool:
    """Whether this user may write the index: the owner could not read a file of another user."""
    try:
        return git_folder.stat().st_uid == os.geteuid() and os.access(git_folder, os.W_OK)
    except OSError:
        return False


def _digest(content: bytes | memoryview) -> str:
    return hashlib.blake2b(content, digest_size=32).hexdigest()
