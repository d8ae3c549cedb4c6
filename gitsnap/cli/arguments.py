"""The positional arguments of commands: samples and objects, distinguished by their form.

A sample is a date, ``latest``, ``latest~2``, ``@TIME``, ``live``, a tag or a commit. An object has a kind and a slash,
``KIND/NAME`` or ``KIND/NAMESPACE/NAME``. No word has both forms, so no archive is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from gitsnap.cli import completion
from gitsnap.core.errors import UsageError

LIVE = "live"
"""The name of the live cluster in place of a sample."""

SAMPLE_FORMS = "2023-08-26:05:00:00, latest, latest~1, @2h, @2023-08-26T05:10Z, a tag or a commit"
OBJECT_FORMS = "KIND/NAME or KIND/NAMESPACE/NAME"


def _words(metavar: str, help_text: str, *, samples: int, objects: bool = False) -> Any:
    """Declare positional arguments. ``samples``: the largest number of samples to complete."""
    complete = completion.complete_words(samples=samples, objects=objects)
    return typer.Argument(metavar=metavar, help=help_text, autocompletion=complete)


_Words = list[str] | None

Range = Annotated[
    _Words,
    _words(
        "[FROM [TO]]",
        "Samples to compare, or FROM..TO. Default: the newest sample and the one before it; with FROM alone, FROM and "
        "the newest sample. FROM or TO may be `live`.",
        samples=2,
    ),
]
SampleAndObjects = Annotated[
    _Words,
    _words(
        "[SAMPLE] [references] [OBJECT]...",
        f"Sample to show (default: the newest), and objects to print: {OBJECT_FORMS}. After the word `references`: "
        "objects whose references are listed. Default: an overview.",
        samples=1,
        objects=True,
    ),
]
SampleToRestore = Annotated[
    _Words,
    _words(
        "[SAMPLE] [OBJECT]...",
        f"Sample to roll back to, and objects to restore: {OBJECT_FORMS}. Default: all objects.",
        samples=1,
        objects=True,
    ),
]
Objects = Annotated[
    _Words,
    _words("[OBJECT]...", f"Only these: KIND, {OBJECT_FORMS}. Default: all objects.", samples=0, objects=True),
]
ObjectAndField = Annotated[
    list[str],
    _words(
        "[SAMPLE] OBJECT [FIELD]",
        f"The object, {OBJECT_FORMS}, and only this field and the fields below, such as spec.helmCharts[podinfo]. "
        "Default: all fields, in the newest sample.",
        samples=1,
        objects=True,
    ),
]
OneSample = Annotated[_Words, _words("[SAMPLE]", "The sample, as with --sample.", samples=1)]
RollbackToUndo = Annotated[
    _Words, _words("[SAMPLE]", "Undo the rollback that this sample was taken before, as with --of.", samples=1)
]
SeveralSamples = Annotated[
    list[str], _words("SAMPLE...", "The samples, in any form that --sample of other commands accepts.", samples=999)
]


@dataclass(frozen=True, slots=True)
class Arguments:
    """Positional arguments, sorted into samples and objects."""

    samples: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()

    def sample(self, option: str, value: str) -> str:
        """Return the only sample, from the argument or from an option; ``""`` if both are missing.

        Raises UsageError if both are given.
        """
        return choose(self.samples[0] if self.samples else "", option, value)


def choose(argument: str, option: str, value: str) -> str:
    """Return the argument or the value of the option, whichever is given. Raises UsageError if both are given."""
    if argument and value:
        raise UsageError(
            f"the sample is named twice: argument {argument} and {option} {value}",
            hint=f"Omit {argument} or {option}.",
        )
    return argument or value


def is_sample(word: str) -> bool:
    """Return whether a word has the form of a sample, or is ``live``."""
    from gitsnap.history.samples import is_sample_name

    return word == LIVE or is_sample_name(word)


def parse(words: Sequence[str], *, samples: int = 1, objects: bool = False, live: bool = False) -> Arguments:
    """Sort positional arguments into samples and objects.

    ``samples``: the largest number of samples. ``objects``: whether the command takes objects. ``live``: whether it
    takes the live cluster in place of a sample. Raises UsageError for any other word.
    """
    named = tuple(word for word in words if is_sample(word))
    others = tuple(word for word in words if not is_sample(word))
    forms = f"For a sample write {SAMPLE_FORMS}."
    if objects:
        forms = f"For an object write {OBJECT_FORMS}. {forms}"
    for word in others:
        if "/" not in word:
            _refuse_bare_word(word, others, objects=objects, forms=forms)
        if not objects:
            raise UsageError(
                f"{word} is an object, and this command takes samples only",
                hint=f"{forms} `gitsnap log {word}` shows the changes of an object.",
            )
        if word.count("/") > 2 or not all(word.split("/")):
            raise UsageError(f"{word!r} is not an object; write {OBJECT_FORMS}")
    if len(named) > samples:
        raise UsageError(f"{', '.join(named)}: {len(named)} samples are given, and this command takes {samples}")
    if LIVE in named and not live:
        raise UsageError(f"`{LIVE}` is the cluster as it is now, and this command takes a sample", hint=forms)
    return Arguments(named, others)


_SHORT_ID = re.compile(r"(?=[a-f]*[0-9])[0-9a-f]{4,6}(?:~[0-9]*)?")
"""Too few digits of the id of a commit. A word without a decimal digit, such as ``feed``, is no id."""


def _refuse_bare_word(word: str, words: Sequence[str], *, objects: bool, forms: str) -> None:
    """Raise UsageError for a word without a slash that is not a sample."""
    if objects and is_kind(word):
        following = words[words.index(word) + 1 :][:1]
        name = following[0] if following and "/" not in following[0] else "NAME"
        raise UsageError(
            f"{word} is a kind without the name of an object", hint=f"An object is one word: {joined(word, name)}."
        )
    from gitsnap.history.samples import is_moment

    hint = f"{forms} To name a policy, use --snapshot."
    if is_moment(word):
        hint = f"Write a time with @: @{word}. {forms}"
    elif _SHORT_ID.fullmatch(word):
        hint = f"The id of a commit needs 7 digits or more. {forms}"
    raise UsageError(f"{word} is {'neither a sample nor an object' if objects else 'not a sample'}", hint=hint)


def parse_field(words: Sequence[str]) -> tuple[Arguments, str]:
    """Return the sample and the object of ``[SAMPLE] OBJECT [FIELD]``, and the field.

    A word after the object is a field. Raises UsageError for any other form.
    """
    start = 1 if words and is_sample(words[0]) else 0
    is_whole = "/" in "".join(words[start : start + 1])  # otherwise the error message needs the next word
    named, rest = parse(words[: start + (1 if is_whole else 2)], objects=True), words[start + 1 :]
    if not named.objects:
        raise UsageError("an object is needed", hint=f"For an object write {OBJECT_FORMS}.")
    if len(rest) > 1:
        raise UsageError(f"{rest[1]}: this command takes one object and one field of the object")
    return named, rest[0] if rest else ""


def is_kind(word: str) -> bool:
    """Return whether a word names a kind that gitsnap knows without an archive."""
    from gitsnap.sveltos.kind_names import KindNames

    return bool(KindNames().kinds_named(word))


def joined(kind: str, name: str) -> str:
    """Return the object, as one word, whose kind and name are two words: ``cm/NAMESPACE/database``."""
    from gitsnap.sveltos.kind_names import KindNames, known_namespaced

    namespaced = any(known_namespaced(named) is not False for named in KindNames().kinds_named(kind))
    return f"{kind}/NAMESPACE/{name}" if namespaced else f"{kind}/{name}"


def parse_patterns(words: Sequence[str]) -> tuple[str, ...]:
    """Return arguments that name kinds or objects. Raises UsageError for a sample."""
    for word in words:
        if is_sample(word):
            raise UsageError(
                f"{word} is a sample, and this command takes kinds and objects",
                hint=f"An argument is KIND, {OBJECT_FORMS}. --since and --until limit the time.",
            )
    return tuple(words)


def parse_range(words: Sequence[str], from_sample: str, to_sample: str) -> tuple[str, str]:
    """Return the older and the newer sample from ``[FROM [TO]]`` or ``FROM..TO``, or from the two options.

    A sample that is not given is ``""``. Raises UsageError if a sample is given twice, and for any other form.
    """
    if len(words) == 1 and ".." in words[0]:
        first, second = _split_range(words[0])
    else:
        first, second = (*parse(words, samples=2, live=True).samples, "", "")[:2]
    return choose(first, "--from-sample", from_sample), choose(second, "--to-sample", to_sample)


def _split_range(word: str) -> tuple[str, str]:
    """Return the samples of ``FROM..TO``, ``FROM..`` or ``..TO``; ``""`` for a missing one."""
    first, _, second = word.partition("..")
    if "." in (first[-1:], second[:1]) or not (first or second):
        raise UsageError(f"{word} is not a range of samples", hint="Write FROM..TO with two dots, or FROM TO.")
    for end in filter(None, (first, second)):
        parse([end], live=True)
    return first, second
