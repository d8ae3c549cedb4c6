"""``gitsnap list``: the samples of one archive, or of all.

This module must not open a cluster.
"""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.resolve import ArchiveChoice
from gitsnap.core.consequences import exit_code_of
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import Consistency, IncompleteKind, Sample
from gitsnap.render import render_table

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.archive.completeness import Lack

LEAST = {"date": terminal.DATE_COLUMNS, "snapshot policy": len("snapshot"), "complete": len("complete"), "commit": 6}
"""The least width of columns on a narrow terminal. Dates never wrap."""


def list_samples(
    *,
    archive: ArchiveChoice,
    wide: Annotated[
        bool, typer.Option("--wide", "-w", help="Also what changed, objects, completeness, commit, marks.")
    ] = False,
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """List samples, oldest first. Dates are in UTC.

    Example: gitsnap list --snapshot hourly --wide
    """
    damaged: list[ArchiveError] = []
    archives = archive.all(damaged)
    listings = [(one.policy, *one.listing()) for one in archives]
    samples = [(policy, sample) for policy, found, _ in listings for sample in found]
    kept = {tag for one in archives for tag in one.marked()}
    lacking = [lack for one in archives for lack in _said_lacks(one)]
    for policy, _, problems in listings:
        for problem in problems:
            terminal.say(f"warning: {policy}: the tag {problem.tag} cannot be read: {problem.reason}")
    if form is not options.Output.TABLE:
        listed = [{**describe(sample), "kept": sample.tag in kept} for _, sample in samples]
        terminal.structured({"kind": "SampleList", "samples": listed}, form)
    else:
        header = ["snapshot policy", "date"]
        if wide:
            header += ["changes", "objects", "complete", "commit", "trigger", "kept"]
        rows = [
            [policy, sample.moment, *(_wide(sample, kept=sample.tag in kept) if wide else ())]
            for policy, sample in samples
        ]
        terminal.result(render_table(header, rows, columns=terminal.columns(), least=LEAST))
        if not archives and not damaged:
            _say_empty(archive.folder)
    for error in damaged:  # the others are listed all the same
        terminal.say(f"error: {error}")
    hidden = lacking or any(problem.damaged for _, _, problems in listings for problem in problems)
    if damaged or any(lack.what == "refs" for lack in lacking) or (hidden and not samples):
        raise typer.Exit(exit_code_of(ArchiveError))


def _said_lacks(archive: GitArchive) -> list[Lack]:
    """What this copy of an archive lacks, once that is said."""
    found = archive.lacks()
    terminal.say_missing(archive.policy, found)
    return found


def _say_empty(folder: Path) -> None:
    terminal.say(f"there is no archive in {folder.resolve()} yet: `gitsnap capture` makes one")
    if (folder / "snapshot").is_dir():
        terminal.say(f"`gitsnap import --from {folder}` takes over what the old Sveltos feature left there")


def _wide(sample: Sample, *, kept: bool) -> list[str]:
    facts = sample.metadata
    changes = facts.changes
    signs = ((changes.added, "+"), (changes.modified, "~"), (changes.deleted, "-"))
    changed = " ".join(f"{sign}{count}" for count, sign in signs if count) or "none"
    complete = ", ".join(f"{_lacking(one)} {one.substitute}" for one in facts.incomplete) or "yes"
    if facts.consistency is Consistency.PER_KIND:
        complete += ", not at one instant"
    if facts.unresolved:
        complete += f", {facts.unresolved} unresolved"
    trigger = f"{facts.trigger}, imported" if facts.imported else str(facts.trigger)
    return [changed, str(facts.objects), complete, sample.commit[:12], trigger, "yes" if kept else ""]


def _lacking(one: IncompleteKind) -> str:
    """``ClusterProfile``, or ``Cluster default/deep``."""
    place = "/".join(filter(None, (one.namespace, one.name)))
    return f"{one.kind.name} {place}" if place else one.kind.name


def _incomplete(one: IncompleteKind) -> dict[str, str]:
    described = {"kind": str(one.kind), "substitute": str(one.substitute), "reason": str(one.reason)}
    return described if one.key is None else {**described, "namespace": one.namespace, "name": one.name}


def describe(sample: Sample) -> dict[str, object]:
    """A sample in JSON (docs/SCRIPTING.md)."""
    facts = sample.metadata
    return {
        "policy": facts.policy,
        "date": sample.moment,
        "time": facts.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tag": sample.tag,
        "commit": sample.commit,
        "sequence": facts.sequence,
        "trigger": str(facts.trigger),
        "objects": facts.objects,
        "changes": {
            "added": facts.changes.added,
            "modified": facts.changes.modified,
            "deleted": facts.changes.deleted,
        },
        "consistency": str(facts.consistency),
        "incomplete": [_incomplete(one) for one in facts.incomplete],
        "unresolved": facts.unresolved,
        "cluster": facts.cluster,
        "server": facts.server,
        "imported": facts.imported,
        "pruned": facts.pruned,
    }
