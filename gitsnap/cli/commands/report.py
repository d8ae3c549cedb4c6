"""``gitsnap report``: one HTML file with the changes of a period.

This module must not open a cluster.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap import __version__
from gitsnap.cli import completion, options, terminal
from gitsnap.cli.headings import say_heading
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.cli.sample_choice import choose_period
from gitsnap.core.consequences import exit_code_of
from gitsnap.core.errors import EXIT_INCOMPLETE, ArchiveError, InputError, NotFoundError, StorageError, UsageError
from gitsnap.core.states import name_state
from gitsnap.core.text import byte_size, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gitsnap.archive import GitArchive
    from gitsnap.core.model import ObjectKey, Sample
    from gitsnap.history.changelog import ObjectPattern
    from gitsnap.history.moments import Period
    from gitsnap.history.timeline import Scope, Timeline
    from gitsnap.render.report import ArchiveProof, Report
    from gitsnap.rollback.records import PastRollback

_STDOUT = Path("-")

_File = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="HTML file to write; `-` writes to standard output.")
]
_Clusters = Annotated[
    list[str] | None,
    typer.Option(
        "--cluster",
        metavar="NAME",
        help="Only changes in this managed cluster, and their causes: NAME, NS/NAME or capi--NAME; repeatable.",
    ),
]
_Profiles = Annotated[
    list[str] | None,
    typer.Option(
        "--profile",
        metavar="[NS/]NAME",
        help="Only changes of this ClusterProfile, or with NS/ this Profile, of the objects that it refers to, and in "
        "the managed clusters that these reach; repeatable.",
        autocompletion=completion.complete_name("ClusterProfile"),
    ),
]
_Objects = Annotated[
    list[str] | None,
    typer.Option(
        "--object",
        metavar="KIND/[NS/]NAME",
        help="Only changes of this object of the management cluster; repeatable.",
        autocompletion=completion.complete_object,
    ),
]
_Verify = Annotated[
    bool,
    typer.Option(
        "--verify", help="Verify the whole archive, as `gitsnap verify` does. Default: only the chain of samples."
    ),
]
_AllowedSigners = Annotated[
    Path | None,
    typer.Option(
        "--allowed-signers",
        metavar="FILE",
        help="The last sample of the period must be signed by a key in this file, whose lines are `NAME KEY`. With "
        "--verify: every sample of the archive.",
    ),
]


def report(
    *,
    file: _File,
    archive: ArchiveOptions,
    since: options.Since = "",
    until: options.Until = "",
    clusters: _Clusters = None,
    profiles: _Profiles = None,
    objects: _Objects = None,
    verify: _Verify = False,
    allowed_signers: _AllowedSigners = None,
) -> None:
    """Write a report of a period as one HTML file.

    The report shows the changes of each managed cluster, profile and object, with diffs, authors and reasons. It also
    shows the rollbacks, the incomplete samples, and the result of the verification. The report has the newest 300
    changes, newest first, and the number of older changes that it leaves out.

    The file loads nothing from elsewhere and needs no script. The same archive, options and version of gitsnap give the
    same bytes. Values of Secrets and of sensitive fields are never in it.

    Exit status 5: the verification found an error. Exit status 13: this copy of the archive lacks a part. The report is
    written in both cases, and shows the error or the missing part.

    Example: gitsnap report --since 2023-08-01 --until 2023-08-31 -o month.html

    Example: gitsnap report --cluster prod-eu -o - | mail -s changes team@example.com
    """
    if importlib.util.find_spec("jinja2") is None:
        raise UsageError(
            "a report needs Jinja2, which is not installed", hint="`pip install 'gitsnap[report]'` installs it."
        )
    if allowed_signers is not None and not allowed_signers.is_file():
        raise InputError(f"--allowed-signers {allowed_signers}: there is no such file")
    period = choose_period(since, until)
    opened = archive.open()
    samples = opened.samples()
    if not samples:
        raise NotFoundError(
            f"the archive {opened.source} has no sample to report", hint="`gitsnap capture` takes a sample."
        )
    scope = _scope(opened, clusters or (), profiles or (), objects or ())
    written = _read(opened, period, scope, verify=verify, allowed_signers=allowed_signers)
    page = _render(written)
    _write(page, file)
    timeline = written.timeline
    say_heading(f"{file}: {plural(len(timeline.changes), 'change')} in {opened.source}, {written.period}, "
                f"{byte_size(len(page))}")  # fmt: skip
    _warn(written)
    if written.proof.errors or written.proof.signature_problem or any(change.problem for change in timeline.changes):
        raise typer.Exit(exit_code_of(ArchiveError))
    if written.proof.missing or timeline.unreadable:
        raise typer.Exit(EXIT_INCOMPLETE)


def _scope(archive: GitArchive, clusters: Sequence[str], profiles: Sequence[str], objects: Sequence[str]) -> Scope:
    """Return the scope of the options. Raises UsageError, and NotFoundError for a name that the archive never had."""
    from itertools import chain

    from gitsnap.history import changelog, filter_check
    from gitsnap.history.timeline import Scope
    from gitsnap.sveltos import kinds

    if clusters:
        newest = archive.tree(archive.samples()[-1])
        known = chain(filter_check.clusters_of(newest), filter_check.clusters_ever(archive, clusters))
        filter_check.check_clusters(clusters, known, where="the history of the archive")
    of_profiles = []
    for profile in profiles:
        namespace, _, name = profile.rpartition("/")
        kind = kinds.PROFILE if namespace else kinds.CLUSTER_PROFILE
        of_profiles.append(changelog.ObjectPattern(kind.name, namespace, name, kind))
    names = changelog.newest_kinds(archive) if objects else None
    of_objects = [changelog.ObjectPattern.parse(written, names) for written in objects if names is not None]
    for pattern in of_objects:
        if not pattern.name:
            raise InputError(f"--object {pattern.kind} is a kind, and an object is needed: KIND/[NS/]NAME")
    return Scope(tuple(clusters), _find_objects(archive, of_profiles), _find_objects(archive, of_objects))


def _find_objects(archive: GitArchive, patterns: Iterable[ObjectPattern]) -> tuple[ObjectKey, ...]:
    """Return the objects that patterns name, and deleted ones. Raises NotFoundError for a pattern without an object."""
    from gitsnap.history import changelog

    found: set[ObjectKey] = set()
    for pattern in patterns:
        keys = changelog.objects_ever(archive, pattern)
        if not keys:
            changelog.check_existed(archive, pattern, archive.tree(archive.samples()[-1]))
        found |= keys
    return tuple(sorted(found))


def _read(archive: GitArchive, period: Period, scope: Scope, *, verify: bool, allowed_signers: Path | None) -> Report:
    """Read everything that the report shows. Raises ArchiveError, StorageError, SecretsError."""
    from gitsnap.history.hidden_fields import hidden_fields
    from gitsnap.history.samples import describe_period
    from gitsnap.history.timeline_reader import read_timeline
    from gitsnap.render.report import Report
    from gitsnap.rollback.records import past_rollbacks

    samples = archive.samples()
    with terminal.ProgressLine("reading the archive", describe=_describe_reading) as progress:
        timeline = read_timeline(archive, period, scope, hidden=hidden_fields([archive]), progress=progress)
        proof = _prove(archive, timeline, verify=verify, allowed_signers=allowed_signers)
        inside = [past for past in past_rollbacks(samples) if _is_inside(past, period)]
        rollbacks = [past for past in inside if _concerns(past, timeline)]
    return Report(
        branch=archive.branch,
        timeline=timeline,
        period=describe_period(samples, period).removeprefix(": "),  # without limits
        rollbacks=rollbacks,
        rollbacks_left_out=len(inside) - len(rollbacks),
        proof=proof,
        version=__version__,
    )


def _describe_reading(subject: str, count: int) -> str:
    return f"reading: {count} {subject}" if count else f"reading: {subject}"


def _is_inside(past: PastRollback, period: Period) -> bool:
    """Return whether a rollback began or ended in a period."""
    return any(sample is not None and sample.time in period for sample in (past.before, past.after))


def _concerns(past: PastRollback, timeline: Timeline) -> bool:
    """Return whether a rollback may have changed objects of the scope."""
    scope, after = timeline.scope, past.after
    written = {key for _, key in past.record.objects}
    if not scope or after is None or not written.isdisjoint((*scope.profiles, *scope.objects)):
        return True
    is_unknown = timeline.older is not None and after.time <= timeline.older.last.time
    return is_unknown or any(change.sample.tag == after.tag for change in timeline.changes)


def _prove(archive: GitArchive, timeline: Timeline, *, verify: bool, allowed_signers: Path | None) -> ArchiveProof:
    """Verify the archive, or its chain of samples, and the signature of the last sample of the period."""
    from gitsnap.render.report import ArchiveProof

    findings = archive.check(allowed_signers=allowed_signers) if verify else archive.check_chain()
    last: Sample | None = timeline.last
    signers, problem = "", ""
    if allowed_signers is not None and last is not None:
        signers = hashlib.sha256(allowed_signers.read_bytes()).hexdigest()
        problem = archive.signature_problem(last, allowed_signers)
    return ArchiveProof(
        samples=len(archive.samples()),
        findings=findings,
        is_whole=verify,
        is_signed=last is not None and archive.is_signed(last),
        signers=signers,
        signature_problem=f"is not signed by an allowed signer: {problem}" if problem else "",
        missing=[str(part) for part in archive.missing_parts()],
    )


def _render(written: Report) -> bytes:
    from gitsnap.render.report import render_report

    return render_report(written).encode()


def _write(page: bytes, file: Path) -> None:
    """Write the page to a file, or to standard output. Raises StorageError."""
    from gitsnap.core.files import write_output

    if file == _STDOUT:
        sys.stdout.flush()
        sys.stdout.buffer.write(page)
        sys.stdout.buffer.flush()
        return
    try:
        write_output(file, page, keep_mode=True)
    except OSError as error:
        raise StorageError(f"cannot write {file}: {error.strerror}", hint="Name another file with -o.") from None


def _warn(written: Report) -> None:
    """Print the changes that the report leaves out, and the errors of the archive."""
    from gitsnap.render.report.texts import counted

    timeline, proof = written.timeline, written.proof
    for finding in proof.errors[:5]:
        terminal.say(f"error: {finding.subject}: {finding.message}")
    if proof.signature_problem:
        terminal.say(f"error: the last sample {proof.signature_problem}")
    for unreadable in timeline.unreadable:
        terminal.say(f"warning: {unreadable}")
    for change in timeline.changes:
        if change.problem:
            terminal.say(f"error: {name_state(change.sample)} was not compared: {change.problem}")
    if timeline.older is not None:
        terminal.say(
            f"note: {counted(timeline.older.samples, timeline, 'older')} with changes were not compared; the report "
            "says what it leaves out. A shorter period has them."
        )
