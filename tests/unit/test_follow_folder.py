"""Follow mode of a folder of YAML files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from gitsnap import archive, capture
from gitsnap.capture.follow import FolderRunner, FollowSettings, folder
from gitsnap.cluster import open_directory, state_of_files
from gitsnap.core.model import JsonObject, ObjectKey, Trigger
from gitsnap.core.ports import Cluster
from gitsnap.core.recording import RecordedChange
from gitsnap.sveltos import kinds
from tests.support.changes import NOON
from tests.support.followers import INFO, KEEPER, config_map, profile


class _Folder:
    """A folder, its archive, and the runner in a thread."""

    def __init__(self, parent: Path) -> None:
        self.path = parent / "files"
        self.path.mkdir()
        self.write("a", config_map("a", "1"))
        self.write("p", profile("p", [ObjectKey(kinds.CONFIG_MAP, "default", "a")]))
        self.archive = archive.create_archive(parent, "hourly")
        self.sample()
        self.changes: list[RecordedChange] = []
        self.problems: list[str] = []
        self.runner = FolderRunner(
            self._open,
            partial(state_of_files, self.path),
            self.archive,
            FollowSettings(INFO, KEEPER, quiet_seconds=0.1),
            now=lambda: NOON,
            on_changes=self.changes.extend,
            on_problem=self.problems.append,
        )
        self._thread = threading.Thread(target=self.runner.run, daemon=True)

    def _open(self) -> Cluster:
        return open_directory(self.path, known_kinds=kinds.BY_KIND)

    def write(self, name: str, document: JsonObject) -> None:
        (self.path / f"{name}.yaml").write_text(yaml.safe_dump(document))

    def sample(self) -> capture.CaptureResult:
        return capture.capture(self._open(), self.archive, capture.Request(INFO, KEEPER, NOON, Trigger.MANUAL))

    def start(self) -> None:
        self._thread.start()
        self.wait(lambda: self.problems)

    def stop(self) -> None:
        self.runner.stop()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def wait(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, (self.changes, self.problems)
            time.sleep(0.02)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Folder]:
    """A folder that is not followed yet."""
    monkeypatch.setattr(folder, "POLL_SECONDS", 0.05)
    made = _Folder(tmp_path)
    yield made
    made.runner.stop()


def test_a_changed_file_is_a_change_and_earlier_changes_are_late(files: _Folder) -> None:
    """At the end, the waiting changes are recorded, too."""
    files.write("a", config_map("a", "2"))
    files.start()
    files.wait(lambda: len(files.changes) == 1)
    files.write("a", config_map("a", "3"))
    files.wait(lambda: len(files.changes) == 2)
    files.write("a", config_map("a", "4"))
    files.runner._stopped.wait(0.06)
    files.stop()

    assert [change.late for change in files.changes] == [True, False, False]
    assert {str(change.author) for change in files.changes} == {"unknown"}
    assert not files.sample().recorded.new_commit


def test_a_file_that_is_not_valid_and_an_empty_folder_record_nothing(files: _Folder) -> None:
    """The problem is reported once, and ends with the next valid state."""
    files.start()
    (files.path / "b.yaml").write_text("x: [")
    files.wait(lambda: len(files.problems) == 2)
    (files.path / "b.yaml").unlink()
    files.wait(lambda: files.problems[-1] == "" and len(files.problems) == 3)
    texts = {path: path.read_text() for path in files.path.iterdir()}
    for path in texts:
        path.unlink()
    files.wait(lambda: len(files.problems) == 4)
    for path, text in texts.items():
        path.write_text(text)
    files.wait(lambda: len(files.problems) == 5)
    files.stop()

    assert files.changes == []


def test_a_folder_that_is_away_is_reported_once(files: _Folder) -> None:
    """The changes that were made meanwhile are recorded when it is back."""
    files.start()
    away = files.path.rename(files.path.with_name("away"))
    files.wait(lambda: len(files.problems) == 2)
    time.sleep(0.5)
    (away / "a.yaml").write_text(yaml.safe_dump(config_map("a", "2")))
    away.rename(files.path)
    files.wait(lambda: len(files.changes) == 1)
    files.stop()

    assert len(files.problems) == 3, files.problems
