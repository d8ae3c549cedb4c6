"""``gitsnap verify``: is the record whole, and is it the one that was written?

This module must not open a cluster.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import options, output
from gitsnap.cli.wiring import ArchiveChoice
from gitsnap.errors import ArchiveError, InputError

if TYPE_CHECKING:
    from gitsnap.archive import Finding


def verify(
    snapshot: options.Snapshot = "",
    storage: options.Storage = None,
    archive: options.ArchivePath = "",
    allowed_signers: Annotated[
        Path | None,
        typer.Option("--allowed-signers", metavar="FILE", help="Every sample must be signed by somebody in it."),
    ] = None,
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """Check archives: every object, the chain of samples, and that each sample holds what its tag says.

    Exit status 5: something is wrong. Without --snapshot, all archives of the storage are checked. Repairs nothing.

    Example: gitsnap verify --storage /collection --output json
    """
    if allowed_signers is not None and not allowed_signers.is_file():
        raise InputError(f"--allowed-signers {allowed_signers}: there is no such file")
    found: dict[str, list[Finding]] = {}
    counts: dict[str, int] = {}
    damaged: list[ArchiveError] = []
    for one in ArchiveChoice(storage, snapshot, archive).all(damaged):
        progress = output.ProgressLine()
        try:
            found[one.policy] = one.check(allowed_signers=allowed_signers, progress=progress)
            counts[one.policy] = len(one.samples())
        finally:
            progress.clear()
    if form is options.Output.TABLE:
        for policy, findings in found.items():
            _print(policy, counts[policy], findings)
    else:
        archives = [
            {
                "policy": policy,
                "samples": counts[policy],
                "findings": [{"wrong": one.wrong, "subject": one.subject, "message": one.message} for one in findings],
            }
            for policy, findings in found.items()
        ]
        output.structured({"kind": "Verification", "archives": archives}, form)
    for error in damaged:
        output.say(f"error: {error}")
    if damaged or any(one.wrong for findings in found.values() for one in findings):
        raise typer.Exit(ArchiveError.exit_code)


def _print(policy: str, samples: int, findings: list[Finding]) -> None:
    wrong = sum(one.wrong for one in findings)
    noun = "sample" if samples == 1 else "samples"
    verdict = f"{wrong} {'finding' if wrong == 1 else 'findings'}" if wrong else "nothing wrong"
    output.result(f"{policy}: {samples} {noun}, {verdict}")
    for one in findings:
        output.result(f"  {'WRONG' if one.wrong else 'note '} {one.subject}: {one.message}")
