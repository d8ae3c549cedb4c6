"""The sample before a sample."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gitsnap.core.errors import NotFoundError
from gitsnap.history.samples import sample_before
from tests.support.samples import every


def test_the_sample_before_another_one() -> None:
    """The position in the order of samples decides."""
    samples = every(timedelta(hours=1), 3)

    assert sample_before(samples, samples[2]) == samples[1]


@pytest.mark.parametrize(
    ("left", "message"),
    [(slice(0, 1), "is the first sample of the archive"), (slice(2, 3), "retention removed the earlier samples")],
)
def test_a_sample_is_never_the_one_before_itself(left: slice, message: str) -> None:
    """The first sample, and the oldest sample after retention, each have their own message."""
    samples = every(timedelta(hours=1), 3)[left]

    with pytest.raises(NotFoundError, match=message):
        sample_before(samples, samples[0])
