"""The JSON forms for the pages of ``gitsnap web``: those of the commands (``gitsnap.web.documents.Documents``)."""

from gitsnap.cli.diff_documents import row_documents, skipped_document
from gitsnap.cli.documents import change_document, sample_document
from gitsnap.cli.history_documents import (
    addons_document,
    blame_document,
    cluster_log_document,
    log_document,
    objects_document,
    search_document,
)

__all__ = [
    "addons_document",
    "blame_document",
    "change_document",
    "cluster_log_document",
    "log_document",
    "objects_document",
    "row_documents",
    "sample_document",
    "search_document",
    "skipped_document",
]
