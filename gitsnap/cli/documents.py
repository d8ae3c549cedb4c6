"""The JSON form of a sample, which several commands print (docs/SCRIPTING.md)."""

from __future__ import annotations

from datetime import UTC

from gitsnap.core.model import IncompleteKind, Sample


def sample_document(sample: Sample) -> dict[str, object]:
    """Return the JSON form of a sample."""
    metadata = sample.metadata
    return {
        "policy": metadata.policy,
        "date": sample.moment,
        "time": metadata.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tag": sample.tag,
        "commit": sample.commit,
        "sequence": metadata.sequence,
        "trigger": str(metadata.trigger),
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
    }


def _incomplete_document(incomplete: IncompleteKind) -> dict[str, str]:
    described = {
        "kind": str(incomplete.kind),
        "substitute": str(incomplete.substitute),
        "reason": str(incomplete.reason),
    }
    if incomplete.key is None:
        return described
    return {**described, "namespace": incomplete.namespace, "name": incomplete.name}
