"""Finds samples by name or time, and objects in a sample.

This module must not print, and must not know git: it sees samples and trees.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, takewhile
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from gitsnap.core.errors import ArchiveError, NotFoundError, UsageError
from gitsnap.core.model import Area, JsonObject, Kind, ObjectKey, Sample, Substitute
from gitsnap.core.suggestions import nearest
from gitsnap.core.text import plural
from gitsnap.format import decode_object, file_of
from gitsnap.history.moments import Moment, Period, format_moment, parse_moment
from gitsnap.sveltos.kind_names import KindNames, kinds_of_tree

if TYPE_CHECKING:
    from gitsnap.core.ports import Tree  # loading the ports takes as long as finding a sample

_LATEST = re.compile(r"latest(?:~(\d+))?\Z")
_SAMPLE_NAME = re.compile(r"(\d{4}-\d\d-\d\d)[T:](\d\d)[-:](\d\d)[-:](\d\d)Z?(?:-\d+)?\Z")
_WHOLE_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_DATE = re.compile(r"\d{4}-\d\d?(?:-|\Z)")
_COMMIT = re.compile(r"[0-9a-f]{7,40}\Z")
_MAX_SUGGESTIONS = 3


@runtime_checkable
class TimeIndexed(Protocol):
    """Samples that can be searched by time without reading each of them."""

    def until(self, moment: datetime) -> Sample | None:
        """Return the last of the samples that were taken at a moment or before it."""


@runtime_checkable
class MaybeIncomplete(Protocol):
    """Samples of a copy that may lack some of the samples of the archive."""

    @property
    def incomplete_reason(self) -> str:
        """Why samples may be missing, and the git command that fetches them. ``""`` if none is missing."""


def _check_newest(samples: Sequence[Sample], name: str) -> None:
    """Raise ArchiveError if a relative name may stand for a sample that this copy lacks."""
    if isinstance(samples, MaybeIncomplete) and samples.incomplete_reason:
        newest = f" {newest_names(samples)}" if samples else ""
        raise ArchiveError(
            f"{name}: {samples.incomplete_reason}", hint=f"Fetch the samples, or name a sample of this copy.{newest}"
        )


@dataclass(frozen=True, slots=True)
class FoundSample:
    """A sample, and the moment that it was found by."""

    sample: Sample
    moment: datetime | None = None
    """The sample is the newest one at this moment. None if the sample was found by its name."""


def find_sample(samples: Sequence[Sample], name: str, *, now: datetime | None = None, end: bool = True) -> Sample:
    """Return the sample with a name. See ``search_sample``."""
    return search_sample(samples, name, now=now, end=end).sample


def search_sample(
    samples: Sequence[Sample], name: str, *, now: datetime | None = None, end: bool = True
) -> FoundSample:
    """Find the sample with a name. ``samples`` are oldest first.

    A name is ``2023-08-26:05:00:00`` (as ``list`` prints it), a time in RFC 3339, ``latest``, ``latest~2``,
    ``@2023-08-26T05:10Z`` (the newest sample at that time or before it), a tag, or a commit. With ``now``, the time
    after ``@`` may be relative, such as ``@2h`` or ``@yesterday``; a relative time needs no ``@``.

    ``end``: whether a day after ``@`` stands for its last second (the newer side of a comparison, or a sample to show)
    or for its first second (the older side). The same applies to an hour and a minute.

    Raises NotFoundError with the nearest samples, UsageError for a date that does not exist, and ArchiveError for a
    relative name if samples may be missing.
    """
    if not samples:
        _check_newest(samples, name)
        raise NotFoundError("the archive has no samples yet", hint="`gitsnap capture` takes one.")
    if match := _LATEST.match(name):
        _check_newest(samples, name)
        steps_back = int(match[1] or 0)
        if steps_back >= len(samples):
            raise NotFoundError(f"{name} goes back beyond the first sample ({plural(len(samples), 'sample')})")
        return FoundSample(samples[-1 - steps_back])
    if name.startswith("@"):
        _check_newest(samples, name)
        return _newest_at(samples, name, parse_moment(name, now), end=end)
    if (named := _find_named(samples, name)) is not None:
        return FoundSample(named)
    if _COMMIT.match(name):
        of_commit = [sample for sample in samples if sample.commit.startswith(name)]
        if of_commit:
            return FoundSample(of_commit[-1])
    moment = _parse_name(name, now)
    if moment is not None and not moment.is_relative:
        return FoundSample(_find_by_moment(samples, name, moment))
    _check_newest(samples, name)
    if moment is not None:
        return _newest_at(samples, name, moment, end=end)
    raise NotFoundError(f"there is no sample {name}", hint=newest_names(samples))


def moment_named(name: str, now: datetime | None, *, end: bool = True) -> datetime | None:
    """Return the time whose newest sample a name stands for, None for the name of one sample. See ``search_sample``.

    Raises UsageError for a date that does not exist.
    """
    if name.startswith("@"):
        moment: Moment | None = parse_moment(name, now)
    else:
        moment = None if _LATEST.match(name) or _COMMIT.match(name) else _parse_name(name, now)
        if moment is not None and not moment.is_relative:
            return None
    return (moment.last if end else moment.first) if moment is not None else None


def is_relative(name: str, *, now: datetime) -> bool:
    """Whether a name may stand for another sample later: ``latest~2``, ``@2h``, ``@`` and a date that has not ended."""
    if _LATEST.match(name):
        return True
    if "/" in name:
        return False
    try:
        moment = parse_moment(name, now)
    except UsageError:
        return False
    return moment.is_relative or (name.startswith("@") and moment.last >= now)


def is_sample_name(word: str) -> bool:
    """Return whether a word has the form of a sample, even with small mistakes, and not the form of an object.

    The last part of a tag is a time with capital letters, and the other parts have no capital letters. No kind with
    capital letters, and no name of a ConfigMap, Secret or custom resource, has this form.
    """
    if ".." in word:
        return False
    first = word.partition("~")[0]
    if word.startswith("@") or first == "latest" or _COMMIT.match(first):
        return True
    branch, _, name = word.rpartition("/")
    if branch:
        return branch == branch.lower() and _SAMPLE_NAME.fullmatch(name) is not None
    return _DATE.match(word) is not None


def is_moment(word: str) -> bool:
    """Return whether a word is a time that may follow ``@``, such as ``2h``."""
    try:
        parse_moment(word, datetime(2000, 1, 2, tzinfo=UTC))
    except UsageError:
        return False
    return True


def _parse_name(name: str, now: datetime | None) -> Moment | None:
    """Return the moment that a name without ``@`` stands for. None if the name is not a moment.

    Raises UsageError for a date that does not exist. A tag is a name, not a moment.
    """
    if "/" in name:
        return None
    try:
        return parse_moment(name, now)
    except UsageError:
        if _WHOLE_DATE.match(name):
            raise
        return None


def sample_before(samples: Sequence[Sample], sample: Sample) -> Sample:
    """Return the sample before a sample. Raises NotFoundError if there is none: retention may have removed it."""
    position = bisect_left(samples, sample.order, key=lambda other: other.order)
    if position:
        return samples[position - 1]
    if sample.metadata.sequence == 1:
        problem = f"{sample.moment} is the first sample of the archive: there is no sample before it to compare with"
        hint = "`gitsnap capture` takes the next sample. `gitsnap drift` compares this one with the cluster."
    else:
        problem = (
            f"there is no sample before {sample.moment} to compare with: retention removed the earlier samples, "
            "or this copy lacks their tags"
        )
        hint = (
            "`gitsnap list` lists the samples. `gitsnap diff FROM TO` compares two of them, "
            "and `gitsnap diff FROM live` compares one with the cluster."
        )
    raise NotFoundError(problem, hint=hint)


def _find_named(samples: Sequence[Sample], name: str) -> Sample | None:
    """Return the sample with exactly this name, None if there is none.

    The name contains the time, so the samples of that time are tried first. If the clock ever went back, the samples
    are not sorted by time, and all of them are tried.
    """
    match = _SAMPLE_NAME.search(name)
    if match is None:
        return None
    candidates = chain(_samples_at(samples, *match.groups()), reversed(samples))
    return next((sample for sample in candidates if _has_name(sample, name)), None)


def _samples_at(samples: Sequence[Sample], date: str, hour: str, minute: str, second: str) -> Iterator[Sample]:
    """Yield the samples of one second, if the samples are sorted by time."""
    with suppress(ValueError):  # a date that does not exist
        time = datetime.fromisoformat(f"{date}T{hour}:{minute}:{second}Z")
        start = bisect_left(samples, time, key=lambda sample: sample.time)
        following = (samples[position] for position in range(start, len(samples)))
        yield from takewhile(lambda sample: sample.time == time, following)


def _has_name(sample: Sample, name: str) -> bool:
    return name in (sample.moment, sample.tag, sample.tag.rpartition("/")[2])


def _newest_at(samples: Sequence[Sample], name: str, moment: Moment, *, end: bool) -> FoundSample:
    """Return the newest sample until the last second of a moment, or until the first second if ``end`` is False."""
    time = moment.last if end else moment.first
    newest = _until(samples, time)
    if newest is None:
        raise NotFoundError(
            f"there is no sample at or before {format_moment(time)} ({name}); the first is {samples[0].moment}",
            hint=f"The first samples: {_names(samples[:_MAX_SUGGESTIONS])}.",
        )
    return FoundSample(newest, time)


def _until(samples: Sequence[Sample], time: datetime) -> Sample | None:
    """Return the newest sample that is not after a time. None if there is none."""
    if isinstance(samples, TimeIndexed):
        return samples.until(time)
    return next((sample for sample in reversed(samples) if sample.time <= time), None)


def describe_period(samples: Sequence[Sample], period: Period) -> str:
    """Return a line with the limits of a period and its samples, or the nearest samples if the period has none.

    ``from 2023-08-26 05:10:00 UTC: 2 samples, 2023-08-26:05:20:00 to 2023-08-26:05:40:00``.
    """
    within = [sample for sample in samples if sample.time in period]
    if within:
        named = within[0].moment if len(within) == 1 else f"{within[0].moment} to {within[-1].moment}"
        return f"{period}: {plural(len(within), 'sample')}, {named}"
    before = _until(samples, period.since) if period.since is not None else None
    after = next((sample for sample in samples if period.until is not None and sample.time > period.until), None)
    nearest_samples = [
        f"the {word} is {sample.moment}"
        for word, sample in (("last one before", before), ("first one after", after))
        if sample is not None
    ]
    return f"{period}: no sample; {' and '.join(nearest_samples) or 'the archive has none'}"


def _find_by_moment(samples: Sequence[Sample], name: str, moment: Moment) -> Sample:
    """Return the one sample within a time that may be shortened. Raises NotFoundError for none or several."""
    within = [sample for sample in samples if moment.first <= sample.time <= moment.last and not moment.is_numbered]
    if len(within) == 1:
        return within[0]
    if within:
        raise NotFoundError(
            f"{len(within)} samples match {name}: {_names(within[:10])}",
            hint=f"Give a more exact time, or write @{name} for the newest of them.",
        )
    by_distance = sorted(samples, key=lambda sample: abs((sample.time - moment.first).total_seconds()))
    moments = ", ".join(sorted(sample.moment for sample in by_distance[:_MAX_SUGGESTIONS]))
    raise NotFoundError(f"there is no sample {name}", hint=f"The nearest samples: {moments}")


def newest_names(samples: Sequence[Sample]) -> str:
    """Return a hint that names the newest samples."""
    return f"The newest samples: {_names(samples[-_MAX_SUGGESTIONS:])}. `gitsnap list` shows all."


def _names(samples: Iterable[Sample]) -> str:
    return ", ".join(sample.moment for sample in samples)


# Objects of a sample ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SampleObject:
    """An object of a sample, and its path below ``configuration/``."""

    key: ObjectKey
    path: str
    document: JsonObject


def list_objects(
    tree: Tree, *, namespaces: Sequence[str] = (), kinds: Collection[Kind] | None = None, name: str = ""
) -> Iterator[SampleObject]:
    """Yield the objects of a sample by path, limited to namespaces, kinds (None for all) and a name.

    Raises ArchiveError for a file that is not an object.
    """
    file_name = file_of(name) if name else ""
    for path, blob in tree.files(Area.CONFIGURATION).items():
        if file_name and not path.endswith(f"/{file_name}"):
            continue
        if kinds is not None and _kind_at(path) not in kinds:
            continue
        document: JsonObject = decode_object(tree.read(blob), f"{Area.CONFIGURATION}/{path}")
        key = ObjectKey.of(document)
        if (namespaces and key.namespace not in namespaces) or (name and key.name != name):
            continue
        yield SampleObject(key, path, document)


def _kind_at(path: str) -> Kind:
    """Return the kind in the path of an object. Raises ArchiveError for any other path."""
    parts = path.split("/")
    if len(parts) != 3:
        raise ArchiveError(
            f"{Area.CONFIGURATION}/{path} is not the path of an object: gitsnap did not write this file",
            hint="`gitsnap verify` and `git log` in the archive show more.",
        )
    return Kind.parse(parts[1])


def find_object(tree: Tree, reference: str, *, namespaces: Sequence[str] = ()) -> SampleObject:
    """Return the object that ``KIND[/NAMESPACE]/NAME`` names. The kind is any word that KindNames accepts.

    ``namespaces`` limit a reference without a namespace; objects without a namespace are not limited. Raises UsageError
    for any other form, and NotFoundError with suggestions if no object or several objects match.
    """
    parts = reference.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise UsageError(f"{reference!r} is not an object; write KIND/NAME or KIND/NAMESPACE/NAME")
    word, name, own_namespace = parts[0], parts[-1], parts[1:-1]
    if namespaces and own_namespace and own_namespace[0] not in namespaces:
        raise UsageError(f"{reference} is outside --namespace {', '.join(namespaces)}")
    within = {*own_namespace} or {*namespaces, ""}
    names = KindNames.of_tree(tree)
    kinds = names.kinds_named(word)
    of_name = list_objects(tree, kinds=kinds, name=name)
    matching = [obj for obj in of_name if not (own_namespace or namespaces) or obj.key.namespace in within]
    if len(matching) == 1:
        return matching[0]
    if matching:
        paths = ", ".join(key.path for key in sorted(candidate.key for candidate in matching))
        raise NotFoundError(f"{reference} is ambiguous: {paths}", hint="Write KIND/NAMESPACE/NAME, or KIND.GROUP.")
    _check_not_missing(tree, reference, kinds)
    of_kind = [obj.key for obj in list_objects(tree, kinds=kinds)]
    earlier = f"`gitsnap log {reference}` shows whether another sample has it."
    if not of_kind:
        hint = _kinds_hint(tree, names, word, kinds)
        raise NotFoundError(f"the sample has no {reference}", hint=f"{hint} {earlier}" if kinds else hint)
    searched = own_namespace or namespaces
    similar = (key.namespaced_name if searched else key.name for key in of_kind)
    hint = nearest("/".join([*searched[:1], name]), similar, none="")
    where = "" if own_namespace or not namespaces else f" in the namespace {' or '.join(namespaces)}"
    raise NotFoundError(f"the sample has no {reference}{where}", hint=f"{hint} {earlier}".lstrip())


def _kinds_hint(tree: Tree, names: KindNames, word: str, kinds: Collection[Kind]) -> str:
    """Return the hint if the sample has no object of a kind. ``kinds``: the kinds that the word names."""
    present = ", ".join(sorted(map(str, kinds_of_tree(tree))))
    if not present:
        return "The sample is empty."
    listed = f"Its kinds: {present}"
    if kinds:
        return f"{listed}. It has no object of the kind {' or '.join(sorted(map(str, kinds)))}."
    close = names.closest(word)
    return f"{listed}. The nearest kinds: {', '.join(close)}." if close else listed


def _check_not_missing(tree: Tree, reference: str, kinds: Collection[Kind]) -> None:
    """Raise NotFoundError for an object that the capture could not read: it may have existed."""
    _, *namespaces, name = reference.split("/")
    for incomplete in tree.incomplete:
        is_named = incomplete.kind in kinds and namespaces in ([], [incomplete.namespace]) and name == incomplete.name
        if is_named and incomplete.substitute is Substitute.MISSING:
            raise NotFoundError(
                f"the capture could not read {incomplete} ({incomplete.reason}): its content is unknown",
                hint="An earlier or later sample may have it; `gitsnap list --wide` shows what each sample lacks.",
            )
