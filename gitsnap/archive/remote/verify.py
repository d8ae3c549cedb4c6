"""Whether a remote holds the same history as an archive: nothing rewritten, nothing missing, on either side.

The remote's refs tell most; what this archive does not know is fetched into a folder that is thrown away.
This module must not write to the archive or to the remote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gitsnap.archive.completeness import FETCH_HISTORY, FETCH_TAGS, is_clone_at
from gitsnap.archive.findings import Finding
from gitsnap.archive.remote.connection import Remote
from gitsnap.archive.remote.push import known_tags, local_refs, pushed_tags
from gitsnap.core.model import Sample
from gitsnap.git.process import run_git, scratch_repository

_MOST_NAMED = 5
_PUT_BACK = "this archive was put back to an older state"


def compare_history(git_folder: Path, branch: str, samples: Sequence[Sample], remote: Remote) -> list[Finding]:
    """Where the two differ, what is wrong first. Raises the errors of a remote when it cannot be asked."""
    here, there = local_refs(git_folder, branch), remote.refs(git_folder, branch)
    found = [*_branch(git_folder, branch, samples, remote, here, there)]
    found += _samples(git_folder, branch, samples, remote, here, there)
    return sorted(found, key=lambda one: not one.wrong)


def _branch(
    git_folder: Path,
    branch: str,
    samples: Sequence[Sample],
    remote: Remote,
    here: Mapping[str, str],
    there: Mapping[str, str],
) -> Iterator[Finding]:
    """Whether one branch is the beginning of the other, and the remote's holds all that was pushed to it."""
    name = f"refs/heads/{branch}"
    ours, theirs = here.get(name), there.get(name)
    if theirs is None:
        rest = "only tags of its samples" if there else "it holds nothing of this archive"
        yield Finding(True, branch, f"{remote.shown} has no branch {branch}: {rest}")
        return
    if ours is None or ours == theirs:
        return  # an archive without its branch is a finding of its own
    if not _is_ancestor(git_folder, theirs, ours) and _says(git_folder, "rev-parse", "--is-shallow-repository"):
        message = f"{remote.shown}: the histories cannot be compared in a shallow clone: `{FETCH_HISTORY}` first"
        yield Finding(False, branch, message, unchecked=True)
        return
    if not _is_ancestor(git_folder, theirs, ours):
        yield Finding(True, branch, _parted(git_folder, remote, ours, theirs))
        return
    pushed = pushed_tags(git_folder)
    newest = next((one for one in reversed(samples) if one.tag_id in pushed), None)
    if newest is not None and not _is_ancestor(git_folder, newest.commit, theirs):
        yield Finding(
            True, branch, f"{remote.shown}: the branch was put back to {theirs[:12]}, before {newest.tag}, which it had"
        )


def _parted(git_folder: Path, remote: Remote, ours: str, theirs: str) -> str:
    """What is known of two branches of which neither is known to be the beginning of the other."""
    with scratch_repository(git_folder, {}) as scratch:
        remote.run(scratch, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", remote.url, theirs)
        if _is_ancestor(scratch, ours, theirs):
            count = run_git(scratch, "rev-list", "--count", f"{ours}..{theirs}").stdout.strip()
            noun = "commit" if count == "1" else "commits"
            reason = f"this clone is older: `git pull`, and `{FETCH_TAGS}`" if is_clone_at(git_folder) else _PUT_BACK
            return f"{remote.shown} has {count} {noun} more: {reason}"
        base = run_git(scratch, "merge-base", ours, theirs).stdout.strip()
    since = f"since {base[:12]}" if base else "from the beginning"
    return f"{remote.shown} has another history {since}: {theirs[:12]} there, {ours[:12]} here; one was rewritten"


def _says(git_folder: Path, *words: str) -> bool:
    """Whether git answers ``true``."""
    return run_git(git_folder, *words).stdout.strip() == "true"


def _is_ancestor(git_folder: Path, first: str, second: str) -> bool:
    """False also for a commit that is not known."""
    return run_git(git_folder, "merge-base", "--is-ancestor", first, second).returncode == 0


def _samples(
    git_folder: Path,
    branch: str,
    samples: Sequence[Sample],
    remote: Remote,
    here: Mapping[str, str],
    there: Mapping[str, str],
) -> Iterator[Finding]:
    """Tags that differ, that the remote lost, that it has alone, and that were not pushed yet."""
    prefix = "refs/tags/"
    pushed = pushed_tags(git_folder)
    not_yet = 0
    for sample in samples:
        target = there.get(prefix + sample.tag)
        if target is None and sample.tag_id in pushed:
            yield Finding(True, sample.tag, f"{remote.shown} has lost it: it was pushed there")
        elif target is None:
            not_yet += 1
        elif target != sample.tag_id:
            message = f"is {target[:12]} at {remote.shown} and {sample.tag_id[:12]} here: one was made anew"
            yield Finding(True, sample.tag, message)
    if not_yet:
        noun = "sample is" if not_yet == 1 else "samples are"
        yield Finding(False, branch, f"{not_yet} {noun} not at {remote.shown} yet")
    alone = {name: target for name, target in there.items() if name.startswith(prefix) and name not in here}
    had = known_tags(git_folder, alone.values())
    kept = sum(target in had for target in alone.values())
    if kept:
        noun = "sample" if kept == 1 else "samples"
        yield Finding(False, branch, f"{remote.shown} still has {kept} {noun} that are no longer here")
    unknown = sorted(name.removeprefix(prefix) for name, target in alone.items() if target not in had)
    for tag in unknown[:_MOST_NAMED]:
        yield Finding(True, tag, f"{remote.shown} has this sample, and this archive never had it, or lost it")
    if len(unknown) > _MOST_NAMED:
        more = len(unknown) - _MOST_NAMED
        yield Finding(True, branch, f"{remote.shown} has {more} more samples that this archive does not know")
