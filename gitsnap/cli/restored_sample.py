"""The sample that a rollback restores: named, or picked from a list on a terminal.

A rollback adds samples, so a relative name may stand for another sample than the user means. On a terminal the user is
asked. A script gets an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from gitsnap.cli import clock, terminal
from gitsnap.cli.documents import changes_text
from gitsnap.cli.sample_choice import choose_state
from gitsnap.core.errors import AbortedError, NotFoundError, RefusedError, UsageError
from gitsnap.core.model import Sample
from gitsnap.core.states import State
from gitsnap.core.text import age
from gitsnap.history import samples as history
from gitsnap.history.change_finder import Changes, search_state
from gitsnap.render import render_table

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.rollback import ShiftedName

_PAGE = 20
"""Samples on one page of the list."""
_HEADER = ["number", "date (UTC)", "age", "trigger", "changes"]
_UNCHANGED = "nothing was changed"


def find_sample_to_restore(
    archive: GitArchive, name: str, *, dry_run: bool, picks: bool, command: Callable[[str], str]
) -> State:
    """Return the sample or the change with a name, or let the user pick one if there is no name and ``picks`` is set.

    ``command`` returns a complete command for this archive and cluster, ``RollbackTarget.command``.
    Raises UsageError without a name in a script, RefusedError or AbortedError for a name that a rollback shifted, and
    the errors of ``history.change_finder.search_state``.
    """
    now, samples = clock.now(), archive.samples()
    if not name:
        if picks and samples and terminal.is_interactive():
            return _pick(samples, now)
        hint = history.newest_names(samples) if samples else "`gitsnap list` shows the samples."
        raise UsageError("--sample is needed: which sample to roll back to", hint=hint)
    chosen = choose_state(archive, name)
    if history.is_relative(name, now=now):
        _check_not_shifted(archive, name, chosen, dry_run=dry_run, command=command)
    return chosen


# Names that a rollback shifted ----------------------------------------------------------------------------------------


def _check_not_shifted(
    archive: GitArchive, name: str, chosen: State, *, dry_run: bool, command: Callable[[str], str]
) -> None:
    """Ask the user to confirm a name that a rollback shifted. A dry run only warns.

    Raises RefusedError without a terminal, AbortedError if the user declines.
    """
    from gitsnap.rollback import find_shift

    samples, changes = archive.samples(), Changes(archive)

    def find(earlier: Sequence[Sample], time: datetime) -> State | None:
        try:
            return search_state(earlier, name, changes.before(samples[len(earlier)]), now=time).state
        except NotFoundError:
            return None

    def find_change(commit: str) -> State | None:
        return next(iter(changes.named(samples, commit)), None)

    shift = find_shift(samples, chosen, find, find_change)
    if shift is None:
        return
    message, hint = _describe_shift(name, chosen, shift), _alternatives(name, chosen, shift, command)
    if dry_run:
        terminal.warn([f"{message}\n{hint}"])
    elif not terminal.is_interactive():
        raise RefusedError(f"{_UNCHANGED}: {message}", hint=hint)
    else:
        terminal.say(f"{message}.")
        if not terminal.agrees(f"Plan a rollback to {chosen.moment}?"):
            raise AbortedError(_UNCHANGED, hint=hint)


def _describe_shift(name: str, chosen: State, shift: ShiftedName) -> str:
    """Name the sample that a name stands for now, and the sample that it stood for before the rollback."""
    past = shift.past
    kind = "undo" if past.record.undoes else "rollback"
    noun = "sample" if isinstance(chosen, Sample) else "change"
    rollback = f"the {kind} of {past.before.time:%Y-%m-%d %H:%M:%S} UTC"
    if chosen.tag == past.before.tag:
        place = f"the sample taken before {rollback}"
    elif chosen.order > past.before.order:
        place = f"a {noun} of the state that {rollback} left unchanged"
    else:
        place = f"a {noun} from before {rollback}"
    now = f"{name} is {_name(chosen)} now, {place}"
    return f"{now}; before that {kind}, {name} was {_name(shift.former)}" if shift.former else now


def _name(state: State) -> str:
    return state.tag if isinstance(state, Sample) else f"the change {state.moment}"


def _alternatives(name: str, chosen: State, shift: ShiftedName, command: Callable[[str], str]) -> str:
    """Return a hint with the absolute names, and the command that undoes the rollback."""
    lines = [f"Name the sample: --sample {chosen.moment} is what {name} is now"]
    if shift.former is not None and shift.former.tag != chosen.tag:
        lines[0] += f", --sample {shift.former.moment} is what it was"
    if shift.past.changed_something:
        kind = "undo" if shift.past.record.undoes else "rollback"
        lines.append(f"To undo that {kind}: `{command(f'undo --of {shift.past.before.moment}')}`")
    return ".\n".join(lines) + "."


# The list -------------------------------------------------------------------------------------------------------------


def _pick(samples: Sequence[Sample], now: datetime) -> Sample:
    """Let the user pick a sample from a list, newest first, in pages. Raises AbortedError if the user picks none."""
    listed = 0
    more = True
    while True:
        if more:
            page = range(len(samples) - listed, max(0, len(samples) - listed - _PAGE), -1)
            rows = [_row(len(samples) - position + 1, samples[position - 1], now) for position in page]
            title = "samples, newest first:" if not listed else "older samples:"
            terminal.say(
                f"{title}\n{render_table(_HEADER, rows, columns=max(0, terminal.width() - 2))}".rstrip(),
                is_laid_out=True,
            )
            listed += len(rows)
        older = ", m for older samples" if listed < len(samples) else ""
        text = f"number of the sample to roll back to{older}, Enter to cancel"
        answer = terminal.ask(text)
        if not answer:
            raise AbortedError(f"{_UNCHANGED}: no sample was picked")
        if answer.isdecimal() and 1 <= int(answer) <= listed:
            return samples[-int(answer)]
        more = answer == "m" and listed < len(samples)
        if not more:
            terminal.say(f"{answer} is not in the list")


def _row(number: int, sample: Sample, now: datetime) -> list[str]:
    changes = changes_text(sample.metadata.changes)
    return [str(number), sample.moment, age(now - sample.time), str(sample.metadata.trigger), changes]
