"""Samples of a clock that was never set can be read, and do not count as damage."""

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
    """git reports a date before 1970 as damage. The sample keeps its time, and the next sample has the correct time."""
    archive = create_archive(tmp_path, "p")
    info = TreeInfo("p", "p", (), SecretsInfo(SecretsMode.OMIT), (ResourceSelector(Kind("", "ConfigMap")),))
    for number, time in enumerate((first, datetime(2026, 1, 1, tzinfo=UTC))):
        server = ScriptedServer([document("ConfigMap", "shop", str(number), data={"a": str(number)})])
        capture.capture(server, archive, capture.Request(info, None, time, Trigger.MANUAL))
    assert [sample.metadata.time for sample in archive.samples()] == [first, datetime(2026, 1, 1, tzinfo=UTC)]
    assert [finding for finding in archive.check() if finding.wrong] == []
