"""The metadata of a sample as text: tag names, tag messages and commit messages (docs/FORMAT.md).

The last paragraph of a message has one ASCII line ``Gitsnap-Key: value`` for each key, without folding. Names from
outside are percent-encoded, so that none can start a line of its own.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from gitsnap.core.errors import ArchiveError, InputError
from gitsnap.core.escapes import visible
from gitsnap.core.model import Area, ChangeCounts, CommitId, Consistency, IncompleteKind, SampleMetadata, TagId, Trigger
from gitsnap.core.text import plural, time_text
from gitsnap.format.constants import FORMAT
from gitsnap.format.trailers import (
    decode_text,
    encode_text,
    encode_unknown,
    format_trailers,
    incomplete_lines,
    parse_incomplete,
    percent_encode,
)

if TYPE_CHECKING:
    from gitsnap.core.commits import ChangedFile

_LONGEST_SUBJECT = 120
_LONGEST_NAME = 100
_MOST_LINES = 100
_INDENT = " " * 4
_TAG_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)(?:-([2-9]|[1-9]\d+))?\Z")
_REF_COMPONENT = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?\Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
_NEEDED_KEYS = frozenset(
    {"Policy", "Time", "Sequence", "Cluster", "Trigger", "Objects", "Consistency", "Content-SHA256"}
)
_SINGLE_KEYS = _NEEDED_KEYS | {
    "Added", "Beside", "Deleted", "Format", "Imported", "Message", "Modified", "Previous", "Pruned", "Server", "Target",
    "Unresolved",
}  # fmt: skip
_KNOWN_KEYS = _SINGLE_KEYS | {"Incomplete", "Incomplete-Object"}
_TRAILER = re.compile(r"^Gitsnap-([A-Za-z0-9-]+): ?([ -~]*)$", re.MULTILINE)
_COUNT = re.compile(r"\d{1,18}\Z", re.ASCII)
"""A number in a tag. Python refuses to print numbers with thousands of digits, which a forged tag could have."""

_SIGNATURES = ("-----BEGIN SSH SIGNATURE-----", "-----BEGIN PGP SIGNATURE-----")


def check_branch(policy: str, prefix: str = "") -> str:
    """The branch of a policy, ``<prefix>/<policy>``. Raises InputError for a name that git or file systems refuse."""
    for component in [*(prefix.split("/") if prefix else []), policy]:
        valid = _REF_COMPONENT.match(component) and ".." not in component and not component.endswith(".lock")
        if not valid or len(component) > _LONGEST_NAME:
            raise InputError(
                f"{component!r} cannot name an archive: lower-case letters, digits, '-' and '.' only, at most 100 "
                "characters, beginning and ending with a letter or digit, without '..' and not ending in '.lock'"
            )
    return f"{prefix}/{policy}" if prefix else policy


def tag_name(branch: str, time: datetime, number: int = 1) -> str:
    """``hourly/2023-08-26T05-20-00Z``; a ``number`` above 1 is appended (``-2``). ``time`` is in UTC."""
    stamp = time_text(time).replace(":", "-")
    return f"{branch}/{stamp}" if number == 1 else f"{branch}/{stamp}-{number}"


def is_tag_of(tag: str, branch: str) -> bool:
    """Whether a tag has the name of a sample on this branch."""
    return tag.startswith(f"{branch}/") and _TAG_STAMP.match(tag, len(branch) + 1) is not None


# Tag messages ---------------------------------------------------------------------------------------------------------


def tag_message(metadata: SampleMetadata) -> str:
    """The message of the tag of a sample, with a trailing newline."""
    lines = [("Format", str(metadata.format)), ("Policy", metadata.policy), ("Time", time_text(metadata.time))]
    lines.append(("Sequence", str(metadata.sequence)))
    if metadata.previous:
        lines.append(("Previous", metadata.previous))
    if metadata.pruned:
        lines.append(("Pruned", metadata.pruned))
    lines.append(("Cluster", percent_encode(metadata.cluster)))
    if metadata.server:
        lines.append(("Server", percent_encode(metadata.server)))
    lines.append(("Trigger", metadata.trigger))
    if metadata.target:
        lines.append(("Target", metadata.target))
    if metadata.detached_from:
        lines.append(("Beside", metadata.detached_from))
    if metadata.imported:
        lines.append(("Imported", percent_encode(metadata.imported)))
    if metadata.message:
        lines.append(("Message", encode_text(metadata.message)))
    lines.append(("Objects", str(metadata.objects)))
    lines += _count_lines(metadata.changes)
    lines.append(("Consistency", metadata.consistency))
    lines += incomplete_lines(metadata.incomplete)
    lines += [("Unresolved", str(metadata.unresolved)), ("Content-SHA256", metadata.content_sha256)]
    lines += [(key, encode_unknown(value)) for key, value in metadata.extra]
    return f"{_tag_subject(metadata)}\n\n{format_trailers(lines)}"


@lru_cache(maxsize=1 << 15)
def parse_tag_message(message: str) -> SampleMetadata:
    """The metadata in the message of a tag. Cached, because a command reads the same tags several times.

    Raises ArchiveError for a tag that gitsnap did not write, a missing or invalid key, or a newer format.
    """
    lines = trailer_lines(message)
    fields = defaultdict(str, lines)
    version = _format_of(fields)
    if version > FORMAT:
        raise ArchiveError(
            f"the sample is of archive format {version}; this gitsnap reads up to format {FORMAT}",
            hint="Use a newer gitsnap to read it.",
        )
    _check_keys(lines, fields)

    try:
        return SampleMetadata(
            format=version,
            policy=fields["Policy"],
            time=parse_time(fields["Time"]),
            sequence=_parse_count(fields["Sequence"]),
            previous=TagId(fields["Previous"]) or None,
            pruned=fields["Pruned"],
            cluster=fields["Cluster"],
            server=fields["Server"],
            trigger=Trigger(fields["Trigger"]),
            target=TagId(fields["Target"]) or None,
            detached_from=CommitId(fields["Beside"]) or None,
            imported=fields["Imported"],
            message=decode_text(fields["Message"]),
            objects=_parse_count(fields["Objects"]),
            changes=ChangeCounts(*(_parse_count(fields.get(key, "0")) for key in ("Added", "Modified", "Deleted"))),
            consistency=Consistency(fields["Consistency"]),
            incomplete=parse_incomplete(lines),
            unresolved=_parse_count(fields.get("Unresolved", "0")),
            content_sha256=fields["Content-SHA256"],
            extra=tuple(line for line in lines if line[0] not in _KNOWN_KEYS),
        )
    except ValueError as error:
        raise ArchiveError(f"the tag of the sample is not valid: {error}") from None


def _parse_count(text: str) -> int:
    """Raises ValueError."""
    if not _COUNT.match(text):
        raise ValueError(f"{text[:40]!r} is not a number of at most 18 digits")
    return int(text)


def parse_time(text: str) -> datetime:
    """The inverse of ``time_text``. Accepts this form only, which is fast to check. Raises ValueError."""
    if not _TIME.match(text):
        raise ValueError(f"time data {text!r} does not have the form 2023-08-26T05:20:00Z")
    return datetime.fromisoformat(text)


def _tag_subject(metadata: SampleMetadata) -> str:
    counts = _describe_changes(metadata.changes)
    subject = f"{metadata.policy}: {metadata.objects} objects, {counts or 'unchanged'}"
    return f"{subject}, incomplete" if metadata.incomplete else subject


def _describe_changes(changes: ChangeCounts) -> str:
    parts = ((changes.added, "added"), (changes.modified, "modified"), (changes.deleted, "deleted"))
    return ", ".join(f"{count} {action}" for count, action in parts if count)


def _count_lines(changes: ChangeCounts) -> list[tuple[str, str]]:
    return [
        ("Added", str(changes.added)),
        ("Modified", str(changes.modified)),
        ("Deleted", str(changes.deleted)),
    ]


def trailer_lines(message: str) -> list[tuple[str, str]]:
    """The keys and values of the last paragraph before any signature."""
    if "-----BEGIN " in message:
        for mark in _SIGNATURES:
            message = message.partition(mark)[0]
    paragraph = message.rstrip("\n").rpartition("\n\n")[2]
    lines: list[tuple[str, str]] = _TRAILER.findall(paragraph)
    if len(lines) != paragraph.count("\n") + 1:
        raise ArchiveError("the tag was not written by gitsnap: its message does not end in lines Gitsnap-Key: value")
    return lines


def _check_keys(lines: Sequence[tuple[str, str]], fields: Mapping[str, str]) -> None:
    """Raises ArchiveError for a missing key, and for a single key that occurs twice."""
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


# Commit messages ------------------------------------------------------------------------------------------------------


def commit_message(
    policy: str,
    changes: Sequence[ChangedFile],
    *,
    incomplete: Iterable[IncompleteKind] = (),
    marks: Sequence[str] = (),
    first: bool = False,
    reason: str = "",
) -> str:
    """The message of a commit: a subject, the reason, the changed files with the manager of each, and the counts.

    ``reason`` is the message of the sample, which may be any text. Its lines are indented, so that no reader takes a
    line for a trailer or for a changed file. ``marks`` names the changed settings of the tree (``scope``, ``rules``,
    ``secrets``): such a commit has more than changes of the configuration.
    """
    lines = [("Format", str(FORMAT)), *commit_counts(changes), *incomplete_lines(incomplete)]
    lines += [("Changed", mark) for mark in marks]
    return commit_text(policy, changes, lines, marks=marks, first=first, reason=reason)


def commit_counts(changes: Iterable[ChangedFile]) -> list[tuple[str, str]]:
    """The keys and values for the numbers of added, modified and deleted objects."""
    actions = Counter(change.action for change in _own_changes(changes))
    return _count_lines(ChangeCounts(actions["added"], actions["modified"], actions["deleted"]))


def commit_text(
    policy: str,
    changes: Sequence[ChangedFile],
    lines: Iterable[tuple[str, str]],
    *,
    marks: Sequence[str] = (),
    first: bool = False,
    reason: str = "",
) -> str:
    """The text of a commit: subject, reason, changed files, and a last paragraph with the keys and values ``lines``."""
    body = [_change_line(change) for change in sorted(changes, key=lambda change: change.path)]
    if len(body) > _MOST_LINES:
        body[_MOST_LINES:] = [f"… and {len(body) - _MOST_LINES} more"]
    paragraphs = [_commit_subject(policy, _own_changes(changes), marks, first=first)]
    if reason:
        paragraphs.append("\n".join(f"{_INDENT}{visible(line)}".rstrip() for line in reason.splitlines()))
    if body:
        paragraphs.append("\n".join(body))
    return "\n\n".join(paragraphs) + "\n\n" + format_trailers(lines)


def _own_changes(changes: Iterable[ChangedFile]) -> list[ChangedFile]:
    """The changes of objects that people own."""
    return [change for change in changes if change.path.startswith(f"{Area.CONFIGURATION}/")]


def _change_line(change: ChangedFile) -> str:
    by = f" ({percent_encode(change.manager)})" if change.manager else ""
    return f"{change.action} {_safe_path(change.path)}{by}"


def _commit_subject(policy: str, own: Sequence[ChangedFile], marks: Sequence[str], *, first: bool) -> str:
    if first:
        return f"{policy}: first sample, {plural(len(own), 'object')}"
    counts = Counter((_kind_name(change.path), change.action) for change in own)
    parts = [
        f"{count} {kind if count == 1 else _plural_kind(kind)} {action}"
        for (kind, action), count in sorted(counts.items())
    ]
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
    """A path on one line of ASCII. Paths of objects need no encoding; a commit by somebody else may have any path."""
    return quote(path, safe="/%~", errors="surrogateescape")


def _plural_kind(kind: str) -> str:
    """``ClusterProfiles``, ``RoleRequests``. Not ``core.text``: the subjects of commits keep their form."""
    if kind.endswith("y"):
        return f"{kind[:-1]}ies"
    return f"{kind}es" if kind.endswith(("s", "ch")) else f"{kind}s"
