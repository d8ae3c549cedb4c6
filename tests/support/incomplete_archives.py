"""Incomplete copies of an archive, and archives that were damaged or tampered with.

Each function takes a folder with an archive at ``store/p`` and gives the folder to look at. This module must not be
imported by the package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[Path], Path]

PLANTED = "p/2099-01-01T00-00-00Z"
_GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "advice.detachedHead=false")


def git_bytes(folder: Path, *words: str, given: bytes = b"") -> bytes:
    """The output of git as bytes."""
    command = [*_GIT, "-C", str(folder), *words]
    environment = {**os.environ, "FILTER_BRANCH_SQUELCH_WARNING": "1", "GIT_COMMITTER_DATE": "2001-01-01T00:00:00Z"}
    return subprocess.run(command, input=given, capture_output=True, check=True, env=environment).stdout


def git(folder: Path, *words: str, given: bytes = b"") -> str:
    """The output of git as text."""
    return git_bytes(folder, *words, given=given).decode().strip()


def tags(archive: Path) -> list[str]:
    """The tags of an archive, oldest first."""
    return git(archive, "tag").split()


# Clones ---------------------------------------------------------------------------------------------------------------


def clone(folder: Path, *words: str) -> Path:
    """Clone an archive with options of `git clone`."""
    git(folder, "clone", "-q", *words, f"file://{folder}/store/p", "ci")
    return folder / "ci"


def depth_1(folder: Path) -> Path:
    """A clone with one commit and its tags."""
    return clone(folder, "--depth", "1")


def depth_1_and_tags(folder: Path) -> Path:
    """A clone with all tags and one commit of the branch."""
    cloned = clone(folder, "--depth", "1")
    git(cloned, "fetch", "-q", "--tags")
    return cloned


def no_tags(folder: Path) -> Path:
    """A clone without tags, as CI systems make it."""
    return clone(folder, "--no-tags")


def stale_tags(folder: Path) -> Path:
    """A clone whose branch was updated without the newest tags."""
    cloned = clone(folder, "--no-tags")
    git(cloned, "fetch", "-q", "origin", *(f"refs/tags/{tag}:refs/tags/{tag}" for tag in tags(folder / "store/p")[:2]))
    return cloned


def stale_branch(folder: Path) -> Path:
    """A clone whose tags were fetched, and whose local branch was not updated."""
    cloned = clone(folder)
    git(cloned, "reset", "-q", "--hard", "HEAD~2")
    return cloned


def partial(folder: Path) -> Path:
    """A clone without contents. git fetches them on demand; libgit2 does not."""
    git(folder / "store/p", "config", "uploadpack.allowFilter", "true")
    return clone(folder, "--filter=blob:none", "--no-checkout")


def treeless(folder: Path) -> Path:
    """A clone without trees and contents."""
    git(folder / "store/p", "config", "uploadpack.allowFilter", "true")
    return clone(folder, "--filter=tree:0", "--no-checkout")


def borrowing(folder: Path) -> Path:
    """A clone that borrows objects from a repository that was removed."""
    shutil.copytree(folder / "store/p", folder / "source")
    git(folder, "clone", "-q", "--shared", str(folder / "source"), "ci")
    shutil.rmtree(folder / "source")
    return folder / "ci"


def detached(folder: Path) -> Path:
    """A clone with a detached HEAD, as CI systems make it."""
    cloned = clone(folder)
    git(cloned, "checkout", "-q", "--detach", "HEAD~1")
    return cloned


def other_branch(folder: Path) -> Path:
    """A clone with another branch checked out."""
    cloned = clone(folder)
    git(cloned, "checkout", "-q", "-b", "fix")
    return cloned


def mirror(folder: Path) -> Path:
    """A bare repository with all refs."""
    return clone(folder, "--mirror")


def bare_with_another_head(folder: Path) -> Path:
    """A bare repository whose HEAD is the branch ``main``."""
    git(folder, "init", "-q", "--bare", "-b", "main", "ci")
    git(folder / "store/p", "push", "-q", "--tags", str(folder / "ci"), "p")
    return folder / "ci"


def tags_alone(folder: Path) -> Path:
    """A repository with tags and without branches."""
    git(folder, "init", "-q", "-b", "main", "ci")
    git(folder / "ci", "fetch", "-q", f"file://{folder}/store/p", "refs/tags/*:refs/tags/*")
    return folder / "ci"


def single_other_branch(folder: Path) -> Path:
    """A clone of a single branch that is not the archive's branch."""
    bare_with_another_head(folder).rename(folder / "server.git")
    git(folder, "init", "-q", "-b", "main", "seed")
    git(folder / "seed", "commit", "-q", "--allow-empty", "-m", "a README")
    git(folder / "seed", "push", "-q", str(folder / "server.git"), "main")
    git(folder, "clone", "-q", "--single-branch", "--no-tags", f"file://{folder}/server.git", "ci")
    return folder / "ci"


def branch_made_from_it(folder: Path) -> Path:
    """A clone without tags of a single branch that was created from the archive's branch."""
    git(folder / "store/p", "branch", "fix", "p~1")
    return clone(folder, "--single-branch", "--no-tags", "-b", "fix")


def grafts(folder: Path) -> Path:
    """An archive in which grafts shorten the history to one commit."""
    archive = folder / "store/p"
    (archive / ".git/info").mkdir(exist_ok=True)
    (archive / ".git/info/grafts").write_text(git(archive, "rev-parse", "HEAD") + "\n")
    return archive


def replaced(folder: Path) -> Path:
    """An archive in which a ref below refs/replace/ shortens the history to one commit."""
    git(folder / "store/p", "replace", "--graft", "HEAD")
    return folder / "store/p"


# Refs -----------------------------------------------------------------------------------------------------------------


def _packed(folder: Path) -> Path:
    git(folder / "store/p", "pack-refs", "--all")
    return folder / "store/p/.git/packed-refs"


def packed_refs_cut_off(folder: Path) -> Path:
    """The file packed-refs is cut off in the middle of a line."""
    file = _packed(folder)
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 55 // 100])
    return folder / "store/p"


def packed_refs_cut_off_between_lines(folder: Path) -> Path:
    """The file packed-refs is cut off between lines. The branch shows that samples are missing."""
    file = _packed(folder)
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-4]))
    return folder / "store/p"


def packed_refs_overwritten(folder: Path) -> Path:
    """The file packed-refs is full of zeroes, as after a power loss."""
    file = _packed(folder)
    content = file.read_bytes()
    file.write_bytes(content[:100] + bytes(50) + content[150:])
    return folder / "store/p"


def packed_refs_emptied(folder: Path) -> Path:
    """The file packed-refs is empty. The working tree and the objects show that there are samples."""
    _packed(folder).write_bytes(b"")
    return folder / "store/p"


def all_tags_deleted(folder: Path) -> Path:
    """All tags are deleted by hand."""
    git(folder / "store/p", "tag", "-d", *tags(folder / "store/p"))
    return folder / "store/p"


def newest_tag_deleted(folder: Path) -> Path:
    """The newest tag is deleted by hand."""
    git(folder / "store/p", "tag", "-d", tags(folder / "store/p")[-1])
    return folder / "store/p"


def branch_renamed(folder: Path) -> Path:
    """The branch is renamed by hand."""
    git(folder / "store/p", "branch", "-m", "p", "q")
    return folder / "store/p"


def branch_overwritten(folder: Path) -> Path:
    """The file of the branch ref holds junk."""
    (folder / "store/p/.git/refs/heads/p").write_bytes(b"junk\xff")
    return folder / "store/p"


def index_emptied(folder: Path) -> Path:
    """The index is empty, as after a crash."""
    (folder / "store/p/.git/index").write_bytes(b"")
    return folder / "store/p"


def rebased(folder: Path) -> Path:
    """After `git rebase --root` all commits are new, and the tags point to the old commits."""
    git(folder / "store/p", "rebase", "-q", "--root", "--force-rebase")
    return folder / "store/p"


def filtered(folder: Path) -> Path:
    """`git filter-branch` removed a file from all commits."""
    words = ("filter-branch", "-f", "--tree-filter", "rm -f README.md", "--", "p")
    git(folder / "store/p", *words)
    return folder / "store/p"


# Objects --------------------------------------------------------------------------------------------------------------


def _pack(folder: Path) -> Path:
    """Pack all objects, and return the path of the pack."""
    git(folder / "store/p", "config", "--unset", "extensions.preciousObjects")
    git(folder / "store/p", "gc", "-q", "--prune=now")
    (pack,) = (folder / "store/p/.git/objects/pack").glob("*.pack")
    pack.chmod(0o600)
    return pack


def pack_cut_off(folder: Path) -> Path:
    """The end of the only pack is missing, so git cannot read the pack."""
    pack = _pack(folder)
    pack.write_bytes(pack.read_bytes()[:-200])
    return folder / "store/p"


def pack_without_index(folder: Path) -> Path:
    """The index of the pack is missing, as after an interrupted copy."""
    _pack(folder).with_suffix(".idx").unlink()
    return folder / "store/p"


def newest_tag_object_gone(folder: Path) -> Path:
    """The tag object of the newer of two samples with the same commit is missing. No commit shows the loss."""
    archive = folder / "store/p"
    older = tags(archive)[-1]
    content = git_bytes(archive, "cat-file", "tag", older).replace(older.encode(), PLANTED.encode())
    _plant(archive, content)
    target = git(archive, "rev-parse", PLANTED)
    (archive / ".git/objects" / target[:2] / target[2:]).unlink()
    return archive


def commit_not_utf8(folder: Path) -> Path:
    """A commit by hand has a message in Latin-1."""
    archive = folder / "store/p"
    lines = git_bytes(archive, "cat-file", "commit", "HEAD").partition(b"\n\n")[0].split(b"\n")
    lines[1] = b"parent " + git(archive, "rev-parse", "HEAD").encode()
    content = b"\n".join(lines) + b"\n\nf\xfcr\n"
    git(
        archive,
        "update-ref",
        "refs/heads/p",
        git(archive, "hash-object", "-t", "commit", "-w", "--stdin", given=content),
    )
    return archive


# Planted tags and trees -----------------------------------------------------------------------------------------------


def _plant(archive: Path, content: bytes) -> None:
    target = git(archive, "hash-object", "-t", "tag", "-w", "--stdin", "--literally", given=content)
    git(archive, "update-ref", f"refs/tags/{PLANTED}", target)


def planted(*changes: tuple[bytes, bytes]) -> Damage:
    """A copy of the newest tag under a later name, with parts of its text replaced."""

    def plant(folder: Path) -> Path:
        archive = folder / "store/p"
        newest = tags(archive)[-1]
        content = git_bytes(archive, "cat-file", "tag", newest).replace(newest.encode(), PLANTED.encode())
        for old, new in changes:
            assert old in content
            content = content.replace(old, new, 1)
        _plant(archive, content)
        return archive

    return plant


def not_utf8(folder: Path) -> Path:
    """A foreign tag whose message is in Latin-1."""
    archive = folder / "store/p"
    head = git(archive, "rev-parse", "HEAD").encode()
    _plant(archive, b"object %s\ntype commit\ntag %s\ntagger x <x@y> 1 +0000\n\nf\xfcr\n" % (head, PLANTED.encode()))
    return archive


def lightweight(folder: Path) -> Path:
    """A lightweight tag."""
    git(folder / "store/p", "tag", PLANTED)
    return folder / "store/p"


def tag_of_a_blob(folder: Path) -> Path:
    """An annotated tag of a file."""
    git(folder / "store/p", "tag", "-a", "-m", "x", PLANTED, "HEAD:README.md")
    return folder / "store/p"


def hostile(mode: bytes, name: bytes, content: bytes, *, below: tuple[bytes, ...] = (b"configuration",)) -> Damage:
    """A sample whose tree has an additional entry in a folder: a blob, or a folder with the blob as ``x``."""

    def plant(folder: Path) -> Path:
        archive = folder / "store/p"
        newest = tags(archive)[-1]
        old, last = git(archive, "rev-parse", "HEAD"), git(archive, "rev-parse", newest)
        item = git(archive, "hash-object", "-w", "--stdin", given=content)
        if mode == b"40000":
            item = _tree(archive, [(b"100644", b"x", item)])
        tree = _with_entry(archive, git(archive, "rev-parse", "HEAD^{tree}"), below, (mode, name, item))
        lines = git_bytes(archive, "cat-file", "commit", old).split(b"\n")
        lines[:2] = [b"tree " + tree.encode(), b"parent " + old.encode()]
        commit = git(archive, "hash-object", "-t", "commit", "-w", "--stdin", given=b"\n".join(lines))
        facts = git_bytes(archive, "cat-file", "tag", newest)
        previous = facts.partition(b"Gitsnap-Previous: ")[2][:40]
        planted(
            (old.encode(), commit.encode()),
            (b"Gitsnap-Sequence: 4", b"Gitsnap-Sequence: 5"),
            (previous, last.encode()),
        )(folder)
        git(archive, "update-ref", "refs/heads/p", commit)
        return archive

    return plant


_Entry = tuple[bytes, bytes, str]


def _with_entry(archive: Path, tree: str, below: tuple[bytes, ...], entry: _Entry) -> str:
    lines = git_bytes(archive, "ls-tree", "-z", tree).split(b"\0")[:-1]
    found = [(line.split(b" ")[0].lstrip(b"0"), *reversed(line.split(b" ", 2)[2].split(b"\t"))) for line in lines]
    entries: list[_Entry] = [(mode, name, target.decode()) for mode, name, target in found]
    if below:
        entries = [
            (mode, name, _with_entry(archive, target, below[1:], entry) if name == below[0] else target)
            for mode, name, target in entries
        ]
    else:
        entries.append(entry)
    return _tree(archive, sorted(entries, key=lambda entry: entry[1] + (b"/" if entry[0] == b"40000" else b"")))


def _tree(archive: Path, entries: list[_Entry]) -> str:
    content = b"".join(mode + b" " + name + b"\0" + bytes.fromhex(target) for mode, name, target in entries)
    return git(archive, "hash-object", "-t", "tree", "-w", "--stdin", "--literally", given=content)
