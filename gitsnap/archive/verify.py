"""Verifies an archive: damaged objects, a broken chain of samples, moved refs, missing signatures.

The verification continues after an error, so that one damaged object does not hide another. Suspicions without proof
are notes (docs/SECURITY.md). This module must not write or repair anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import pygit2

from gitsnap.archive.change_findings import check_change, lost_changes, unproved_changes
from gitsnap.archive.commit_objects import History, read_commit, read_history
from gitsnap.archive.completeness import MissingPart, is_clone, is_partial, shallow_commits
from gitsnap.archive.content_findings import check_contents
from gitsnap.archive.findings import MOST_NAMED, Finding, changed_files, missing_pin, printable, removals_by_users
from gitsnap.archive.missing_samples import find_missing_parts
from gitsnap.archive.object_reader import read_object
from gitsnap.archive.reader import Listing, Problem, newest, read_samples
from gitsnap.archive.refs import TAGS, branch_heads, list_refs, read_refs
from gitsnap.archive.removal import unrecorded_forgotten, unrecorded_samples
from gitsnap.archive.tag_objects import read_tag
from gitsnap.archive.trees import Folders
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import Sample, SampleMetadata
from gitsnap.core.text import join_names, plural, verb_form
from gitsnap.format import parse_forgotten, parse_tag_message, pruned_count
from gitsnap.git.process import common_folder, git_settings, run_git
from gitsnap.git.signing import AllowedSigners

_DANGLING = "dangling "
_REMARKS = ("notice:", "hint:", _DANGLING)
"""Prefixes of lines of git that report no damage."""

_PROMISED = {"remote.origin.promisor": "true"}
"""With this setting git does not report contents that a partial clone did not fetch as damage. Nothing is fetched."""

Progress = Callable[[str, int], None]
"""Called with a step of the verification, and the number of the sample in this step; 0 for a step without samples."""


def check(
    repository: pygit2.Repository,
    branch: str,
    *,
    allowed_signers: Path | None = None,
    pinned: Sequence[str] = (),
    progress: Progress = lambda _step, _number: None,
) -> list[Finding]:
    """Verify an archive.

    Args:
        repository: The repository of the archive.
        branch: The branch of the archive.
        allowed_signers: An allowed signers file (ssh-keygen(1)). Every sample must be signed with a key in the file.
        pinned: Ids of tags, or the beginnings of such ids, that must be part of the chain of samples.
        progress: Is called at each step.

    Returns:
        The errors, then the notes. Each finding appears once.

    Raises:
        StorageError: The refs cannot be read, or git is not installed.
        SecretsError: ssh-keygen is needed and not installed.
    """
    samples, problems = read_samples(repository, branch)
    verifier = Verifier(repository, branch, samples, progress)
    findings = [unreadable(problem) for problem in problems]
    findings += verifier.refs()
    findings += verifier.objects()
    findings += verifier.branch_and_commits()
    findings += unproved_changes(repository, branch, newest(samples))
    findings += verifier.chain()
    findings += verifier.pinned(pinned)
    findings += verifier.contents()
    if allowed_signers is not None:
        findings += verifier.signatures(allowed_signers)
    progress("working tree", 0)
    findings += changed_files(repository)
    return sorted(dict.fromkeys(map(printable, findings)), key=lambda finding: not finding.wrong)


def check_chain(repository: pygit2.Repository, branch: str, listing: Listing) -> list[Finding]:
    """Check tags and chain of samples as ``check`` does, but no objects, branch and contents. Raises StorageError."""
    verifier = Verifier(repository, branch, listing[0], lambda _step, _number: None)
    findings = map(printable, [*map(unreadable, listing[1]), *verifier.refs(), *verifier.chain()])
    return sorted(dict.fromkeys(findings), key=lambda finding: not finding.wrong)


def unreadable(problem: Problem) -> Finding:
    """The finding for a tag that cannot be read as a sample."""
    return Finding(True, problem.tag, f"cannot be read as a sample: {problem.reason}")


class Verifier:
    """Checks some samples of an archive: all of them, or those from a pinned sample on."""

    def __init__(
        self,
        repository: pygit2.Repository,
        branch: str,
        samples: Sequence[Sample],
        progress: Progress,
        *,
        start: Sample | None = None,
    ) -> None:
        """``start``: the pinned sample, which is the first of ``samples``; None if ``samples`` are all samples."""
        self._repository = repository
        self._branch = branch
        self._samples = samples
        self._start = start
        self._progress = progress
        self._folders = Folders(repository)
        self._trees: dict[str, str] = {}
        """Id of each commit read so far -> id of its root tree."""
        self._removed: list[str] = []
        """Names of removed tags that the chain leads through and whose objects are in this copy."""
        self._unreferenced: list[str] = []
        """Ids of commits that no ref and no other commit leads to."""

    # Refs and objects -------------------------------------------------------------------------------------------------

    def refs(self) -> Iterator[Finding]:
        """Whether all refs can be read, whether there are samples, and whether git would show a rewritten history."""
        git_folder = Path(self._repository.path)
        if damaged := read_refs(git_folder, TAGS).damaged_line:
            message = f"is damaged at line {damaged}: refs after this line cannot be read, and were not checked"
            yield Finding(True, "packed-refs", message)
        elif not self._samples:
            yield Finding(True, self._branch, self._without_samples())
        elif self._is_own_archive:
            for part in self._missing_parts:
                if part.category == "samples":
                    yield Finding(True, self._branch, part.message)
        try:
            self._repository.lookup_reference("HEAD")
        except (KeyError, ValueError, pygit2.GitError):
            yield Finding(
                True, "HEAD", f"is damaged: write the line `ref: refs/heads/{self._branch}` into the file HEAD"
            )
        replaced = list_refs(git_folder, "refs/replace/")
        if replaced or self._has_grafts():
            cause = "refs below refs/replace/" if replaced else "grafts in the file info/grafts"
            message = f"{cause} make git show another history; gitsnap reads and checks the history as it was written"
            yield Finding(False, "git", message)

    @cached_property
    def _missing_parts(self) -> list[MissingPart]:
        try:
            return find_missing_parts(
                self._repository, self._branch, self._samples, newest(self._samples), damaged_line=0
            )
        except ArchiveError:  # a damaged ref is a finding of branch_and_commits
            return []

    @property
    def _is_own_archive(self) -> bool:
        """Whether gitsnap made this repository. A clone may lack tags without being damaged."""
        return not is_clone(self._repository)

    def _without_samples(self) -> str:
        missing = any(part.category == "samples" for part in self._missing_parts)
        return f"no sample {'is here' if missing else 'was taken yet'}: there is nothing to verify"

    def _has_grafts(self) -> bool:
        try:
            return bool((common_folder(Path(self._repository.path)) / "info" / "grafts").read_bytes().strip())
        except OSError:
            return False

    def objects(self) -> Iterator[Finding]:
        """The errors of `git fsck`. The index, whose damage would stop git, is not read."""
        self._progress("git fsck", 0)
        done = run_git(
            Path(self._repository.path), "fsck", "--full", "--strict", "--no-progress", refs="copied",
            environment=git_settings(_PROMISED) if is_partial(self._repository) else None,
        )  # fmt: skip
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line]
        commits = f"{_DANGLING}commit "
        self._unreferenced = [line.removeprefix(commits) for line in lines if line.startswith(commits)]
        errors = [line for line in lines if not line.startswith(_REMARKS)]
        for line in errors or ([f"git fsck ended with {done.returncode}"] if done.returncode else []):
            yield Finding(True, "git", line.removeprefix("error: "))

    def branch_and_commits(self) -> Iterator[Finding]:
        """Whether the branch has the commit of every sample, and which commits gitsnap did not make."""
        try:
            heads = branch_heads(self._repository, self._branch)
        except ArchiveError:
            yield Finding(True, self._branch, "the branch's ref is damaged; the next capture restores it")
            return
        if not heads and self._samples and self._is_own_archive:
            yield Finding(True, self._branch, "the branch is missing; the next capture restores it")
        last = newest(self._samples)
        until = self._start.commit if self._start else ""
        history = read_history(self._repository, heads.values() or ([last.commit] if last else []), until=until)
        self._trees = {name: commit.tree for name, commit in history.commits.items()}
        not_fetched = {
            parent
            for name in shallow_commits(self._repository)
            if name in history.commits
            for parent in history.commits[name].parents
        }
        for name in history.missing:
            if name not in not_fetched:
                message = f"the history cannot be walked beyond the commit {name[:12]}, which is missing or damaged"
                yield Finding(True, self._branch, message)
        yield from self._on_branch(history)
        yield from lost_changes(self._repository, self._unreferenced, history.commits)
        for commit in history.commits.values():
            if commit.is_change:
                yield from check_change(self._repository, self._folders, commit)
            elif not commit.is_own:
                subject = commit.message.splitlines()[0] if commit.message.strip() else "without a message"
                message = f"a commit that gitsnap did not make, which is not a sample: {subject}"
                yield Finding(False, commit.id[:12], message)

    def _on_branch(self, history: History) -> Iterator[Finding]:
        """Samples whose commits are not on the branch, or for which that is unknown, because history is missing."""
        unknown = 0
        for sample in self._samples:
            if sample.commit in history.commits or self._is_detached_from(sample, history.commits):
                continue
            if history.missing:
                unknown += 1
            else:
                message = f"its commit {sample.commit[:12]} is not on the branch: it was rewritten"
                yield Finding(True, sample.tag, message)
        if unknown:
            samples = plural(unknown, "sample", "is")
            message = f"{samples} of commits that this copy does not lead to: whether the branch has them is unknown"
            yield Finding(False, self._branch, message)

    def _is_detached_from(self, sample: Sample, on_branch: Collection[str]) -> bool:
        """Whether the commit of a detached sample is a child of the commit on the branch that its tag names."""
        base = sample.metadata.detached_from
        if base is None or base not in on_branch:
            return False
        try:
            return read_commit(self._repository, sample.commit).parents == (base,)
        except ArchiveError:
            return False

    # The chain --------------------------------------------------------------------------------------------------------

    def chain(self) -> Iterator[Finding]:
        """Whether each tag names the tag of the previous sample, and whether retention recorded the removed samples."""
        gone = 0
        before: Sample | None = None
        for sample in self._samples:
            own_name = read_tag(self._repository, sample.tag, sample.tag_id).name
            if own_name != sample.tag:
                yield Finding(True, sample.tag, f"was moved: it points at the object of the tag {own_name}")
            metadata = sample.metadata
            if pruned_count(metadata.pruned) is None:
                yield Finding(
                    True,
                    sample.tag,
                    "its line Gitsnap-Pruned is damaged: the number of samples that retention removed is unknown",
                )
            if metadata.detached_from is not None:
                continue
            sequence = metadata.sequence
            expected = before.sequence + 1 if before else 1
            if sample is self._start:
                before = sample
                continue
            if before is not None and sequence == before.sequence:
                yield Finding(True, sample.tag, f"has the number {sequence}, as {before.tag} has")
            elif sequence == expected:
                yield from self._check_previous(before, sample)
            else:
                gone += sequence - expected
                yield from self._gap(before, sample, sequence - expected)
            before = sample
        yield from self._check_recorded(gone)

    def _check_previous(self, before: Sample | None, sample: Sample) -> Iterator[Finding]:
        named, actual = sample.metadata.previous, before.tag_id if before else None
        if named != actual:
            culprit = before.tag if before else sample.tag
            yield Finding(
                True,
                culprit,
                f"was moved or recreated: {sample.tag} names {named or 'no sample'} as the previous sample, "
                f"and its tag is {actual or 'missing'}",
            )

    def _gap(self, before: Sample | None, sample: Sample, count: int) -> Iterator[Finding]:
        """Follow the chain through the objects of ``count`` removed tags, which gitsnap never deletes."""
        named = sample.metadata.previous
        steps = 0
        while named and (before is None or named != before.tag_id) and steps <= count:
            removed = self._read_tag(named)
            if removed is None:
                samples = f"{plural(count, 'sample')} before it {verb_form(count, 'is')}"
                message = f"{samples} not in this copy of the archive, which cannot check them"
                yield Finding(False, sample.tag, message)
                return
            name, metadata = removed
            self._removed.append(name)
            named, steps = metadata.previous, steps + 1
        if named != (before.tag_id if before else None) or steps != count:
            yield Finding(True, sample.tag, "the chain to the previous sample is broken: a tag was moved or recreated")

    def pinned(self, pins: Sequence[str]) -> Iterator[Finding]:
        """Whether each pinned id is that of a sample, or of a removed tag before the first sample."""
        missing = [pin for pin in pins if not any(sample.tag_id.startswith(pin) for sample in self._samples)]
        named: str | None = self._samples[0].metadata.previous if self._samples else None
        while missing and named:
            missing = [pin for pin in missing if not named.startswith(pin)]
            tag = self._read_tag(named)
            named = tag[1].previous if tag else None
        for pin in missing:
            yield missing_pin(self._branch, self._samples, pin)

    def _read_tag(self, tag_id: str) -> tuple[str, SampleMetadata] | None:
        """Name and metadata of a tag object, whether or not a ref names it; None where it cannot be read."""
        try:
            tag = read_tag(self._repository, tag_id, tag_id)
            return tag.name, parse_tag_message(tag.message)
        except ArchiveError:
            return None

    def _check_recorded(self, gone: int) -> Iterator[Finding]:
        """Whether retention recorded the number of samples that are gone, as far as the tags can be followed."""
        if self._start is not None:
            if gone:
                yield Finding(False, self._branch, self._removed_since(gone))
            return
        recorded, forgotten = 0, []
        try:
            unrecorded = unrecorded_samples(self._repository, self._branch, self._samples)
            recorded = len(unrecorded)
            forgotten += unrecorded_forgotten(self._repository, self._branch, unrecorded)
        except ArchiveError as error:
            yield Finding(True, self._branch, error.message)
        followed = True
        last = newest(self._samples)
        metadata: SampleMetadata | None = last.metadata if last else None
        while metadata is not None:
            recorded += pruned_count(metadata.pruned) or 0
            forgotten += parse_forgotten(metadata.extra)
            previous = self._read_tag(metadata.previous) if metadata.previous else None
            followed = followed and (previous is not None or metadata.previous is None)
            metadata = previous[1] if previous else None
        yield from removals_by_users(self._branch, forgotten)
        lost = plural(gone, "sample", "is")
        if gone > recorded and followed:
            names = join_names(sorted(self._removed), most=MOST_NAMED)
            removed = f"only {recorded}" if recorded else "none"
            yield Finding(True, self._branch, f"{lost} missing, and retention removed {removed}: {names}")
        elif gone > recorded:
            message = f"{lost} not here; the samples that are here record {recorded} as removed by retention"
            yield Finding(False, self._branch, message)

    def _removed_since(self, gone: int) -> str:
        """The message for removed samples after the pinned sample: the records of retention do not name samples."""
        lost = "1 later sample was removed" if gone == 1 else f"{gone} later samples were removed"
        names = join_names(sorted(self._removed), most=MOST_NAMED)
        return f"{lost}{f' ({names})' if names else ''}; `gitsnap verify` without --since checks who removed samples"

    # Contents and signatures ------------------------------------------------------------------------------------------

    def contents(self) -> Iterator[Finding]:
        """Whether each sample can be read, and has the digest and the number of objects that its tag records."""
        return check_contents(self._repository, self._branch, self._samples, self._trees, self._progress)

    def signatures(self, allowed_signers: Path) -> Iterator[Finding]:
        """Whether each tag is signed with a key in the file. The bytes of the tag object are verified."""
        signers = AllowedSigners(allowed_signers)
        for number, sample in enumerate(self._samples, start=1):
            self._progress("signatures", number)
            problem = signers.problem(read_object(self._repository, sample.tag_id, f"the tag {sample.tag}")[1])
            if problem:
                yield Finding(True, sample.tag, f"is not signed by anybody in {allowed_signers}: {problem}")
