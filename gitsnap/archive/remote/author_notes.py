"""Pushes and fetches the notes with names of authors that became known later (docs/FORMAT.md, "Changes").

Several archives may share one remote, and therefore one ref for notes. A push merges the notes of the remote with those
of the archive. A push never forces, and never changes the notes of the archive.
"""

from __future__ import annotations

from pathlib import Path

from gitsnap.archive.refs import list_refs
from gitsnap.archive.remote.connection import Remote
from gitsnap.archive.remote.ref_updates import Update, send
from gitsnap.core.errors import RemoteError
from gitsnap.format.change_message import AUTHOR_NOTES
from gitsnap.git.process import is_ancestor, run_git, scratch_repository

NOTES_TO_FETCH = f"+{AUTHOR_NOTES}*:{AUTHOR_NOTES}*"
"""A refspec for `git fetch`. Unlike a whole name, a pattern causes no error if the remote has no notes."""

_THEIRS = "refs/notes/theirs"
_PERSON = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
           for key, value in (("NAME", "gitsnap"), ("EMAIL", "gitsnap@localhost"))}  # fmt: skip


def push_author_notes(git_folder: Path, remote: Remote) -> bool:
    """Push the notes of an archive. Returns whether the remote lacked some of them.

    Raises RemoteChangedError if another push changed the notes in the meantime, and RemoteError and its other
    subclasses.
    """
    ours = dict(list_refs(git_folder, "refs/notes/")).get(AUTHOR_NOTES)
    if ours is None:
        return False
    listed = remote.run(git_folder, "ls-remote", "--refs", remote.url, AUTHOR_NOTES)
    theirs = listed.partition("\t")[0].strip()
    if theirs == ours:
        return False
    if not theirs or is_ancestor(git_folder, theirs, ours):
        send(git_folder, remote, [Update(AUTHOR_NOTES, ours)])
        return True
    with scratch_repository(git_folder, {AUTHOR_NOTES: ours}) as scratch:
        fetched = f"{AUTHOR_NOTES}:{_THEIRS}"
        remote.run(scratch, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", remote.url, fetched)
        merged = _merge(scratch, remote)
        if _tree(scratch, merged) == _tree(scratch, _THEIRS):
            return False
        send(scratch, remote, [Update(AUTHOR_NOTES, merged)])
    return True


def _merge(scratch: Path, remote: Remote) -> str:
    """The id of a commit with the notes of both sides. If both have a note on a commit, the archive's note is kept."""
    done = run_git(scratch, "notes", f"--ref={AUTHOR_NOTES}", "merge", "--quiet", "--strategy=ours", _THEIRS,
                   environment=_PERSON)  # fmt: skip
    if done.returncode != 0:
        raise RemoteError(
            f"{remote.shown}: its notes {AUTHOR_NOTES} cannot be merged with those of the archive: "
            f"{done.stderr.strip()[-200:]}",
            hint=f"Fetch them into a clone, and compare them: `git log -p {AUTHOR_NOTES}`.",
        )
    return run_git(scratch, "rev-parse", AUTHOR_NOTES).stdout.strip()


def _tree(git_folder: Path, commit: str) -> str:
    return run_git(git_folder, "rev-parse", f"{commit}^{{tree}}").stdout.strip()
