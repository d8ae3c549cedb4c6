"""Positional arguments: the form of a word distinguishes a sample from an object."""

from __future__ import annotations

import pytest

from gitsnap.cli.arguments import Arguments, choose, is_sample, parse, parse_field, parse_patterns, parse_range
from gitsnap.core.errors import UsageError

_SAMPLES = [
    "latest",
    "latest~2",
    "latest~x",
    "live",
    "@2h",
    "@yesterday",
    "@2023-08-26T05:10Z",
    "@2023-08-26T05:10+02:00",
    "2023-08-26",
    "2023-08-26:05:00:00",
    "2023-08-26:05:00:00-2",
    "2023-08-26T05-00-00Z",
    "2023-08-26T05:00:00Z",
    "2023-08",
    "hourly/2023-08-26T05-00-00Z",
    "hourly/2023-08-26T05-00-00Z-2",
    "team-a/of.two/hourly/2023-08-26T05-00-00Z",
    "b55492253d99",
    "b55492253d99b55492253d99b55492253d99b554",
]
_OBJECTS = [
    "ConfigMap/default/database",
    "ConfigMap/database",
    "cm/default/database",
    "clusterprofiles.config.projectsveltos.io/guestbook",
    "cm/latest",
    "cm/default/2023-08-26",
    "secret/b55492253d99",
    "ClusterRole/2023-08-26T05-00-00Z",
    "ConfigMap/default/2023-08-26T05-00-00Z",
    "ns/live",
]


@pytest.mark.parametrize("word", _SAMPLES)
def test_a_sample(word: str) -> None:
    """Every form of a sample is recognized, and no object has such a form."""
    assert is_sample(word)
    assert parse([word], live=True) == Arguments(samples=(word,))


@pytest.mark.parametrize("word", _OBJECTS)
def test_an_object(word: str) -> None:
    """A kind and a slash make an object, even if the name of the object looks like a sample."""
    assert not is_sample(word)
    assert parse([word], objects=True) == Arguments(objects=(word,))


def test_samples_and_objects_in_any_order() -> None:
    """The order within samples and within objects is kept."""
    named = parse(["cm/a", "latest~1", "cm/b"], objects=True)

    assert named == Arguments(("latest~1",), ("cm/a", "cm/b"))
    assert named.sample("--sample", "") == "latest~1"
    assert Arguments().sample("--sample", "latest") == "latest"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["cm", "database"], "cm is a kind without the name", "cm/NAMESPACE/database"),
        (["latest", "clusterprofiles", "guestbook"], "clusterprofiles is a kind", "clusterprofiles/guestbook"),
        (["cm"], "cm is a kind without the name", "cm/NAMESPACE/NAME"),
        (["cm", "ns/x"], "cm is a kind without the name", "cm/NAMESPACE/NAME"),
        (["hourly"], "hourly is neither a sample nor an object", "--snapshot"),
        (["b8b0b"], "b8b0b is neither a sample nor an object", "The id of a commit needs 7 digits or more."),
        (["b8b0~1"], "b8b0~1 is neither a sample nor an object", "The id of a commit needs 7 digits or more."),
        (["2h"], "2h is neither a sample nor an object", "@2h"),
        (["yesterday"], "yesterday is neither a sample nor an object", "@yesterday"),
        (["HEAD~1"], "HEAD~1 is neither a sample nor an object", "latest~1"),
        (["ConfigMap/"], "'ConfigMap/' is not an object", ""),
        (["a/b/c/d"], "'a/b/c/d' is not an object", ""),
        (["latest", "latest~1"], "latest, latest~1: 2 samples are given, and this command takes 1", ""),
        (["live"], "`live` is the cluster as it is now", "latest~1"),
        ([""], "is neither a sample nor an object", "KIND/NAME"),
    ],
)
def test_a_word_that_is_refused(words: list[str], message: str, hint: str) -> None:
    """The error says how the word was understood, and lists the forms."""
    with pytest.raises(UsageError) as refused:
        parse(words, objects=True)

    assert message in refused.value.message
    assert hint in refused.value.hint


def test_an_object_where_only_samples_are_taken() -> None:
    """The error names the command that shows the changes of an object."""
    with pytest.raises(UsageError, match="cm/default/a is an object") as refused:
        parse(["latest", "cm/default/a"], samples=2)

    assert "gitsnap log cm/default/a" in refused.value.hint


def test_both_forms_of_one_sample() -> None:
    """The error names the argument and the option. One of them alone is accepted."""
    with pytest.raises(UsageError, match="argument latest~1 and --sample latest"):
        choose("latest~1", "--sample", "latest")
    assert choose("latest~1", "--sample", "") == "latest~1"
    assert choose("", "--sample", "latest") == "latest"
    assert choose("", "--sample", "") == ""


@pytest.mark.parametrize(
    ("words", "options", "expected"),
    [
        ([], ("", ""), ("", "")),
        ([], ("latest~2", "live"), ("latest~2", "live")),
        (["latest~1"], ("", ""), ("latest~1", "")),
        (["latest~1"], ("", "live"), ("latest~1", "live")),
        (["latest~1", "latest"], ("", ""), ("latest~1", "latest")),
        (["latest~1..latest"], ("", ""), ("latest~1", "latest")),
        (["live..latest"], ("", ""), ("live", "latest")),
        (["latest~1.."], ("", ""), ("latest~1", "")),
        (["..latest~1"], ("", ""), ("", "latest~1")),
        (["..latest~1"], ("latest~3", ""), ("latest~3", "latest~1")),
        (["a.b/2023-08-26T05-00-00Z..@2h"], ("", ""), ("a.b/2023-08-26T05-00-00Z", "@2h")),
    ],
)
def test_a_range(words: list[str], options: tuple[str, str], expected: tuple[str, str]) -> None:
    """A range is two words, one word with two dots, or options. An end that is not given is empty."""
    assert parse_range(words, *options) == expected


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (["latest~1"], ("latest~2", ""), "latest~1 and --from-sample latest~2"),
        (["latest~1", "latest"], ("", "live"), "latest and --to-sample live"),
        (["latest~1..latest"], ("", "live"), "latest and --to-sample live"),
        (["latest~1...latest"], ("", ""), "is not a range"),
        ([".."], ("", ""), "is not a range"),
        (["latest~1..cm/a"], ("", ""), "cm/a is an object"),
        (["latest~1..latest", "latest"], ("", ""), "latest~1..latest is not a sample"),
        (["latest", "latest~1", "latest~2"], ("", ""), "3 samples are given"),
    ],
)
def test_a_range_that_is_refused(words: list[str], options: tuple[str, str], message: str) -> None:
    """The error shows both forms of a sample that is named twice."""
    with pytest.raises(UsageError) as refused:
        parse_range(words, *options)

    assert message in refused.value.message


def test_patterns_are_kinds_and_objects() -> None:
    """`log` takes a kind alone, and no sample."""
    assert parse_patterns(["cm", "Secret/a"]) == ("cm", "Secret/a")
    with pytest.raises(UsageError, match="latest~1 is a sample"):
        parse_patterns(["cm", "latest~1"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["cm/a"], (Arguments((), ("cm/a",)), "")),
        (["latest~1", "cm/a"], (Arguments(("latest~1",), ("cm/a",)), "")),
        (["cm/a", "data"], (Arguments((), ("cm/a",)), "data")),
        (["cm/a", "latest"], (Arguments((), ("cm/a",)), "latest")),
        (["@2h", "cm/a", "metadata.labels[a/b]"], (Arguments(("@2h",), ("cm/a",)), "metadata.labels[a/b]")),
    ],
)
def test_an_object_and_its_field(words: list[str], expected: tuple[Arguments, str]) -> None:
    """`blame` takes a field after the object, whatever its form."""
    assert parse_field(words) == expected


@pytest.mark.parametrize(
    ("words", "hint"),
    [(["latest"], "KIND/NAME"), ([], "KIND/NAME"), (["cm", "a"], "cm/NAMESPACE/a"), (["cm/a", "data", "b"], "")],
)
def test_an_object_without_a_place(words: list[str], hint: str) -> None:
    """A missing object, an object in two words and a second field are refused."""
    with pytest.raises(UsageError) as refused:
        parse_field(words)

    assert hint in refused.value.hint
