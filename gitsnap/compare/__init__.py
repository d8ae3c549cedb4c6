"""Two configurations -> sorted changes: rows for each managed cluster, rows for the management cluster, raw diffs.

Pure: it reads trees and says what differs in them, so the same two trees always give the same comparison.
This package must not format for people beyond the words of a message, and never shows a value of a Secret.
"""

from gitsnap.compare.changes import Change, changed_fields
from gitsnap.compare.comparison import compare
from gitsnap.compare.presence import Presence, presence_between
from gitsnap.compare.values import (
    HELM_RELEASE,
    SEE_RAW_DIFF,
    Action,
    Comparison,
    DiffRow,
    Filters,
    ManagementRow,
    NotComparable,
    RawDiff,
    TextPair,
)

__all__ = [
    "HELM_RELEASE",
    "SEE_RAW_DIFF",
    "Action",
    "Change",
    "Comparison",
    "DiffRow",
    "Filters",
    "ManagementRow",
    "NotComparable",
    "Presence",
    "RawDiff",
    "TextPair",
    "changed_fields",
    "compare",
    "presence_between",
]
