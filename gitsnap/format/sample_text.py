"""What a sample says about itself, as text: tag names, tag messages, commit messages.

Metadata is the last paragraph of a message: one ASCII line ``Gitsnap-Key: value`` each, no folding; names from outside
are percent-encoded, so that none of them can begin a line (docs/FORMAT.md). This module must not know git.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from gitsnap.core.errors import ArchiveError, InputError
from gitsnap.core.model import ChangeCounts, CommitId, Consistency, IncompleteKind, SampleMetadata, TagId, Trigger
from gitsnap.format.constants import FORMAT
from gitsnap.format.trailers import incomplete_lines, incomplete_of, kept, safe, trailers

if TYPE_CHECKING:
    from gitsnap.core.ports import ChangedFile

_LONGEST_SUBJECT = 120
_LONGEST_NAME = 100
_MOST_LINES = 100
_TAG_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)(?:-([2-9]|[1-9]\d+))?\Z")
_REF_COMPONENT = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?\Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
_NEEDED_KEYS = frozenset(
    {"Policy", "Time", "Sequence", "Cluster", "Trigger", "Objects", "Consistency", "Content-SHA256"}
)
_SINGLE_KEYS = _NEEDED_KEYS | {
    "Added", "Beside", "Deleted", "Format", "Imported", "Modified", "Previous", "Pruned", "Server", "Target",
    "Unresolved",
}  # fmt: skip
_KNOWN_KEYS = _SINGLE_KEYS | {"Incomplete", "Incomplete-Object"}
_TRAILER = re.compile(r"^Gitsnap-([A-Za-z0-9-]+): ?([ -~]*)$", re.MULTILINE)
_COUNT = re.compile(r"\d{1,18}\Z", re.ASCII)
"""A number of a tag. Python refuses to write down a number of thousands of digits, which anybody could plant."""

_SIGNATURES = ("-----BEGIN SSH SIGNATURE-----", "-----BEGIN PGP SIGNATURE-----")


def check_branch(policy: str, prefix: str = "") -> str:
    """The branch of a policy, ``<prefix>/<policy>``. Raises InputError for names that git or file systems refuse."""
    for component in [*(prefix.split("/") if prefix else []), policy]:
        ok = _REF_COMPONENT.match(component) and ".." not in component and not component.endswith(".lock")
        if not ok or len(component) > _LONGEST_NAME:
            raise InputError(
                f"{component!r} cannot name an archive: lower-case letters, digits, '-' and '.' only, at most 100 "
                "characters, beginning and ending with a letter or digit, without '..' and not ending in '.lock'"
            )
    return f"{prefix}/{policy}" if prefix else policy


def tag_name(branch: str, time: datetime, number: int = 1) -> str:
    """``hourly/2023-08-26T05-20-00Z``; the second one within a second gets ``-2``. ``time`` is in UTC."""
    stamp = _time_text(time).replace(":", "-")
    return f"{branch}/{stamp}" if number == 1 else f"{branch}/{stamp}-{number}"


def is_tag_of(tag: str, branch: str) -> bool:
    """Whether a tag's name is that of a sample on this branch."""
    return tag.startswith(f"{branch}/") and _TAG_STAMP.match(tag, len(branch) + 1) is not None


# Tag messages ---------------------------------------------------------------------------------------------------------


def tag_message(metadata: SampleMetadata) -> str:
    """The message of a sample's tag, with a trailing newline."""
    lines = [("Format", str(metadata.format)), ("Policy", metadata.policy), ("Time", _time_text(metadata.time))]
    lines.append(("Sequence", str(metadata.sequence)))
    if metadata.previous:
        lines.append(("Previous", metadata.previous))
    if metadata.pruned:
        lines.append(("Pruned", metadata.pruned))
    lines.append(("Cluster", safe(metadata.cluster)))
    if metadata.server:
        lines.append(("Server", safe(metadata.server)))
    lines.append(("Trigger", metadata.trigger))
    if metadata.target:
        lines.append(("Target", metadata.target))
    if metadata.beside:
        lines.append(("Beside", metadata.beside))
    if metadata.imported:
        lines.append(("Imported", safe(metadata.imported)))
    lines.append(("Objects", str(metadata.objects)))
    lines += _count_lines(metadata.changes)
    lines.append(("Consistency", metadata.consistency))
    lines += incomplete_lines(metadata.incomplete)
    lines += [("Unresolved", str(metadata.unresolved)), ("Content-SHA256", metadata.content_sha256)]
    lines += [(key, kept(value)) for key, value in metadata.extra]
    return f"{_tag_subject(metadata)}\n\n{trailers(lines)}"


@lru_cache(maxsize=1 << 15)
def parse_tag_message(message: str) -> SampleMetadata:
    """What the tag of a sample says; remembered, since a command asks for all samples more than once.

    Raises ArchiveError when it is no gitsnap tag, when a key is missing or not valid, or when its format is newer.
    """
    lines = _lines(message)
    fields = dict(lines)
    version = _format_of(fields)
    if version > FORMAT:
        raise ArchiveError(
            f"the sample is of archive format {version}; this gitsnap reads up to format {FORMAT}",
            hint="Use a newer gitsnap to read it.",
        )
    _check_keys(lines, fields)

    def one(key: str, default: str = "") -> str:
        return fields.get(key, default)

    try:
        return SampleMetadata(
            format=version,
            policy=one("Policy"),
            time=_time(one("Time")),
            sequence=_count(one("Sequence")),
            previous=TagId(one("Previous")) or None,
            pruned=one("Pruned"),
            cluster=one("Cluster"),
            server=one("Server"),
            trigger=Trigger(one("Trigger")),
            target=TagId(one("Target")) or None,
            beside=CommitId(one("Beside")) or None,
            imported=one("Imported"),
            objects=_count(one("Objects")),
            changes=ChangeCounts(*(_count(one(key, "0")) for key in ("Added", "Modified", "Deleted"))),
            consistency=Consistency(one("Consistency")),
            incomplete=incomplete_of(lines),
            unresolved=_count(one("Unresolved", "0")),
            content_sha256=one("Content-SHA256"),
            extra=tuple(line for line in lines if line[0] not in _KNOWN_KEYS),
        )
    except ValueError as error:
        raise ArchiveError(f"the tag of the sample is not valid: {error}") from None


def _count(text: str) -> int:
    """Raises ValueError."""
    if not _COUNT.match(text):
        raise ValueError(f"{text[:40]!r} is not a number of at most 18 digits")
    return int(text)


def _time(text: str) -> datetime:
    """The inverse of ``_time_text``, whose one form is far cheaper to check than any form. Raises ValueError."""
    if not _TIME.match(text):
        raise ValueError(f"time data {text!r} does not have the form 2023-08-26T05:20:00Z")
    return datetime.fromisoformat(text)


def _tag_subject(metadata: SampleMetadata) -> str:
    counts = _counted(metadata.changes)
    subject = f"{metadata.policy}: {metadata.objects} objects, {counts or 'unchanged'}"
    return f"{subject}, incomplete" if metadata.incomplete else subject


def _counted(changes: ChangeCounts) -> str:
    parts = ((changes.added, "added"), (changes.modified, "modified"), (changes.deleted, "deleted"))
    return ", ".join(f"{count} {what}" for count, what in parts if count)


def _count_lines(changes: ChangeCounts) -> list[tuple[str, str]]:
    return [
        ("Added", str(changes.added)),
        ("Modified", str(changes.modified)),
        ("Deleted", str(changes.deleted)),
    ]


def _lines(message: str) -> list[tuple[str, str]]:
    """Keys and values of the last paragraph, with a signature behind it cut off."""
    if "-----BEGIN " in message:
        for mark in _SIGNATURES:
            message = message.partition(mark)[0]
    paragraph = message.rstrip("\n").rpartition("\n\n")[2]
    lines: list[tuple[str, str]] = _TRAILER.findall(paragraph)
    if len(lines) != paragraph.count("\n") + 1:
        raise ArchiveError("the tag was not written by gitsnap: its message does not end in lines Gitsnap-Key: value")
    return lines


def _check_keys(lines: Sequence[tuple[str, str]], fields: Mapping[str, str]) -> None:
    """Raises ArchiveError for a key that is missing, or there twice."""
    if len(fields) < len(lines):
        for key, count in Counter(key for key, _ in lines).items():
            if count > 1 and key in _SINGLE_KEYS:
                raise ArchiveError(f"the tag of the sample has {count} lines Gitsnap-{key} instead of one")
    if not fields.keys() >= _NEEDED_KEYS:
        missing = min(_NEEDED_KEYS - fields.keys())
        raise ArchiveError(f"the tag of the sample has 0 lines Gitsnap-{missing} instead of one")


def _format_of(fields: Mapping[str, str]) -> int:
    text = fields.get("Format", "")
    if not text.isdecimal():
        raise ArchiveError("the tag of the sample has no valid line Gitsnap-Format")
    return int(text)


def _time_text(time: datetime) -> str:
    # Not strftime: it writes the year 5 of a clock that was never set with one digit.
    return time.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


# Commit messages ------------------------------------------------------------------------------------------------------


def commit_message(
    policy: str,
    changes: Sequence[ChangedFile],
    *,
    incomplete: Iterable[IncompleteKind] = (),
    marks: Sequence[str] = (),
    first: bool = False,
) -> str:
    """The message of a commit: a line of a change log, what changed and who wrote it last, and the counts.

    ``marks`` name what of the interpretation changed (``scope``, ``rules``, ``secrets``): such a commit is no change
    of the configuration alone.
    """
    own = [change for change in changes if change.path.startswith("configuration/")]
    counts = ChangeCounts(*(sum(one.action == what for one in own) for what in ("added", "modified", "deleted")))
    listed = sorted(changes, key=lambda one: one.path)
    body = [_change_line(change) for change in listed]
    if len(body) > _MOST_LINES:
        body[_MOST_LINES:] = [f"… and {len(body) - _MOST_LINES} more"]
    lines = [("Format", str(FORMAT)), *_count_lines(counts), *incomplete_lines(incomplete)]
    lines += [("Changed", mark) for mark in marks]
    paragraphs = [_commit_subject(policy, own, marks, first=first)]
    if body:
        paragraphs.append("\n".join(body))
    return "\n\n".join(paragraphs) + "\n\n" + trailers(lines)


def _change_line(change: ChangedFile) -> str:
    by = f" ({safe(change.manager)})" if change.manager else ""
    return f"{change.action} {_safe_path(change.path)}{by}"


def _commit_subject(policy: str, own: Sequence[ChangedFile], marks: Sequence[str], *, first: bool) -> str:
    if first:
        noun = "object" if len(own) == 1 else "objects"
        return f"{policy}: first sample, {len(own)} {noun}"
    counts = Counter((_kind_name(change.path), change.action) for change in own)
    parts = [f"{count} {_plural(kind, count)} {action}" for (kind, action), count in sorted(counts.items())]
    parts += [f"{mark} changed" for mark in marks]
    subject = f"{policy}: " + (", ".join(parts) or "inventory changed")
    if len(subject) <= _LONGEST_SUBJECT:
        return subject
    return f"{policy}: {len(own)} objects of {len({kind for kind, _ in counts})} kinds changed"


def _kind_name(path: str) -> str:
    """The kind in a path ``configuration/<namespace>/<Kind>[.<group>]/<name>.yaml``."""
    parts = path.split("/")
    return _safe_path(parts[2].partition(".")[0]) if len(parts) > 2 else "file"


def _safe_path(path: str) -> str:
    """A path on one line. The paths of objects are so already; somebody else's commit may hold any name."""
    return quote(path, safe="/%~", errors="surrogateescape")


def _plural(kind: str, count: int) -> str:
    if count == 1:
        return kind
    if kind.endswith("y"):
        return f"{kind[:-1]}ies"
    return f"{kind}es" if kind.endswith(("s", "ch")) else f"{kind}s"
