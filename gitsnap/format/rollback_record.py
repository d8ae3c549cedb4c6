"""The record of a rollback in the tags of the samples before and after it (docs/FORMAT.md).

The sample before a rollback records the plan; the sample after it records the result. The rollback was killed or
stopped half-way if the second sample is missing. Readers that do not know these keys ignore them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from gitsnap.core.model import Kind, ObjectKey
from gitsnap.core.states import SHORT_ID, is_commit_id
from gitsnap.format.trailers import decode_text, encode_text, percent_encode

_PREFIX = "Rollback-"
_OBJECT = f"{_PREFIX}Object"


class Result(enum.StrEnum):
    """How a rollback ended."""

    DONE = "done"
    NOTHING = "nothing-written"
    """The first write was refused."""
    REVERTED = "taken-back"
    """The rollback failed half-way, and its writes were reverted (``--atomic``)."""


@dataclass(frozen=True, slots=True)
class RollbackRecord:
    """The record in one of the two samples. Fields that do not apply are empty."""

    plan: str = ""
    """SHA-256 of the plan; the same in both samples."""
    target: str = ""
    """Tag of the sample, or commit id of the change, that was rolled back to."""
    origin: str = ""
    """In the sample before: uid of the cluster of the target, if it is another cluster."""
    objects: tuple[tuple[str, ObjectKey], ...] = ()
    """In the sample before: the objects to write, each with the action of the plan."""
    command: str = ""
    """In the sample before: the arguments of the command line."""
    undoes: str = ""
    """For an undo: tag of the sample before the rollback that is undone."""
    user: str = ""
    """The user of the operating system who started the rollback."""
    cluster_user: str = ""
    """The user of the kubeconfig."""
    before: str = ""
    """In the sample after: tag of the sample before."""
    result: str = ""
    """In the sample after: a Result."""

    @property
    def person(self) -> str:
        """The user of the operating system and, in parentheses, of the cluster: ``root (admin)``; ``""`` if unknown."""
        return f"{self.user} ({self.cluster_user})" if self.user and self.cluster_user else self.user

    @property
    def goal(self) -> str:
        """The target for messages: the tag of a sample, or ``change 3f2a1b9c0d1e``."""
        return f"change {self.target[:SHORT_ID]}" if is_commit_id(self.target) else self.target


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
    """The keys and values for a tag. The keys lack the prefix ``Gitsnap-``."""
    texts = ((key, str(getattr(record, name))) for key, name in _TEXTS.items())
    lines = [(f"{_PREFIX}{key}", encode_text(text)) for key, text in texts if text]
    lines += [(_OBJECT, f"{action} {_encoded_key(key)}") for action, key in record.objects]
    return tuple(lines)


def parse_record(lines: Iterable[tuple[str, str]]) -> RollbackRecord | None:
    """The inverse of ``record_lines``, from the further keys of a tag; None for a tag without a record."""
    texts: dict[str, str] = {}
    objects: list[tuple[str, ObjectKey]] = []
    for key, value in lines:
        name = _TEXTS.get(key.removeprefix(_PREFIX)) if key.startswith(_PREFIX) else None
        if name is not None:
            texts[name] = decode_text(value)
        elif key == _OBJECT:
            action, _, encoded_key = value.partition(" ")
            object_key = _decoded_key(encoded_key)
            if object_key is not None:
                objects.append((action, object_key))
    return RollbackRecord(**texts, objects=tuple(objects)) if texts or objects else None


def _encoded_key(key: ObjectKey) -> str:
    """``ConfigMap/default/database``, ``ClusterProfile.config.projectsveltos.io/guestbook``."""
    parts = [str(key.kind), *([key.namespace] if key.namespace else []), key.name]
    return "/".join(_encoded(part) for part in parts)


def _decoded_key(text: str) -> ObjectKey | None:
    parts = [unquote(part) for part in text.split("/")]
    if len(parts) not in (2, 3) or not all(parts):
        return None
    return ObjectKey(Kind.parse(parts[0]), parts[1] if len(parts) == 3 else "", parts[-1])


def _encoded(text: str) -> str:
    """Percent-encode everything but printable ASCII, and ``%``, the space and ``/``."""
    return percent_encode(text).replace("/", "%2F")
