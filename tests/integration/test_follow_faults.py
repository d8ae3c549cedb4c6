"""Follow mode on a real API server under faults: kills at every write, and watches that fail in every way.

The long form is in scripts/soak.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import pytest

from tests.support.api_proxy import running
from tests.support.controllers import wait_for
from tests.support.following import NAMES, Following, check_archive, following, wait_for_text, write
from tests.support.watch_faults import KINDS, Faults, FaultyWatches
from tests.support.write_points import ArmedProcess, compile_library
from tests.testbed.apiserver import ApiServer

_SECONDS = float(os.environ.get("GITSNAP_SOAK_SECONDS", "15"))
_STEP = 1 if os.environ.get("GITSNAP_EVERY_POINT") else 9


def _has_ended(process: Following) -> bool:
    assert process.process is not None
    return process.process.poll() is not None


def _has_ended_or_recorded(process: Following, name: str, text: str) -> bool:
    return _has_ended(process) or process.text(name) == text


def test_nothing_is_lost_or_doubled_by_a_kill_at_any_write(api: ApiServer, tmp_path: Path) -> None:
    """The process is killed at each call that changes a file of the archive, and started again."""
    library = compile_library(tmp_path / "library")
    if library is None:
        pytest.skip("there is no C compiler")
    armed = ArmedProcess(library.parent, library)
    with following(api, tmp_path) as process:
        process.kill()
        number, point, kills = 0, 1, 0
        process.start(environment=armed.environment)
        while True:
            number += 1
            armed.arm(process.repository, point)
            name, text = NAMES[number % 3], str(number)
            write(api, name, text, "writer")
            wait_for(partial(_has_ended_or_recorded, process, name, text), "a kill or the change", seconds=60)
            time.sleep(0.2)  # the working tree is updated after the branch
            points = armed.disarm()
            if not _has_ended(process):
                assert points < point, process.log()
                break
            kills += 1
            process.start(environment=armed.environment)
            wait_for_text(process, name, text)
            point += _STEP
        assert kills >= 3
        assert process.stop() == 0, process.log()
        check_archive(process)
        assert "Gitsnap-Seen" not in process.git("log", "--format=%B")


def test_nothing_is_lost_or_doubled_by_watches_that_fail(api: ApiServer, tmp_path: Path) -> None:
    """Watches are cut, ended, expired, delayed, stalled and refused, and the process is killed again and again."""
    faults = Faults(seed=time.time_ns(), share=0.0)
    with running(api, FaultyWatches, faults=faults) as url, following(api, tmp_path, server=url) as process:
        faults.share = 0.2
        end, number, next_kill = time.monotonic() + _SECONDS, 0, time.monotonic() + 5
        while time.monotonic() < end or number % len(NAMES):
            number += 1
            write(api, NAMES[number % len(NAMES)], str(number), f"writer-{number % 2}")
            time.sleep(0.1)
            if time.monotonic() > next_kill:
                process.kill()
                process.start()
                next_kill = time.monotonic() + 5
        faults.share = 0.0
        for last in range(number - len(NAMES) + 1, number + 1):
            wait_for_text(process, NAMES[last % len(NAMES)], str(last))
        assert process.stop() == 0, process.log()
        check_archive(process)
        assert sum(faults.counts.values()) >= len(KINDS), faults.counts
