"""Compares the history of an archive with its remote: rewritten and missing commits and tags, on either side.

Most findings come from the refs of the remote. Commits that the archive does not have are fetched into a temporary
repository. This module must not write to the archive or to the remote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gitsnap.archive.completeness import FETCH_HISTORY, FETCH_TAGS, is_clone_at
from gitsnap.archive.findings import Finding
from gitsnap.archive.remote.connection import Remote
from gitsnap.archive.remote.push import count_changes, known_tags, local_refs, pushed_tags
from gitsnap.core.model import Sample
from gitsnap.core.text import plural, verb_form
from gitsnap.git.process import is_ancestor, run_git, scratch_repository

_MOST_NAMED = 5
_PUT_BACK = "this archive was put back to an older state"


def compare_history(git_folder: Path, branch: str, samples: Sequence[Sample], remote: Remote) -> list[Finding]:
    """Compare the branch and the tags of an archive with those of its remote.

    Returns the differences: errors first, then notes. Raises RemoteError and its subclasses where the remote cannot be
    read, and ArchiveError where the refs of the archive cannot be read.
    """
    local, remote_refs = local_refs(git_folder, branch), remote.refs(git_folder, branch)
    findings = [*_compare_branch(git_folder, branch, samples, remote, local, remote_refs)]
    findings += _compare_tags(git_folder, branch, samples, remote, local, remote_refs)
    return sorted(findings, key=lambda finding: not finding.wrong)


def _compare_branch(
    git_folder: Path,
    branch: str,
    samples: Sequence[Sample],
    remote: Remote,
    local: Mapping[str, str],
    remote_refs: Mapping[str, str],
) -> Iterator[Finding]:
    """Whether one branch is an ancestor of the other, and whether the remote still has the commits that were pushed.

    Changes that are not pushed yet are a note.
    """
    name = f"refs/heads/{branch}"
    ours, theirs = local.get(name), remote_refs.get(name)
    if theirs is None:
        rest = "only tags of its samples" if remote_refs else "it holds nothing of this archive"
        yield Finding(True, branch, f"{remote.shown} has no branch {branch}: {rest}")
        return
    if ours is None or ours == theirs:
        return  # a missing branch of the archive is a finding of its own check
    if not is_ancestor(git_folder, theirs, ours) and _is_shallow(git_folder):
        message = f"{remote.shown}: the histories cannot be compared in a shallow clone: `{FETCH_HISTORY}` first"
        yield Finding(False, branch, message, unchecked=True)
        return
    if not is_ancestor(git_folder, theirs, ours):
        yield Finding(True, branch, _describe_divergence(git_folder, remote, ours, theirs))
        return
    if missing := count_changes(git_folder, ours, theirs):
        yield Finding(False, branch, f"{plural(missing, 'change', 'is')} not at {remote.shown} yet")
    pushed = pushed_tags(git_folder)
    newest = next((sample for sample in reversed(samples) if sample.tag_id in pushed), None)
    if newest is not None and not is_ancestor(git_folder, newest.commit, theirs):
        yield Finding(
            True, branch, f"{remote.shown}: the branch was put back to {theirs[:12]}, before {newest.tag}, which it had"
        )


def _describe_divergence(git_folder: Path, remote: Remote, ours: str, theirs: str) -> str:
    """Describe two branches, where the remote's branch is not known to be an ancestor of the archive's branch."""
    with scratch_repository(git_folder, {}) as scratch:
        remote.run(scratch, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", remote.url, theirs)
        if is_ancestor(scratch, ours, theirs):
            newer = run_git(scratch, "rev-list", f"{ours}..{theirs}").stdout.split()
            reason = f"this clone is older: `git pull`, and `{FETCH_TAGS}`" if is_clone_at(git_folder) else _PUT_BACK
            return f"{remote.shown} has {plural(len(newer), 'commit')} more: {reason}"
        base = run_git(scratch, "merge-base", ours, theirs).stdout.strip()
    since = f"since {base[:12]}" if base else "from the beginning"
    return f"{remote.shown} has another history {since}: {theirs[:12]} there, {ours[:12]} here; one was rewritten"


def _is_shallow(git_folder: Path) -> bool:
    return run_git(git_folder, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"


def _compare_tags(
    git_folder: Path,
    branch: str,
    samples: Sequence[Sample],
    remote: Remote,
    local: Mapping[str, str],
    remote_refs: Mapping[str, str],
) -> Iterator[Finding]:
    """Tags that differ, that the remote lost, that only the remote has, and that are not pushed yet."""
    prefix = "refs/tags/"
    pushed = pushed_tags(git_folder)
    not_pushed = 0
    for sample in samples:
        target = remote_refs.get(prefix + sample.tag)
        if target is None and sample.tag_id in pushed:
            yield Finding(True, sample.tag, f"{remote.shown} has lost this sample, which was pushed there")
        elif target is None:
            not_pushed += 1
        elif target != sample.tag_id:
            message = f"is {target[:12]} at {remote.shown} and {sample.tag_id[:12]} here: one was recreated"
            yield Finding(True, sample.tag, message)
    if not_pushed:
        yield Finding(False, branch, f"{plural(not_pushed, 'sample', 'is')} not at {remote.shown} yet")
    remote_only = {
        name: target for name, target in remote_refs.items() if name.startswith(prefix) and name not in local
    }
    known = known_tags(git_folder, remote_only.values())
    kept = sum(target in known for target in remote_only.values())
    if kept:
        samples_here = f"{plural(kept, 'sample')} that {verb_form(kept, 'is')}"
        yield Finding(False, branch, f"{remote.shown} still has {samples_here} no longer here")
    unknown = sorted(name.removeprefix(prefix) for name, target in remote_only.items() if target not in known)
    if unknown and _is_shallow(git_folder):
        missing = f"{plural(len(unknown), 'sample')} that {verb_form(len(unknown), 'is')}"
        message = f"{remote.shown} has {missing} not in this shallow clone: `{FETCH_HISTORY}` fetches them"
        yield Finding(False, branch, message, unchecked=True)
        return
    for tag in unknown[:_MOST_NAMED]:
        yield Finding(True, tag, f"{remote.shown} has this sample; this archive never had it, or lost it")
    if len(unknown) > _MOST_NAMED:
        more = len(unknown) - _MOST_NAMED
        yield Finding(True, branch, f"{remote.shown} has {more} more samples that this archive does not know")
