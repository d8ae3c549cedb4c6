"""Follow mode beside a simulated server, as a state machine: any interleaving of writes, faults, kills and samples.

The oracle knows each write of the server. It reads the archive with git alone, and does not use a capture.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pygit2
import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gitsnap import archive
from gitsnap.archive import object_writer, writer
from gitsnap.archive.commit_objects import read_commit
from gitsnap.capture import ChangeRecorder
from gitsnap.capture.follow import StoppedFollower
from gitsnap.capture.follow.mirror import Query
from gitsnap.capture.sample import Files
from gitsnap.core.changes import AuthorSource, Change
from gitsnap.core.errors import GoneError
from gitsnap.core.model import CommitId, JsonObject, ObjectKey
from gitsnap.core.ports import ArchiveWriter
from gitsnap.format import path_of
from gitsnap.sveltos import kinds
from tests.support.followers import Reader, Witness, config_map, profile, secret, take_sample
from tests.support.watched_server import WatchedServer

_MAPS = tuple(ObjectKey(kinds.CONFIG_MAP, "default", name) for name in "abcde")
_SECRETS = tuple(ObjectKey(kinds.SECRET, "default", name) for name in "st")
_ALL = (*_MAPS, *_SECRETS)
_MANAGERS = ("alice", "bob", "carol")
_CASES = int(os.environ.get("GITSNAP_FOLLOW_CASES", "20"))

State = Mapping[str, str]
"""The configuration: path of each object -> its value."""


class _Killed(BaseException):
    """The process ends between two writes to the archive."""


@contextlib.contextmanager
def _killed_at(point: int) -> Iterator[None]:
    """Kill the process before its write to the archive with this number, from 0: objects, branch, working tree."""
    left = point

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise _Killed
            return function(*arguments, **named)

        return call

    with contextlib.ExitStack() as stack:
        for owner, name in (
            (object_writer, "_write_loose"),
            (writer.GitWriter, "_move_refs"),
            (writer.GitWriter, "_update_worktree"),
            (writer.GitWriter, "_read_head"),
        ):
            stack.enter_context(mock.patch.object(owner, name, counted(getattr(owner, name))))
        yield


def _value(document: JsonObject) -> str:
    """What makes the configuration of an object differ from another."""
    spec = document.get("spec") or {}
    references = sorted(reference["name"] for reference in spec.get("policyRefs") or ())
    return str((document["metadata"].get("labels") or {}).get("number") or references)


def _live(server: WatchedServer) -> State:
    """The configuration that a full list gives: the profile, and what it refers to."""
    objects = server.objects()
    referenced = set()
    for document in objects.values():
        for reference in (document.get("spec") or {}).get("policyRefs") or ():
            referenced.add((reference["kind"], reference["name"]))
    return {
        path_of(key): _value(document)
        for key, document in objects.items()
        if key.kind not in (kinds.CONFIG_MAP, kinds.SECRET) or (key.kind.name, key.name) in referenced
    }


def _chosen(reader: Reader, which: int) -> Query:
    """A list that a process watches."""
    lists = sorted(reader.lists, key=str)
    return lists[which % len(lists)]


class FollowMachine(RuleBasedStateMachine):
    """A server, an archive, and two processes that follow."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.server = WatchedServer()
        self.number = 0
        self.written: dict[str, tuple[int, str]] = {}
        """Each number -> the resource version and the manager of its write."""
        self.restored = False
        self.disturbed = False
        """Whether a change may be late: a fault happened, or another process made a commit."""
        self.lossy: set[int] = set()
        """The processes whose watches lost events."""
        self.states: dict[str, State] = {}

    @initialize(calm=st.booleans())
    def start(self, calm: bool) -> None:  # noqa: FBT001 - hypothesis
        """``calm``: a single process and no fault."""
        self.calm = calm
        for key in (*_MAPS[:4], *_SECRETS[:1]):
            self._write(key, "setup")
        self.server.write(profile("p", [*_MAPS[:4], *_SECRETS]), "setup")
        self.server.advance(1)
        self.archive = archive.create_archive(Path(self._folder.name), "hourly")
        take_sample(self.server, self.archive)
        self.repository = pygit2.Repository(self.archive.location)
        self.readers = [Reader(self.server, self.archive), Reader(self.server, self.archive)]

    def teardown(self) -> None:
        """Let everything catch up, and check the whole history."""
        try:
            if hasattr(self, "readers"):
                self._finish()
        finally:
            self._folder.cleanup()

    # The server -------------------------------------------------------------------------------------------------------

    def _write(self, key: ObjectKey, manager: str) -> None:
        self.number += 1
        number = f"n{self.number}"
        document = (config_map if key in _MAPS else secret)(key.name, "x" * (self.number % 7 + 1))
        document["metadata"]["labels"] = {"number": number}
        self.server.write(document, manager)
        self.written[number] = self.server.version, manager

    @rule(key=st.sampled_from(_ALL), manager=st.sampled_from(_MANAGERS), tick=st.booleans())
    def write(self, key: ObjectKey, manager: str, tick: bool) -> None:  # noqa: FBT001
        """An object is created or changed."""
        self._write(key, manager)
        self.server.advance(1 if tick else 0)

    @rule(key=st.sampled_from(_ALL), touch=st.booleans())
    def remove_or_touch(self, key: ObjectKey, touch: bool) -> None:  # noqa: FBT001
        """An object is deleted, or written without a change of its configuration."""
        (self.server.touch if touch else self.server.remove)(key)

    @rule(keys=st.sets(st.sampled_from(_ALL)), manager=st.sampled_from(_MANAGERS))
    def refer(self, keys: set[ObjectKey], manager: str) -> None:
        """References begin and end."""
        self.server.write(profile("p", sorted(keys)), manager)
        self.server.advance(1)

    @precondition(lambda self: not self.calm)
    @rule()
    def compact(self) -> None:
        """The server forgets all versions but the current one."""
        self.server.compact()
        self.disturbed = True

    @precondition(lambda self: not self.calm)
    @rule(versions=st.integers(1, 8))
    def restore(self, versions: int) -> None:
        """Versions go back, and are assigned again. The watches that are opened again are refused."""
        self.server.restore(self.server.version - versions)
        self.restored = self.disturbed = True
        for reader in self.readers:
            reader.synchronize(current=True)

    # The processes ----------------------------------------------------------------------------------------------------

    def _reader(self, who: int) -> Reader:
        """A process that has read the lists. In a calm world there is only one."""
        if who:
            self.disturbed = True
        reader = self.readers[who]
        if reader.follower.must_synchronize:
            reader.synchronize()
        return reader

    def _watch(self, who: int, action: Callable[[Reader], object]) -> None:
        reader = self._reader(who)
        try:
            action(reader)
        except GoneError:
            self.disturbed = True
            reader.commit()
            reader.synchronize(current=True)

    def _who(self, who: int) -> int:
        return 0 if self.calm else who

    @rule(who=st.integers(0, 1), which=st.integers(0, 63), most=st.integers(1, 4))
    def deliver(self, who: int, which: int, most: int) -> None:
        """Events of one list arrive, before those of other lists that happened earlier."""

        def act(reader: Reader) -> None:
            lists = sorted(reader.lists, key=str)
            pending = [query for query in lists if self.server.events(query, reader.lists[query])] or lists
            reader.deliver(pending[which % len(pending)], most)

        self._watch(self._who(who), act)

    @rule(who=st.integers(0, 1), which=st.integers(0, 63))
    def bookmark(self, who: int, which: int) -> None:
        """A list has no further event up to a version."""
        self._watch(self._who(who), lambda reader: reader.deliver_bookmark(_chosen(reader, which)))

    @rule(who=st.integers(0, 1))
    def commit(self, who: int) -> None:
        """The changes that arrived are committed."""
        self._reader(self._who(who)).commit()

    @precondition(lambda self: not self.calm)
    @rule(who=st.integers(0, 1), which=st.integers(0, 63))
    def repeat(self, who: int, which: int) -> None:
        """A watch delivers its events once more."""
        self._watch(who, lambda reader: reader.repeat(_chosen(reader, which)))

    @precondition(lambda self: not self.calm)
    @rule(who=st.integers(0, 1), which=st.integers(0, 63))
    def lose(self, who: int, which: int) -> None:
        """A faulty proxy drops events. Only a sample can find that."""

        def act(reader: Reader) -> None:
            if reader.skip(_chosen(reader, which)):
                self.lossy.add(who)

        self._watch(who, act)
        self.disturbed = True

    @precondition(lambda self: not self.calm)
    @rule(who=st.integers(0, 1), point=st.integers(0, 25))
    def kill(self, who: int, point: int) -> None:
        """A process is killed between two writes to the archive, and starts again."""
        reader = self._reader(who)
        with contextlib.suppress(_Killed), _killed_at(point):
            reader.commit()
        self.readers[who] = Reader(self.server, self.archive)
        self.lossy.discard(who)
        self.disturbed = True

    # Samples ----------------------------------------------------------------------------------------------------------

    @rule(who=st.integers(0, 1))
    def sample(self, who: int) -> None:
        """A sample of a process that follows says *complete*, unless its watches lost events."""
        who = self._who(who)
        self._watch(who, Reader.deliver_all)
        missed = self._sample(Witness(self._reader(who)))
        assert not missed or who in self.lossy
        if self.readers[who].follower.must_synchronize:
            self.lossy.discard(who)

    @precondition(lambda self: not self.calm)
    @rule(who=st.integers(0, 1))
    def sample_while_down(self, who: int) -> None:
        """A sample while no process follows counts the changes since the last commit."""
        self.readers[who] = Reader(self.server, self.archive)
        self.lossy.discard(who)
        self.disturbed = True
        self._sample(StoppedFollower())

    def _sample(self, recorder: ChangeRecorder) -> int:
        counter = _Counter(self, recorder)
        result = take_sample(self.server, self.archive, follow=counter)
        expected = f"missed {counter.expected}" if counter.expected else "complete"
        assert dict(result.recorded.sample.metadata.extra)["Followed"] == expected
        assert self.recorded(result.recorded.sample.commit) == _live(self.server)
        return counter.expected

    # The archive ------------------------------------------------------------------------------------------------------

    def recorded(self, commit: str) -> State:
        """The configuration of a commit."""
        if commit not in self.states:
            tree, state = self.repository[commit].peel(pygit2.Tree), {}
            pending: list[tuple[str, Any]] = [("", tree["configuration"])] if "configuration" in tree else []
            while pending:
                path, entry = pending.pop()
                if entry.type_str == "tree":
                    pending += [(f"{path}/{child.name}".removeprefix("/"), child) for child in entry]
                else:
                    state[path] = _value(yaml.safe_load(entry.data))
            self.states[commit] = state
        return self.states[commit]

    def _history(self) -> list[tuple[str, Change | None]]:
        """The commits of the branch, oldest first, with the changes that they record."""
        head = self.repository.references["refs/heads/hourly"].target
        commits = [str(commit.id) for commit in self.repository.walk(head)]
        return [(commit, read_commit(self.repository, commit).change) for commit in reversed(commits)]

    def _finish(self) -> None:
        for who in sorted(self.lossy):
            self._watch(who, Reader.deliver_all)
            self._sample(Witness(self._reader(who)))
        for who in (0,) if self.calm else (0, 1, 0, 1):
            self._watch(who, Reader.catch_up)
        history = self._history()
        assert self.recorded(history[-1][0]) == _live(self.server)
        self._check_changes(history)
        if not self.restored:
            self._check_order(history)

    def _check_changes(self, history: list[tuple[str, Change | None]]) -> None:
        """Each change has what its author wrote, nothing of a later time, and is late only where that is possible."""
        before: State = {}
        for commit, change in history:
            state, previous = self.recorded(commit), before
            before = state
            if change is None:
                continue
            assert state != previous, "a change changes something"
            assert self.disturbed or not change.late
            if change.late or self.restored:
                continue
            highest = max(int(revision.version) for revision in change.revisions)
            for path in state:
                version, _ = self.written.get(state[path], (0, ""))
                assert version <= highest, f"{path}: {state[path]} was written after the change {highest}"
            for changed in change.objects:
                document = self.server.written(changed.key, changed.resource_version)
                path = path_of(changed.key)
                assert int(changed.resource_version) <= highest
                if path in state and path != path_of(ObjectKey(kinds.CLUSTER_PROFILE, "", "p")):
                    assert document is not None
                    assert state[path] == _value(document) or path not in previous
                    if change.author.source is AuthorSource.MANAGER:
                        assert self.written[state[path]][1] == change.author.name

    def _check_order(self, history: list[tuple[str, Change | None]]) -> None:
        """Each object goes through its states in order, and through none twice."""
        for key in _ALL:
            values = [self.recorded(commit).get(path_of(key)) for commit, _ in history]
            steps = [value for n, value in enumerate(values) if n == 0 or value != values[n - 1]]
            numbers = [int(value[1:]) for value in steps if value is not None]
            assert numbers == sorted(numbers), f"{key}: {steps}"
            again = [n for n, value in enumerate(steps) if value is not None and value in steps[:n]]
            assert all(steps[n - 1] is None for n in again), f"{key}: {steps}"


class _Counter:
    """Counts what the changes missed, before the sample is recorded."""

    def __init__(self, machine: FollowMachine, recorder: ChangeRecorder) -> None:
        self._machine = machine
        self._recorder = recorder
        self.expected = 0

    def settle(self, writer: ArchiveWriter, files: Files, revision: int) -> int:
        """See capture.ChangeRecorder."""
        counted = self._recorder.settle(writer, files, revision)
        assert writer.head_commit is not None
        recorded, live = self._machine.recorded(writer.head_commit), _live(self._machine.server)
        self.expected = sum(recorded.get(path) != live.get(path) for path in recorded.keys() | live.keys())
        assert counted == self.expected
        return counted

    def continue_from(self, commit: CommitId, files: Files) -> None:
        """See capture.ChangeRecorder."""
        self._recorder.continue_from(commit, files)


TestFollow = FollowMachine.TestCase
TestFollow.settings = settings(
    max_examples=_CASES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
