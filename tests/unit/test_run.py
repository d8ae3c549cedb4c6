"""Settings of a capture in the controller."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gitsnap.controller.run import reading_seconds
from gitsnap.policy.schedule import Schedule
from gitsnap.policy.snapshot import Policy

_NOW = datetime(2026, 1, 1, 12, 0, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [("@every 10s", 60.0), ("* * * * *", 60.0), ("*/5 * * * *", 290.0), ("@hourly", 600.0), ("", 600.0)],
)
def test_a_cluster_is_read_until_the_next_sample_is_due(schedule: str, seconds: float) -> None:
    """At least one minute, which one request may take, and at most ten."""
    policy = Policy("p", schedule=Schedule.parse(schedule) if schedule else None)

    assert reading_seconds(policy, _NOW) == seconds
