"""Counts, keys of objects, and times as text."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.core.model import Kind, ObjectKey
from gitsnap.core.text import describe, parse_time, plural, time_text, verb_form


@pytest.mark.parametrize(
    ("count", "noun", "expected"),
    [
        (1, "sample", "1 sample"),
        (0, "sample", "0 samples"),
        (2, "managed cluster", "2 managed clusters"),
        (2, "match", "2 matches"),
        (3, "policy", "3 policies"),
        (3, "key", "3 keys"),
        (2, "class", "2 classes"),
        (2, "index", "2 indexes"),
    ],
)
def test_plural(count: int, noun: str, expected: str) -> None:
    """The singular for exactly one, and the regular endings of English plurals."""
    assert plural(count, noun) == expected


@pytest.mark.parametrize(
    ("verb", "expected"),
    [("is", "are"), ("was", "were"), ("has", "have"), ("differs", "differ"), ("stays", "stay"), ("leaves", "leave")],
)
def test_the_verb_of_a_counted_subject(verb: str, expected: str) -> None:
    """The verb agrees with the number, alone and after the noun."""
    assert [verb_form(1, verb), verb_form(0, verb), verb_form(2, verb)] == [verb, expected, expected]
    assert plural(1, "sample", verb) == f"1 sample {verb}"
    assert plural(2, "sample", verb) == f"2 samples {expected}"


@pytest.mark.parametrize(
    ("key", "name", "description"),
    [
        (ObjectKey(Kind("", "ConfigMap"), "default", "database"), "default/database", "ConfigMap default/database"),
        (ObjectKey(Kind("config.projectsveltos.io", "ClusterProfile"), "", "web"), "web", "ClusterProfile web"),
    ],
)
def test_keys_in_messages(key: ObjectKey, name: str, description: str) -> None:
    """With the namespace, if there is one, and without the group of the kind."""
    assert key.namespaced_name == name
    assert describe(key) == description


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.timezones()))  # noqa: DTZ001
def test_a_time_is_read_back(time: datetime) -> None:
    """The text has whole seconds in UTC, and four digits for every year, such as that of a clock that was never set."""
    text = time_text(time)

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)
    assert parse_time(text) == time.astimezone(UTC).replace(microsecond=0)


@pytest.mark.parametrize("text", ["", "2023-08-26T05:20:00", "yesterday", None, 7, {}])
def test_other_texts_are_no_times(text: object) -> None:
    """A time without a zone may be any moment."""
    assert parse_time(text) is None
