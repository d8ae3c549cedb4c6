"""The JSON form of change logs, origins of fields, matches, add-ons and lists of objects (docs/SCRIPTING.md)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gitsnap.cli.documents import author_document, change_document, origin_document
from gitsnap.cli.field_texts import version_date
from gitsnap.core.model import ObjectKey
from gitsnap.core.states import ChangeState, State

if TYPE_CHECKING:
    from gitsnap.diff.rows import DiffRow
    from gitsnap.history.blame import FieldOrigin
    from gitsnap.history.changelog import CommitOrigin, LogEntry
    from gitsnap.history.deployed_addons import AddOn, FailedDeployment
    from gitsnap.history.search import Match


def log_document(entries: Iterable[LogEntry]) -> dict[str, object]:
    """Return the change log of objects."""
    changes = [
        {
            "date": origin_date(entry.origin),
            "sample": entry.origin.sample.tag if entry.origin.sample else None,
            **object_document(entry.key),
            "action": entry.action,
            "fields": entry.fields,
            "manager": entry.manager,
            **origin_document(entry.origin),
            "sampleMessage": origin_reason(entry.origin),
        }
        for entry in entries
    ]
    return {"kind": "ChangeLog", "changes": changes}


def origin_date(origin: CommitOrigin) -> str | None:
    """Return the date of the sample as ``gitsnap list`` prints it, or None for a commit made by hand.

    The date of a change is its own. If the sample is not in this copy of the archive, the date is the time of the
    sample.
    """
    if origin.sample is not None:
        return origin.sample.moment
    return origin.time.strftime("%Y-%m-%d:%H:%M:%S") if origin.time is not None else None


def origin_reason(origin: CommitOrigin) -> str:
    """Return the message of the sample, ``""`` without a sample."""
    return origin.sample.metadata.message if origin.sample else ""


def cluster_log_document(rows: Iterable[tuple[DiffRow, State]]) -> dict[str, object]:
    """Return the change log of managed clusters. Each row has its sample or its change."""
    changes = [
        {
            "date": state_date(state),
            "cluster": row.cluster,
            "resourceType": row.resource_type,
            "namespace": row.namespace,
            "name": row.name,
            "action": str(row.action),
            "message": row.note,
            **_change_fields(state),
        }
        for row, state in rows
    ]
    return {"kind": "ClusterChangeLog", "changes": changes}


def state_date(state: State) -> str:
    """Return the date of a sample or a change as tables show it."""
    return state.date if isinstance(state, ChangeState) else state.moment


def state_reason(state: State) -> str:
    """Return the message of a sample, ``""`` for a change."""
    return "" if isinstance(state, ChangeState) else state.metadata.message


def _change_fields(state: State) -> dict[str, object]:
    """Return the fields that name the change of a row, or the message of its sample."""
    change = state if isinstance(state, ChangeState) else None
    return {
        "change": change.commit if change else None,
        "author": author_document(change.author) if change else None,
        "sampleMessage": state_reason(state),
    }


def blame_document(
    key: ObjectKey, state: State, present: Iterable[FieldOrigin], deleted: Iterable[FieldOrigin] = ()
) -> dict[str, object]:
    """Return the origins of the fields of an object."""
    return {
        "kind": "Blame",
        "object": object_document(key),
        "sample": state.tag,
        "fields": [
            *(_origin_document(origin) for origin in present),
            *(_origin_document(origin, deleted=True) for origin in deleted),
        ],
    }


def _origin_document(origin: FieldOrigin, *, deleted: bool = False) -> dict[str, object]:
    version = origin.since
    return {
        "field": origin.path,
        "value": None if deleted else _value(origin.value),
        "deleted": deleted,
        "since": version_date(version),
        "sample": version.sample.tag if version.sample is not None else None,
        "manager": version.manager,
        **origin_document(version.origin),
        "existed": origin.existed or deleted,
        "before": _value(origin.value if deleted else origin.before),
    }


def _value(value: Any) -> Any:
    from gitsnap.history.fields import HiddenValue

    return str(value) if isinstance(value, HiddenValue) else value


def search_document(matches: Iterable[Match]) -> dict[str, object]:
    """Return the matches of a search."""
    return {"kind": "SearchResult", "matches": [_match_document(match) for match in matches]}


def _match_document(match: Match) -> dict[str, object]:
    return {
        "object": {"kind": str(match.key.kind), "namespace": match.key.namespace, "name": match.key.name},
        "field": match.field,
        "value": match.value,
        "since": version_date(match.since),
        "sample": match.since.sample.tag if match.since.sample is not None else None,
        "manager": match.since.manager,
        **origin_document(match.since.origin),
        "until": version_date(match.until) if match.until is not None else None,
        "untilSample": match.until.sample.tag if match.until is not None and match.until.sample is not None else None,
        "untilChange": match.until.origin.commit if match.until is not None else None,
    }


def addons_document(addons: Iterable[AddOn], failed: Iterable[FailedDeployment]) -> dict[str, object]:
    """Return the add-ons of managed clusters, and the deployments that are not fully known."""
    listed = [
        {
            "cluster": addon.cluster,
            "resourceType": addon.resource_type,
            "namespace": addon.namespace,
            "name": addon.name,
            "version": addon.version,
            "time": addon.time,
            "profiles": addon.profiles,
        }
        for addon in addons
    ]
    unknown = [
        {"cluster": deployment.cluster, "profile": deployment.profile, "features": list(deployment.features)}
        for deployment in failed
    ]
    return {"kind": "AddOnList", "addons": listed, "notKnown": unknown}


def objects_document(state: State, keys: Iterable[ObjectKey]) -> dict[str, object]:
    """Return the objects of a sample or a change."""
    named = {"sample": state.tag, "message": state_reason(state)}
    change = {"change": change_document(state)} if isinstance(state, ChangeState) else {}
    return {"kind": "ObjectList", **named, **change, "objects": [object_document(key) for key in keys]}


def object_document(key: ObjectKey) -> dict[str, str]:
    """Return the name of an object."""
    return {
        "kind": str(key.kind),
        "resourceType": key.kind.resource_type,
        "namespace": key.namespace,
        "name": key.name,
    }
