"""Looks for whatever is wrong with an archive: damage, a broken chain of samples, refs that somebody moved.

It only reads, and goes on after what it finds: one damaged object must not hide another. What it cannot prove it says
as a note (docs/SECURITY.md). This module must not repair anything.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import pygit2

from gitsnap.archive.commit_objects import History, history_of, read_commit
from gitsnap.archive.completeness import Lack, is_clone, is_partial, shallow_commits
from gitsnap.archive.findings import Finding, changed_files, shortened
from gitsnap.archive.missing_samples import lacks
from gitsnap.archive.object_reader import read_blob, read_object
from gitsnap.archive.reader import GitTree, Problem, newest, read_samples
from gitsnap.archive.refs import TAGS, branch_heads, read_refs, refs_below
from gitsnap.archive.removal import pending
from gitsnap.archive.tag_objects import read_tag
from gitsnap.archive.trees import Folders
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import Area, BlobId, Sample, SampleMetadata
from gitsnap.format import parse_tag_message, pruned_count
from gitsnap.git.process import common_folder, git_settings, run_git
from gitsnap.git.signing import AllowedSigners

_REMARKS = ("notice:", "hint:")
"""Lines of git that tell of no damage."""

_PROMISED = {"remote.origin.promisor": "true"}
"""With it git takes contents that a partial clone did not fetch for no damage. No remote is asked for them."""

Progress = Callable[[str, int], None]


def check(
    repository: pygit2.Repository,
    branch: str,
    *,
    allowed_signers: Path | None = None,
    pinned: Sequence[str] = (),
    progress: Progress = lambda _what, _count: None,
) -> list[Finding]:
    """Everything that is wrong, then what is worth knowing; each once, in the order of samples.

    ``allowed_signers``: a file as ssh-keygen(1) describes it; every sample must be signed by somebody in it.
    ``pinned``: ids of tags that were noted earlier, and that the chain must hold.
    """
    samples, problems = read_samples(repository, branch)
    checker = _Checker(repository, branch, samples, progress)
    found = [_unreadable(one) for one in problems]
    found += checker.refs()
    found += checker.objects()
    found += checker.branch_and_commits()
    found += checker.chain()
    found += checker.pinned(pinned)
    found += checker.contents()
    if allowed_signers is not None:
        found += checker.signatures(allowed_signers)
    progress("working tree", 0)
    found += changed_files(repository)
    return sorted(dict.fromkeys(map(_printable, found)), key=lambda one: not one.wrong)


def _printable(finding: Finding) -> Finding:
    """The finding without bytes that are not UTF-8, which names from outside may have."""
    subject, message = (text.encode("utf-8", "replace").decode() for text in (finding.subject, finding.message))
    return replace(finding, subject=subject, message=message)


def _unreadable(problem: Problem) -> Finding:
    return Finding(True, problem.tag, f"cannot be read as a sample: {problem.reason}")


class _Checker:
    def __init__(
        self, repository: pygit2.Repository, branch: str, samples: Sequence[Sample], progress: Progress
    ) -> None:
        self._repository = repository
        self._branch = branch
        self._samples = samples
        self._progress = progress
        self._folders = Folders(repository)
        self._digests: dict[str, str] = {}
        self._gone: list[str] = []
        """Names of tags that the chain leads through and that are not there, as far as their objects are."""

    # Refs and objects -------------------------------------------------------------------------------------------------

    def refs(self) -> Iterator[Finding]:
        """Whether all refs can be seen, whether there is a sample at all, and what git shows in place of the record."""
        git_folder = Path(self._repository.path)
        if damaged := read_refs(git_folder, TAGS).damaged_line:
            message = f"is damaged at line {damaged}: refs after this line cannot be read, and were not checked"
            yield Finding(True, "packed-refs", message)
        elif not self._samples:
            yield Finding(True, self._branch, self._without_samples())
        elif self._is_own_archive:
            for lack in self._lacks:
                if lack.what == "samples":
                    yield Finding(True, self._branch, lack.message)
        try:
            self._repository.lookup_reference("HEAD")
        except (KeyError, ValueError, pygit2.GitError):
            yield Finding(
                True, "HEAD", f"is damaged: write the line `ref: refs/heads/{self._branch}` into the file HEAD"
            )
        replaced = refs_below(git_folder, "refs/replace/")
        if replaced or self._has_grafts():
            what = "refs below refs/replace/" if replaced else "grafts in the file info/grafts"
            message = f"{what} make git show another history; gitsnap reads and checks the history as it was written"
            yield Finding(False, "git", message)

    @cached_property
    def _lacks(self) -> list[Lack]:
        try:
            return lacks(self._repository, self._branch, self._samples, newest(self._samples), damaged_line=0)
        except ArchiveError:  # a damaged ref, which is a finding of its own
            return []

    @property
    def _is_own_archive(self) -> bool:
        """Whether gitsnap made this repository. Otherwise it is a clone, which may lack tags without any damage."""
        return not is_clone(self._repository)

    def _without_samples(self) -> str:
        missing = any(lack.what == "samples" for lack in self._lacks)
        return f"no sample {'is here' if missing else 'was taken yet'}: there is nothing to verify"

    def _has_grafts(self) -> bool:
        try:
            return bool((common_folder(Path(self._repository.path)) / "info" / "grafts").read_bytes().strip())
        except OSError:
            return False

    def objects(self) -> Iterator[Finding]:
        """What git itself says of its objects. The index is none of them, and a damaged one must not stop the check."""
        self._progress("git fsck", 0)
        done = run_git(
            Path(self._repository.path), "fsck", "--full", "--strict", "--no-dangling", "--no-progress", refs="copied",
            environment=git_settings(_PROMISED) if self._is_partial else None,
        )  # fmt: skip
        said = [line for line in (done.stdout + done.stderr).splitlines() if line and not line.startswith(_REMARKS)]
        for line in said or ([f"git fsck ended with {done.returncode}"] if done.returncode else []):
            yield Finding(True, "git", line.removeprefix("error: "))

    def branch_and_commits(self) -> Iterator[Finding]:
        """Whether the branch has every sample's commit, and who else committed to it."""
        try:
            heads = branch_heads(self._repository, self._branch)
        except ArchiveError:
            yield Finding(True, self._branch, "the branch's ref is damaged; the next capture puts it back")
            return
        if not heads and self._samples and self._is_own_archive:
            yield Finding(True, self._branch, "the branch is missing; the next capture puts it back")
        last = newest(self._samples)
        history = history_of(self._repository, heads.values() or ([last.commit] if last else []))
        expected = {
            parent
            for commit in shallow_commits(self._repository)
            if commit in history.commits
            for parent in history.commits[commit].parents
        }
        for commit in history.missing:
            if commit not in expected:
                message = f"the history cannot be walked beyond the commit {commit[:12]}, which is missing or damaged"
                yield Finding(True, self._branch, message)
        yield from self._on_branch(history)
        for own in history.commits.values():
            if not own.is_own:
                subject = own.message.splitlines()[0] if own.message.strip() else "without a message"
                yield Finding(False, own.id[:12], f"a commit by somebody else, which is no sample: {subject}")

    def _on_branch(self, history: History) -> Iterator[Finding]:
        """Samples whose commits the branch does not have, or is not known to have where its history ends early."""
        unknown = 0
        for sample in self._samples:
            if sample.commit in history.commits or self._is_beside(sample, history.commits):
                continue
            if history.missing:
                unknown += 1
            else:
                message = f"its commit {sample.commit[:12]} is not on the branch: it was rewritten"
                yield Finding(True, sample.tag, message)
        if unknown:
            noun = "sample is" if unknown == 1 else "samples are"
            message = (
                f"{unknown} {noun} of commits that this copy does not lead to: whether the branch has them is unknown"
            )
            yield Finding(False, self._branch, message)

    def _is_beside(self, sample: Sample, on_branch: Collection[str]) -> bool:
        """Whether a commit that is not on the branch is where its tag says: a child of one that is."""
        beside = sample.metadata.beside
        if beside is None or beside not in on_branch:
            return False
        try:
            return read_commit(self._repository, sample.commit).parents == (beside,)
        except ArchiveError:
            return False

    # The chain --------------------------------------------------------------------------------------------------------

    def chain(self) -> Iterator[Finding]:
        """Whether each sample names the one before it, and whether retention accounts for those that are gone."""
        gone = 0
        before: Sample | None = None
        for sample in self._samples:
            own_name = read_tag(self._repository, sample.tag, sample.tag_id).name
            if own_name != sample.tag:
                yield Finding(True, sample.tag, f"was moved: it points at what was the tag {own_name}")
            if pruned_count(sample.metadata.pruned) is None:
                yield Finding(
                    True,
                    sample.tag,
                    "its line Gitsnap-Pruned is damaged: the number of samples that retention removed is unknown",
                )
            if sample.metadata.beside is not None:
                continue
            sequence = sample.metadata.sequence
            expected = before.metadata.sequence + 1 if before else 1
            if before is not None and sequence == before.metadata.sequence:
                yield Finding(True, sample.tag, f"has the number {sequence}, as {before.tag} has")
            elif sequence == expected:
                yield from self._neighbours(before, sample)
            else:
                gone += sequence - expected
                yield from self._gap(before, sample, sequence - expected)
            before = sample
        yield from self._accounted(gone)

    def _neighbours(self, before: Sample | None, sample: Sample) -> Iterator[Finding]:
        named, there = sample.metadata.previous, before.tag_id if before else None
        if named != there:
            culprit = before.tag if before else sample.tag
            yield Finding(
                True,
                culprit,
                f"was moved or made anew: {sample.tag} names {named or 'no sample'} as the one before it, "
                f"and the tag is {there or 'not there'}",
            )

    def _gap(self, before: Sample | None, sample: Sample, count: int) -> Iterator[Finding]:
        """Tags that are gone can still be followed where git keeps their objects, which gitsnap never removes."""
        named = sample.metadata.previous
        steps = 0
        while named and (before is None or named != before.tag_id) and steps <= count:
            facts = self._tag_facts(named)
            if facts is None:
                samples = "1 sample before it is" if count == 1 else f"{count} samples before it are"
                yield Finding(
                    False,
                    sample.tag,
                    f"{samples} not in this copy of the archive, which cannot check them",
                )
                return
            self._gone.append(facts[0])
            named, steps = facts[1].previous, steps + 1
        if named != (before.tag_id if before else None) or steps != count:
            yield Finding(True, sample.tag, "the chain to the sample before it is broken: a tag was moved or made anew")

    def pinned(self, wanted: Sequence[str]) -> Iterator[Finding]:
        """Whether what somebody noted outside of the archive is still part of it: samples or those before them."""
        missing = [one for one in wanted if not any(sample.tag_id.startswith(one) for sample in self._samples)]
        named: str | None = self._samples[0].metadata.previous if self._samples else None
        while missing and named:
            missing = [one for one in missing if not named.startswith(one)]
            facts = self._tag_facts(named)
            named = facts[1].previous if facts else None
        for one in missing:
            yield Finding(
                True,
                self._branch,
                f"no sample has the id {one}: the history was rewritten, or the id belongs to another archive",
            )

    def _tag_facts(self, tag: str) -> tuple[str, SampleMetadata] | None:
        """Name and content of a sample's tag, whether or not a ref names it; None where the object is not here."""
        try:
            found = read_tag(self._repository, tag, tag)
            return found.name, parse_tag_message(found.message)
        except ArchiveError:
            return None

    def _accounted(self, gone: int) -> Iterator[Finding]:
        """As many samples as are gone must have been taken by retention, as far as the tags can tell."""
        try:
            told = len(pending(self._repository, self._branch, self._samples))
        except ArchiveError as error:
            yield Finding(True, self._branch, error.message)
            told = 0
        followed = True
        last = newest(self._samples)
        metadata: SampleMetadata | None = last.metadata if last else None
        while metadata is not None:
            told += pruned_count(metadata.pruned) or 0
            following = self._tag_facts(metadata.previous) if metadata.previous else None
            followed = followed and (following is not None or metadata.previous is None)
            metadata = following[1] if following else None
        lost = "1 sample is gone" if gone == 1 else f"{gone} samples are gone"
        if gone > told and followed:
            yield Finding(True, self._branch, f"{lost}, and retention took {told}: {shortened(sorted(self._gone))}")
        elif gone > told:
            here = "1 sample is not here" if gone == 1 else f"{gone} samples are not here"
            message = f"{here}; the samples that are here record {told} as removed by retention"
            yield Finding(False, self._branch, message)

    # What samples hold ------------------------------------------------------------------------------------------------

    @cached_property
    def _is_partial(self) -> bool:
        """Whether contents may be missing without any damage. Git's own check finds damaged ones all the same."""
        return is_partial(self._repository)

    def contents(self) -> Iterator[Finding]:
        """Whether each sample reads back, and is what its tag says: samples of one commit are read once."""
        known: dict[str, tuple[str, int] | str] = {}
        unread = 0
        for number, sample in enumerate(self._samples, start=1):
            self._progress("samples", number)
            if sample.commit not in known:
                known[sample.commit] = self._content(sample)
            facts = known[sample.commit]
            if isinstance(facts, str) and self._is_partial:
                unread += 1
            elif isinstance(facts, str):
                yield Finding(True, sample.tag, facts)
            elif facts != (sample.metadata.content_sha256, sample.metadata.objects):
                yield Finding(True, sample.tag, "its content is not what its tag says (Content-SHA256, Objects)")
        if unread:
            samples = "1 sample" if unread == 1 else f"{unread} samples"
            message = f"{samples} could not be read back, since contents were not fetched"
            yield Finding(False, self._branch, message, unchecked=True)

    def _content(self, sample: Sample) -> tuple[str, int] | str:
        """Hash and number of objects, or what keeps them from being read."""
        tree = GitTree(self._repository, sample.commit, folders=self._folders)
        self._folders.irregular.clear()
        try:
            if tree.info.policy != sample.metadata.policy:
                return f"its commit is of the policy {tree.info.policy}"
            files = tree.all_files
            digest = hashlib.sha256()
            for path, blob in sorted((os.fsencode(path), blob) for path, blob in files.items()):
                digest.update(path + b"\0" + self._digest(blob).encode() + b"\n")
            if self._folders.irregular:
                listed = shortened(sorted(self._folders.irregular))
                return f"its tree holds what is neither a file nor a folder: {listed}"
            return digest.hexdigest(), len(tree.files(Area.CONFIGURATION))
        except ArchiveError as error:
            return error.message

    def _digest(self, blob: BlobId) -> str:
        if blob not in self._digests:
            content = read_blob(self._repository, blob)
            self._digests[blob] = hashlib.sha256(content).hexdigest()
        return self._digests[blob]

    def signatures(self, allowed_signers: Path) -> Iterator[Finding]:
        """Whether somebody in the file has signed each tag. The tag's own bytes are verified, never a replacement."""
        signers = AllowedSigners(allowed_signers)
        for number, sample in enumerate(self._samples, start=1):
            self._progress("signatures", number)
            problem = signers.problem(read_object(self._repository, sample.tag_id, f"the tag {sample.tag}")[1])
            if problem:
                yield Finding(True, sample.tag, f"is not signed by anybody in {allowed_signers}: {problem}")
