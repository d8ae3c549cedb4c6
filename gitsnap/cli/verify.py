"""``gitsnap verify``: is the record whole, and is it the one that was written?

This module must not open a cluster.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import options, output
from gitsnap.cli.wiring import ArchiveChoice
from gitsnap.errors import ArchiveError, InputError, UsageError
from gitsnap.render import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitsnap.archive.checking import Finding
    from gitsnap.model import Sample

_ID = re.compile(r"[0-9a-f]{7,40}")


def verify(
    *,
    archive: ArchiveChoice,
    allowed_signers: Annotated[
        Path | None,
        typer.Option("--allowed-signers", metavar="FILE", help="Every sample must be signed by somebody in it."),
    ] = None,
    remote: Annotated[
        str, typer.Option("--remote", metavar="URL", help="A remote that must hold the same history.")
    ] = "",
    pinned: Annotated[
        list[str] | None,
        typer.Option("--pinned", metavar="ID", help="A newest id as printed earlier, that must be there; repeatable."),
    ] = None,
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """Check that archives are whole and as they were written.

    Every object, the chain of samples, and that each sample holds what its tag says.

    Each sample vouches for those before it. For the newest one, only something outside of the archive can: its
    signature (--allowed-signers), a remote (--remote), or its id that you noted (--pinned).

    Exit status 5: something is wrong. Without --snapshot, all archives of the storage are checked. Repairs nothing.

    Example: gitsnap verify --storage /collection --output json

    Example: gitsnap verify --snapshot hourly --remote ssh://git@git.example.com/platform/record.git
    """
    if allowed_signers is not None and not allowed_signers.is_file():
        raise InputError(f"--allowed-signers {allowed_signers}: there is no such file")
    for noted in pinned or ():
        if not _ID.fullmatch(noted):
            raise UsageError(f"--pinned {noted}: the id of a tag is needed, 7 to 40 hexadecimal digits")
    found: dict[str, list[Finding]] = {}
    samples: dict[str, Sequence[Sample]] = {}
    damaged: list[ArchiveError] = []
    for one in archive.all(damaged):
        with output.ProgressLine(f"verifying {one.policy}", says=_checked) as progress:
            samples[one.policy] = one.samples()
            findings = one.check(allowed_signers=allowed_signers, pinned=pinned or (), progress=progress)
            if remote:
                progress("the remote", 0)
                findings += _compared(one.git_folder, one.branch, samples[one.policy], remote)
            found[one.policy] = sorted(findings, key=lambda finding: not finding.wrong)
    if form is options.Output.TABLE:
        for policy, findings in found.items():
            _print(policy, samples[policy], findings)
    else:
        archives = [_document(policy, samples[policy], findings) for policy, findings in found.items()]
        output.structured({"kind": "Verification", "archives": archives}, form)
    for error in damaged:
        output.say(f"error: {error}")
    if damaged or any(one.wrong for findings in found.values() for one in findings):
        raise typer.Exit(ArchiveError.exit_code)


def _checked(what: str, count: int) -> str:
    return f"verifying: {count} {what}" if count else f"verifying: {what}"


def _compared(git_folder: Path, branch: str, samples: Sequence[Sample], url: str) -> list[Finding]:
    from gitsnap.remote import Remote
    from gitsnap.remote.comparing import compare_history

    return compare_history(git_folder, branch, samples, Remote(url))


def _document(policy: str, samples: Sequence[Sample], findings: list[Finding]) -> dict[str, object]:
    return {
        "policy": policy,
        "samples": len(samples),
        "newest": {"tag": samples[-1].tag, "id": samples[-1].tag_id} if samples else None,
        "findings": [{"wrong": one.wrong, "subject": one.subject, "message": one.message} for one in findings],
    }


def _print(policy: str, samples: Sequence[Sample], findings: list[Finding]) -> None:
    wrong = sum(one.wrong for one in findings)
    noun = "sample" if len(samples) == 1 else "samples"
    verdict = f"{wrong} {'finding' if wrong == 1 else 'findings'}" if wrong else "nothing wrong"
    newest = f", newest {samples[-1].tag_id}" if samples else ""
    output.result(f"{policy}: {len(samples)} {noun}{newest}, {verdict}")
    for one in findings:
        output.result(one_line(f"  {'WRONG' if one.wrong else 'note '} {one.subject}: {one.message}"))
