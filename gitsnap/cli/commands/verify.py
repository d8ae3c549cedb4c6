"""``gitsnap verify``: is the record whole, and is it the one that was written?

This module must not open a cluster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.resolve import ArchiveChoice
from gitsnap.core.consequences import exit_code_of
from gitsnap.core.errors import EXIT_INCOMPLETE, ArchiveError, InputError, NotFoundError, UsageError
from gitsnap.render import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitsnap.archive import GitArchive
    from gitsnap.archive.completeness import Lack
    from gitsnap.archive.findings import Finding
    from gitsnap.core.model import Sample

_ID = re.compile(r"[0-9a-f]{7,40}")


def verify(
    *,
    archive: ArchiveChoice,
    allowed_signers: Annotated[
        Path | None,
        typer.Option("--allowed-signers", metavar="FILE", help="Every sample must be signed by a key in this file."),
    ] = None,
    remote: Annotated[
        str, typer.Option("--remote", metavar="URL", help="A remote that must hold the same history.")
    ] = "",
    pinned: Annotated[
        list[str] | None,
        typer.Option(
            "--pinned", metavar="ID", help="An id that an earlier verify printed, and that must exist; repeatable."
        ),
    ] = None,
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """Check that archives are whole and as they were written.

    It checks every object, the chain of samples, and that each sample holds what its tag says.

    Each sample proves the samples before it. To prove that nothing was rewritten, the newest sample needs a proof
    from outside of the archive: its signature (--allowed-signers), a remote (--remote), or its id that you noted
    (--pinned).

    Exit status 5: something is wrong. 13: this copy of the archive lacks a part, as a shallow clone does, and the part
    was not checked. Without --snapshot, all archives of the storage are checked. Nothing is repaired.

    Example: gitsnap verify --storage /collection --output json

    Example: gitsnap verify --snapshot hourly --remote ssh://git@git.example.com/platform/record.git
    """
    if allowed_signers is not None and not allowed_signers.is_file():
        raise InputError(f"--allowed-signers {allowed_signers}: there is no such file")
    for noted in pinned or ():
        if not _ID.fullmatch(noted):
            raise UsageError(f"--pinned {noted}: the id of a tag is needed, 7 to 40 hexadecimal digits")
    damaged: list[ArchiveError] = []
    archives = archive.all(damaged)
    if not archives and not damaged:
        raise NotFoundError(
            f"there is no archive in {archive.folder.resolve()}: nothing was verified",
            hint="Name the folder with --storage or GITSNAP_STORAGE.",
        )
    results = [_verified(one, allowed_signers, pinned or (), remote) for one in archives]
    if form is options.Output.TABLE:
        for result in results:
            _print(result)
    else:
        terminal.structured({"kind": "Verification", "archives": [_document(one) for one in results]}, form)
    for error in damaged:
        terminal.say(f"error: {error}")
    if damaged or any(result.wrong for result in results):
        raise typer.Exit(exit_code_of(ArchiveError))
    if any(result.lacking for result in results):
        raise typer.Exit(EXIT_INCOMPLETE)


@dataclass(frozen=True, slots=True)
class _Result:
    """What was found in one archive."""

    policy: str
    samples: Sequence[Sample]
    findings: Sequence[Finding]
    lacking: Sequence[Lack]
    """What this copy of the archive does not have, and what was not checked for that reason."""

    @property
    def wrong(self) -> int:
        """How many findings are no notes."""
        return sum(finding.wrong for finding in self.findings)


def _verified(archive: GitArchive, allowed_signers: Path | None, pinned: Sequence[str], remote: str) -> _Result:
    with terminal.ProgressLine(f"verifying {archive.policy}", says=_checked) as progress:
        samples = archive.samples()
        findings = archive.check(allowed_signers=allowed_signers, pinned=pinned, progress=progress)
        if remote:
            progress("the remote", 0)
            findings += _compared(archive.git_folder, archive.branch, samples, remote)
        findings.sort(key=lambda finding: not finding.wrong)
        lacking = archive.lacks()
        if any(finding.unchecked for finding in findings):
            lacking += [lack for lack in archive.unfetched() if lack not in lacking]
        return _Result(archive.policy, samples, findings, lacking)


def _checked(what: str, count: int) -> str:
    return f"verifying: {count} {what}" if count else f"verifying: {what}"


def _compared(git_folder: Path, branch: str, samples: Sequence[Sample], url: str) -> list[Finding]:
    from gitsnap.archive.remote import Remote
    from gitsnap.archive.remote.verify import compare_history

    return compare_history(git_folder, branch, samples, Remote(url))


def _document(result: _Result) -> dict[str, object]:
    newest = result.samples[-1] if result.samples else None
    return {
        "policy": result.policy,
        "samples": len(result.samples),
        "newest": {"tag": newest.tag, "id": newest.tag_id} if newest else None,
        "findings": [{"wrong": one.wrong, "subject": one.subject, "message": one.message} for one in result.findings],
        "missing": [terminal.lack_document(lack) for lack in result.lacking],
    }


def _print(result: _Result) -> None:
    count = len(result.samples)
    noun = "sample" if count == 1 else "samples"
    whole = "nothing wrong in the part that is here" if result.lacking else "nothing wrong"
    verdict = f"{result.wrong} {'finding' if result.wrong == 1 else 'findings'}" if result.wrong else whole
    newest = f", newest {result.samples[-1].tag_id}" if result.samples else ""
    terminal.result(f"{result.policy}: {count} {noun}{newest}, {verdict}")
    for one in result.findings:
        terminal.result(one_line(f"  {'WRONG' if one.wrong else 'note '} {one.subject}: {one.message}"))
    for lack in result.lacking:
        terminal.result(f"  missing {lack.what}: {lack}")
