"""``gitsnap keep``: mark a sample, so that retention never removes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from gitsnap.cli import completion, options, terminal
from gitsnap.cli.documents import sample_document
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.history import samples

_Sample = Annotated[
    str,
    typer.Argument(
        metavar="SAMPLE",
        help="The sample, in any form that --sample of other commands accepts.",
        autocompletion=completion.complete_sample,
    ),
]


def keep(
    *,
    sample: _Sample,
    archive: ArchiveOptions,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the mark.")] = False,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Mark a sample, so that retention never removes it.

    Example: gitsnap keep 2023-08-26:05:00:00 --snapshot hourly
    """
    opened = archive.open_to_write()
    chosen = samples.find_sample(opened.samples(), sample, now=datetime.now(UTC))
    with opened.writer() as writer:
        if remove:
            writer.unmark(chosen)
        else:
            writer.mark(chosen)
    terminal.note_finished(f"the mark of {chosen.tag} was {'removed' if remove else 'set'}")
    if form is not terminal.Output.TABLE:
        document = {"kind": "Keep", "sample": {**sample_document(chosen), "kept": not remove}}
        terminal.print_document(document, form)
        return
    terminal.print_result(f"{chosen.tag}: {'retention decides' if remove else 'kept, whatever retention says'}")
