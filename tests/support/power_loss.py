"""A model of the disk that replays the file calls of a run and knows which paths a power loss may take.

The model is POSIX: fsync of a file makes its content durable, and fsync of a folder makes the names in it durable.
This module must not be imported by the package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

Call = tuple[str, str, str]
"""Name, path and second path, as ``tests.support.write_points`` records them."""


class Disk:
    """Paths whose content or name a power loss may take."""

    def __init__(self, existing: Iterable[Path]) -> None:
        self._there = {str(path) for path in existing}
        self.contents: set[str] = set()
        self.names: set[str] = set()

    def replay(self, calls: Iterable[Call], before: Callable[[Call], None]) -> None:
        """Replay the calls. ``before`` is called with each call before the call is replayed."""
        for call in calls:
            before(call)
            self._carry_out(*call)

    def at_risk(self, below: str) -> list[str]:
        """The paths at risk below a folder, or of a file and the folders above it."""
        risky = self.contents | self.names
        return sorted(path for path in risky if path.startswith(below) or below.startswith(f"{path}/"))

    def _carry_out(self, name: str, path: str, other: str) -> None:
        if name in ("create", "mkdir"):
            self._name(path)
        elif name in ("write", "half a write", "truncate"):
            self.contents.add(path)
        elif name == "fsync":
            self.contents.discard(path)
            self.names -= {entry for entry in self.names if entry.rpartition("/")[0] == path}
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
        """Rename a file, or a folder with its contents."""
        for paths in (self._there, self.contents, self.names):
            moved = {source for source in paths if source == path or source.startswith(f"{path}/")}
            paths.difference_update(moved)
            paths.update(other + source[len(path) :] for source in moved)
        self._there.add(other)
        self.names.add(other)
