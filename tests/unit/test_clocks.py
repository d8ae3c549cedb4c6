"""Clocks that were never set: what is recorded by them can be read, and is not taken for damage."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitsnap import capture
from gitsnap.archive import create_archive
from gitsnap.core.model import Kind, ResourceSelector, SecretsInfo, SecretsMode, TreeInfo, Trigger
from tests.support.scripted_server import ScriptedServer, document


@pytest.mark.parametrize("first", [datetime(5, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)])
def test_samples_before_1970(tmp_path: Path, first: datetime) -> None:
    """git takes a date before 1970 for damage; the sample has its own time, and the next one has the right one."""
    archive = create_archive(tmp_path, "p")
    info = TreeInfo("p", "p", (), SecretsInfo(SecretsMode.OMIT), (ResourceSelector(Kind("", "ConfigMap")),))
    for number, time in enumerate((first, datetime(2026, 1, 1, tzinfo=UTC))):
        server = ScriptedServer([document("ConfigMap", "shop", str(number), data={"a": str(number)})])
        capture.capture(server, archive, capture.Request(info, None, time, Trigger.MANUAL))
    assert [one.metadata.time for one in archive.samples()] == [first, datetime(2026, 1, 1, tzinfo=UTC)]
    assert [finding for finding in archive.check() if finding.wrong] == []
