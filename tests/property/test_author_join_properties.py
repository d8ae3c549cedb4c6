"""No author of a change is wrong, whatever users write, follow mode misses, and the log leaves out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import event, given, settings
from hypothesis import strategies as st

from gitsnap.core.changes import ChangedObject
from gitsnap.core.model import Kind, ObjectKey
from gitsnap.history.author_join import Coverage, RecordedVersion, Verdict, join_object
from gitsnap.kube.audit_writes import AuditWrite

_KEY = ObjectKey(Kind("", "ConfigMap"), "default", "database")
_START = datetime(2026, 11, 30, 5, tzinfo=UTC)
_LOG_END = _START + timedelta(days=1)


@dataclass(frozen=True)
class _Request:
    """A request to write the object, and what the simulated server did with it."""

    action: str
    """``write``, ``touch`` (an effect outside the configuration), ``same`` (no effect), ``delete`` or ``lost``."""
    author: str
    gap: float
    """Seconds since the request before."""
    latency: float
    """Seconds until the answer."""
    is_logged: bool
    is_recorded: bool
    """Whether follow mode commits after the request, or waits for the next one."""
    is_late: bool
    delay: float
    """Seconds until follow mode sees the request."""


_REQUESTS = st.lists(
    st.builds(
        _Request,
        action=st.sampled_from(["write", "write", "touch", "same", "delete", "lost", "refused"]),
        author=st.sampled_from(["alice", "bob", "carol"]),
        gap=st.sampled_from([0.0, 0.5, 3.0, 7.0, 100.0]),
        latency=st.sampled_from([0.01, 1.0, 3.0]),
        is_logged=st.booleans(),
        is_recorded=st.booleans(),
        is_late=st.sampled_from([False, False, False, True]),
        delay=st.sampled_from([0.0, 0.9, 2.0]),
    ),
    max_size=8,
)


@dataclass
class _World:
    """A server with one object, its log, and the versions that follow mode records."""

    has_answers: bool
    """Whether the log has the objects of answers: the level RequestResponse."""
    is_complete: bool
    time: datetime = _START
    uid: str = ""
    version: int = 10
    content: int = 0
    """0 if there is no object."""
    log: list[AuditWrite] = field(default_factory=list)
    recorded: list[RecordedVersion] = field(default_factory=list)
    authors: list[frozenset[str]] = field(default_factory=list)
    """For each recorded version who changed the configuration since the version before."""
    makers: list[str] = field(default_factory=list)
    """For each recorded version who wrote exactly this version."""
    sample_time: datetime = _START
    seen_content: int = 0
    pending: set[str] = field(default_factory=set)
    maker: str = ""

    def run(self, request: _Request) -> None:
        self.time += timedelta(seconds=request.gap)
        done = self._effect(request)
        if done and (request.is_logged or self.is_complete):
            self.log.append(self._logged(request, done))
        if request.is_recorded:
            self.record(self.time + timedelta(seconds=request.delay), late=request.is_late)

    def _effect(self, request: _Request) -> str:
        """The verb of the request in the log; ``""`` for a request that the log leaves out."""
        action = request.action
        if action == "lost":  # the answer was lost: the log tells neither effect nor version
            action = "write" if request.latency > 1 else "refused"
        if action == "refused":
            return "update" if request.action == "lost" else ""
        if action == "delete" or (action == "same" and not self.content):
            if not self.content:
                return ""
            self.content, self.version = 0, self.version + 1
            self.pending = set()
            self._made(request.author)
            return "delete"
        if not self.content:
            self.uid = f"uid-{self.version}"
        created = not self.content
        if action != "same":
            self.version += 1
            self.maker = request.author
        if created:
            self.pending = set()  # nothing of the deleted object is left
        if action == "write" or created:
            self.content = self.version
            self._made(request.author)
        return "create" if created else "patch"

    def _made(self, author: str) -> None:
        self.pending.add(author)
        self.maker = author

    def _logged(self, request: _Request, verb: str) -> AuditWrite:
        is_lost = request.action == "lost"
        has_answer = self.has_answers and not is_lost
        return AuditWrite(
            group="",
            resource="configmaps",
            namespace="default",
            name="database",
            subresource="",
            verb=verb,
            author=request.author,
            received=self.time - timedelta(seconds=request.latency / 2),
            completed=self.time + timedelta(seconds=request.latency / 2),
            uid=self.uid if has_answer else "",
            version=str(self.version) if has_answer and verb != "delete" else "",
            created=verb == "create" and not is_lost,
            certain=not is_lost,
        )

    def take_sample(self) -> None:
        self.sample_time = self.time.replace(microsecond=0)
        self.recorded, self.authors, self.makers = [], [], []
        self.seen_content, self.pending = self.content, set()

    def record(self, moment: datetime, *, late: bool) -> None:
        if self.content == self.seen_content:
            return
        action = "deleted" if not self.content else "added" if not self.seen_content else "modified"
        changed = ChangedObject(_KEY, self.uid, str(self.version) if self.content else "")
        time = moment.replace(microsecond=0)
        self.recorded.append(RecordedVersion(changed, action, self.sample_time, time, is_seen_at_once=not late))
        self.authors.append(frozenset(self.pending))
        self.makers.append(self.maker)
        self.seen_content, self.pending = self.content, set()


def _simulate(before: list[_Request], after: list[_Request], *, has_answers: bool, is_complete: bool) -> _World:
    world = _World(has_answers, is_complete)
    for request in before:
        world.run(request)
    world.take_sample()
    for request in after:
        world.run(request)
    return world


def _join(world: _World, first: datetime, *, complete: bool) -> list[Verdict]:
    return join_object(world.recorded, world.log, Coverage(first, _LOG_END), complete=complete)


@settings(max_examples=500)
@given(before=_REQUESTS, after=_REQUESTS, has_answers=st.booleans(), declared=st.booleans())
def test_a_log_with_all_writes_never_names_a_wrong_author(
    *, before: list[_Request], after: list[_Request], has_answers: bool, declared: bool
) -> None:
    """The author of a change is the only user who changed the configuration since the previous version."""
    world = _simulate(before, after, has_answers=has_answers, is_complete=True)
    for verdict, authors in zip(
        _join(world, _START - timedelta(hours=1), complete=declared), world.authors, strict=True
    ):
        event("named" if verdict.author else str(verdict.miss))
        assert not verdict.author or authors == {verdict.author}


@settings(max_examples=500)
@given(before=_REQUESTS, after=_REQUESTS, start=st.sampled_from([-3600, 0, 5, 60]))
def test_a_log_without_some_writes_names_who_wrote_the_version(
    *, before: list[_Request], after: list[_Request], start: int
) -> None:
    """The log of one of several API servers: the name is that of the user who wrote exactly the recorded version.

    Writes without effect are left out: their answer has a version that another write made, perhaps on another server.
    Therefore docs/AUTHORS.md asks for the logs of all servers.
    """
    before, after = ([request for request in requests if request.action != "same"] for requests in (before, after))
    world = _simulate(before, after, has_answers=True, is_complete=False)
    for verdict, maker in zip(
        _join(world, _START + timedelta(seconds=start), complete=False), world.makers, strict=True
    ):
        event("named" if verdict.author else str(verdict.miss))
        assert verdict.author in ("", maker)


@settings(max_examples=300)
@given(author=st.sampled_from(["alice", "bob"]), gap=st.sampled_from([20.0, 100.0]), has_answers=st.booleans())
def test_the_only_author_is_named(*, author: str, gap: float, has_answers: bool) -> None:
    """A verdict without a name is right only where there is doubt."""
    requests = [
        _Request(action, author, gap, 0.01, is_logged=True, is_recorded=True, is_late=False, delay=0.5)
        for action in ("write", "write", "delete", "write")
    ]
    world = _simulate([], requests, has_answers=has_answers, is_complete=True)

    assert [verdict.author for verdict in _join(world, _START - timedelta(hours=1), complete=True)] == [author] * 4
