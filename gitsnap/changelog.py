"""The change log of an archive, of everything or of one object: when, what, which fields, who; deleted objects too.

This module must not know git: it sees commits as lists of changed files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gitsnap.compare import Comparison, Filters, changed_fields, compare
from gitsnap.errors import UsageError
from gitsnap.format import decode, path_of
from gitsnap.model import Area, BlobId, JsonObject, ObjectKey, Sample
from gitsnap.ports import LoggedCommit, Tree
from gitsnap.sveltos import kinds


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One change of one object."""

    sample: Sample | None
    """The sample that found it; None for a commit by somebody else."""
    action: str
    """``added``, ``modified`` or ``deleted``."""
    key: ObjectKey
    fields: str
    """The changed fields of a modification, at most three by name."""
    manager: str
    """The field manager that wrote the object last, ``""`` where unknown."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which object a change log is about; empty for everything."""

    kind: str = ""
    namespace: str = ""
    name: str = ""

    @classmethod
    def parse(cls, reference: str) -> Wanted:
        """``KIND``, ``KIND/NAME`` or ``KIND/NAMESPACE/NAME``; ``""`` for everything. Raises UsageError."""
        parts = reference.split("/") if reference else []
        if len(parts) > 3 or not all(parts):
            raise UsageError(f"{reference!r} names no object; write KIND, KIND/NAME or KIND/NAMESPACE/NAME")
        namespace = parts[1] if len(parts) == 3 else ""
        return cls(parts[0] if parts else "", namespace, parts[-1] if len(parts) > 1 else "")

    def patterns(self) -> list[str]:
        """git pathspecs that everything wanted fits: a whole path where it is known, which git finds fastest."""
        root = str(Area.CONFIGURATION)
        if not self.kind:
            return [root]
        found = [row for row in kinds.KINDS if kinds.means_kind(self.kind, row.kind)]
        if found and self.name and all(self.namespace or not row.namespaced for row in found):
            keys = [ObjectKey(row.kind, self.namespace if row.namespaced else "", self.name) for row in found]
            return [f":(literal){root}/{path_of(key)}" for key in keys]
        if found:
            return [f":(glob){root}/*/{row.kind}/**" for row in found]
        return [f":(glob,icase){root}/*/{self.kind}/**", f":(glob,icase){root}/*/{self.kind}.*/**"]

    def fits(self, key: ObjectKey) -> bool:
        """Whether an object is wanted; namespace and name exactly, the kind as a person writes it."""
        if self.name and key.name != self.name:
            return False
        return not self.namespace or key.namespace == self.namespace


def entries(
    commits: Iterable[LoggedCommit],
    samples: Sequence[Sample],
    read: Callable[[BlobId], bytes],
    wanted: Wanted,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[LogEntry]:
    """The changes of wanted objects, newest first; by path within a commit.

    ``since`` and ``until`` bound the time of the sample; a commit by somebody else has none and is left out then.
    """
    found_by = _first_samples(samples)
    for commit in commits:
        sample = found_by.get(commit.id)
        if not _within(sample, since, until):
            continue
        for file in sorted(commit.files, key=lambda one: one.path):
            before = _document(file.before, read)
            after = _document(file.after, read)
            key = ObjectKey.of(after or before or {}) if after or before else None
            if key is None or not wanted.fits(key):
                continue
            fields = changed_fields(before, after) if before and after else ""
            yield LogEntry(sample, file.action, key, fields, file.manager)


def cluster_changes(
    samples: Sequence[Sample],
    tree: Callable[[Sample], Tree],
    filters: Filters,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[tuple[Sample, Comparison]]:
    """What each sample changed for the clusters that the filters name, newest first; only samples that did."""
    for before, after in zip(reversed(samples[:-1]), reversed(samples[1:]), strict=True):
        if before.commit == after.commit or not _within(after, since, until):
            continue
        comparison = compare(tree(before), tree(after), filters=filters)
        if comparison:
            yield after, comparison


def _first_samples(samples: Sequence[Sample]) -> Mapping[str, Sample]:
    """Commit -> the first sample that found it; later ones found nothing new."""
    found: dict[str, Sample] = {}
    for sample in samples:
        found.setdefault(sample.commit, sample)
    return found


def _within(sample: Sample | None, since: datetime | None, until: datetime | None) -> bool:
    if sample is None:
        return since is None and until is None
    return (since is None or sample.time >= since) and (until is None or sample.time <= until)


def _document(blob: BlobId | None, read: Callable[[BlobId], bytes]) -> JsonObject | None:
    if blob is None:
        return None
    document = decode(read(blob))
    return document if isinstance(document, dict) and "metadata" in document else None
