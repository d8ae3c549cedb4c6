"""The thread of follow mode, with watches that are cut, expire and are refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from gitsnap import archive
from gitsnap.archive import GitArchive, lock
from gitsnap.archive.lock import exclusive_lock
from gitsnap.capture.follow import Follower, FollowSettings, Runner, watches
from gitsnap.capture.follow import runner as runner_module
from gitsnap.core.changes import UNKNOWN_AUTHOR
from gitsnap.core.errors import (
    AccessDeniedError,
    ClusterUnreachableError,
    GitsnapError,
    IncompleteError,
    KindNotInstalledError,
    WrongClusterError,
)
from gitsnap.core.model import Kind, ObjectKey, ResourceType
from gitsnap.core.ports import Page, WatchEvent
from gitsnap.core.recording import RecordedChange
from gitsnap.sveltos import kinds
from tests.support.followers import INFO, KEEPER, config_map, profile, take_sample
from tests.support.watched_server import WatchedServer

_CLASSIFIER = Kind("lib.projectsveltos.io", "Classifier")
_KEYS = [ObjectKey(kinds.CONFIG_MAP, "default", name) for name in "abcde"]


class _Running:
    """A runner in a thread."""

    def __init__(self, folder: Path) -> None:
        self.server = WatchedServer()
        for key in _KEYS:
            self.server.write(config_map(key.name, "0"), "setup")
        self.server.write(profile("p", _KEYS), "setup")
        self.server.advance(1)
        self.archive: GitArchive = archive.create_archive(folder, "hourly")
        take_sample(self.server, self.archive)
        self.changes: list[RecordedChange] = []
        self.problems: list[GitsnapError | None] = []
        self.error: GitsnapError | None = None
        server = cast("Any", self.server)
        settings = FollowSettings(INFO, KEEPER, quiet_seconds=0.05)
        follower = Follower(server, self.archive, settings, now=lambda: self.server.clock)
        self.runner = Runner(
            server, self.archive, follower, on_changes=self.changes.extend, on_problem=self.problems.append
        )
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self.wait(lambda: self.problems == [None], "the first lists")

    def _run(self) -> None:
        try:
            self.runner.run()
        except GitsnapError as error:
            self.error = error

    def write(self, name: str, text: str, manager: str = "alice") -> None:
        self.server.advance(1)
        self.server.write(config_map(name, text), manager)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, f"{what}: {self.problems} {self.error}"
            time.sleep(0.02)

    def stop(self) -> None:
        self.runner.stop()
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[_Running]:
    """A runner that has not started yet."""
    made = _Running(tmp_path)
    yield made
    made.runner.stop()


def test_changes_are_recorded_until_the_end(running: _Running) -> None:
    """At the end, the waiting changes are recorded, too."""
    running.start()
    running.write("a", "1", "alice")
    running.wait(lambda: len(running.changes) == 1, "the first change")
    running.write("b", "1", "bob")
    time.sleep(0.2)
    running.stop()

    assert [change.author.name for change in running.changes] == ["alice", "bob"]
    assert not take_sample(running.server, running.archive, full=True).recorded.changed


def test_a_cut_watch_continues_and_an_expired_one_reads_the_lists(running: _Running) -> None:
    """No change is lost. Only changes that the server forgot are late."""
    running.start()
    running.server.cut()
    running.write("a", "1")
    running.wait(lambda: len(running.changes) == 1, "a change after a cut")
    running.server.down = True
    running.write("a", "2")
    running.write("b", "1")
    running.server.compact()
    running.server.down = False
    running.wait(lambda: any(change.late for change in running.changes), "a late change")
    running.write("c", "1", "carol")
    running.wait(lambda: running.changes[-1].author.name == "carol", "a change after the late one")
    running.stop()

    assert [change.late for change in running.changes] == [False, True, False]
    assert not take_sample(running.server, running.archive, full=True).recorded.changed


def test_a_sample_waits_for_the_events_that_explain_it(running: _Running) -> None:
    """Even a sample before the first reading of the lists finds nothing missed."""
    running.write("a", "1", "alice")
    assert take_sample(running.server, running.archive, follow=running.runner).missed == 0
    running.start()
    running.write("b", "1", "bob")
    result = take_sample(running.server, running.archive, follow=running.runner)
    running.stop()

    assert (result.missed, result.recorded.new_commit) == (0, False)
    assert [change.author.name for change in running.changes] == ["alice", "bob"]


def test_a_watch_that_is_refused_ends_the_runner_and_no_sample(
    running: _Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller of ``run`` gets the error. A sample counts the missed objects."""

    def refuse(_self: WatchedServer, *_arguments: object, **_named: object) -> Iterator[object]:
        raise AccessDeniedError("cannot watch configmaps: forbidden")
        yield

    monkeypatch.setattr(WatchedServer, "watch", refuse)
    running.write("a", "1", "alice")
    assert take_sample(running.server, running.archive, follow=running.runner).missed == 1
    with pytest.raises(AccessDeniedError, match="watch configmaps"):
        running.runner.run()
    assert running.problems == [], "the cluster was never followed"


def test_lists_beyond_the_largest_number_of_watches_are_polled(
    running: _Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes and deletions are found without a watch. Their author is unknown, as other writes may lie between."""
    monkeypatch.setattr(watches, "MOST_WATCHES", 0)
    monkeypatch.setattr(watches, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(WatchedServer, "watch", None)
    running.start()
    running.write("a", "1")
    running.wait(lambda: len(running.changes) == 1, "a polled change")
    running.server.remove(_KEYS[1])
    running.wait(lambda: len(running.changes) == 2, "a polled deletion")
    running.stop()

    assert {change.author for change in running.changes} == {UNKNOWN_AUTHOR}
    assert not take_sample(running.server, running.archive, full=True).recorded.changed


def test_events_of_another_cluster_are_never_recorded(running: _Running) -> None:
    """Another server answers at the same address after a cut."""
    running.start()
    running.server.identity = replace(running.server.identity, uid="another")
    running.server.cut()
    running.write("a", "1")
    running.wait(lambda: running.error, "the end")
    assert isinstance(running.error, WrongClusterError)
    assert not running.changes


def test_a_kind_that_appears_and_one_that_vanishes_are_changes(
    running: _Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CRD is installed, and removed again, while the cluster is followed."""
    monkeypatch.setattr(runner_module, "_KINDS_SECONDS", 0.1)
    running.server.unserved.add(_CLASSIFIER)
    running.start()
    running.server.write(
        {"apiVersion": "lib.projectsveltos.io/v1beta1", "kind": "Classifier", "metadata": {"name": "c"}}
    )
    running.server.unserved.discard(_CLASSIFIER)
    running.wait(lambda: len(running.changes) == 1, "the change of a new kind")
    assert running.changes[0].changed[0].action == "added"

    watch = WatchedServer.watch

    def refuse(server: WatchedServer, resource: ResourceType, **named: Any) -> Iterator[WatchEvent]:
        if resource.kind in server.unserved:
            raise KindNotInstalledError("404")
        yield from watch(server, resource, **named)

    monkeypatch.setattr(WatchedServer, "watch", refuse)
    running.server.unserved.add(_CLASSIFIER)
    running.server.cut()
    running.wait(lambda: len(running.changes) == 2, "the change of a removed kind")
    running.stop()
    assert running.changes[1].changed[0].action == "deleted"
    assert running.error is None


def test_a_kind_that_becomes_forbidden_is_reported_and_the_others_are_followed(
    running: _Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither lists nor watches of ConfigMaps are allowed any more. The ConfigMaps stay as they were."""
    running.start()
    read, watch = WatchedServer.list, WatchedServer.watch
    forbidden = [kinds.CONFIG_MAP]

    def check(resource: ResourceType) -> None:
        if resource.kind in forbidden:
            raise AccessDeniedError("403")

    def refuse_list(server: WatchedServer, resource: ResourceType, **named: Any) -> Iterator[Page]:
        check(resource)
        yield from read(server, resource, **named)

    def refuse_watch(server: WatchedServer, resource: ResourceType, **named: Any) -> Iterator[WatchEvent]:
        check(resource)
        yield from watch(server, resource, **named)

    monkeypatch.setattr(WatchedServer, "list", refuse_list)
    monkeypatch.setattr(WatchedServer, "watch", refuse_watch)
    running.server.cut()
    running.wait(lambda: "ConfigMap (forbidden)" in str(running.problems[-1]), "the problem")
    assert isinstance(running.problems[-1], IncompleteError)
    running.server.write(profile("p", _KEYS, "x"), "bob")
    running.wait(lambda: len(running.changes) == 1, "a change of another kind")
    monkeypatch.setattr(runner_module, "_INCOMPLETE_SECONDS", 0.1)
    forbidden.clear()
    running.wait(lambda: running.problems[-1] is None, "the end of the problem")
    running.stop()
    assert not take_sample(running.server, running.archive, full=True).recorded.changed


def test_a_server_that_does_not_answer_is_reported_until_it_answers(
    running: _Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Watches that fail for some time are reported. The number of open watches shows it at once."""
    monkeypatch.setattr(watches, "FAILING_SECONDS", 0.3)
    running.start()
    running.wait(lambda: running.runner.open_watches == len(running.runner._follower.lists), "the watches")
    running.server.down = True
    running.wait(lambda: isinstance(running.problems[-1], ClusterUnreachableError), "the problem")
    assert running.runner.open_watches == 0
    running.server.down = False
    running.wait(lambda: running.problems[-1] is None, "the end of the problem")
    running.write("a", "1")
    running.wait(lambda: len(running.changes) == 1, "a change")
    running.stop()


def test_the_lag_is_that_of_the_oldest_change(running: _Running) -> None:
    """While another process holds the lock of the archive, the lag grows. The change is not lost."""
    running.start()
    with exclusive_lock(running.archive.git_folder / lock.LOCK_NAME, subject="the archive", patience=1):
        running.write("a", "1")
        running.wait(lambda: running.runner.lag_seconds > 0.6, "the lag")
    running.wait(lambda: len(running.changes) == 1, "the change")
    running.wait(lambda: running.runner.lag_seconds == 0, "the end of the lag")
    running.stop()
    assert [len(change.changed) for change in running.changes] == [
        1
    ]  # the wait lost nothing and recorded nothing twice


def test_a_sample_counts_what_a_runner_that_ended_misses(running: _Running) -> None:
    """A sample also counts the changes that a stopped follow mode missed."""
    running.start()
    running.stop()
    running.write("a", "1")
    running.write("b", "1")
    recorded = take_sample(running.server, running.archive, follow=running.runner).recorded
    assert recorded.sample.metadata.extra == (("Followed", "missed 2"),)
