"""Follow mode on a simulated server: any sequence of writes, deliveries, losses, crashes, samples and restores.

The oracle is the server, which remembers each state and who wrote it.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gitsnap import archive
from gitsnap.archive import GitArchive
from gitsnap.archive.commit_objects import read_commit
from gitsnap.archive.repository import open_repository
from gitsnap.core.changes import AuthorSource
from gitsnap.core.errors import GoneError, StorageError
from gitsnap.core.model import ObjectKey
from gitsnap.core.ports import ArchiveWriter
from gitsnap.sveltos import kinds
from tests.support.followers import Reader, Witness, config_map, profile, secret, take_sample
from tests.support.watched_server import WatchedServer

_MAPS = tuple(ObjectKey(kinds.CONFIG_MAP, "default", name) for name in "abcdef")
_SECRETS = tuple(ObjectKey(kinds.SECRET, "default", name) for name in "st")
_MANAGERS = ("alice", "bob", "carol")
_TEXT = re.compile(r'^  text: "?n(\d+)"?$', re.MULTILINE)

_OPERATIONS = (
    "write", "write", "write", "remove", "touch", "secret", "refer", "tick", "tick",
    "deliver", "deliver", "deliver", "deliver", "commit", "commit", "commit",
    "lose", "compact", "restart", "crash", "sample", "foreign sample",
)  # fmt: skip


def _sequences(*operations: str, most: int) -> st.SearchStrategy[list[tuple[str, int, int, int]]]:
    return st.lists(
        st.tuples(st.sampled_from(operations), st.integers(0, 1), st.integers(0, 63), st.integers(0, 2)), max_size=most
    )


class _FailingWriter:
    """A writer that fails before or after it records changes, as a killed process does."""

    def __init__(self, writer: ArchiveWriter, *, after: bool) -> None:
        self._writer = writer
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def record_changes(self, *arguments: Any, **named: Any) -> None:
        if self._after:
            self._writer.record_changes(*arguments, **named)
        raise StorageError("killed")


class _World:
    """A server, an archive, and two controllers that both follow."""

    def __init__(self, folder: Path) -> None:
        self.server = WatchedServer()
        self.number = 0
        self.writers: dict[int, str] = {}
        """Each number that a ConfigMap had -> its manager."""
        for key in _MAPS[:4]:
            self._map(key, "setup")
        self.server.write(secret("s", "1"), "setup")
        self.server.write(profile("p", [*_MAPS[:5], *_SECRETS]), "setup")
        self.server.advance(1)
        self.archive = archive.create_archive(folder, "hourly")
        take_sample(self.server, self.archive)
        self.readers = [Reader(self.server, self.archive), Reader(self.server, self.archive)]
        self.restored = False
        self.missed: list[int | None] = []

    def _map(self, key: ObjectKey, manager: str) -> None:
        self.number += 1
        self.writers[self.number] = manager
        self.server.write(config_map(key.name, f"n{self.number}"), manager)

    def act(self, operation: str, who: int, number: int, manager: int) -> None:
        reader, name = self.readers[who], _MANAGERS[manager]
        actions: dict[str, Callable[[], object]] = {
            "write": lambda: self._map(_MAPS[number % len(_MAPS)], name),
            "remove": lambda: self.server.remove(_MAPS[number % len(_MAPS)]),
            "touch": lambda: self.server.touch(_MAPS[number % len(_MAPS)]),
            "secret": lambda: self.server.write(secret(_SECRETS[number % 2].name, "x" * (number % 5)), name),
            "refer": lambda: self.server.write(
                profile("p", [key for n, key in enumerate(_MAPS) if number >> n & 1] + list(_SECRETS)), name
            ),
            "tick": lambda: self.server.advance(1),
            "compact": self.server.compact,
            "deliver": lambda: self._deliver(reader, number),
            "commit": lambda: self._commit(reader),
            "lose": lambda: self._lose(reader),
            "restart": lambda: self._restart(who),
            "crash": lambda: self._crash(who, after=bool(number % 2)),
            "sample": lambda: self._sample(reader),
            "foreign sample": lambda: take_sample(self.server, self.archive),
            "restore": lambda: self._restore(number),
        }
        actions[operation]()

    def _deliver(self, reader: Reader, number: int) -> None:
        self._start(reader)
        lists = sorted(reader.lists, key=str)
        try:
            reader.deliver(lists[number % len(lists)], 1 + number % 3)
        except GoneError:
            self._lose(reader)

    def _start(self, reader: Reader) -> None:
        if reader.follower.must_synchronize:
            reader.synchronize()

    def _commit(self, reader: Reader) -> None:
        self._start(reader)
        reader.commit()

    def _lose(self, reader: Reader) -> None:
        self._commit(reader)
        reader.synchronize(current=True)

    def _restart(self, who: int) -> None:
        self.readers[who] = Reader(self.server, self.archive)

    def _crash(self, who: int, *, after: bool) -> None:
        reader = self.readers[who]
        self._start(reader)
        with self.archive.writer() as writer:
            failing: Any = _FailingWriter(writer, after=after)
            try:
                reader.follower.commit(failing, reader.moment)
            except StorageError:
                self._restart(who)

    def _sample(self, reader: Reader) -> None:
        self._commit(reader)
        try:
            reader.deliver_all()
        except GoneError:
            self._lose(reader)
        self.missed.append(take_sample(self.server, self.archive, follow=Witness(reader)).missed)

    def _restore(self, number: int) -> None:
        self.server.restore(self.server.version - number % 8)
        self.restored = True
        for reader in self.readers:
            reader.synchronize(current=True)

    def finish(self) -> None:
        """Let both controllers catch up."""
        for reader in (*self.readers, *self.readers):
            self._commit(reader)
            try:
                reader.catch_up()
            except GoneError:
                self._lose(reader)
                reader.catch_up()


def _check_names(world: _World) -> None:
    """Each change that names its author contains the objects as this author left them."""
    for identity in _git(world.archive, "rev-list", "hourly").split():
        change = read_commit(open_repository(Path(world.archive.location))[0], identity).change
        if change is None or change.author.source is not AuthorSource.MANAGER:
            continue
        assert not change.late
        for changed in change.objects:
            assert change.author.name in world.server.writers[changed.key, changed.resource_version]
            path = f"configuration/default/ConfigMap/{changed.key.name}.yaml"
            text = _git(world.archive, "log", "-1", "-p", "--format=", identity, "--", path)
            for number in _TEXT.findall(text.replace("\n+", "\n")):  # none, if a reference ended in the same change
                assert world.writers[int(number)] == change.author.name


def _check_order(world: _World) -> None:
    """Each object goes through its states in order, and through none twice."""
    for key in _MAPS:
        path = f"configuration/default/ConfigMap/{key.name}.yaml"
        log = _git(world.archive, "log", "-p", "--reverse", "--format=", "hourly", "--", path)
        numbers = [int(number) for number in _TEXT.findall(log.replace("\n+", "\n"))]
        assert numbers == sorted(numbers), (key, numbers)


def _git(of: GitArchive, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", of.location, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def _follow(steps: Sequence[tuple[str, int, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = _World(Path(folder))
        for step in steps:
            world.act(*step)
        world.finish()
        assert not take_sample(world.server, world.archive, full=True).recorded.changed
        assert not any(world.missed)
        _check_names(world)
        if not world.restored:
            _check_order(world)


_often = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(_sequences(*_OPERATIONS, most=30))
@_often
@example([("write", 0, 0, 0), ("deliver", 0, 0, 0), ("crash", 0, 1, 0), ("write", 0, 0, 1), ("commit", 0, 0, 0)])
@example([("write", 0, 0, 0), ("tick", 0, 0, 0), ("write", 0, 0, 1), *[("deliver", 0, n, 0) for n in range(64)]])
@example([("write", 0, 0, 0), ("touch", 0, 0, 0), ("write", 0, 1, 1), *[("deliver", 0, n, 0) for n in range(64)]])
@example([("refer", 0, 63, 0), ("write", 0, 5, 1), ("compact", 0, 0, 0), ("lose", 0, 0, 0), ("sample", 1, 0, 0)])
def test_any_interleaving_ends_in_the_tree_that_a_full_list_gives(steps: Sequence[tuple[str, int, int, int]]) -> None:
    """No change is lost or doubled, no name is wrong, and a sample beside a follower is *complete*."""
    _follow(steps)


@given(_sequences(*_OPERATIONS, "restore", "restore", most=20))
@settings(_often, max_examples=12)
def test_a_restored_server_ends_in_the_tree_that_a_full_list_gives(steps: Sequence[tuple[str, int, int, int]]) -> None:
    """The server returns to lower versions, and assigns them again."""
    _follow(steps)
