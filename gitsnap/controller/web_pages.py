"""Runs the pages of ``gitsnap web`` as a child process of the controller.

Pages must not delay captures. The child has an interpreter of its own and a low priority. It only reads archives, and
takes none of their locks. If a defect ends the child, the controller starts it again.
"""

from __future__ import annotations

import logging
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from gitsnap.controller.http import listen

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""The time in seconds between the end of the child and its next start. The time doubles with each end."""
_STABLE_SECONDS = 60.0
"""The pause is short again after the child has run for this time."""
_GRACE_SECONDS = 5.0
"""How long the child may answer requests after the controller was asked to stop."""

_log = logging.getLogger(__name__)


class WebPages:
    """The child process, and the socket that it inherits. Connections wait at the socket while the child restarts."""

    def __init__(self, host: str, port: int, command: Callable[[int], Sequence[str]]) -> None:
        """Bind to the address. Raises InputError if the address cannot be bound.

        ``command``: returns the command of the child. Its argument is the descriptor of the listening socket. The child
        must end at the end of its standard input, so that it does not outlive a killed controller.
        """
        self._command = command
        self._socket = listen(host, port, option="--web-listen")
        self._process: subprocess.Popen[str] | None = None
        self._is_stopping = False
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    @property
    def port(self) -> int:
        """The port that the child serves."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Start the child, and start it again whenever it ends."""
        host = self._socket.getsockname()[0]
        _log.info("serving web pages at %s:%d", f"[{host}]" if ":" in host else host, self.port)
        self._thread.start()

    def stop(self) -> None:
        """Ask the child to end. Safe in a signal handler."""
        self._is_stopping = True
        self._wake.put(None)
        if self._process is not None:
            self._process.terminate()

    def close(self) -> None:
        """End the child, and free the port."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join(_GRACE_SECONDS)
        if self._process is not None:
            self._process.kill()  # nothing happens if the child has ended
        if self._thread.is_alive():
            self._thread.join(1.0)
        self._socket.close()

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._is_stopping:
            started = time.monotonic()
            try:
                result = f"ended with exit code {self._serve()}"
            except OSError as error:
                result = f"cannot start: {error}"
            if self._is_stopping:
                return
            if time.monotonic() - started > _STABLE_SECONDS:
                pause = _FIRST_PAUSE
            _log.error("the process of the web pages %s; next start in %.0f s", result, pause)
            with suppress(queue.Empty):
                self._wake.get(timeout=pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _serve(self) -> int:
        """Run the child until it ends, and log the lines that it prints. Returns its exit code. Raises OSError."""
        descriptor = self._socket.fileno()
        with subprocess.Popen(  # noqa: S603 - gitsnap itself
            self._command(descriptor),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            pass_fds=[descriptor],
        ) as process:
            self._process = process
            if self._is_stopping:
                process.terminate()
            assert process.stderr is not None  # noqa: S101 - for the type checker: it is a pipe
            for line in process.stderr:
                _log.info("web: %s", line.rstrip("\n"))
            return process.wait()
