"""The tables of a comparison, and the footnote below them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gitsnap.render import render_table

if TYPE_CHECKING:
    from gitsnap.diff.rows import Comparison

_CLUSTER_HEADER = ["cluster", "resource type", "namespace", "name", "action", "message"]
_OBJECT_HEADER = ["resource type", "namespace", "name", "action", "message"]


def comparison_tables(comparison: Comparison, *, columns: int, sveltos_cli: bool = False) -> str:
    """Return the table of the managed clusters, the table of the management cluster, and the footnote.

    ``columns``: the width of the terminal, 0 for none. ``sveltos_cli``: the advice on --raw-diff is in the column
    MESSAGE, as in the Sveltos CLI, and there is no footnote.
    """
    return "\n".join(_parts(comparison, columns, sveltos_cli=sveltos_cli))


def _parts(comparison: Comparison, columns: int, *, sveltos_cli: bool) -> Iterator[str]:
    from gitsnap.diff.rows import SEE_RAW_DIFF

    if comparison.rows:
        rows = [
            [
                row.cluster,
                row.resource_type,
                row.namespace,
                row.name,
                str(row.action),
                row.message if sveltos_cli else row.note,
            ]
            for row in comparison.rows
        ]
        yield render_table(_CLUSTER_HEADER, rows, columns=columns, group="cluster")
    if comparison.management:
        rows = [
            [row.resource_type, row.namespace, row.name, str(row.action), row.message] for row in comparison.management
        ]
        yield "management cluster:\n" + render_table(_OBJECT_HEADER, rows, columns=columns)
    if not sveltos_cli and any(SEE_RAW_DIFF in row.message for row in comparison.rows):
        yield f"{SEE_RAW_DIFF}\n"
