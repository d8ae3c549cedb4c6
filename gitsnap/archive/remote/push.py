"""Pushes an archive: its branch, the tags that the remote lacks, and names of authors; by name and never forced.

The branch brings the changes after the newest sample, which have no tag. After a push the refs of the remote are read
back. Only ``prune`` removes tags from a remote.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitsnap.archive.refs import TAGS
from gitsnap.archive.remote.author_notes import push_author_notes
from gitsnap.archive.remote.connection import Remote
from gitsnap.archive.remote.ref_updates import Update, read_back, send
from gitsnap.archive.tag_names import is_detached, name_order
from gitsnap.core.errors import ArchiveError, GitsnapError, RemoteChangedError, RemoteDivergedError
from gitsnap.core.files import replace_file
from gitsnap.core.text import plural
from gitsnap.format import is_tag_of
from gitsnap.git.process import is_ancestor, run_git

_PUSHED = "gitsnap-pushed"
"""File in the git directory: ids of the tags that the remote had after the last push, and the commit of its branch.

It is not a git object: every push would add an object as large as the list of all samples, and none is ever removed.
"""

_HEAD = "branch "
"""The beginning of the line with the commit of the branch."""

_ATTEMPTS = 3
"""Attempts to push to a remote that other writers change at the same time."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """The result of a push."""

    commit: str
    """The commit that the branch of the remote names now."""
    tags: int
    """Number of samples that were pushed; 0 where the remote had all of them."""
    branch: bool
    """Whether the branch of the remote was moved or created."""
    removed: int = 0
    """Number of samples that were removed from the remote, because retention had removed them from the archive."""
    problem: str = ""
    """Why no samples were removed although ``prune`` was set. The push itself has succeeded."""
    changes: int = 0
    """Number of changes by follow mode that were pushed."""
    notes_problem: str = ""
    """Why names of authors that became known later were not pushed. The push itself has succeeded."""


def push(git_folder: Path, branch: str, remote: Remote, *, prune: bool = False) -> Pushed:
    """Push the branch and the tags that the remote lacks.

    ``prune``: also remove the tags that retention removed from the archive. Raises RemoteDivergedError where the remote
    has commits or tags that the archive does not have, RemoteUnreachableError, RemoteError, ArchiveError.
    """
    for attempt in range(1, _ATTEMPTS):
        try:
            return _push_once(git_folder, branch, remote, prune=prune)
        except RemoteChangedError:  # another push of this archive, or an earlier one whose connection broke
            time.sleep(attempt)
    return _push_once(git_folder, branch, remote, prune=prune)


def _push_once(git_folder: Path, branch: str, remote: Remote, *, prune: bool) -> Pushed:
    local = local_refs(git_folder, branch)
    head = local.get(f"refs/heads/{branch}")
    if head is None:
        raise ArchiveError(f"the archive has no branch {branch}: there is nothing to push yet")
    remote_refs = remote.refs(git_folder, branch)
    missing = {name: target for name, target in local.items() if remote_refs.get(name) != target}
    moved = [name for name in missing if name in remote_refs and _is_tag(name)]
    _check_history(git_folder, remote, branch, local, remote_refs, moved)
    send(git_folder, remote, [Update(name, target) for name, target in missing.items()])
    if missing:
        read_back(git_folder, branch, remote, missing)
    _record_pushed(git_folder, local, head)
    tags = sum(map(_is_tag, missing))
    name = f"refs/heads/{branch}"
    changes = count_changes(git_folder, head, remote_refs.get(name)) if name in missing else 0
    notes_problem = _push_notes(git_folder, remote)
    removed, problem = _remove(git_folder, branch, remote, local, remote_refs) if prune else (0, "")
    return Pushed(head, tags, name in missing, removed, problem, changes, notes_problem)


def _push_notes(git_folder: Path, remote: Remote) -> str:
    """Push the names of authors that became known later. Returns a problem, which does not undo the push.

    Raises RemoteChangedError: the push is tried again.
    """
    try:
        push_author_notes(git_folder, remote)
    except RemoteChangedError:
        raise
    except GitsnapError as error:
        return error.message
    return ""


def count_changes(git_folder: Path, head: str, base: str | None) -> int:
    """Number of changes by follow mode between two commits. ``base`` is None for the beginning of the history."""
    commits = [head] if base is None else [head, f"^{base}"]
    done = run_git(git_folder, "rev-list", "--count", "--first-parent", "--grep=^Gitsnap-Author-Source: ", *commits)
    return int(done.stdout) if done.returncode == 0 else 0


def count_unpushed(git_folder: Path, branch: str) -> int:
    """Number of samples that were taken since the last successful push. Does not connect to the remote."""
    known = pushed_tags(git_folder)
    return sum(target not in known for name, target in local_refs(git_folder, branch).items() if _is_tag(name))


def pushed_tags(git_folder: Path) -> frozenset[str]:
    """Ids of the tags that the remote had after the last successful push. Does not connect to the remote."""
    return frozenset(line for line in _recorded_ids(git_folder) if not line.startswith(_HEAD))


def _recorded_ids(git_folder: Path) -> list[str]:
    """The lines of the record of the last push; none if nothing was pushed."""
    try:
        return (git_folder / _PUSHED).read_text("ascii", "replace").splitlines()
    except OSError:
        return []


def count_unpushed_changes(git_folder: Path, branch: str) -> int:
    """Number of changes by follow mode since the last successful push. Does not connect to the remote."""
    head = local_refs(git_folder, branch).get(f"refs/heads/{branch}")
    if head is None:
        return 0
    base = _pushed_head(git_folder)
    return 0 if base == head else count_changes(git_folder, head, base)


def describe_unpushed(samples: int, changes: int) -> str:
    """``2 samples``, ``1 change`` or ``2 samples and 1 change``; ``""`` for none."""
    counts = ((samples, "sample"), (changes, "change"))
    return " and ".join(plural(count, noun) for count, noun in counts if count)


def _pushed_head(git_folder: Path) -> str | None:
    """The commit that the branch of the remote had after the last successful push.

    An earlier gitsnap recorded only the tags. The result is then the commit of the last tag. None if nothing was
    pushed.
    """
    lines = _recorded_ids(git_folder)
    if not lines:
        return None
    done = run_git(git_folder, "rev-parse", "--verify", "--quiet", f"{lines[-1].removeprefix(_HEAD)}^{{commit}}")
    return done.stdout.strip() or None


def local_refs(git_folder: Path, branch: str) -> dict[str, str]:
    """The branch and its tags in the archive: name -> object id. Raises ArchiveError."""
    patterns = (f"refs/heads/{branch}", f"refs/tags/{branch}/")
    done = run_git(git_folder, "for-each-ref", "--format=%(objectname) %(refname)", *patterns)
    if done.returncode != 0:
        raise ArchiveError(f"the refs of the archive cannot be read: {done.stderr.strip()}")
    return {line[41:]: line[:40] for line in done.stdout.splitlines()}  # an object id has 40 digits


def _record_pushed(git_folder: Path, refs: Mapping[str, str], head: str) -> None:
    """Record the tags and the branch of the remote. A failure is ignored: they then count as not pushed."""
    listed = "".join(f"{target}\n" for name, target in sorted(refs.items()) if _is_tag(name)) + f"{_HEAD}{head}\n"
    with contextlib.suppress(OSError):
        replace_file(git_folder / _PUSHED, listed.encode("ascii"))


def _is_tag(name: str) -> bool:
    return name.startswith("refs/tags/")


def _check_history(
    git_folder: Path,
    remote: Remote,
    branch: str,
    local: Mapping[str, str],
    remote_refs: Mapping[str, str],
    moved: Sequence[str],
) -> None:
    """Raise RemoteDivergedError unless the branch of the remote is an ancestor of the archive's, and no tag differs.

    ``moved``: the tags that have another object at the remote.
    """
    name = f"refs/heads/{branch}"
    ours, theirs = local[name], remote_refs.get(name)
    if theirs is not None and theirs != ours and not is_ancestor(git_folder, theirs, ours):
        raise RemoteDivergedError(
            f"{remote.shown}: the branch {branch} is at {theirs[:12]} there, which is not in the history of "
            f"{ours[:12]} here",
            hint="Somebody else writes there, or one of the two was rewritten. Compare them in a clone; then push "
            "to another repository, or put the right history back by hand. gitsnap never forces.",
        )
    if moved:
        tag = min(moved)
        raise RemoteDivergedError(
            f"{remote.shown}: the tag {tag.removeprefix('refs/tags/')} is {remote_refs[tag][:12]} there and "
            f"{local[tag][:12]} here",
            hint="Tags of samples are never moved: `gitsnap verify` shows which of the two is right.",
        )
    _check_writers(git_folder, remote, branch, local, remote_refs)


def _check_writers(
    git_folder: Path, remote: Remote, branch: str, local: Mapping[str, str], remote_refs: Mapping[str, str]
) -> None:
    """Raise RemoteDivergedError where another archive continued the samples that both have.

    The branch does not show this: samples without a change have the same commit in both. Detached samples are allowed,
    because a rollback with ``--archive URL`` pushes them.
    """
    others = {
        name: remote_refs[name]
        for name in remote_refs.keys() - local.keys()
        if is_tag_of(name.removeprefix(TAGS), branch) and not is_detached(name)
    }
    if not others:  # the usual case, in which the names of all common tags need not be parsed
        return
    common = [name_order(name) for name, target in remote_refs.items() if _is_tag(name) and local.get(name) == target]
    newest = max(common, default=("", 0))
    others = {name: target for name, target in others.items() if name_order(name) > newest}
    known = known_tags(git_folder, others.values())
    unknown = sorted(name.removeprefix(TAGS) for name, target in others.items() if target not in known)
    if unknown:
        raise RemoteDivergedError(
            f"{remote.shown} has {plural(len(unknown), 'newer sample')} that this archive never had, such as "
            f"{unknown[0]}: another archive of {branch} is pushed there",
            hint="Capture and push from one archive only. docs/OPERATIONS.md, Moving an archive, says how another "
            "archive takes over.",
        )


def _remove(
    git_folder: Path, branch: str, remote: Remote, local: Mapping[str, str], remote_refs: Mapping[str, str]
) -> tuple[int, str]:
    """Delete the tags on the remote that retention removed from this archive. Returns their number, and a problem.

    The archive keeps the tag objects of removed samples. A tag whose object it does not have was never here, as in an
    archive that was restored from an older copy: such a tag is not deleted.
    """
    prefix = f"refs/tags/{branch}/"
    candidates = {name: target for name, target in remote_refs.items() if name.startswith(prefix) and name not in local}
    known = known_tags(git_folder, candidates.values())
    gone = {name: target for name, target in candidates.items() if target in known}
    try:
        send(git_folder, remote, [Update(name, "", target) for name, target in gone.items()])
    except GitsnapError as error:
        return 0, error.message
    return len(gone), ""


def known_tags(git_folder: Path, objects: Iterable[str]) -> frozenset[str]:
    """The ids among ``objects`` that are tag objects in the archive, whether or not a ref names them."""
    ids = "".join(f"{name}\n" for name in sorted(set(objects)))
    if not ids:
        return frozenset()
    done = run_git(git_folder, "cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=ids)
    return frozenset(line.split(" ")[0] for line in done.stdout.splitlines() if line.endswith(" tag"))
