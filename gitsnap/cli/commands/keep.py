"""``gitsnap keep``: mark samples, so that retention never removes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import arguments, options, terminal
from gitsnap.cli.documents import sample_document
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.cli.sample_choice import choose_sample_only
from gitsnap.core.states import ChangeState
from gitsnap.history.change_finder import sample_with

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.core.model import Sample


def keep(
    *,
    words: arguments.SeveralSamples,
    archive: ArchiveOptions,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the mark.")] = False,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Mark a sample, so that retention never removes it.

    Changes between samples need no mark: retention never removes them.

    Example: gitsnap keep 2023-08-26:05:00:00 --snapshot hourly
    """
    opened = archive.open_to_write()
    names = arguments.parse(words, samples=len(words)).samples
    chosen = {sample.tag: sample for sample in (_choose(opened, name) for name in names)}
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


def _choose(archive: GitArchive, name: str) -> Sample:
    """Return the sample with a name. Raises UsageError for a change."""

    def hint(change: ChangeState) -> str:
        sample = sample_with(archive.samples(), change)
        if sample is None:
            return "The next sample will contain the change."
        return f"The first sample that contains the change: `gitsnap keep {sample.moment}` marks it."

    return choose_sample_only(archive, name, reason="needs no mark: retention removes samples only", hint=hint)
