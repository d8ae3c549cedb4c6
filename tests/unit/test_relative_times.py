"""Times relative to now, as ``log --since`` and ``--sample @…`` accept them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.core.errors import NotFoundError, UsageError
from gitsnap.history.relative_times import to_absolute
from gitsnap.history.samples import find_sample, parse_moment
from tests.support.samples import sample

NOW = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "absolute"),
    [
        ("30s", "2026-03-01T12:29:45Z"),
        ("90m", "2026-03-01T11:00:15Z"),
        ("2h", "2026-03-01T10:30:15Z"),
        ("1d", "2026-02-28T12:30:15Z"),
        ("1w", "2026-02-22T12:30:15Z"),
        ("today", "2026-03-01"),
        ("yesterday", "2026-02-28"),
        ("12:30", "2026-03-01T12:30Z"),
        ("12:31", "2026-02-28T12:31Z"),
        ("12:30:15", "2026-03-01T12:30:15Z"),
        ("2023-08-26", "2023-08-26"),
        ("2023-08-26T05:10Z", "2023-08-26T05:10Z"),
        ("24:00", "24:00"),
        ("2 h", "2 h"),
        ("2y", "2y"),
        ("999999w", "999999w"),
        ("", ""),
    ],
)
def test_forms(text: str, absolute: str) -> None:
    """A text of another form is returned as it is, so that its reader reports it."""
    assert to_absolute(text, NOW) == absolute


@given(st.integers(0, 10_000), st.sampled_from([("s", 1), ("m", 60), ("h", 3600), ("d", 86400), ("w", 604800)]))
def test_an_age_is_exact(count: int, unit: tuple[str, int]) -> None:
    """The parsed moment is the age in seconds before now, whatever the zone of now is."""
    letter, seconds = unit
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9, minutes=30)))

    assert parse_moment(f"{count}{letter}", end=False, now=elsewhere) == NOW - timedelta(seconds=count * seconds)


def test_a_day_has_a_first_and_a_last_second() -> None:
    """``--since yesterday`` begins at midnight UTC, ``--until yesterday`` ends a second before the next midnight."""
    assert parse_moment("yesterday", end=False, now=NOW) == datetime(2026, 2, 28, tzinfo=UTC)
    assert parse_moment("yesterday", end=True, now=NOW) == datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2", "h", "2y", "soon", "-2h", "999999w"])
def test_a_text_of_no_form_is_an_error_with_the_forms(text: str) -> None:
    """The hint shows a relative and an absolute form."""
    with pytest.raises(UsageError, match=f"{text} is not a time") as caught:
        parse_moment(text, end=False, now=NOW)

    assert "2h" in caught.value.hint
    assert "2023-08-26T05:10Z" in caught.value.hint


def test_the_newest_sample_at_a_relative_time() -> None:
    """``@2h`` is the newest sample that is at least two hours old; without ``now`` a relative time is an error."""
    samples = [sample(number, NOW - timedelta(hours=age)) for number, age in enumerate((30, 3, 1), start=1)]

    assert find_sample(samples, "@2h", now=NOW) == samples[1]
    assert find_sample(samples, "@yesterday", now=NOW) == samples[0]
    with pytest.raises(UsageError):
        find_sample(samples, "@2h")


def test_the_error_for_a_relative_time_names_the_moment() -> None:
    """A reader must not work out which moment ``@2d`` stood for; an absolute time is repeated as it was given."""
    samples = [sample(1, NOW)]

    with pytest.raises(NotFoundError, match=r"at or before 2026-02-27T12:30:15Z \(@2d\);"):
        find_sample(samples, "@2d", now=NOW)
    with pytest.raises(NotFoundError, match="at or before 2026-02-27;"):
        find_sample(samples, "@2026-02-27", now=NOW)
