"""The JSON form of the rows of a comparison (docs/SCRIPTING.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitsnap.diff.rows import Comparison, NotComparable


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
