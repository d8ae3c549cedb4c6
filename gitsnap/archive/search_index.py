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
_LAYOUT = "gitsnap search 1"
_ROOT = f"{Area.CONFIGURATION}/"
_NONE = "-"
_LONGEST_LINE = 16384
"""Bytes of a line. The lines of an object with a longer line are not kept: every search reads its versions."""

Histories = Mapping[str, list[tuple[LoggedCommit, LoggedFile]]]
"""Path from the root of the tree -> the commits that changed the file, newest first."""


@dataclass(slots=True)
class _File:
    """What the index has about a file below ``configuration/``."""

    versions: list[str]
    """``COMMIT ACTION BEFORE AFTER`` of each change, oldest first."""
    lines: dict[bytes, None] | None
    """The lines of all versions; None for a file whose lines are not kept."""


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
    files: list[tuple[str, str, int, int]]
    """Path, versions, and the place of the lines in ``text``; the end is -1 for a file whose lines are not kept."""
    text: bytes

    def find(self, pattern: str) -> list[tuple[str, str]]:
        """The path and the versions of each file that may have matched a regular expression."""
        expression = re.compile(pattern.encode(), re.MULTILINE)
        return [
            (path, versions)
            for path, versions, start, end in self.files
            if end < 0 or expression.search(self.text, start, end)
        ]

    def parsed(self) -> dict[str, _File]:
        """The files, for an update."""
        return {
            path: _File(
                versions.splitlines(),
                None if end < 0 else dict.fromkeys(self.text[start:end].split(b"\n")),
            )
            for path, versions, start, end in self.files
        }


def _packed(head: str, files: Mapping[str, _File]) -> _Content:
    entries, parts, size = [], [b"\n"], 1
    for path in sorted(files):
        lines = files[path].lines
        joined = b"" if lines is None else b"\n".join(lines)
        entries.append((path, "\n".join(files[path].versions), size, -1 if lines is None else size + len(joined)))
        parts += [joined, b"\n"]
        size += len(joined) + 1
    return _Content(head, entries, b"".join(parts))


# Making it ------------------------------------------------------------------------------------------------------------


def _update(
    repository: pygit2.Repository, branch: str, head: str, known: _Content | None, hidden_folders: frozenset[str]
) -> _Content:
    """An index up to a commit: the known one with newer commits, or a new one."""
    after = CommitId(known.head) if known is not None else None
    commits = list(read_log(repository, branch, [str(Area.CONFIGURATION)], newest=None, after=after))
    files = dict[str, _File]()
    if known is not None and commits and commits[-1].parent == known.head:
        files = known.parsed()
    elif after is not None:  # the branch was reset, or changed nothing below configuration/
        commits = list(read_log(repository, branch, [str(Area.CONFIGURATION)], newest=None))
    for commit in reversed(commits):
        for file in commit.files:
            _add(repository, files, commit.id, file, hidden_folders)
    return _packed(head, files)


def _add(
    repository: pygit2.Repository,
    files: dict[str, _File],
    commit: CommitId,
    file: LoggedFile,
    hidden_folders: frozenset[str],
) -> None:
    folder = file.path.split("/")[2:3]
    if folder == ["Secret"]:
        return
    entry = files.get(file.path)
    if entry is None:
        entry = files[file.path] = _File([], None if hidden_folders.intersection(folder) else {})
    entry.versions.append(f"{commit} {file.action} {file.before or _NONE} {file.after or _NONE}")
    for blob in (file.after, file.before if len(entry.versions) == 1 else None):
        if blob is not None and entry.lines is not None:
            lines = read_blob(repository, blob).split(b"\n")
            if max(map(len, lines)) > _LONGEST_LINE:
                entry.lines = None
            else:
                entry.lines.update(dict.fromkeys(lines))


def _histories(repository: pygit2.Repository, files: Iterable[tuple[str, str]]) -> Histories:
    commits = dict[str, LoggedCommit]()
    return {
        path: [
            logged_file(repository, commits, CommitId(commit), LoggedFile(action, path, _blob(before), _blob(after)))
            for commit, action, before, after in (line.split(" ") for line in reversed(versions.splitlines()))
        ]
        for path, versions in files
    }


def _blob(name: str) -> BlobId | None:
    return None if name == _NONE else BlobId(name)


# The file -------------------------------------------------------------------------------------------------------------


def _load(git_folder: Path, key: str) -> _Content | None:
    """Read the index; None where the file is missing, damaged, of another layout, or made for another question."""
    with contextlib.suppress(OSError, ValueError):
        first, _, body = (git_folder / _NAME).read_bytes().partition(b"\n")
        if first.decode("ascii") == f"{_LAYOUT} {key} {_digest(body)}":
            table, _, text = body.partition(b"\n")
            head, entries = json.loads(table)
            return _Content(head, [(path, versions, start, end) for path, versions, start, end in entries], text)
    return None


def _save(git_folder: Path, key: str, content: _Content) -> None:
    """Write the index. A failure is ignored: the next search only takes longer."""
    body = json.dumps([content.head, content.files], separators=(",", ":")).encode() + b"\n" + content.text
    with contextlib.suppress(OSError):
        replace_file(git_folder / _NAME, f"{_LAYOUT} {key} {_digest(body)}\n".encode("ascii") + body)


def _is_own(git_folder: Path) -> bool:
    """Whether this user may write the index: the owner could not read a file of another user."""
    try:
        return git_folder.stat().st_uid == os.geteuid() and os.access(git_folder, os.W_OK)
    except OSError:
        return False


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=32).hexdigest()
