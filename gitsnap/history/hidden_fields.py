"""The fields that are hidden now: a policy may name a field as sensitive after samples had it in plain text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gitsnap.core.model import SensitiveField

if TYPE_CHECKING:
    from gitsnap.core.ports import Archive


def hidden_fields(archives: Iterable[Archive]) -> tuple[SensitiveField, ...]:
    """Return the fields that the newest sample of one of the archives keeps as sensitive, sorted.

    Raises ArchiveError for a damaged sample.
    """
    fields = set[SensitiveField]()
    for archive in archives:
        for sample in archive.samples()[-1:]:
            fields.update(archive.tree(sample).info.secrets.sensitive_fields)
    return tuple(sorted(fields, key=str))
