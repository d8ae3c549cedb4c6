"""Takes audit events from the server, and gives the names of their users to the changes of follow mode.

Bodies wait in a queue of limited size. If the queue is full, events are dropped and counted. The API server is still
answered at once, because it must never wait for gitsnap. Changes without a name can be named later, from the audit log.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from gitsnap.controller.audit.access import Access, AuditSettings
from gitsnap.core.changes import Author, Who
from gitsnap.core.errors import GitsnapError
from gitsnap.core.model import CommitId, Kind
from gitsnap.history.recent_writes import MOST_CHANGES, ArchiveNames, RecentWrites
from gitsnap.kube.audit_documents import split_documents
from gitsnap.kube.audit_events import AuditDecoder, AuditLineError
from gitsnap.kube.pseudonyms import pseudonymous
from gitsnap.policy.snapshot import Policy
from gitsnap.sveltos.kind_names import resource_names
from gitsnap.sveltos.kinds import KINDS

if TYPE_CHECKING:
    from gitsnap.controller.metrics import Metrics

MOST_QUEUED_BYTES = 64 << 20
"""The largest size of the bodies that wait."""

_NOTES_SECONDS = 2.0
"""The time between two checks for names that have become certain."""

_PAUSE_SECONDS = 60.0
"""The time until the next attempt, if notes could not be written."""

_MOST_NOTES = 500
"""The largest number of notes in one write. A follower must not wait long for the archive."""

_log = logging.getLogger(__name__)

NoteAuthors = Callable[[Policy, Mapping[CommitId, Author]], None]
"""Writes notes into the archive of a policy. Raises GitsnapError."""


class AuditReceiver:
    """The server, and the threads that decode events and write notes."""

    def __init__(self, settings: AuditSettings, metrics: Metrics, *, note_authors: NoteAuthors) -> None:
        """Read the files and bind the port. Raises InputError."""
        from gitsnap.controller.audit.server import AuditServer  # noqa: PLC0415 - h11 is needed for the receiver only

        self._metrics = metrics
        self._note_authors = note_authors
        self._writes = RecentWrites()
        self._archives: dict[str, _NamedArchive] = {}
        self._resources = {(row.kind.group, row.plural) for row in KINDS}
        self._bodies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._queued = 0
        self._lock = threading.Lock()
        """Guards ``_queued``, ``_archives`` and ``_resources``."""
        self._closed = threading.Event()
        metrics.enable_audit()
        self._server = AuditServer(
            settings.listen,
            Access(settings),
            take=self._take,
            count_request=metrics.count_audit_request,
            count_dropped=self._drop,
        )

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return self._server.port

    def start(self) -> None:
        """Receive events until ``close``."""
        self._server.start()
        for target in (self._decode, self._note):
            threading.Thread(target=self._forever, args=(target,), name=target.__name__, daemon=True).start()

    def close(self) -> None:
        """Stop, and free the port. Waiting events are lost; the audit log still has them."""
        self._closed.set()
        self._server.close()

    def names(self, policy: Policy, who: Who, key: bytes, kinds: Iterable[Kind]) -> ArchiveNames | None:
        """The names for the changes of a policy; None if the policy records no names of users.

        ``key``: the fingerprint key, for pseudonyms. ``kinds``: the kinds that the policy adds.
        """
        with self._lock:
            if who not in (Who.FULL, Who.PSEUDONYM):
                self._archives.pop(policy.name, None)
                return None
            self._resources |= {(kind.group, name) for kind in kinds for name in resource_names(kind)}
            known = self._archives.get(policy.name)
            if known is None or (known.who, known.key) != (who, key):
                written_as = partial(pseudonymous, key) if who is Who.PSEUDONYM else _as_it_is
                known = _NamedArchive(policy, who, key, ArchiveNames(self._writes, written_as))
            known.policy = policy
            self._archives[policy.name] = known
            return known.names

    # In the thread of the server --------------------------------------------------------------------------------------

    def _take(self, body: bytes) -> bool:
        """Queue a body. Returns False for a body without JSON documents."""
        if not split_documents(body):
            return False
        with self._lock:
            fits = self._queued + len(body) <= MOST_QUEUED_BYTES
            self._queued += len(body) if fits else 0
        if fits:
            self._bodies.put(body)
        else:
            self._drop(body.count(b'"auditID"'))
        return True

    def _drop(self, events: int) -> None:
        self._metrics.count_dropped_audit_events(events)

    # Threads ----------------------------------------------------------------------------------------------------------

    def _forever(self, target: Callable[[], None]) -> None:
        while not self._closed.is_set():
            try:
                target()
            except Exception:  # without this thread no event would be read
                _log.exception("a defect of the audit receiver, which continues")
                self._closed.wait(1.0)

    def _decode(self) -> None:
        decoder = AuditDecoder(lambda _group, _namespace, _name: True)
        while not self._closed.is_set():
            try:
                body = self._bodies.get(timeout=1.0)
            except queue.Empty:
                continue
            with self._lock:
                self._queued -= len(body)
            self._decode_body(decoder, body)

    def _decode_body(self, decoder: AuditDecoder, body: bytes) -> None:
        before, unread = decoder.events, 0
        for document in split_documents(body):
            try:
                decoder.feed(document)
            except AuditLineError as error:
                unread += 1
                _log.debug("a document of audit events: %s", error)
        with self._lock:
            resources = self._resources
        writes = [write for write in decoder.take_answered() if (write.group, write.resource) in resources]
        self._writes.add(writes, time.monotonic())
        self._metrics.count_audit_events(decoder.events - before, unread=unread)

    def _note(self) -> None:
        while not self._closed.wait(_NOTES_SECONDS):
            with self._lock:
                archives = list(self._archives.values())
            for archive in archives:
                self._note_archive(archive)

    def _note_archive(self, archive: _NamedArchive) -> None:
        """Write the names that have become certain. If notes cannot be written, they are tried again."""
        late = archive.names.resolve()
        archive.unwritten |= late.names
        for commit in late.doubtful:
            _log.warning(
                "the author of %s may be wrong: later audit events name several users; check the audit log",
                commit[:12],
                extra={"policy": archive.policy.name},
            )
        if time.monotonic() < archive.next_attempt:
            return
        while archive.unwritten and not self._closed.is_set():
            names = dict(list(archive.unwritten.items())[:_MOST_NOTES])
            try:
                self._note_authors(archive.policy, names)
            except GitsnapError as error:
                _log.warning(
                    "%d names of authors are not recorded yet: %s",
                    len(archive.unwritten),
                    error,
                    extra={"policy": archive.policy.name},
                )
                archive.next_attempt = time.monotonic() + _PAUSE_SECONDS
                if len(archive.unwritten) > MOST_CHANGES:  # the audit log has them
                    archive.unwritten.clear()
                return
            self._metrics.count_late_names(archive.policy.name, len(names))
            for commit in names:
                del archive.unwritten[commit]


@dataclass(slots=True)
class _NamedArchive:
    """The names of one policy."""

    policy: Policy
    who: Who
    key: bytes
    names: ArchiveNames
    unwritten: dict[CommitId, Author] = field(default_factory=dict)
    """Names whose notes are not written yet."""
    next_attempt: float = 0.0
    """When to write notes again after a failure, on the monotonic clock."""


def _as_it_is(author: Author) -> Author:
    return author
