"""The thread of follow mode, with watches that are cut, expire and are refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from gitsnap import archive
from gitsnap.archive import GitArchive
from gitsnap.capture.follow import Follower, FollowSettings, Runner, watches
from gitsnap.core.errors import AccessDeniedError, GitsnapError
from gitsnap.core.model import ObjectKey
from gitsnap.core.ports import RecordedChange
from gitsnap.sveltos import kinds
from tests.support.followers import INFO, KEEPER, config_map, profile, take_sample
from tests.support.watched_server import WatchedServer

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
        self.problems: list[str] = []
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
        self.wait(lambda: self.problems == [""], "the first lists")

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
    """The changes that wait when it ends are recorded too."""
    running.start()
    running.write("a", "1", "alice")
    running.wait(lambda: len(running.changes) == 1, "the first change")
    running.write("b", "1", "bob")
    time.sleep(0.2)
    running.stop()

    assert [change.author.name for change in running.changes] == ["alice", "bob"]
    assert not take_sample(running.server, running.archive, full=True).recorded.changed


def test_a_cut_watch_continues_and_an_expired_one_reads_the_lists(running: _Running) -> None:
    """Nothing is lost. Only what the server forgot is late."""
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
    """Even a sample that is taken before the lists were read once finds nothing missed."""
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
    """The error reaches the caller of ``run``. A sample counts what was missed."""

    def refuse(_self: WatchedServer, *_arguments: object, **_named: object) -> Iterator[object]:
        raise AccessDeniedError("cannot watch configmaps: forbidden")
        yield

    monkeypatch.setattr(WatchedServer, "watch", refuse)
    running.write("a", "1", "alice")
    assert take_sample(running.server, running.archive, follow=running.runner).missed == 1
    with pytest.raises(AccessDeniedError, match="watch configmaps"):
        running.runner.run()


def test_lists_beyond_the_largest_number_of_watches_are_polled(
    running: _Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes and deletions are found, without the watch."""
    monkeypatch.setattr(watches, "MOST_WATCHES", 0)
    monkeypatch.setattr(watches, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(WatchedServer, "watch", None)
    running.start()
    running.write("a", "1")
    running.wait(lambda: len(running.changes) == 1, "a polled change")
    running.server.remove(_KEYS[1])
    running.wait(lambda: len(running.changes) == 2, "a polled deletion")
    running.stop()

    assert not take_sample(running.server, running.archive, full=True).recorded.changed
