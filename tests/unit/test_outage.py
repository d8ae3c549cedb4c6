"""How long lost requests wait for a server that does not answer."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from gitsnap.cluster.api.outage import Outage


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The requested pauses, in place of real ones."""
    made: list[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    return made


def test_successive_pauses_are_counted_together(pauses: list[float]) -> None:
    """A pause that is longer than the remaining time is not made."""
    outage = Outage(10.0)
    assert [outage.wait(seconds) for seconds in (1.0, 2.0, 4.0, 8.0, 3.0, 0.5)] == [
        True,
        True,
        True,
        False,
        True,
        False,
    ]
    assert pauses == [1.0, 2.0, 4.0, 3.0]


def test_requests_that_are_lost_together_share_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four requests wait at the same time: their pause takes a quarter of the sum, and counts once."""
    pausing, over = threading.Event(), threading.Event()
    pauses: list[float] = []
    sleep = time.sleep

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        pausing.set()
        assert over.wait(30)

    monkeypatch.setattr("time.sleep", pause)
    outage = Outage(10.0)
    outage._pausing = _CountingLock()  # type: ignore[assignment]
    with ThreadPoolExecutor(4) as executor:
        first = executor.submit(outage.wait, 8.0)
        assert pausing.wait(30)
        others = [executor.submit(outage.wait, 8.0) for _ in range(3)]
        while outage._pausing.waiting < 3:  # type: ignore[attr-defined]
            sleep(0.001)
        over.set()

    assert [request.result() for request in (first, *others)] == [True] * 4
    assert pauses == [8.0]
    assert outage.wait(2.0)
    assert not outage.wait(2.0)


class _CountingLock:
    """A lock that knows how many threads wait for it."""

    def __init__(self) -> None:
        self.waiting = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self.waiting += 1
            self._lock.acquire()

    def __exit__(self, *_details: object) -> None:
        self._lock.release()
