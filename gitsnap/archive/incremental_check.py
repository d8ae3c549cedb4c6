"""Verifies the samples from a pinned sample on. The user noted the id of this sample after an earlier verification.

The cost depends on the number of these samples, not on the length of the history. docs/SECURITY.md describes what such
a verification proves. This module must not write or repair anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pygit2

from gitsnap.archive.change_findings import unproved_changes
from gitsnap.archive.findings import Finding, changed_files, missing_pin, printable
from gitsnap.archive.reader import list_tags, newest, read_tagged_samples
from gitsnap.archive.tag_objects import read_tag
from gitsnap.archive.verify import Verifier, unreadable
from gitsnap.core.errors import ArchiveError, InputError
from gitsnap.core.model import CommitId, Sample, TagId
from gitsnap.format import parse_tag_message


@dataclass(frozen=True, slots=True)
class IncrementalCheck:
    """The result for one archive."""

    start: Sample | None
    """The pinned sample; None if the archive does not have it."""
    samples: Sequence[Sample]
    """The pinned sample and the samples after it."""
    findings: list[Finding]
    """The errors, then the notes. Each finding appears once."""


def check_since(
    repository: pygit2.Repository,
    branch: str,
    listed: Sequence[Sample],
    pin: str,
    *,
    allowed_signers: Path | None,
    progress: Callable[[str, int], None],
) -> IncrementalCheck:
    """Verify the pinned sample, the samples after it, and the chain between them.

    Args:
        repository: The repository of the archive.
        branch: The branch of the archive.
        listed: All samples in their order, as other commands use them. Their metadata is not trusted.
        pin: The id of the tag of the pinned sample, or the beginning of this id.
        allowed_signers: As in ``verify.check``.
        progress: As in ``verify.check``.

    Raises:
        InputError: The pinned sample is a detached one, to which the chain does not lead.
        StorageError: The refs cannot be read, or git is not installed.
        SecretsError: ssh-keygen is needed and not installed.
    """
    tags = dict(list_tags(repository, branch))
    start = _read_pinned(repository, tags, pin)
    if start is None:
        return IncrementalCheck(None, (), [missing_pin(branch, listed, pin)])
    if start.metadata.detached_from is not None:
        raise InputError(
            f"--since {pin}: {start.tag} was taken in a copy of the archive, so the chain does not lead to it",
            hint="Give the id of another sample.",
        )
    # A sample is checked if any command takes it for a later one: by its number in the index, or by the time in its
    # name.
    later = {sample.tag for sample in takewhile(lambda sample: sample.sequence > start.sequence, reversed(listed))}
    later |= {name for name in tags if name > start.tag}
    read, problems = read_tagged_samples(repository, [(name, tags[name]) for name in later if name in tags])
    after = [sample for sample in read if sample.sequence > start.sequence and sample.tag_id != start.tag_id]
    after = sorted([*after, *_hidden(repository, tags, after, start)], key=lambda sample: sample.order)
    verifier = Verifier(repository, branch, [start, *after], progress, start=start)
    findings = [unreadable(problem) for problem in problems]
    findings += verifier.refs()
    findings += verifier.branch_and_commits()
    findings += unproved_changes(repository, branch, newest([start, *after]))
    findings += verifier.chain()
    findings += verifier.contents()
    if allowed_signers is not None:
        findings += verifier.signatures(allowed_signers)
    progress("working tree", 0)
    findings += changed_files(repository)
    ordered = sorted(dict.fromkeys(map(printable, findings)), key=lambda finding: not finding.wrong)
    return IncrementalCheck(start, (start, *after), ordered)


def _read_pinned(repository: pygit2.Repository, tags: Mapping[str, str], pin: str) -> Sample | None:
    """The pinned sample, also if retention removed its tag: gitsnap never deletes the object of a tag."""
    found = sorted((target, name) for name, target in tags.items() if target.startswith(pin))
    target, name = found[0] if found else (pin, "")
    try:
        tag = read_tag(repository, name or target, target)
        return Sample(name or tag.name, TagId(target), CommitId(tag.commit), parse_tag_message(tag.message))
    except ArchiveError:
        return None


def _hidden(
    repository: pygit2.Repository, tags: Mapping[str, str], after: Sequence[Sample], start: Sample
) -> list[Sample]:
    """The samples on the chain that neither their numbers nor their names show to be later."""
    names = {target: name for name, target in tags.items()}
    known = {sample.tag_id: sample for sample in after}
    last = newest(after)
    found: list[Sample] = []
    seen: set[str] = {start.tag_id}
    previous = last.metadata.previous if last else None
    while previous is not None and previous not in seen:
        seen.add(previous)
        sample = known.get(previous)
        if sample is None:
            sample = _read_pinned(repository, {names[previous]: previous} if previous in names else {}, previous)
            if sample is not None and previous in names and sample.sequence > start.sequence:
                found.append(sample)
        previous = sample.metadata.previous if sample else None
    return found
