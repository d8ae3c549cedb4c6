"""``gitsnap attribute``: record who made each change, from audit logs of the API server.

This module must not open a cluster.
"""

from __future__ import annotations

import sys
from collections import Counter
from functools import partial
from io import BufferedReader
from typing import TYPE_CHECKING, Annotated, cast

import typer

from gitsnap.cli import clock, options, terminal
from gitsnap.cli.documents import author_document, change_document
from gitsnap.cli.headings import say_heading
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.core.errors import EXIT_INCOMPLETE, SecretsError
from gitsnap.core.text import describe, join_names, plural, time_text
from gitsnap.format.change_message import AUTHOR_NOTES, short_name
from gitsnap.history.attribution import Outcome, attribute, changed_places
from gitsnap.history.audit_index import AuditIndex
from gitsnap.history.audit_log import coverage_of, read_logs
from gitsnap.kube.audit_events import AuditDecoder
from gitsnap.kube.pseudonyms import pseudonymous_name
from gitsnap.render import render_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from gitsnap.archive import GitArchive
    from gitsnap.history.attribution import Attribution
    from gitsnap.history.audit_log import LogReading
    from gitsnap.history.author_join import Coverage

_Audit = Annotated[
    list[str],
    typer.Option(
        "--audit",
        metavar="FILE",
        help="Audit log: a file, a folder with all its files, or `-` for standard input. May be given several times.",
    ),
]
_Complete = Annotated[
    bool,
    typer.Option(
        "--complete-log",
        help="Declare that the log has every write of its time, from every API server. The only user who wrote an "
        "object is then its author, even without resource versions in the log.",
    ),
]
_HEADER = ["date", "change", "objects", "author", "not recorded, because"]
_OTHERS = {
    Outcome.KNOWN: "known already",
    Outcome.UNNAMED: "without a certain author",
    Outcome.CONTRADICTION: "contradicting the recorded name",
    Outcome.OUTSIDE: "outside the time of the log",
}
_MOST_NAMED = 2

_Pseudonyms = Annotated[
    bool,
    typer.Option(
        "--pseudonyms",
        help="Record a keyed pseudonym in place of the name of each person, as follow mode does with `who: pseudonym`. "
        "Needs the fingerprint key of the archive.",
    ),
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the names, and record nothing.")]


def attribute_(
    *,
    audit: _Audit,
    archive: ArchiveOptions,
    complete_log: _Complete = False,
    dry_run: _DryRun = False,
    pseudonyms: _Pseudonyms = False,
    identity: options.Identity = None,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Record who made each change, from audit logs of the API server.

    A change gets a name if the log has a response with the uid and the resource version of each of its objects, all by
    one author. In any other case no name is recorded, and the reason is shown. Changes outside the time of the log
    stay as they are. A second run with the same log records nothing.

    The names are git notes in refs/notes/gitsnap-authors. Commits are not rewritten. Exit status 13: some lines of the
    log, or a change of the archive, could not be read, or the log contradicts a name from another log.

    Example: gitsnap attribute --audit /var/log/kubernetes/audit.log
    """
    opened = archive.open_to_write()
    places = changed_places(opened)
    decoder = AuditDecoder(
        lambda group, namespace, name: (group, namespace, name) in places.objects if name else group in places.groups
    )
    reading = read_logs(audit, decoder, cast("BufferedReader", sys.stdin.buffer))
    coverage = coverage_of(decoder)
    written_as = _pseudonyms(opened, identity or []) if pseudonyms else short_name
    answers = attribute(opened, AuditIndex(decoder.writes()), coverage, complete=complete_log, written_as=written_as)
    named = {
        answer.state.commit: answer.author
        for answer in answers
        if answer.outcome is Outcome.NAMED and answer.author is not None
    }
    if named and not dry_run:
        opened.note_authors(named, time=clock.now())
        terminal.note_finished(f"{plural(len(named), 'name')} recorded in {AUTHOR_NOTES}")
    _warn_unread(reading)
    terminal.warn([f"{change}; it gets no author" for change in places.unreadable])
    if form is terminal.Output.TABLE:
        _say_log(opened, decoder.events, reading, coverage)
        _show(answers, has_changes=bool(places.objects or places.unreadable), dry_run=dry_run)
    else:
        _print_document(opened, answers, reading, decoder.events, coverage, form, dry_run=dry_run)
    if reading.unread or places.unreadable or any(answer.outcome is Outcome.CONTRADICTION for answer in answers):
        raise typer.Exit(EXIT_INCOMPLETE)


def _pseudonyms(archive: GitArchive, identities: Sequence[Path]) -> Callable[[str], str]:
    """Returns the function that makes a pseudonym of a name. Raises SecretsError if the archive has no key."""
    from gitsnap.secrets import archive_keys

    keeper = archive_keys.for_reading(
        archive, max(archive.samples(), key=lambda sample: sample.sequence, default=None), identities=identities
    )
    if keeper is None:
        raise SecretsError(
            f"--pseudonyms: the archive {archive.source} has no fingerprint key",
            hint="Only the secrets modes encrypt and redact have a key.",
        )
    return partial(pseudonymous_name, keeper.fingerprint_key)


def _warn_unread(reading: LogReading) -> None:
    if not reading.unread:
        return
    terminal.warn([f"{plural(reading.unread, 'line')} of {reading.lines} could not be read as audit events"])
    for text in reading.first_unread:
        terminal.say(f"  {text}")
    if more := reading.unread - len(reading.first_unread):
        terminal.say(f"  and {plural(more, 'more line')}")


def _say_log(archive: GitArchive, events: int, reading: LogReading, coverage: Coverage) -> None:
    say_heading(
        f"authors of the changes in the archive {archive.source}, from {plural(events, 'audit event')} in "
        f"{plural(reading.files, 'file')}, {_moment(coverage.first)} to {_moment(coverage.last)} UTC"
    )


def _show(answers: Sequence[Attribution], *, has_changes: bool, dry_run: bool) -> None:
    if not has_changes:
        terminal.print_result("the archive has no changes: only follow mode records changes between samples")
        return
    shown = [answer for answer in answers if answer.outcome not in (Outcome.KNOWN, Outcome.OUTSIDE)]
    rows = [
        [answer.state.date, answer.state.moment, _objects(answer), _author(answer), answer.reason] for answer in shown
    ]
    if rows:
        shown_columns = len(_HEADER) if any(answer.reason for answer in shown) else len(_HEADER) - 1
        table = [row[:shown_columns] for row in rows]
        terminal.print_result(render_table(_HEADER[:shown_columns], table, columns=terminal.width()))
    terminal.print_result(_summary(answers, dry_run=dry_run))


def _objects(answer: Attribution) -> str:
    """``ConfigMap default/database and 1 more``; the subject of the commit if the change names no objects."""
    names = [describe(changed.key) for changed in answer.state.change.objects]
    return join_names(names, most=_MOST_NAMED) or answer.state.change.subject


def _author(answer: Attribution) -> str:
    """``alice (audit)``: the author in the archive after this command."""
    return str(answer.author if answer.outcome is Outcome.NAMED and answer.author else answer.state.author)


def _summary(answers: Sequence[Attribution], *, dry_run: bool) -> str:
    counts = Counter(answer.outcome for answer in answers)
    recorded = f"{plural(counts[Outcome.NAMED], 'name')} {'found, none recorded' if dry_run else 'recorded'}"
    others = [f"{counts[outcome]} {text}" for outcome, text in _OTHERS.items() if counts[outcome]]
    return "; ".join([recorded if counts[Outcome.NAMED] else "no new name", *others])


def _print_document(
    archive: GitArchive,
    answers: Sequence[Attribution],
    reading: LogReading,
    events: int,
    coverage: Coverage,
    form: terminal.Output,
    *,
    dry_run: bool,
) -> None:
    listed = [
        {
            **change_document(answer.state),
            "outcome": str(answer.outcome),
            "logAuthor": author_document(answer.author) if answer.author else None,
            "reason": answer.reason,
        }
        for answer in answers
    ]
    log = {
        "files": reading.files,
        "events": events,
        "unread": reading.unread,
        "first": time_text(coverage.first),
        "last": time_text(coverage.last),
    }
    document = {"kind": "Attribution", "policy": archive.policy, "dryRun": dry_run, "log": log, "changes": listed}
    terminal.print_document(document, form)


def _moment(time: datetime) -> str:
    return time.replace(tzinfo=None).isoformat(" ", "seconds")
