"""The JSON form of a sample and of a change (docs/SCRIPTING.md), and the changes of a sample as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitsnap.core.forgotten_sample import ForgottenSample
from gitsnap.core.model import ChangeCounts, IncompleteKind, Sample, SampleMetadata
from gitsnap.core.states import ChangeState, State
from gitsnap.core.text import time_text
from gitsnap.format.forgotten import parse_forgotten
from gitsnap.format.rollback_record import parse_record

if TYPE_CHECKING:
    from gitsnap.core.changes import Author
    from gitsnap.history.changelog import CommitOrigin


def sample_document(sample: Sample) -> dict[str, object]:
    """Return the JSON form of a sample."""
    metadata = sample.metadata
    return {
        "policy": metadata.policy,
        "date": sample.moment,
        "time": time_text(metadata.time),
        "tag": sample.tag,
        "commit": sample.commit,
        "sequence": metadata.sequence,
        "trigger": str(metadata.trigger),
        "message": metadata.message,
        "rollback": _rollback_document(metadata),
        "objects": metadata.objects,
        "changes": {
            "added": metadata.changes.added,
            "modified": metadata.changes.modified,
            "deleted": metadata.changes.deleted,
        },
        "consistency": str(metadata.consistency),
        "incomplete": [_incomplete_document(kind) for kind in metadata.incomplete],
        "unresolved": metadata.unresolved,
        "cluster": metadata.cluster,
        "server": metadata.server,
        "imported": metadata.imported,
        "pruned": metadata.pruned,
        "forgotten": [_forgotten_document(sample) for sample in parse_forgotten(metadata.extra)],
    }


def change_document(state: ChangeState) -> dict[str, object]:
    """Return the JSON form of a change."""
    change = state.change
    return {
        "policy": change.policy,
        "date": state.date,
        "time": time_text(change.time),
        "change": change.commit,
        "author": author_document(state.author),
        "late": change.late,
        "after": state.after.tag if state.after else None,
        "subject": change.subject,
        "objects": [
            {"kind": str(changed.key.kind), "namespace": changed.key.namespace, "name": changed.key.name}
            for changed in change.objects
        ],
        "incomplete": [_incomplete_document(kind) for kind in change.incomplete],
        "cluster": change.cluster,
    }


def state_document(state: State) -> dict[str, object]:
    """Return the JSON form of a sample or a change."""
    return change_document(state) if isinstance(state, ChangeState) else sample_document(state)


def author_document(author: Author) -> dict[str, str]:
    """Return the JSON form of an author; the name is ``""`` if the author is unknown."""
    return {"name": author.name, "source": str(author.source)}


def origin_document(origin: CommitOrigin) -> dict[str, object]:
    """Return the fields of a document that name the change of a version: commit, author, and whether it is late."""
    author = author_document(origin.author) if origin.author else None
    return {"change": origin.commit, "author": author, "late": origin.late}


def _rollback_document(metadata: SampleMetadata) -> dict[str, str] | None:
    """The record of a rollback in the sample before or after it; None for another sample."""
    record = parse_record(metadata.extra)
    if record is None:
        return None
    return {
        "to": record.target,
        "undoes": record.undoes,
        "by": record.user,
        "as": record.cluster_user,
        "command": record.command,
        "before": record.before,
        "result": record.result,
    }


def _forgotten_document(sample: ForgottenSample) -> dict[str, str]:
    return {
        "tag": sample.tag,
        "id": sample.tag_id,
        "time": time_text(sample.time),
        "by": sample.user,
        "message": sample.message,
    }


def changes_text(changes: ChangeCounts) -> str:
    """Return the numbers of objects that a sample added, modified and deleted: ``+1 ~12``."""
    signs = ((changes.added, "+"), (changes.modified, "~"), (changes.deleted, "-"))
    return " ".join(f"{sign}{count}" for count, sign in signs if count) or "none"


def _incomplete_document(incomplete: IncompleteKind) -> dict[str, str]:
    described = {
        "kind": str(incomplete.kind),
        "substitute": str(incomplete.substitute),
        "reason": str(incomplete.reason),
    }
    if incomplete.key is None:
        return described
    return {**described, "namespace": incomplete.namespace, "name": incomplete.name}
