"""The text of changes: commits without a tag, which follow mode writes between samples (docs/FORMAT.md, "Changes")."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from gitsnap.core.changes import UNKNOWN_AUTHOR, Author, AuthorSource, Change, ChangedObject, Revision
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import CommitId, IncompleteKind, Kind, ObjectKey
from gitsnap.core.text import time_text
from gitsnap.format.constants import FORMAT
from gitsnap.format.sample_text import commit_counts, commit_text, parse_time, trailer_lines
from gitsnap.format.trailers import format_trailers, incomplete_lines, parse_incomplete, percent_encode

if TYPE_CHECKING:
    from gitsnap.core.commits import ChangedFile

AUTHOR_NOTES = "refs/notes/gitsnap-authors"
"""The notes with names of authors that became known after their change was written."""
MOST_OBJECTS = 500
"""The largest number of objects that a change names."""

_UNKNOWN_NAME = "unknown"
_EMAIL_DOMAIN = "kubernetes.invalid"
_LONGEST_NAME = 256
_KEPT_OF_LONG_NAME = 200
_ADDRESS = re.compile(r"[A-Za-z0-9!#$&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+\Z")
_IDENTITY = re.compile(r"(.*?) ?<([^<>]*)>\Z", re.DOTALL)
_NONE = "-"


def change_message(
    policy: str,
    changes: Sequence[ChangedFile],
    *,
    cluster: str,
    time: datetime,
    source: AuthorSource,
    revisions: Iterable[Revision],
    late: bool = False,
    objects: Sequence[ChangedObject] = (),
    incomplete: Iterable[IncompleteKind] = (),
) -> str:
    """The message of the commit of a change. ``changes``: the changed files. ``cluster``: uid of kube-system."""
    lines = [
        ("Format", str(FORMAT)),
        ("Policy", policy),
        ("Cluster", percent_encode(cluster)),
        ("Time", time_text(time)),
        *commit_counts(changes),
        *incomplete_lines(incomplete),
        ("Author-Source", str(source)),
    ]
    lines += [("Revision", _revision_text(revision)) for revision in sorted(revisions, key=_by_resource)]
    if late:
        lines.append(("Seen", "late"))
    if len(objects) <= MOST_OBJECTS:
        lines += [("Object", _object_text(changed)) for changed in sorted(objects)]
    return commit_text(policy, changes, lines)


def parse_change(commit: CommitId, parent: CommitId | None, identity: str, message: str) -> Change | None:
    """The change that a commit records. None for a commit that is not a change.

    ``identity``: the author of the commit, ``name <email>``. Raises ArchiveError for a change with invalid lines, and
    for a change of a newer format.
    """
    if "\nGitsnap-Revision: " not in message or "\nGitsnap-Author-Source: " not in message:
        return None
    try:
        lines = trailer_lines(message)
    except ArchiveError:
        return None  # the lines are not in the last paragraph
    fields = defaultdict(str, lines)
    if not fields["Revision"] or not fields["Author-Source"] or not fields["Format"]:
        return None
    try:
        version = int(fields["Format"][:18])
        if version > FORMAT:
            raise ArchiveError(
                f"the change {commit[:12]} is of archive format {version}; this gitsnap reads up to format {FORMAT}",
                hint="Use a newer gitsnap to read it.",
            )
        return Change(
            commit=commit,
            parent=parent,
            author=parse_identity(identity, AuthorSource(fields["Author-Source"])),
            time=parse_time(fields["Time"]),
            revisions=tuple(sorted(_parse_revision(value) for key, value in lines if key == "Revision")),
            late=fields["Seen"] == "late",
            objects=tuple(sorted(_parse_object(value) for key, value in lines if key == "Object")),
            message=message,
            policy=fields["Policy"],
            cluster=unquote(fields["Cluster"]),
            incomplete=parse_incomplete(lines),
        )
    except ValueError as error:
        raise ArchiveError(f"the change {commit[:12]} is not valid: {error}") from None


# Authors --------------------------------------------------------------------------------------------------------------


def author_identity(author: Author) -> str:
    """The author as git writes it: ``alice <alice@kubernetes.invalid>``.

    A name that is an e-mail address is its own address. A name of more than 256 characters is cut.
    """
    if author.source is AuthorSource.UNKNOWN:
        return f"{_UNKNOWN_NAME} <{_UNKNOWN_NAME}@{_EMAIL_DOMAIN}>"
    return person_identity(author.name)


def person_identity(name: str) -> str:
    """A name as the author of a commit (``author_identity``)."""
    name = short_name(name)
    address = name if _ADDRESS.match(name) else f"{quote(name, safe='', errors='surrogatepass')}@{_EMAIL_DOMAIN}"
    return f"{_encode_name(name)} <{address}>"


def parse_identity(identity: str, source: AuthorSource) -> Author:
    """The inverse of ``author_identity``. ``identity``: ``name <email>``."""
    if source is AuthorSource.UNKNOWN:
        return UNKNOWN_AUTHOR
    match = _IDENTITY.match(identity)
    return Author(_decode_name(match[1] if match else identity), source)


def short_name(name: str) -> str:
    """A name as changes and notes record it: a name of more than 256 characters ends in 16 digits of its SHA-256."""
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    return f"{name[:_KEPT_OF_LONG_NAME]}~{digest[:16]}"


def _encode_name(name: str) -> str:
    """Percent-encode what an author line of git cannot hold, and what acts on a terminal. Other text is kept."""
    inner = name.strip(" ")
    start = name.index(inner) if inner else len(name)
    return "".join(
        character
        if character.isprintable() and character not in "<>%" and start <= position < start + len(inner)
        else quote(character, safe="", errors="surrogatepass")
        for position, character in enumerate(name)
    )


def _decode_name(text: str) -> str:
    try:
        return unquote(text, errors="surrogatepass")
    except UnicodeDecodeError:
        return unquote(text, errors="replace")


def author_note(author: Author) -> str:
    """The text of a note in ``refs/notes/gitsnap-authors``."""
    name = percent_encode(short_name(author.name))
    return format_trailers([("Author", name), ("Author-Source", str(author.source))])


def parse_author_note(text: str) -> Author | None:
    """The inverse of ``author_note``. None for a note that names no author."""
    try:
        fields = dict(trailer_lines(text))
        source = AuthorSource(fields.get("Author-Source", ""))
    except (ArchiveError, ValueError):
        return None
    name = _decode_name(fields.get("Author", ""))
    return Author(name, source) if name and source is not AuthorSource.UNKNOWN else None


# Revisions and objects ------------------------------------------------------------------------------------------------


def _by_resource(revision: Revision) -> tuple[str, str]:
    return revision.resource, revision.version


def _revision_text(revision: Revision) -> str:
    version = percent_encode(revision.version) or _NONE
    return f"{percent_encode(revision.resource)} {version}" if revision.resource else version


def _parse_revision(value: str) -> Revision:
    resource, _, version = value.rpartition(" ")
    return Revision(_decode_name(version).removeprefix(_NONE), _decode_name(resource))


def _object_text(changed: ChangedObject) -> str:
    key = changed.key
    parts = [percent_encode(str(key.kind))]
    parts += [percent_encode(part).replace("/", "%2F") for part in (key.namespace, key.name) if part]
    uid, version = percent_encode(changed.uid) or _NONE, percent_encode(changed.resource_version) or _NONE
    return f"{uid} {version} {'/'.join(parts)}"


def _parse_object(value: str) -> ChangedObject:
    """Raises ValueError."""
    uid, version, path = value.split(" ")
    kind, *names = (_decode_name(part) for part in path.split("/"))
    if len(names) not in (1, 2):
        raise ValueError(f"{value[:80]!r} does not name an object")
    key = ObjectKey(Kind.parse(kind), names[0] if len(names) == 2 else "", names[-1])
    return ChangedObject(key, "" if uid == _NONE else uid, "" if version == _NONE else version)
