"""What a power loss would take: replays the calls of a run, and knows at each moment what is not on the disk for sure.

The model is that of POSIX: the content of a file is durable once it was fsynced, a name once its folder was.
This module must not be imported by the package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

Call = tuple[str, str, str]
"""Name, path, second path; as ``tests.support.write_points`` gives them."""


class Disk:
    """Paths whose content or whose name a power loss may take."""

    def __init__(self, existing: Iterable[Path]) -> None:
        self._there = {str(path) for path in existing}
        self.contents: set[str] = set()
        self.names: set[str] = set()

    def replay(self, calls: Iterable[Call], before: Callable[[Call], None]) -> None:
        """Carry out the calls; ``before`` is called with each one, before it."""
        for call in calls:
            before(call)
            self._carry_out(*call)

    def at_risk(self, below: str) -> list[str]:
        """What may be gone of a folder, or of one file and the folders above it."""
        risky = self.contents | self.names
        return sorted(path for path in risky if path.startswith(below) or below.startswith(f"{path}/"))

    def _carry_out(self, name: str, path: str, other: str) -> None:
        if name in ("create", "mkdir"):
            self._name(path)
        elif name in ("write", "half a write", "truncate"):
            self.contents.add(path)
        elif name == "fsync":
            self.contents.discard(path)
            self.names -= {one for one in self.names if one.rpartition("/")[0] == path}
        elif name == "link":
            if path in self.contents:
                self.contents.add(other)
            self._name(other)
        elif name == "rename":
            self._rename(path, other)
        elif name in ("unlink", "rmdir"):
            for paths in (self._there, self.contents, self.names):
                paths.discard(path)

    def _name(self, path: str) -> None:
        if path not in self._there:
            self._there.add(path)
            self.names.add(path)

    def _rename(self, path: str, other: str) -> None:
        """Of a folder, with all that is in it."""
        for paths in (self._there, self.contents, self.names):
            moved = {one for one in paths if one == path or one.startswith(f"{path}/")}
            paths.difference_update(moved)
            paths.update(other + one[len(path) :] for one in moved)
        self._there.add(other)
        self.names.add(other)
