"""The pages about one object: its content, its history, and the origin of its fields."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from gitsnap.core.errors import NotFoundError
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.ports import Tree
from gitsnap.core.states import State, name_state
from gitsnap.core.text import describe
from gitsnap.diff.object_actions import object_actions_between
from gitsnap.diff.object_changes import ObjectChange
from gitsnap.diff.raw_diff import object_texts
from gitsnap.diff.rows import ObjectActions
from gitsnap.diff.shown_objects import shown_versions, without_sensitive_values
from gitsnap.format import masking, path_of
from gitsnap.history.blame import blame as find_origins
from gitsnap.history.blame import read_versions
from gitsnap.history.changelog import CommitOrigin, LogEntry, ObjectPattern, newest_kinds, read_entries
from gitsnap.history.fields import is_hidden
from gitsnap.render.web.addresses import object_address, state_name
from gitsnap.sveltos.tree_view import TreeView
from gitsnap.web.answers import LINE_LENGTH, MOST_LINES, Asked, Page, Redirect
from gitsnap.web.documents import Document
from gitsnap.web.site import SiteArchive

_MOST_ENTRIES = 200
"""The largest number of changes in the history of an object."""
_MOST_FIELDS = 2_000
_PRESENT = ("added", "modified")
"""The actions after which an object exists."""
_TABS = (("object", "Content"), ("log", "History"), ("blame", "Blame"))


def _key(asked: Asked) -> ObjectKey:
    """Return the object that an address names: ``KIND/NAME`` or ``KIND/NAMESPACE/NAME``. Raises NotFoundError."""
    if len(asked.names) not in (2, 3):
        raise NotFoundError("the address of an object ends with KIND/NAMESPACE/NAME or KIND/NAME")
    kind, *namespace, name = asked.names
    return ObjectKey(Kind.parse(kind), namespace[0] if namespace else "", name)


def _with_full_kind(archive: SiteArchive, asked: Asked, key: ObjectKey, page: str) -> Redirect | None:
    """Return the address with the full kind, if the address has a short one: ``deploy`` is ``Deployment.apps``.

    None if the kind is full, or unknown in the newest sample. Raises UsageError if several kinds have the name.
    """
    kind = newest_kinds(archive).kind_named(asked.names[0])  # type: ignore[arg-type]
    if kind is None or kind == key.kind:
        return None
    full = ObjectKey(kind, key.namespace, key.name)
    return Redirect(object_address(archive.name, full, page, at=asked.query.get("at", "")))


def _at(archive: SiteArchive, asked: Asked) -> State:
    """Return the state that the query names; without a name, the newest sample."""
    at = asked.query.get("at", "")
    return archive.state(at) if at else archive.newest()


def _shown(archive: SiteArchive, state: State, key: ObjectKey) -> JsonObject | None:
    """Return an object of a state without values that must not be shown; None if the state lacks the object."""
    document = TreeView(archive.tree(state)).get(key)
    if document is None:
        return None
    _, shown = shown_versions(None, document)
    _, shown = without_sensitive_values(
        None, shown, [field for field in archive.listed.hidden if field.kind == key.kind]
    )
    return shown


def _missing(archive: SiteArchive, state: State, key: ObjectKey) -> NotFoundError:
    return NotFoundError(
        f"{describe(key)} is not in {name_state(state)}",
        hint=f"Its history shows whether another sample has it: {object_address(archive.name, key, 'log')}",
    )


def content(archive: SiteArchive, asked: Asked) -> Page | Redirect:
    """Return the content of an object in a sample, as YAML."""
    key, state = _key(asked), _at(archive, asked)
    at = asked.query.get("at", "")
    if at and at != state_name(state):
        return Redirect(object_address(archive.name, key, at=state_name(state)))
    document = _shown(archive, state, key)
    if document is None:
        return _with_full_kind(archive, asked, key, "object") or _absent(archive, state, key, at, "object")
    values = {
        "key": key,
        "state": state,
        "at": at,
        **_lines(document),
        "tabs": _TABS,
        "tab": "object",
        "command": f"gitsnap show {state.moment} {key.path}",
    }
    return Page("object.html", describe(key), lambda: _list_of(document), values)


def _lines(document: JsonObject) -> dict[str, object]:
    """Return the values of a template that shows an object as YAML."""
    lines = (object_texts("", None, document).after or "").splitlines()
    return {
        "lines": [line if len(line) <= LINE_LENGTH else f"{line[:LINE_LENGTH]} …" for line in lines[:MOST_LINES]],
        "left_out": max(len(lines) - MOST_LINES, 0),
        "shortened": sum(len(line) > LINE_LENGTH for line in lines[:MOST_LINES]),
        "is_masked": _is_masked(document),
    }


def _absent(archive: SiteArchive, state: State, key: ObjectKey, at: str, tab: str) -> Page:
    """Return the page of an object that a state lacks: when it was deleted, its last content, and its history.

    The page has no JSON form. Raises NotFoundError if the archive never had the object.
    """
    entries = _entries(archive, key)
    if not entries:
        raise _missing(archive, state, key)
    earlier = [entry for entry in entries if entry.origin.time is None or entry.origin.time <= state.time]
    deletion = earlier[0] if earlier and earlier[0].action not in _PRESENT else None
    last, document = None, None
    if deletion is not None and len(earlier) > 1 and (name := _state_of(earlier[1].origin)):
        last = archive.state(name)
        document = _shown(archive, last, key)
    values = {
        "key": key,
        "state": state,
        "at": at,
        "deletion": deletion,
        "last": last,
        "entries": entries[:_MOST_ENTRIES],
        "more": len(entries) > _MOST_ENTRIES,
        **(_lines(document) if document is not None else {"lines": []}),
        "tabs": _TABS,
        "tab": tab,
        "command": f"gitsnap log {key.path}",
    }

    def refuse() -> Document:
        raise _missing(archive, state, key)

    return Page("absent.html", describe(key), refuse, values)


def _state_of(origin: CommitOrigin) -> str:
    """Return the name of the state that a commit recorded; ``""`` if no sample and no change has it."""
    if origin.commit:
        return origin.commit
    return state_name(origin.sample) if origin.sample else ""


def _is_masked(document: JsonObject) -> bool:
    return masking.shows_fingerprints(document) or "(not shown" in str(document)


def _list_of(document: JsonObject) -> Document:
    """Return the document of ``gitsnap show -o json``. If values are masked, an API server refuses the object."""
    item = masking.with_refusal(document) if _is_masked(document) else document
    return {"apiVersion": "v1", "kind": "List", "items": [item]}


def log(archive: SiteArchive, asked: Asked) -> Page | Redirect:
    """Return the history of an object, newest first. Raises NotFoundError if the archive never had it."""
    key = _key(asked)
    entries = _entries(archive, key)
    if not entries and (redirect := _with_full_kind(archive, asked, key, "log")):
        return redirect
    if not entries:
        raise NotFoundError(f"the archive {archive.name} never had {describe(key)}", hint="The search finds names.")
    shown = entries[:_MOST_ENTRIES]
    values = {
        "key": key,
        "at": "",
        "entries": shown,
        "more": len(entries) > _MOST_ENTRIES,
        "tabs": _TABS,
        "tab": "log",
        "command": f"gitsnap log {key.path}",
    }
    return Page("log.html", describe(key), lambda: asked.documents.log_document(shown), values)


def _entries(archive: SiteArchive, key: ObjectKey) -> list[LogEntry]:
    """Return the newest changes of an object, newest first: at most one more than a page shows."""
    pattern = ObjectPattern(key.kind.name, key.namespace, key.name, key.kind)
    return list(islice(read_entries(archive, [pattern], _find_actions), _MOST_ENTRIES + 1))


def _find_actions(before: Tree, after: Tree, changes: Sequence[ObjectChange]) -> ObjectActions:
    return object_actions_between(before, after, changes)


def blame(archive: SiteArchive, asked: Asked) -> Page | Redirect:
    """Return the page that shows since when an object has each of its fields."""
    key, state = _key(asked), _at(archive, asked)
    tree = archive.tree(state)
    if TreeView(tree).get(key) is None:
        redirect = _with_full_kind(archive, asked, key, "blame")
        return redirect or _absent(archive, state, key, asked.query.get("at", ""), "blame")
    sensitive = {*archive.listed.hidden, *tree.info.secrets.sensitive_fields}
    origins = find_origins(read_versions(archive, path_of(key), state, sensitive)).present
    present = [origins[path] for path in sorted(origins)]
    values = {
        "key": key,
        "state": state,
        "at": asked.query.get("at", ""),
        "origins": present[:_MOST_FIELDS],
        "left_out": max(len(present) - _MOST_FIELDS, 0),
        "is_hidden": is_hidden,
        "tabs": _TABS,
        "tab": "blame",
        "command": f"gitsnap blame {state.moment} {key.path}",
    }
    return Page("blame.html", describe(key), lambda: asked.documents.blame_document(key, state, present), values)
