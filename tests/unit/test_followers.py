"""Follow mode of the served Snapshots: its start, and samples while it does not run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from gitsnap.controller.followers import Followers
from gitsnap.controller.run import Sampler
from gitsnap.core.model import ObjectKey, Trigger
from gitsnap.core.recording import RecordedChange
from gitsnap.policy import snapshot as policies
from gitsnap.policy.snapshot import Policy
from gitsnap.sveltos import kinds
from tests.support.followers import config_map, profile
from tests.support.watched_server import WatchedServer

_KEYS = [ObjectKey(kinds.CONFIG_MAP, "default", name) for name in "abc"]


def _policy() -> Policy:
    spec = {"schedule": "@yearly", "follow": {"quietSeconds": 0}, "secrets": {"mode": "omit"}}
    document = {"apiVersion": policies.API_VERSION, "kind": "Snapshot", "metadata": {"name": "hourly"}, "spec": spec}
    return policies.from_resource(document, source="test")


def _wait(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


class _SlowSampler:
    """A sampler whose archive cannot be followed yet."""

    def __init__(self) -> None:
        self.may_go = threading.Event()

    def follow(self, _policy: Policy, **_named: object) -> None:
        """Wait, then ask for a sample."""
        self.may_go.wait(30)


def test_a_sample_that_is_due_waits_for_the_start_of_follow_mode_and_no_longer() -> None:
    """Follow mode may record the changes with their authors. The first attempt ends the wait in any case."""
    sampler = _SlowSampler()
    followers = Followers(cast("Any", sampler), lambda _name, _note: None)
    assert followers.is_starting("hourly")
    followers.update({"hourly": _policy()})
    assert followers.is_starting("hourly")
    sampler.may_go.set()
    _wait(lambda: not followers.is_starting("hourly"))
    followers.close(30)


def test_a_sample_while_follow_mode_does_not_run_counts_what_was_missed(tmp_path: Path) -> None:
    """The restarted controller cannot follow. The first sample has no state to compare with."""
    server = WatchedServer()
    for key in _KEYS:
        server.write(config_map(key.name, "0"), "setup")
    server.write(profile("p", _KEYS), "setup")
    server.advance(1)
    sampler = Sampler(storage=tmp_path, connect=lambda: cast("Any", server), now=lambda: server.clock)

    def take() -> int | None:
        server.advance(1)
        return sampler.take(_policy(), Trigger.SCHEDULE, cancelled=lambda: False).capture.missed

    assert take() is None
    changes: list[RecordedChange] = []
    runner = sampler.follow(_policy(), on_changes=changes.extend, on_problem=lambda _problem: None)
    assert runner is not None
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    server.write(config_map("a", "1"), "alice")
    _wait(lambda: changes)
    runner.stop()
    thread.join(30)

    server.write(config_map("b", "1"), "bob")
    server.remove(_KEYS[2])
    assert take() == 2
    assert take() == 0
