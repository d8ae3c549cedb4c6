"""The time for which requests wait for a server that does not answer."""

from __future__ import annotations

import threading
import time


class Outage:
    """The pauses before lost requests are repeated. All requests share them: each pause is made and counted once."""

    def __init__(self, seconds: float) -> None:
        """``seconds``: the sum of all pauses that may be made."""
        self._left = seconds
        self._pauses = 0
        """How many pauses have ended."""
        self._pausing = threading.Lock()

    def wait(self, seconds: float) -> bool:
        """Pause for ``seconds``, or until the end of the pause that another thread makes. False if no time is left.

        Several lists are requested at a time, and lose their connections together.
        """
        known = self._pauses
        with self._pausing:
            if self._pauses != known:  # another thread paused while this thread waited for the lock
                return True
            if seconds > self._left:
                return False
            self._left -= seconds
            time.sleep(seconds)
            self._pauses += 1
        return True
