"""``gitsnap search``: when a value appeared in the configuration, and when it disappeared.

This module must not open a cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gitsnap.cli import completion, options, terminal
from gitsnap.cli.field_texts import origin_author, version_date
from gitsnap.cli.headings import say_heading
from gitsnap.cli.history_documents import search_document
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.core.errors import EXIT_INCOMPLETE, UsageError
from gitsnap.core.text import plural
from gitsnap.history import changelog
from gitsnap.render import cut, json_line, one_line, render_table

if TYPE_CHECKING:
    from gitsnap.history.search import Match

_LONGEST = 60
"""Columns of a value in the table; JSON has the whole value."""

_Text = Annotated[str, typer.Argument(metavar="VALUE", help="Text that the values contain, such as nginx:1.25.")]
_Kind = Annotated[
    str,
    typer.Option(
        "--kind",
        metavar="KIND[/[NS/]NAME]",
        help="Only objects of this kind, or only this object.",
        autocompletion=completion.complete_object,
    ),
]
_Field = Annotated[
    str,
    typer.Option(
        "--field", metavar="PATH", help="Only fields whose path begins with PATH, as `blame` or `log` write it."
    ),
]
_First = Annotated[bool, typer.Option("--first", help="Only the period that began first.")]
_Last = Annotated[bool, typer.Option("--last", help="Only the period that began last.")]


def search(
    *,
    text: _Text,
    archive: ArchiveOptions,
    kind: _Kind = "",
    field: _Field = "",
    first: _First = False,
    last: _Last = False,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Show when a value appeared in the configuration, and when it disappeared.

    The whole history is searched, including deleted objects and the names of objects. The documents in a ConfigMap and
    the values of charts are searched field by field. Secrets, sensitive fields and the names of fields are not
    searched. SINCE is the first sample with the value, UNTIL the first sample without it. A change that follow mode
    recorded has its own time. BY is its author with the source of the name, otherwise the field manager.

    Example: gitsnap search nginx:1.25

    Example: gitsnap search 1.2.3 --kind ClusterProfile --field spec.helmCharts --first
    """
    from gitsnap.history.search import check_searched
    from gitsnap.history.search import search as find_matches

    if not text:
        raise UsageError("the value to search for is empty")
    if first and last:
        raise UsageError("--first and --last exclude each other: give one, or none for all periods")
    opened = archive.open()
    pattern = changelog.ObjectPattern()
    if kind:
        pattern = changelog.ObjectPattern.parse(kind, changelog.newest_kinds(opened))
    recorded = opened.samples()
    sensitive = opened.tree(recorded[-1]).info.secrets.sensitive_fields if recorded else ()
    with terminal.ProgressLine("searching the history"):
        matches = find_matches(opened, text, pattern, field=field, sensitive=sensitive)
    if not matches and recorded:
        check_searched(opened, opened.tree(recorded[-1]), pattern, field=field, sensitive=sensitive)
    matches = matches[:1] if first else matches[-1:] if last else matches
    if form is terminal.Output.TABLE:
        since = f" since {recorded[0].time:%Y-%m-%d}" if recorded else ""
        skipped = "Secrets and the names of fields are not searched"
        narrowed = [kind, f"fields that begin with {field}" if field else ""]
        where = ", ".join(filter(None, narrowed))
        history = f"{plural(len(recorded), 'sample')} and all changes of {opened.source}{since}"
        say_heading(f"searched {f'{where} in ' if where else ''}{history}; {skipped}")
        terminal.print_result(_table(matches, text) if matches else "nothing found")
    else:
        terminal.print_document(search_document(matches), form)
    if not matches and opened.missing_parts():
        raise typer.Exit(EXIT_INCOMPLETE)


def _table(matches: list[Match], text: str) -> str:
    header = ["since", "until", "resource type", "namespace", "name", "field", "value", "by"]
    rows = [
        [
            version_date(match.since),
            version_date(match.until) if match.until is not None else "",
            match.key.kind.resource_type,
            match.key.namespace,
            match.key.name,
            match.field,
            _shown(match.value, text),
            origin_author(match.since.origin, match.since.manager),
        ]
        for match in matches
    ]
    return render_table(header, rows, columns=terminal.width())


def _shown(value: Any, searched: str) -> str:
    """Return a value on one line. Of a long value, the part with the searched text."""
    text, word = one_line(value if isinstance(value, str) else json_line(value)), one_line(searched)
    start, shown = text.find(word), cut(text, _LONGEST)
    if word in shown.removesuffix("…") or start < _LONGEST // 3:
        return shown
    return cut(f"…{text[start - _LONGEST // 6 :]}", _LONGEST)
