"""``gitsnap verify``: check that archives are complete and unchanged.

This module must not open a cluster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.headings import say_heading
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.core.consequences import exit_code_of
from gitsnap.core.errors import EXIT_INCOMPLETE, ArchiveError, InputError, NotFoundError, UsageError
from gitsnap.core.text import plural
from gitsnap.render import one_line, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitsnap.archive import GitArchive
    from gitsnap.archive.completeness import MissingPart
    from gitsnap.archive.findings import Finding
    from gitsnap.core.model import Sample

_ID = re.compile(r"[0-9a-f]{7,40}")


_AllowedSigners = Annotated[
    Path | None,
    typer.Option(
        "--allowed-signers",
        metavar="FILE",
        help="Every sample must be signed by a key in this file, whose lines are `NAME KEY`.",
    ),
]
_Remote = Annotated[str, typer.Option("--remote", metavar="URL", help="Remote that must have the same history.")]
_Pinned = Annotated[
    list[str] | None,
    typer.Option("--pinned", metavar="ID", help="Id that an earlier verify printed, and that must exist; repeatable."),
]
_Since = Annotated[
    str,
    typer.Option(
        "--since",
        metavar="ID",
        help="Check only the sample with this id, which an earlier verify printed, and the samples after it.",
    ),
]


def verify(
    *,
    archive: ArchiveOptions,
    allowed_signers: _AllowedSigners = None,
    remote: _Remote = "",
    pinned: _Pinned = None,
    since: _Since = "",
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Verify that archives are complete and unchanged.

    Without --snapshot, all archives of the storage are checked: every object, the chain of samples, and whether each
    sample has the content that its tag names. Nothing is repaired.

    Each sample proves the samples and the changes before it. The newest sample needs a proof from outside the archive:
    its signature (--allowed-signers), a remote (--remote), or an id that you noted earlier (--pinned). Without such a
    proof, a rewritten archive is not detected.

    With --since ID, the verification continues an earlier one: it checks the sample with this id, the samples after
    it, and the chain and the branch between them. The id proves which samples and changes came before. Their objects
    and tags are not read again, so damage to them is not found.

    Exit status 5: something is wrong. Exit status 13: this copy of the archive lacks a part, as a shallow clone does,
    and the part was not checked.

    Example: gitsnap verify --storage /collection --output json

    Example: gitsnap verify --snapshot hourly --remote ssh://git@git.example.com/platform/record.git

    Example: gitsnap verify --snapshot hourly --since 7f3a9c51
    """
    if allowed_signers is not None and not allowed_signers.is_file():
        raise InputError(f"--allowed-signers {allowed_signers}: there is no such file")
    for option, tag_id in [("--pinned", tag_id) for tag_id in pinned or ()] + ([("--since", since)] if since else []):
        if not _ID.fullmatch(tag_id):
            raise UsageError(f"{option} {tag_id}: the id of a tag is needed, 7 to 40 hexadecimal digits")
    if since and pinned:
        raise UsageError("--since and --pinned exclude each other: --since does not check the samples before the id")
    damaged: list[ArchiveError] = []
    archives = archive.find_all(damaged)
    if not archives and not damaged:
        raise NotFoundError(
            f"there is no archive in {archive.folder.resolve()}: nothing was verified",
            hint="Name the folder with --storage or GITSNAP_STORAGE.",
        )
    if since and len(archives) + len(damaged) > 1:
        raise UsageError("--since is the id of a sample of one archive: name the archive with --snapshot")
    pins = tuple(dict.fromkeys(pinned or ()))
    results = [_verify(opened, allowed_signers, pins, since, remote) for opened in archives]
    proofs = _Proofs(allowed_signers, pins, since, remote)
    _report(archives, results, proofs, form)
    for error in damaged:
        terminal.say(f"error: {error}")
    if damaged or any(result.wrong for result in results):
        raise typer.Exit(exit_code_of(ArchiveError))
    if any(result.lacking for result in results):
        raise typer.Exit(EXIT_INCOMPLETE)


@dataclass(frozen=True, slots=True)
class _Result:
    """The result for one archive."""

    policy: str
    samples: Sequence[Sample]
    """The samples that were checked."""
    since: Sample | None
    """The sample with the id of --since."""
    changes: int
    """The number of changes that follow mode recorded, with --since those after that sample."""
    findings: Sequence[Finding]
    lacking: Sequence[MissingPart]
    """The parts that this copy of the archive lacks. These parts were not checked."""

    @property
    def wrong(self) -> int:
        """The number of findings that are errors, not notes."""
        return sum(finding.wrong for finding in self.findings)


def _report(archives: Sequence[GitArchive], results: Sequence[_Result], proofs: _Proofs, form: terminal.Output) -> None:
    if form is not terminal.Output.TABLE:
        documents = [_document(result, proofs) for result in results]
        terminal.print_document({"kind": "Verification", "archives": documents}, form)
        return
    for opened, result in zip(archives, results, strict=True):
        say_heading(f"the archive {opened.source}, checked by {proofs.described}")
        _print(result)
    if archives and proofs.names == ["chain"]:
        say_heading(
            "note: the chain alone does not prove which sample is the newest, nor that nobody replaced the history: "
            "--remote, --pinned and --allowed-signers do"
        )


@dataclass(frozen=True, slots=True)
class _Proofs:
    """What an archive was checked by, in the words of docs/SECURITY.md."""

    allowed_signers: Path | None
    pinned: tuple[str, ...]
    since: str
    remote: str

    @property
    def names(self) -> list[str]:
        """The proofs, in the order of the document."""
        further = (("pin", bool(self.pinned or self.since)), ("signature", self.allowed_signers is not None))
        return ["chain", *(name for name, used in (*further, ("remote", bool(self.remote))) if used)]

    @property
    def described(self) -> str:
        """The proofs with their sources. A URL is shown without credentials."""
        from gitsnap.archive.remote import Remote

        sources = {
            "chain": f" since the pin {self.since}" if self.since else "",
            "pin": " " + ", ".join(self.pinned),
            "signature": f" {self.allowed_signers}",
            "remote": f" {Remote(self.remote).shown}",
        }
        return "; ".join(name + sources[name] for name in self.names if name != "pin" or self.pinned)


def _verify(
    archive: GitArchive, allowed_signers: Path | None, pinned: Sequence[str], since: str, remote: str
) -> _Result:
    with terminal.ProgressLine(f"verifying {archive.policy}", describe=_describe_checking) as progress:
        samples, start = archive.samples(), None
        if since:
            incremental = archive.check_since(since, allowed_signers=allowed_signers, progress=progress)
            checked, start, findings = incremental.samples, incremental.start, incremental.findings
        else:
            checked = samples
            findings = archive.check(allowed_signers=allowed_signers, pinned=pinned, progress=progress)
        if remote:
            progress("the remote", 0)
            findings += _compare_with_remote(archive.git_folder, archive.branch, samples, remote)
        findings.sort(key=lambda finding: not finding.wrong)
        lacking = archive.missing_parts()
        if any(finding.unchecked for finding in findings):
            lacking += [part for part in archive.missing_contents() if part not in lacking]
        changes = 0 if since and start is None else _count_changes(archive, start)
        return _Result(archive.policy, checked, start, changes, findings, lacking)


def _count_changes(archive: GitArchive, after: Sample | None) -> int:
    try:
        return len(archive.changes(after, None))
    except ArchiveError:  # the damaged ref of the branch is a finding
        return 0


def _describe_checking(subject: str, count: int) -> str:
    return f"verifying: {count} {subject}" if count else f"verifying: {subject}"


def _compare_with_remote(git_folder: Path, branch: str, samples: Sequence[Sample], url: str) -> list[Finding]:
    from gitsnap.archive.remote import Remote
    from gitsnap.archive.remote.verify import compare_history

    return compare_history(git_folder, branch, samples, Remote(url))


def _document(result: _Result, proofs: _Proofs) -> dict[str, object]:
    return {
        "policy": result.policy,
        "samples": len(result.samples),
        "since": _reference(result.since),
        "changes": result.changes,
        "newest": _reference(result.samples[-1] if result.samples else None),
        "proofs": proofs.names,
        "findings": [
            {"wrong": finding.wrong, "subject": finding.subject, "message": finding.message}
            for finding in result.findings
        ],
        "missing": [terminal.missing_part_document(part) for part in result.lacking],
    }


def _reference(sample: Sample | None) -> dict[str, object] | None:
    return None if sample is None else {"tag": sample.tag, "id": sample.tag_id}


def _print(result: _Result) -> None:
    whole = "nothing wrong in the part that is here" if result.lacking else "nothing wrong"
    whole += f" since {result.since.tag}" if result.since is not None else ""
    verdict = plural(result.wrong, "finding") if result.wrong else whole
    newest = f", newest {result.samples[-1].tag_id}" if result.samples else ""
    counts = plural(len(result.samples), "sample") + (f", {plural(result.changes, 'change')}" if result.changes else "")
    terminal.print_result(wrapped(f"{result.policy}: {counts}{newest}, {verdict}", terminal.width()), safe=True)
    for finding in result.findings:  # neither these lines nor the next are wrapped: they may have a command to copy
        label = "WRONG" if finding.wrong else "note "
        terminal.print_result(one_line(f"  {label} {finding.subject}: {finding.message}"))
    for part in result.lacking:
        terminal.print_result(f"  missing {part.category}: {part}")
