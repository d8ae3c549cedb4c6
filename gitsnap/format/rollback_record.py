"""What the samples around a rollback say of it: keys of the tag that readers who do not know them ignore.

The sample before says what was about to be done, the one after how it ended; so a rollback that was killed is known by
a sample before that no sample after belongs to (docs/FORMAT.md). This module must not know git.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from gitsnap.core.model import Kind, ObjectKey

_PREFIX = "Rollback-"
_OBJECT = f"{_PREFIX}Object"


class Result(enum.StrEnum):
    """How a rollback ended."""

    DONE = "done"
    NOTHING = "nothing-written"
    """The first write was refused."""
    TAKEN_BACK = "taken-back"
    """It failed half-way, and what it had written was undone (``--atomic``)."""


@dataclass(frozen=True, slots=True)
class RollbackRecord:
    """What one of the two samples says. Fields that do not apply are empty."""

    plan: str = ""
    """SHA-256 of the plan: the same in both samples."""
    target: str = ""
    """Tag of the sample that was rolled back to."""
    origin: str = ""
    """In the sample before: uid of the cluster that the target is a sample of, where that is another one."""
    objects: tuple[tuple[str, ObjectKey], ...] = ()
    """In the sample before: each object that was about to be written, with the plan's word for it."""
    command: str = ""
    """In the sample before: what was asked for, as command line arguments."""
    undoes: str = ""
    """For an undo: tag of the sample before the rollback that it undoes."""
    user: str = ""
    """Who asked: the user of the operating system."""
    cluster_user: str = ""
    """Who asked: the user of the kubeconfig."""
    before: str = ""
    """In the sample after: tag of the sample before."""
    result: str = ""
    """In the sample after: a Result."""


_TEXTS = {
    "Plan": "plan",
    "To": "target",
    "From": "origin",
    "Undoes": "undoes",
    "By": "user",
    "As": "cluster_user",
    "Command": "command",
    "Before": "before",
    "Result": "result",
}


def record_lines(record: RollbackRecord) -> tuple[tuple[str, str], ...]:
    """Keys and values for a tag, without the ``Gitsnap-`` that all keys have."""
    texts = ((key, str(getattr(record, name))) for key, name in _TEXTS.items())
    lines = [
        (f"{_PREFIX}{key}", _encoded(text, keep="/ " if text == text.strip() else "/")) for key, text in texts if text
    ]
    lines += [(_OBJECT, f"{action} {_spelled(key)}") for action, key in record.objects]
    return tuple(lines)


def parse_record(lines: Iterable[tuple[str, str]]) -> RollbackRecord | None:
    """The inverse, from the keys of a tag that the format itself does not know; None where nothing is said."""
    texts: dict[str, str] = {}
    objects: list[tuple[str, ObjectKey]] = []
    for key, value in lines:
        name = _TEXTS.get(key.removeprefix(_PREFIX)) if key.startswith(_PREFIX) else None
        if name is not None:
            texts[name] = unquote(value)
        elif key == _OBJECT:
            action, _, spelled = value.partition(" ")
            found = _key(spelled)
            if found is not None:
                objects.append((action, found))
    return RollbackRecord(**texts, objects=tuple(objects)) if texts or objects else None


def _spelled(key: ObjectKey) -> str:
    """``ConfigMap/default/database``, ``ClusterProfile.config.projectsveltos.io/guestbook``."""
    parts = [str(key.kind), *([key.namespace] if key.namespace else []), key.name]
    return "/".join(_encoded(part) for part in parts)


def _key(spelled: str) -> ObjectKey | None:
    parts = [unquote(part) for part in spelled.split("/")]
    if len(parts) not in (2, 3) or not all(parts):
        return None
    return ObjectKey(Kind.parse(parts[0]), parts[1] if len(parts) == 3 else "", parts[-1])


def _encoded(text: str, *, keep: str = "") -> str:
    """On one ASCII line: everything but printable ASCII is percent-encoded, and so are ``%``, the space and ``/``."""
    return quote(text, safe="!\"#$&'()*+,-.:;<=>?@[\\]^_`{|}~" + keep, errors="surrogatepass")
