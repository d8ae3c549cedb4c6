"""The JSON form of a comparison (docs/SCRIPTING.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitsnap.diff.raw_diff import RawDiff
    from gitsnap.diff.rows import Comparison, NotComparable


def diff_document(
    comparison: Comparison, before: object, after: object, diffs: Iterable[RawDiff] | None
) -> dict[str, object]:
    """Return the differences of two sides. ``diffs``: the raw diffs; None without --raw-diff."""
    document: dict[str, object] = {
        "kind": "Diff",
        "from": before,
        "to": after,
        **row_documents(comparison),
        "notComparable": [skipped_document(skipped) for skipped in comparison.not_comparable],
    }
    if diffs is not None:
        document["rawDiff"] = [{"title": raw.title, "text": raw.text} for raw in diffs]
    return document


def row_documents(comparison: Comparison) -> dict[str, list[dict[str, object]]]:
    """Return the rows of the managed clusters and of the management cluster."""
    return {
        "clusters": [
            {
                "cluster": row.cluster,
                "resourceType": row.resource_type,
                "namespace": row.namespace,
                "name": row.name,
                "action": str(row.action),
                "message": row.message,
            }
            for row in comparison.rows
        ],
        "management": [
            {
                "resourceType": row.resource_type,
                "namespace": row.namespace,
                "name": row.name,
                "action": str(row.action),
                "message": row.message,
            }
            for row in comparison.management
        ],
    }


def skipped_document(skipped: NotComparable) -> dict[str, object]:
    """Return a kind or an object that could not be compared."""
    return {
        "kind": str(skipped.kind),
        "reason": skipped.reason,
        "detail": skipped.detail,
        **({"namespace": skipped.namespace, "name": skipped.name} if skipped.name else {}),
    }
