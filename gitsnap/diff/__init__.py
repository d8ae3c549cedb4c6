"""Two configurations -> sorted changes: rows for each managed cluster, rows for the management cluster, raw diffs.

Pure: it reads trees and says what differs in them, so the same two trees always give the same comparison.
A change log needs little of that, and most of its time is that of loading: what the two functions here are made of is
loaded when they are called.
This package must not format for people beyond the words of a message, and never shows a value of a Secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gitsnap.diff.changes import Change, in_words
from gitsnap.diff.rows import (
    EVERYTHING,
    HELM_RELEASE,
    SEE_RAW_DIFF,
    Action,
    Comparison,
    DiffRow,
    Filters,
    ManagementRow,
    NotComparable,
    Presence,
    RawDiff,
    TextPair,
)

if TYPE_CHECKING:
    from gitsnap.core.ports import Tree

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
    "compare",
    "in_words",
    "presence_between",
]


def compare(before: Tree, after: Tree, *, filters: Filters = EVERYTHING) -> Comparison:
    """What differs between two configurations; deterministic and sorted.

    Kinds that one side does not cover, or could not read, bring no rows and are listed as not comparable.
    Raises InputError when an archived file cannot be read.
    """
    from gitsnap.diff.comparison import compared

    return compared(before, after, filters)


def presence_between(before: Tree, after: Tree, changes: Iterable[Change]) -> Presence:
    """What happened between two configurations to the objects that one of them lacks."""
    from gitsnap.diff.presence import tell_presence
    from gitsnap.diff.sides import Contents, Side

    contents = Contents()
    return tell_presence(Side(before, contents), Side(after, contents), changes)
