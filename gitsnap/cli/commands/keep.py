"""``gitsnap keep``: mark samples, so that retention never removes them."""

from __future__ import annotations

from typing import Annotated

import typer

from gitsnap.cli import arguments, options, terminal
from gitsnap.cli.documents import sample_document
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.cli.sample_choice import choose_sample


def keep(
    *,
    words: arguments.SeveralSamples,
    archive: ArchiveOptions,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the mark.")] = False,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Mark a sample, so that retention never removes it.

    Example: gitsnap keep 2023-08-26:05:00:00 --snapshot hourly
    """
    opened = archive.open_to_write()
    names = arguments.parse(words, samples=len(words)).samples
    chosen = {sample.tag: sample for sample in (choose_sample(opened.samples(), name) for name in names)}
    with opened.writer() as writer:
        for sample in chosen.values():
            if remove:
                writer.unmark(sample)
            else:
                writer.mark(sample)
            terminal.note_finished(f"the mark of {sample.tag} was {'removed' if remove else 'set'}")
    if form is not terminal.Output.TABLE:
        listed = [{**sample_document(sample), "kept": not remove} for sample in chosen.values()]
        terminal.print_document({"kind": "Keep", "samples": listed}, form)
        return
    for tag in chosen:
        terminal.print_result(
            f"{tag}: {'not marked, retention decides' if remove else 'marked, retention never removes this sample'}"
        )
