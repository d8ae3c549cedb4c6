"""Limits the work that requests cause: two threads, each with archives of its own, a queue, and a cache of answers.

Quick pages and slow pages (a search, the history of an object) have one thread each, so a slow page does not delay
quick pages. An archive must be used by one thread only, and more threads would not be faster in Python.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

_Worker = TypeVar("_Worker")
_Result = TypeVar("_Result")

MOST_WAITING = 200
"""The largest number of requests that wait for one thread."""
LONGEST_SECONDS = 60.0
"""The longest time that a request waits for its answer."""


class OverloadedError(Exception):
    """Too many requests wait, or a request took too long."""


class Lane(Generic[_Worker]):
    """A thread that runs one job after another, with a worker that only this thread uses."""

    def __init__(self, name: str, make_worker: Callable[[], _Worker]) -> None:
        self._make_worker = make_worker
        self._worker: _Worker | None = None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._waiting = 0

    async def run(self, job: Callable[[_Worker], _Result]) -> _Result:
        """Return the result of a job. Raises OverloadedError, and the errors of the job."""
        if self._waiting >= MOST_WAITING:
            raise OverloadedError
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, self._do, job)
        future.add_done_callback(self._finish)
        try:
            return await asyncio.wait_for(asyncio.shield(future), LONGEST_SECONDS)
        except TimeoutError:
            raise OverloadedError from None

    def _finish(self, future: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()  # nobody may wait for the result any more

    def _do(self, job: Callable[[_Worker], _Result]) -> _Result:
        if self._worker is None:
            self._worker = self._make_worker()
        return job(self._worker)

    def close(self) -> None:
        """Drop the jobs that have not begun."""
        self._executor.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Content:
    """The content of an answer. It is the same for every reader."""

    status: int
    media_type: str
    body: bytes
    user_at: int = -1
    """The position in ``body`` for the name of the user; -1 for none."""
    location: str = ""
    """The address of a redirect; ``""`` for an answer with a body."""
    is_cacheable: bool = True


class ContentCache:
    """The newest answers, up to a number of bytes. All of them are dropped when the archives change."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._entries: OrderedDict[Hashable, Content] = OrderedDict()
        self._version: Hashable = None

    def use(self, version: Hashable) -> None:
        """Drop the answers of another version of the archives."""
        if version != self._version:
            self._entries.clear()
            self._bytes, self._version = 0, version

    def get(self, key: Hashable) -> Content | None:
        """Return an answer, None if it is not cached."""
        content = self._entries.get(key)
        if content is not None:
            self._entries.move_to_end(key)
        return content

    def put(self, version: Hashable, key: Hashable, content: Content) -> None:
        """Keep an answer that was made from a version of the archives."""
        if version != self._version or not content.is_cacheable or key in self._entries:
            return
        self._entries[key] = content
        self._bytes += len(content.body)
        while self._bytes > self._most_bytes:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= len(oldest.body)


class Clocked(Generic[_Result]):
    """A value that is computed again when it is older than some seconds. All waiting callers share one computation."""

    def __init__(self, compute: Callable[[], asyncio.Future[_Result]], seconds: float) -> None:
        self._compute = compute
        self._seconds = seconds
        self._value: asyncio.Future[_Result] | None = None
        self._started = 0.0

    async def get(self) -> _Result:
        """Return the value. Raises the errors of the computation."""
        now = time.monotonic()
        failed = (
            self._value is not None
            and self._value.done()
            and (self._value.cancelled() or self._value.exception() is not None)
        )
        if self._value is None or failed or (self._value.done() and now - self._started > self._seconds):
            self._started = now
            self._value = self._compute()
        return await asyncio.shield(self._value)
