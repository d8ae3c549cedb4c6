"""Shortcuts in reading tags and commits of a long history have the results of complete reading."""

from __future__ import annotations

import re
import subprocess
from itertools import product
from pathlib import Path

import pygit2
import pytest

from gitsnap.archive import change_listing, commit_objects, tag_objects
from gitsnap.core.changes import UnreadableChange
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import CommitId

_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_OWN = "gitsnap <gitsnap@localhost> 1700000000 +0000"
_CHANGE = (
    "Gitsnap-Format: 1\nGitsnap-Policy: hourly\nGitsnap-Time: 2023-08-26T05:20:00Z\n"
    "Gitsnap-Author-Source: unknown\nGitsnap-Revision: ConfigMap 5\n"
)
_MESSAGES = {
    "sample": "hourly: 1 ConfigMap modified\n\nGitsnap-Format: 1\n",
    "change": f"ConfigMap default/a modified\n\n{_CHANGE}",
    "quoted": f"a message that quotes a change\n\n{_CHANGE}\nand ends otherwise\n",
    "invalid": f"ConfigMap default/a modified\n\n{_CHANGE.replace('unknown', 'nobody')}",
}

_OBJECTS = [b"object " + b"a" * 40, b"object " + b"A" * 40, b"object " + b"a" * 39, b""]
_TYPES = [b"type commit", b"type tree", b"type"]
_TAGS = [b"tag hourly/2023-08-26T05-20-00Z", b"tag ", b"tag \xff\xfe", b"tag"]
_OTHERS = [b"tagger gitsnap <gitsnap@localhost> 1700000000 +0000", b"tagger", b"encoding latin1", b" continued", b""]
_ENDS = [b"", b"\n", b"\n\nmessage\n", b"\n\nmessage \xff\n\nmore\n"]


def test_tags_with_the_usual_header_are_read_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The result or the error is the same without the expression for the usual header."""
    headers = [lines for count in (0, 1, 2) for lines in product(_OBJECTS, _TYPES, _TAGS, *[_OTHERS] * count)]
    headers += [lines[::-1] for lines in headers]
    contents = [b"\n".join(lines) + end for lines, end in product(headers, _ENDS)]
    results = [_parsed_tag(content) for content in contents]
    monkeypatch.setattr(tag_objects, "_TAG_OF_COMMIT", re.compile(rb"(?!)"))

    assert results == [_parsed_tag(content) for content in contents]


def test_the_usual_header_is_recognized() -> None:
    """The shortcut is taken for the tags that git and gitsnap write."""
    content = b"object %b\ntype commit\ntag t\ntagger gitsnap <g@h> 1 +0000\n\nmessage\n" % (b"a" * 40)
    match = tag_objects._TAG_OF_COMMIT.match(content)
    assert match is not None
    assert content[match.end() :] == b"message\n"


def _parsed_tag(content: bytes) -> object:
    try:
        return tag_objects._parsed(content, "t")
    except ArchiveError as error:
        return error.message


@pytest.fixture
def repository(tmp_path: Path) -> pygit2.Repository:
    """An empty repository."""
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "hash-object", "-w", "-t", "tree", "/dev/null"], check=True)
    return pygit2.Repository(str(tmp_path))


def _commit(repository: pygit2.Repository, message: str, *parents: str, committer: str = _OWN) -> CommitId:
    header = [f"tree {_TREE}", *(f"parent {parent}" for parent in parents), f"author {_OWN}", f"committer {committer}"]
    content = "\n".join(header) + f"\n\n{message}"
    return CommitId(str(repository.write(pygit2.enums.ObjectType.COMMIT, content.encode())))


def test_changes_are_found_as_by_reading_every_commit(
    repository: pygit2.Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history has samples, changes, copies of changes, merges and damage. All pairs of its commits are compared."""
    first = _commit(repository, _MESSAGES["sample"])
    commits = [first]
    for message in ("sample", "change", "sample", "quoted", "invalid", "change", "sample"):
        commits.append(_commit(repository, _MESSAGES[message], commits[-1]))
    commits.append(_commit(repository, _MESSAGES["change"], commits[-1], committer="somebody <s@h> 1700000000 +0000"))
    commits.append(_commit(repository, _MESSAGES["sample"], commits[-1], first))  # a merge
    commits.append(_commit(repository, _MESSAGES["sample"], "1" * 40))  # its parent is missing
    looks_like_a_commit = f"tree {_TREE}\nparent {first}\n\nmessage\n".encode()
    commits.append(CommitId(str(repository.write(pygit2.enums.ObjectType.BLOB, looks_like_a_commit))))
    commits += [CommitId("2" * 40), CommitId("not an id"), CommitId(_TREE)]
    pairs = list(product(commits, [*commits, None]))

    def read() -> tuple[list[list[CommitId]], list[list[UnreadableChange]]]:
        changes, unreadable = [], []
        for head, after in pairs:
            unreadable.append(list[UnreadableChange]())
            found = change_listing.changes_between(repository, [head], after, unreadable[-1])
            changes.append([change.commit for change in found])
        return changes, unreadable

    short = read()
    plain = [pair for pair in pairs if pair[1] and commit_objects.is_plain_successor(repository, pair[0], pair[1])]
    monkeypatch.setattr(change_listing, "is_plain_successor", lambda *_arguments: False)
    assert short == read()
    assert len(plain) == 4
    assert any(short[0])
    assert any(short[1])
