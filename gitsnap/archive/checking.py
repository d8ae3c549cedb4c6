"""Looks for whatever is wrong with an archive: damage, a broken chain of samples, refs that somebody moved.

It only reads, and goes on after what it finds: one damaged object must not hide another. What it cannot prove it says
as a note (docs/SECURITY.md). This module must not repair anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pygit2

from gitsnap.archive.composing import OWN_COMMIT
from gitsnap.archive.objects import is_cut_off
from gitsnap.archive.reading import GitTree, Problem, newest, read_samples, ref_target
from gitsnap.archive.removal import pending
from gitsnap.archive.trees import Folders
from gitsnap.errors import ArchiveError
from gitsnap.format import parse_tag_message
from gitsnap.git import common_folder, git_settings, run_git
from gitsnap.model import Area, BlobId, Sample, SampleMetadata
from gitsnap.signing import AllowedSigners

_NAMED = 5
"""So many names are listed of what is wrong in the same way."""

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person should know."""

    wrong: bool
    """False for a note: worth knowing, but no damage."""
    subject: str
    """A tag, a commit, a branch, ``git`` or ``working tree``."""
    message: str


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
    found += checker.objects()
    found += checker.branch_and_commits()
    found += checker.chain()
    found += checker.pinned(pinned)
    found += checker.contents()
    if allowed_signers is not None:
        found += checker.signatures(allowed_signers)
    found += checker.working_tree()
    return sorted(dict.fromkeys(found), key=lambda one: not one.wrong)


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

    def objects(self) -> Iterator[Finding]:
        """What git itself says of its objects."""
        self._progress("git fsck", 0)
        done = run_git(
            Path(self._repository.path), "fsck", "--full", "--strict", "--no-dangling", "--no-progress", refs="copied"
        )
        for line in (done.stdout + done.stderr).splitlines():
            if line and not line.startswith("notice:"):
                yield Finding(True, "git", line.removeprefix("error: "))

    def branch_and_commits(self) -> Iterator[Finding]:
        """Whether the branch has every sample's commit, and who else committed to it."""
        try:
            head = ref_target(self._repository, f"refs/heads/{self._branch}")
        except ArchiveError:
            yield Finding(True, self._branch, "the branch's ref is damaged; the next capture puts it back")
            return
        if head is None:
            if self._samples:
                yield Finding(True, self._branch, "the branch is missing; the next capture puts it back")
            return
        objects = Path(self._repository.path) / "objects"
        names = (f"{file.parent.name}{file.name}" for file in objects.glob("??/*"))
        cut_off = next((name for name in names if is_cut_off(objects, name)), None)
        if cut_off is not None:  # libgit2 would read it for ever
            yield Finding(True, self._branch, f"the history was not walked: the end of the object {cut_off} is missing")
            return
        try:
            on_branch = {str(commit.id): commit.message for commit in self._repository.walk(pygit2.Oid(hex=head))}
        except (KeyError, pygit2.GitError) as error:
            yield Finding(True, self._branch, f"the history cannot be walked: {error}")
            return
        for sample in self._samples:
            if sample.commit not in on_branch and not self._is_beside(sample, on_branch):
                yield Finding(
                    True, sample.tag, f"its commit {sample.commit[:12]} is not on the branch: it was rewritten"
                )
        for commit, message in on_branch.items():
            if OWN_COMMIT not in message:
                subject = message.splitlines()[0] if message.strip() else "without a message"
                yield Finding(False, commit[:12], f"a commit by somebody else, which is no sample: {subject}")

    def _is_beside(self, sample: Sample, on_branch: Collection[str]) -> bool:
        """Whether a commit that is not on the branch is where its tag says: a child of one that is."""
        beside = sample.metadata.beside
        if beside is None or beside not in on_branch:
            return False
        commit = self._repository.get(sample.commit)
        return isinstance(commit, pygit2.Commit) and [str(one) for one in commit.parent_ids] == [beside]

    # The chain --------------------------------------------------------------------------------------------------------

    def chain(self) -> Iterator[Finding]:
        """Whether each sample names the one before it, and whether retention accounts for those that are gone."""
        gone = 0
        before: Sample | None = None
        for sample in self._samples:
            own_name = self._repository[sample.tag_id].peel(pygit2.Tag).name
            if own_name != sample.tag:
                yield Finding(True, sample.tag, f"was moved: it points at what was the tag {own_name}")
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
                noun = "sample" if count == 1 else "samples"
                yield Finding(
                    False,
                    sample.tag,
                    f"{count} {noun} before it are gone, and cannot be followed in this copy of the archive",
                )
                return
            self._gone.append(str(self._repository[named].peel(pygit2.Tag).name))
            named, steps = facts.previous, steps + 1
        if named != (before.tag_id if before else None) or steps != count:
            yield Finding(True, sample.tag, "the chain to the sample before it is broken: a tag was moved or made anew")

    def pinned(self, wanted: Sequence[str]) -> Iterator[Finding]:
        """Whether what somebody noted outside of the archive is still part of it: samples or those before them."""
        missing = [one for one in wanted if not any(sample.tag_id.startswith(one) for sample in self._samples)]
        named: str | None = self._samples[0].metadata.previous if self._samples else None
        while missing and named:
            missing = [one for one in missing if not named.startswith(one)]
            facts = self._tag_facts(named)
            named = facts.previous if facts else None
        for one in missing:
            yield Finding(
                True, self._branch, f"no sample has the id {one}: the history it was noted from is another one"
            )

    def _tag_facts(self, tag: str) -> SampleMetadata | None:
        if is_cut_off(Path(self._repository.path) / "objects", tag):
            return None
        try:
            found = self._repository[tag]
            return parse_tag_message(found.message or "") if isinstance(found, pygit2.Tag) else None
        except (KeyError, ValueError, pygit2.GitError, ArchiveError):
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
            told += int(metadata.pruned.split(" ")[0]) if metadata.pruned else 0
            following = self._tag_facts(metadata.previous) if metadata.previous else None
            followed = followed and (following is not None or metadata.previous is None)
            metadata = following
        lost = "1 sample is gone" if gone == 1 else f"{gone} samples are gone"
        if gone > told and followed:
            yield Finding(True, self._branch, f"{lost}, and retention took {told}: {_shortened(sorted(self._gone))}")
        elif gone > told:
            message = f"{lost}; what is left of the chain tells of {told} that retention took"
            yield Finding(False, self._branch, message)

    # What samples hold ------------------------------------------------------------------------------------------------

    def contents(self) -> Iterator[Finding]:
        """Whether each sample reads back, and is what its tag says: samples of one commit are read once."""
        known: dict[str, tuple[str, int] | str] = {}
        for number, sample in enumerate(self._samples, start=1):
            self._progress("samples", number)
            if sample.commit not in known:
                known[sample.commit] = self._content(sample)
            facts = known[sample.commit]
            if isinstance(facts, str):
                yield Finding(True, sample.tag, facts)
            elif facts != (sample.metadata.content_sha256, sample.metadata.objects):
                yield Finding(True, sample.tag, "its content is not what its tag says (Content-SHA256, Objects)")

    def _content(self, sample: Sample) -> tuple[str, int] | str:
        """Hash and number of objects, or what keeps them from being read."""
        tree = GitTree(self._repository, sample.commit, folders=self._folders)
        try:
            if tree.info.policy != sample.metadata.policy:
                return f"its commit is of the policy {tree.info.policy}"
            files = tree.all_files
            digest = hashlib.sha256()
            for path, blob in sorted((path.encode(), blob) for path, blob in files.items()):
                digest.update(path + b"\0" + self._digest(tree, blob).encode() + b"\n")
            return digest.hexdigest(), len(tree.files(Area.CONFIGURATION))
        except ArchiveError as error:
            return error.message

    def _digest(self, tree: GitTree, blob: str) -> str:
        if blob not in self._digests:
            content = tree.read(BlobId(blob))
            self._digests[blob] = hashlib.sha256(content).hexdigest()
        return self._digests[blob]

    def signatures(self, allowed_signers: Path) -> Iterator[Finding]:
        """Whether somebody in the file has signed each tag. The tag's own bytes are verified, never a replacement."""
        signers = AllowedSigners(allowed_signers)
        for number, sample in enumerate(self._samples, start=1):
            self._progress("signatures", number)
            problem = signers.problem(self._repository.odb.read(pygit2.Oid(hex=sample.tag_id))[1])
            if problem:
                yield Finding(True, sample.tag, f"is not signed by anybody in {allowed_signers}: {problem}")

    # The working tree -------------------------------------------------------------------------------------------------

    def working_tree(self) -> Iterator[Finding]:
        """What somebody changed there; gitsnap leaves it alone.

        Git compares: libgit2 may read a damaged tree for ever. Nothing is written, and no program of the settings run.
        """
        if self._repository.is_bare or self._repository.workdir is None:
            return
        self._progress("working tree", 0)
        git_folder = Path(self._repository.path)
        done = run_git(
            git_folder, f"--work-tree={self._repository.workdir}",
            "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all",
            "--ignore-submodules=all",  # git would run in a repository inside the working tree, with its settings
            environment={
                "GIT_OPTIONAL_LOCKS": "0",
                "GIT_INDEX_FILE": f"{git_folder / 'index'}",
                **git_settings({"core.excludesFile": f"{common_folder(git_folder) / 'info' / 'exclude'}"}),
            },
        )  # fmt: skip
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()[-1:] or [f"git ended with {done.returncode}"]
            yield Finding(False, "working tree", f"cannot be compared: {said[0]}")
            return
        changed = sorted(line[3:] for line in done.stdout.split("\0") if line)
        if changed:
            yield Finding(False, "working tree", f"changed by hand, and left alone: {_shortened(changed)}")


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
