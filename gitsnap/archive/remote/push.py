"""Pushes an archive: its branch and the tags that the remote lacks, each by name, never forced.

A push counts when the remote's refs were read back. This module must not remove anything from a remote unless told to.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gitsnap.archive.remote.connection import Remote
from gitsnap.archive.remote.ref_updates import Update, read_back, send
from gitsnap.core.errors import ArchiveError, GitsnapError, RemoteChangedError, RemoteDivergedError
from gitsnap.core.files import replace_file
from gitsnap.git.process import run_git

_PUSHED = "gitsnap-pushed"
"""A file beside git's own that lists the tags which the remote had after the last push; no object of git's: it would
stay in the archive for ever, as large as the list of all samples, for every push."""

_ATTEMPTS = 3
"""Looks at a remote that others write to at the same moment, before that is an error."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did."""

    commit: str
    """The commit that the remote's branch has now."""
    tags: int
    """How many samples were sent; 0 where the remote had them all."""
    branch: bool
    """Whether the remote's branch was moved or made anew, which it can lack although it has all samples."""
    removed: int = 0
    """How many samples were removed from the remote, since retention took them here."""
    problem: str = ""
    """Why none were removed although that was asked for; the push itself has succeeded."""


def push(git_folder: Path, branch: str, remote: Remote, *, prune: bool = False) -> Pushed:
    """Bring the remote up to the archive.

    Raises RemoteDivergedError when the remote has what the archive has not, RemoteUnreachableError, RemoteError.
    """
    for attempt in range(1, _ATTEMPTS):
        try:
            return _push_once(git_folder, branch, remote, prune=prune)
        except RemoteChangedError:  # another push of this archive, or one of ours whose connection broke
            time.sleep(attempt)
    return _push_once(git_folder, branch, remote, prune=prune)


def _push_once(git_folder: Path, branch: str, remote: Remote, *, prune: bool) -> Pushed:
    here = local_refs(git_folder, branch)
    head = here.get(f"refs/heads/{branch}")
    if head is None:
        raise ArchiveError(f"the archive has no branch {branch}: there is nothing to push yet")
    there = remote.refs(git_folder, branch)
    _check_history(git_folder, remote, branch, here, there)
    missing = {name: target for name, target in here.items() if there.get(name) != target}
    send(git_folder, remote, [Update(name, target) for name, target in missing.items()])
    if missing:
        read_back(git_folder, branch, remote, missing)
    _remember(git_folder, here)
    tags = sum(map(_is_tag, missing))
    removed, problem = _remove(git_folder, branch, remote, here, there) if prune else (0, "")
    return Pushed(head, tags, f"refs/heads/{branch}" in missing, removed, problem)


def unpushed(git_folder: Path, branch: str) -> int:
    """How many samples were taken since the last push that succeeded; asks nobody."""
    known = pushed_tags(git_folder)
    return sum(target not in known for name, target in local_refs(git_folder, branch).items() if _is_tag(name))


def pushed_tags(git_folder: Path) -> frozenset[str]:
    """Ids of the tags that the remote had after the last push that succeeded; asks nobody."""
    try:
        return frozenset((git_folder / _PUSHED).read_text("ascii", "replace").split())
    except OSError:
        return frozenset()


def local_refs(git_folder: Path, branch: str) -> dict[str, str]:
    """Name -> object of the branch and of its tags, as the archive has them. Raises ArchiveError."""
    wanted = (f"refs/heads/{branch}", f"refs/tags/{branch}/")
    done = run_git(git_folder, "for-each-ref", "--format=%(objectname) %(refname)", *wanted)
    if done.returncode != 0:
        raise ArchiveError(f"the refs of the archive cannot be read: {done.stderr.strip()}")
    pairs = (line.split(" ", 1) for line in done.stdout.splitlines())
    return {name: target for target, name in pairs}


def _remember(git_folder: Path, here: Mapping[str, str]) -> None:
    """Keep what the remote has now, for ``unpushed``. What cannot be kept shows as not pushed, no more."""
    listed = "".join(f"{target}\n" for name, target in sorted(here.items()) if _is_tag(name))
    with contextlib.suppress(OSError):
        replace_file(git_folder / _PUSHED, listed.encode("ascii"))


def _is_tag(name: str) -> bool:
    return name.startswith("refs/tags/")


def _check_history(
    git_folder: Path, remote: Remote, branch: str, here: Mapping[str, str], there: Mapping[str, str]
) -> None:
    """Raises RemoteDivergedError unless the remote's history is the beginning of the archive's."""
    name = f"refs/heads/{branch}"
    ours, theirs = here[name], there.get(name)
    if theirs is not None and theirs != ours:
        done = run_git(git_folder, "merge-base", "--is-ancestor", theirs, ours)
        if done.returncode != 0:  # 1: not an ancestor; 128: not known here at all
            raise RemoteDivergedError(
                f"{remote.shown}: the branch {branch} is at {theirs[:12]} there, which is not in the history of "
                f"{ours[:12]} here",
                hint="Somebody else writes there, or one of the two was rewritten. Compare them in a clone; then push "
                "to another repository, or put the right history back by hand. gitsnap never forces.",
            )
    moved = [tag for tag, target in here.items() if there.get(tag, target) != target and _is_tag(tag)]
    if moved:
        tag = min(moved)
        raise RemoteDivergedError(
            f"{remote.shown}: the tag {tag.removeprefix('refs/tags/')} is {there[tag][:12]} there and "
            f"{here[tag][:12]} here",
            hint="Tags of samples are never moved: `gitsnap verify` tells which of the two is the right one.",
        )


def _remove(
    git_folder: Path, branch: str, remote: Remote, here: Mapping[str, str], there: Mapping[str, str]
) -> tuple[int, str]:
    """Delete on the remote the tags that retention took here: those that this archive has had itself.

    The object of a tag that is gone stays in the archive, so that an archive which was restored from an older copy
    never takes for removed what it has not seen yet.
    """
    candidates = {
        name: target for name, target in there.items() if name.startswith(f"refs/tags/{branch}/") and name not in here
    }
    once_here = known_tags(git_folder, candidates.values())
    gone = {name: target for name, target in candidates.items() if target in once_here}
    try:
        send(git_folder, remote, [Update(name, "", target) for name, target in gone.items()])
    except GitsnapError as error:
        return 0, error.message
    return len(gone), ""


def known_tags(git_folder: Path, objects: Iterable[str]) -> frozenset[str]:
    """Those of some objects that the archive has as tags, whether or not a ref still names them."""
    given = "".join(f"{one}\n" for one in sorted(set(objects)))
    if not given:
        return frozenset()
    done = run_git(git_folder, "cat-file", "--batch-check=%(objectname) %(objecttype)", given=given)
    return frozenset(line.split(" ")[0] for line in done.stdout.splitlines() if line.endswith(" tag"))
