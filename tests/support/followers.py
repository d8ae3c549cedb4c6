"""Objects, archives and followers for the tests of follow mode. The package must not import this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import cast

from gitsnap import capture
from gitsnap.archive import GitArchive
from gitsnap.capture.follow import Follower, FollowSettings
from gitsnap.capture.follow.differences import count_missed
from gitsnap.capture.follow.mirror import Query
from gitsnap.capture.sample import Files
from gitsnap.core.model import CommitId, JsonObject, ObjectKey, SecretsInfo, SecretsMode, TreeInfo, Trigger
from gitsnap.core.ports import ArchiveWriter, Cluster, SecretsKeeper, WatchEvent
from gitsnap.core.recording import RecordedChange
from gitsnap.format.fingerprint import key_id
from gitsnap.sveltos import kinds
from gitsnap.sveltos.normalize import RULES
from gitsnap.sveltos.references import ADD_ON_TYPE
from tests.support.watched_server import WatchedServer


class Keeper:
    """ports.SecretsKeeper for the mode redact."""

    fingerprint_key = b"k" * 32
    recipients: tuple[str, ...] = ()

    def seal(self, plaintext: bytes) -> bytes:
        """Refused."""
        raise NotImplementedError

    def unseal(self, ciphertext: bytes) -> bytes:
        """Refused."""
        raise NotImplementedError


KEEPER = cast("SecretsKeeper", Keeper())
INFO = TreeInfo(
    "hourly",
    "hourly",
    tuple(sorted(kinds.CAPTURED_KINDS)),
    SecretsInfo(SecretsMode.REDACT, key_id(Keeper.fingerprint_key)),
    rules=RULES,
)


def config_map(name: str, text: str) -> JsonObject:
    """A ConfigMap of the namespace ``default``."""
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": text}}


def secret(name: str, text: str) -> JsonObject:
    """A Secret of Sveltos' type in the namespace ``default``."""
    return {**config_map(name, text), "kind": "Secret", "type": ADD_ON_TYPE, "data": {"text": "YQ==" * len(text)}}


def profile(name: str, references: Iterable[ObjectKey], text: str = "") -> JsonObject:
    """A ClusterProfile that refers to ConfigMaps and Secrets."""
    refs = [{"kind": key.kind.name, "namespace": key.namespace, "name": key.name} for key in references]
    spec = {"clusterSelector": {"matchLabels": {"env": "prod", "text": text}}, "policyRefs": refs}
    api_version = "config.projectsveltos.io/v1beta1"
    return {"apiVersion": api_version, "kind": "ClusterProfile", "metadata": {"name": name}, "spec": spec}


def take_sample(
    server: WatchedServer, archive: GitArchive, *, full: bool = False, follow: capture.ChangeRecorder | None = None
) -> capture.CaptureResult:
    """Take a sample of the current state."""
    request = capture.Request(INFO, KEEPER, server.clock, Trigger.MANUAL, allow_empty=True, full=full)
    return capture.capture(cast("Cluster", server), archive, request, follow=follow)


class Reader:
    """A follower, and how far each of its watches is. A test decides when which event arrives."""

    def __init__(self, server: WatchedServer, archive: GitArchive, *, quiet_seconds: float = 2.0) -> None:
        self.server = server
        self.archive = archive
        self.follower = Follower(
            cast("Cluster", server),
            archive,
            FollowSettings(INFO, KEEPER, quiet_seconds=quiet_seconds),
            now=lambda: server.clock,
            pause=lambda _seconds: None,
        )
        self._generation = 0
        self._positions: dict[Query, int] = {}

    @property
    def moment(self) -> float:
        """The monotonic clock."""
        return self.server.clock.timestamp()

    def synchronize(self, *, current: bool = False) -> list[RecordedChange]:
        """Read the lists."""
        with self.archive.writer() as writer:
            return list(self.follower.synchronize(writer, current=current))

    @property
    def lists(self) -> Mapping[Query, int]:
        """The watched lists, each with the version of the last event."""
        if self.follower.generation != self._generation:
            self._generation, self._positions = self.follower.generation, {}
        known = self._positions
        self._positions = {query: known.get(query, int(version)) for query, version in self.follower.lists.items()}
        return self._positions

    def deliver(self, query: Query, most: int) -> None:
        """Deliver events of a watch. Raises GoneError."""
        position = self.lists[query]
        for event in self.server.events(query, position)[:most]:
            self.follower.receive(query, event, moment=self.moment)
            self._positions[query] = int(event.document["metadata"]["resourceVersion"])

    def deliver_bookmark(self, query: Query) -> None:
        """Deliver all events of a watch, and a bookmark. Raises GoneError."""
        self.deliver(query, 10_000)
        document = {"metadata": {"resourceVersion": str(self.server.version)}}
        self.follower.receive(query, WatchEvent("BOOKMARK", document), moment=self.moment)
        self._positions[query] = self.server.version

    def repeat(self, query: Query) -> None:
        """Let a watch begin again where its list was read: its events are delivered twice."""
        self._positions[query] = int(self.follower.lists[query])

    def skip(self, query: Query) -> bool:
        """Lose the next events of a watch, as a faulty proxy does. Returns whether there were any."""
        position = self.lists[query]
        self._positions[query] = self.server.version
        return bool(self.server.events(query, max(position, self.server.compacted)))

    def deliver_all(self) -> None:
        """Deliver all events of all watches."""
        for query in sorted(self.lists, key=str):
            self.deliver(query, 10_000)

    def commit(self) -> list[RecordedChange]:
        """Commit what waits, whether it is due or not."""
        with self.archive.writer() as writer:
            return list(self.follower.commit(writer, self.moment))

    def catch_up(self) -> list[RecordedChange]:
        """Deliver and commit until the archive has the current state."""
        changes = self.synchronize() if self.follower.must_synchronize else []
        for _ in range(5):
            self.deliver_all()
            changes += self.commit()
            self.server.clock += timedelta(seconds=1)
        return changes


class Witness:
    """Follow mode in the process of a sample (capture.ChangeRecorder)."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.deliver: Callable[[], None] = reader.deliver_all
        """Delivers events before the sample is recorded."""

    def settle(self, writer: ArchiveWriter, files: Files, revision: int) -> int:
        """See capture.ChangeRecorder."""
        for _ in range(3):  # a reference that begins adds a list, whose watch delivers further events
            self.deliver()
            self._reader.follower.commit(writer, self._reader.moment, up_to=revision)
            if not (missed := count_missed(writer, files)):
                break
        return missed

    def continue_from(self, commit: CommitId, files: Files) -> None:
        """See capture.ChangeRecorder."""
        self._reader.follower.continue_from(commit, files)
