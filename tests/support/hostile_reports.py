"""Reports that have one text in every place, and texts that break out of a page that does not escape them.

This module must not be imported by the package.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gitsnap.core.changes import Author, AuthorSource
from gitsnap.core.model import (
    ChangeCounts,
    IncompleteKind,
    IncompleteReason,
    Kind,
    ObjectKey,
    Sample,
    SensitiveField,
    Substitute,
    Trigger,
)
from gitsnap.diff.rows import Action, NotComparable
from gitsnap.format import RollbackRecord
from gitsnap.history.moments import Period
from gitsnap.history.timeline import (
    Activity,
    DiffExcerpt,
    FollowCheck,
    Gap,
    IncompleteRun,
    ManagedRow,
    ObjectRow,
    OlderChanges,
    PeriodChange,
    Scope,
    Timeline,
)
from gitsnap.render.report import ArchiveProof, Report
from gitsnap.rollback.records import PastRollback
from tests.support.report_pages import Element, sample_of

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' autofocus onfocus=alert(1) x='",
    "--></style></title></textarea></pre></code><iframe src=javascript:alert(1)>",
    "<!-- <![CDATA[ ]]>",
    "&lt;script&gt; &#60;script&#62; &amp;amp; &nbsp",
    "{{ 7 * 7 }}{% raw %}{# #}${7*7}",
    "javascript:alert(1)//https://example.com/<a href=https://example.com>",
    "@import url(https://example.com/x.css); background: url(//example.com/x)",
    "\u202ereversed\u2066\u200b\ufeff",
    "\x1b]0;title\x07\x1b[31m\x9b31m\x00\x08",
    "first\nsecond\r\nthird\u2028fourth",
    "tab\tin a line",
    "\ud800\udfff lone surrogates",
    "\u0646\u200c\u0627\u0645 \U0001f469\u200d\U0001f680",
    "a" * 1_000_000,
    "<" * 100_000,
)


@dataclass(frozen=True)
class ReportFinding:
    """A result of a verification."""

    wrong: bool
    subject: str
    message: str


def _incomplete(text: str) -> IncompleteKind:
    return IncompleteKind(Kind(text, text), Substitute.CARRIED, IncompleteReason.FORBIDDEN, text, text)


def report_of(text: str, *, errors: bool = True) -> Report:
    """Return a report that has a text in every place that holds text of an archive, of a cluster or of a user."""
    kind = Kind(text, text)
    key = ObjectKey(kind, text, text)
    first, last = (
        sample_of(number, message=text, incomplete=[_incomplete(text)], trigger=trigger)
        for number, trigger in ((1, Trigger.BEFORE_ROLLBACK), (2, Trigger.MANUAL))
    )
    last = Sample(last.tag, last.tag_id, last.commit, replace(last.metadata, cluster=text, server=text))
    change = PeriodChange(
        last,
        first,
        managed=(ManagedRow(text, text, text, Action.MODIFIED, text, (text,)),),
        managed_left_out=1,
        objects=(
            ObjectRow(key, Action.ADDED, text, text),
            ObjectRow(key, Action.DELETED, text, "", author=Author(text, AuthorSource.AUDIT), late=True),
        ),
        objects_left_out=1,
        diffs=(DiffExcerpt(text, (f" {text}", f"+{text}", f"-{text}", f"@@ {text}"), 1, 1),),
        diffs_left_out=1,
        not_comparable=(NotComparable(kind, text, text, text, text),),
        not_comparable_left_out=1,
        clusters=(text,),
        profiles=(key,),
        removed_before=1,
        problem=text,
    )
    timeline = Timeline(
        Period(),
        Scope((text,), (key,), (key,)),
        first=first,
        last=last,
        before=first,
        samples=2,
        commits=1,
        changes=(change,),
        without_rows=1,
        older=OlderChanges(first, first, 1, ChangeCounts(1, 1, 1)),
        incomplete=(IncompleteRun(_incomplete(text), first, last, 2),),
        incomplete_left_out=1,
        incomplete_samples=2,
        gaps=(Gap(first, last, 1),),
        gaps_left_out=1,
        interval=1,
        made=1,
        follow_checks=2,
        missed=(FollowCheck(last, 1),),
        missed_left_out=1,
        removed=1,
        quiet=(first,),
        quiet_left_out=1,
        activity=(Activity("2026-01-01", 2, 1, 1, 1), Activity("2026-01-02", 2, 1, 1, 1)),
        clusters=(f"{text}-quiet",),
        hidden=(SensitiveField(kind, text),),
    )
    record = RollbackRecord(
        plan=text,
        target=text,
        objects=((text, key),),
        command=text,
        undoes=text,
        origin=text,
        user=text,
        cluster_user=text,
    )
    findings = [ReportFinding(True, text, text)] * errors + [ReportFinding(False, text, text)]
    return Report(
        branch=text,
        timeline=timeline,
        period=text,
        rollbacks=(PastRollback(first, record, text, last),),
        proof=ArchiveProof(2, findings, False, True, text, text, (text,)),
        version=text,
    )


def skeleton(root: Element) -> list[tuple[str, ...]]:
    """Return the elements with the names of their attributes, without the line breaks of reasons."""
    return [(element.tag, *sorted(element.attributes)) for element in root.walk() if element.tag != "br"]
