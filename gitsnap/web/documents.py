"""The JSON forms that pages have at the same addresses. The command line gives them, so that both print the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from gitsnap.core.model import ObjectKey, Sample
from gitsnap.core.states import ChangeState, State
from gitsnap.diff.rows import Comparison, DiffRow, NotComparable
from gitsnap.history.blame import FieldOrigin
from gitsnap.history.changelog import LogEntry
from gitsnap.history.deployed_addons import AddOn, FailedDeployment
from gitsnap.history.search import Match

Document = dict[str, object]


class Documents(Protocol):
    """The JSON forms of the results of commands (docs/SCRIPTING.md)."""

    def sample_document(self, sample: Sample, /) -> Document:
        """Return a sample."""

    def change_document(self, state: ChangeState, /) -> Document:
        """Return a change."""

    def row_documents(self, comparison: Comparison, /) -> dict[str, list[Document]]:
        """Return the rows of a comparison."""

    def skipped_document(self, skipped: NotComparable, /) -> Document:
        """Return a kind or an object that could not be compared."""

    def log_document(self, entries: Iterable[LogEntry], /) -> Document:
        """Return the change log of objects."""

    def cluster_log_document(self, rows: Iterable[tuple[DiffRow, State]], /) -> Document:
        """Return the change log of managed clusters."""

    def blame_document(self, key: ObjectKey, state: State, present: Iterable[FieldOrigin], /) -> Document:
        """Return the origins of the fields of an object."""

    def search_document(self, matches: Iterable[Match], /) -> Document:
        """Return the matches of a search."""

    def addons_document(self, addons: Iterable[AddOn], failed: Iterable[FailedDeployment], /) -> Document:
        """Return the add-ons of managed clusters."""

    def objects_document(self, state: State, keys: Iterable[ObjectKey], /) -> Document:
        """Return the objects of a sample."""
