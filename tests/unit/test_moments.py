"""Moments, as ``--since`` and ``--sample @…`` accept them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.core.errors import NotFoundError, UsageError
from gitsnap.format import tag_name
from gitsnap.history.moments import FORMS, Period, format_moment, parse_moment, parse_period
from gitsnap.history.samples import describe_period, find_sample, search_sample
from tests.support.samples import every, sample

NOW = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)
"""A Sunday."""

_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
_SECONDS = st.integers(0, int((_LAST - _FIRST).total_seconds())).map(
    lambda seconds: (_FIRST + timedelta(seconds=seconds)).replace(tzinfo=None)
)
_OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("now", "2026-03-01T12:30:15", ""),
        ("30s", "2026-03-01T12:29:45", ""),
        ("90m", "2026-03-01T11:00:15", ""),
        ("2h", "2026-03-01T10:30:15", ""),
        ("1d", "2026-02-28T12:30:15", ""),
        ("1w", "2026-02-22T12:30:15", ""),
        ("1d12h", "2026-02-28T00:30:15", ""),
        ("2h ago", "2026-03-01T10:30:15", ""),
        ("today", "2026-03-01T00:00:00", "2026-03-01T23:59:59"),
        ("Yesterday", "2026-02-28T00:00:00", "2026-02-28T23:59:59"),
        ("sunday", "2026-03-01T00:00:00", "2026-03-01T23:59:59"),
        ("mon", "2026-02-23T00:00:00", "2026-02-23T23:59:59"),
        ("saturday 9:00", "2026-02-28T09:00:00", "2026-02-28T09:00:59"),
        ("yesterday 14:30", "2026-02-28T14:30:00", "2026-02-28T14:30:59"),
        ("12:30", "2026-03-01T12:30:00", "2026-03-01T12:30:59"),
        ("12:31", "2026-02-28T12:31:00", "2026-02-28T12:31:59"),
        ("12:30:15", "2026-03-01T12:30:15", ""),
        ("14:30+02:00", "2026-03-01T12:30:00", "2026-03-01T12:30:59"),
        ("14:31+02:00", "2026-02-28T12:31:00", "2026-02-28T12:31:59"),
        ("2023-08-26", "2023-08-26T00:00:00", "2023-08-26T23:59:59"),
        ("2023-08-26+02:00", "2023-08-25T22:00:00", "2023-08-26T21:59:59"),
        ("2023-08-26T05", "2023-08-26T05:00:00", "2023-08-26T05:59:59"),
        ("2023-08-26T05:10", "2023-08-26T05:10:00", "2023-08-26T05:10:59"),
        ("2023-08-26 05:10", "2023-08-26T05:10:00", "2023-08-26T05:10:59"),
        ("2023-08-26 05:10 +0200", "2023-08-26T03:10:00", "2023-08-26T03:10:59"),
        ("2023-08-26T05:10-03", "2023-08-26T08:10:00", "2023-08-26T08:10:59"),
        ("2023-08-26t05:10:30.5z", "2023-08-26T05:10:30.5", ""),
        ("2023-08-26:05:20:00-2", "2023-08-26T05:20:00", ""),
        ("hourly/2023-08-26T05-20-00Z-10", "2023-08-26T05:20:00", ""),
        ("2023-08-26T05-20", "2023-08-26T05:20:00", "2023-08-26T05:20:59"),
        ("9999-12-31", "9999-12-31T00:00:00", "9999-12-31T23:59:59"),
    ],
)
def test_forms(text: str, first: str, last: str) -> None:
    """Each form has a first and a last second; ``@`` before it changes nothing."""
    for written in (text, f"@{text}"):
        moment = parse_moment(written, NOW)

        assert moment.first == datetime.fromisoformat(first).replace(tzinfo=UTC)
        assert moment.last == datetime.fromisoformat(last or first).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2",
        "h",
        "2y",
        "2M",
        "2 h",
        "2m1h",
        "soon",
        "-2h",
        "999999w",
        "",
        " ",
        "@",
        "26.08.2023",
        "2023-08-26-05",
        "٢h",
        "tod",
    ],
)
def test_a_text_of_no_form_is_an_error_with_the_forms(text: str) -> None:
    """The message repeats the text, and the hint has an example of every form."""
    with pytest.raises(UsageError, match="is not a time") as caught:
        parse_moment(text, NOW)

    assert text in caught.value.message
    assert FORMS in caught.value.hint
    assert "UTC" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["2023-02-30", "2023-13-01", "24:00", "2023-08-26T05:60", "14:30+25:00", "0001-01-01T00:00+02:00"]
)
def test_a_moment_that_does_not_exist_is_an_error(text: str) -> None:
    """A moment outside of the years 1 to 9999 in UTC is refused as well."""
    with pytest.raises(UsageError, match="is not a valid date or time"):
        parse_moment(text, NOW)


def test_the_examples_of_the_error_are_understood() -> None:
    """Every example in the message is accepted."""
    examples = [part.split("(")[-1] for part in FORMS.replace(")", "").replace(" or ", ", ").split(", ")]

    assert len(examples) > 10
    for example in examples:
        parse_moment(example, NOW)


@given(st.integers(0, 10_000), st.sampled_from([("s", 1), ("m", 60), ("h", 3600), ("d", 86400), ("w", 604800)]))
def test_an_age_is_exact(count: int, unit: tuple[str, int]) -> None:
    """The parsed moment is the age in seconds before now, whatever the zone of now is."""
    letter, seconds = unit
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9, minutes=30)))

    assert parse_moment(f"{count}{letter}", elsewhere).first == NOW - timedelta(seconds=count * seconds)


@given(_SECONDS, st.integers(1, 999))
def test_every_date_that_gitsnap_prints_is_read_back(moment: datetime, number: int) -> None:
    """The dates of tables, tags, JSON and messages stand for the same second, whatever the time is."""
    exact = moment.replace(tzinfo=UTC)
    tag = tag_name("team-a/hourly", exact, number)
    printed = sample(number - 1, exact)
    iso = moment.isoformat()
    for text in (tag, tag.rpartition("/")[2], printed.moment, f"{iso}Z", f"{iso}.000000Z", format_moment(exact)):
        parsed = parse_moment(text)

        assert (parsed.first, parsed.last, parsed.is_relative) == (exact, exact, False), text


@given(_SECONDS, _OFFSETS, st.sampled_from(["T", " "]), st.sampled_from(["seconds", "minutes", "milliseconds"]))
def test_iso_times_agree_with_python(moment: datetime, zone: timezone, separator: str, precision: str) -> None:
    """Every form in which Python writes a time with a zone is read as Python reads it."""
    text = moment.replace(tzinfo=zone).isoformat(separator, precision)
    expected = datetime.fromisoformat(text).astimezone(UTC)

    for written in (text, text[:-3] + text[-2:]):  # +02:00 and +0200
        assert parse_moment(written, NOW).first == expected, written


@given(_SECONDS, st.times().map(lambda value: value.replace(microsecond=0)))
def test_a_time_of_day_is_the_last_one(now: datetime, wanted: time) -> None:
    """A time of day is today's if it has passed, and yesterday's otherwise."""
    present = now.replace(tzinfo=UTC)
    moment = parse_moment(f"{wanted:%H:%M:%S}", present).first

    assert moment.time() == wanted
    assert timedelta() <= present - moment < timedelta(days=1)


@given(_SECONDS.map(lambda now: now.replace(year=max(now.year, 3))), st.integers(0, 6))
def test_a_weekday_is_the_last_one_that_has_begun(now: datetime, weekday: int) -> None:
    """The name of today's weekday stands for today."""
    name = f"{date(2024, 1, 1 + weekday):%A}"  # 2024-01-01 is a Monday
    moment = parse_moment(name, now.replace(tzinfo=UTC))

    assert moment.first.weekday() == weekday
    assert timedelta() <= now - moment.first.replace(tzinfo=None) < timedelta(days=7)


@given(
    st.text(max_size=30) | st.from_regex(r"@?\d{4}-\d\d-\d\d([T :]\d\d:\d\d(:\d\d)?)?([+-]\d\d:?\d\d)?", fullmatch=True)
)
def test_no_text_is_a_defect(text: str) -> None:
    """Any text is a moment or a UsageError."""
    try:
        moment = parse_moment(text, NOW)
    except UsageError:
        return
    assert moment.first <= moment.last


def test_a_period_includes_whole_days() -> None:
    """``--since`` begins with the first second of a day, ``--until`` ends with its last one."""
    period = parse_period("yesterday", "yesterday", NOW)

    assert period == Period(datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC))
    assert str(period) == "from 2026-02-28 00:00:00 UTC to 2026-02-28 23:59:59 UTC"
    assert NOW not in period
    assert NOW in parse_period("", "", NOW)


def test_a_period_that_ends_before_it_begins_is_an_error() -> None:
    """Such a period would lead to an empty answer."""
    with pytest.raises(UsageError, match=r"--until yesterday .* is before --since today"):
        parse_period("today", "yesterday", NOW)


def test_the_newest_sample_at_a_relative_time() -> None:
    """``@2h`` is the newest sample that is at least two hours old; without ``now`` a relative time is an error."""
    samples = [sample(number, NOW - timedelta(hours=age)) for number, age in enumerate((30, 3, 1), start=1)]

    assert find_sample(samples, "@2h", now=NOW) == samples[1]
    assert find_sample(samples, "2h", now=NOW) == samples[1]
    assert find_sample(samples, "@yesterday", now=NOW) == samples[0]
    with pytest.raises(UsageError):
        find_sample(samples, "@2h")
    with pytest.raises(NotFoundError):
        find_sample(samples, "2h")


@pytest.mark.parametrize(("unit", "step"), [("%Y-%m-%d", 24), ("%Y-%m-%dT%H", 1)])
def test_a_shortened_time_begins_as_older_side_and_ends_otherwise(unit: str, step: int) -> None:
    """A diff from a day has the changes of the day; a sample to show is the last one of the day."""
    samples = every(timedelta(minutes=20), 300)
    middle = samples[150].time
    name = f"@{middle:{unit}}"
    first = parse_moment(name).first

    assert find_sample(samples, name, end=False).time == first
    assert find_sample(samples, name).time == first + timedelta(hours=step, minutes=-20)
    assert search_sample(samples, name).moment == first + timedelta(hours=step, seconds=-1)
    assert search_sample(samples, samples[3].moment).moment is None


def test_a_sample_of_a_number_is_no_other_sample() -> None:
    """If retention removed the second sample of a second, its name does not stand for the first one."""
    samples = [sample(0, NOW), sample(2, NOW + timedelta(hours=1))]

    assert find_sample(samples, samples[0].moment) == samples[0]
    with pytest.raises(NotFoundError, match="there is no sample"):
        find_sample(samples, f"{samples[0].moment}-2")


def test_the_error_for_a_moment_before_the_first_sample() -> None:
    """A reader must not work out which moment ``@2d`` stood for. The first samples are named."""
    samples = [sample(1, NOW)]

    with pytest.raises(NotFoundError, match=r"at or before 2026-02-27 12:30:15 UTC \(@2d\); the first is") as caught:
        find_sample(samples, "@2d", now=NOW)
    assert samples[0].moment in caught.value.hint
    with pytest.raises(NotFoundError, match=r"at or before 2026-02-27 23:59:59 UTC \(@2026-02-27\);"):
        find_sample(samples, "@2026-02-27", now=NOW)


_BETWEEN = (
    "from 2026-01-01 13:10:00 UTC to 2026-01-01 13:20:59 UTC: no sample; the last one before is "
    "2026-01-01:13:00:00-3 and the first one after is 2026-01-01:14:00:00-4"
)


@pytest.mark.parametrize(
    ("since", "until", "text"),
    [
        (
            "2026-01-01T12:30",
            "",
            "from 2026-01-01 12:30:00 UTC: 3 samples, 2026-01-01:13:00:00-3 to 2026-01-01:15:00:00-5",
        ),
        ("", "2026-01-01T12:30", "to 2026-01-01 12:30:59 UTC: 1 sample, 2026-01-01:12:00:00-2"),
        (
            "2026-01-01T13:10",
            "2026-01-01T13:20",
            _BETWEEN,
        ),
        ("2027-01-01", "", "from 2027-01-01 00:00:00 UTC: no sample; the last one before is 2026-01-01:15:00:00-5"),
        ("", "2025-01-01", "to 2025-01-01 23:59:59 UTC: no sample; the first one after is 2026-01-01:12:00:00-2"),
    ],
)
def test_a_period_names_its_samples_or_the_nearest_ones(since: str, until: str, text: str) -> None:
    """An empty answer says which samples are near."""
    samples = every(timedelta(hours=1), 4)

    assert describe_period(samples, parse_period(since, until, NOW)) == text
    assert describe_period([], Period(since=NOW)).endswith("no sample; the archive has none")
