"""Finds samples by name or time, and objects in a sample.

This module must not print, and must not know git: it sees samples and trees.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, takewhile
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from gitsnap.core.errors import ArchiveError, NotFoundError, UsageError
from gitsnap.core.model import Area, JsonObject, Kind, ObjectKey, Sample, Substitute
from gitsnap.core.suggestions import nearest
from gitsnap.core.text import plural
from gitsnap.format import decode_object, file_of
from gitsnap.history.relative_times import FORMS, to_absolute
from gitsnap.sveltos.kind_names import KindNames, kinds_of_tree

if TYPE_CHECKING:
    from gitsnap.core.ports import Tree  # loading the ports takes as long as finding a sample

_LATEST = re.compile(r"latest(?:~(\d+))?\Z")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T: ](\d\d)(?:[:-](\d\d)(?:[:-](\d\d))?)?)?(Z|[+-]\d\d:?\d\d)?\Z")
_SAMPLE_NAME = re.compile(r"(\d{4}-\d\d-\d\d)[T:](\d\d)[-:](\d\d)[-:](\d\d)Z?(?:-\d+)?\Z")
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
        newest = f" {_newest_names(samples)}" if samples else ""
        raise ArchiveError(
            f"{name}: {samples.incomplete_reason}", hint=f"Fetch the samples, or name a sample of this copy.{newest}"
        )


def find_sample(samples: Sequence[Sample], name: str, *, now: datetime | None = None) -> Sample:
    """Return the sample with a name. ``samples`` are oldest first.

    A name is ``2023-08-26:05:00:00`` (as ``list`` prints it), a time in RFC 3339, ``latest``, ``latest~2``,
    ``@2023-08-26T05:10Z`` (the newest sample at that time or before it), a tag, or a commit. With ``now``, the time
    after ``@`` may be relative, such as ``@2h`` or ``@yesterday``.
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
        return samples[-1 - steps_back]
    if name.startswith("@"):
        _check_newest(samples, name)
        return _newest_at(samples, name, now)
    if (named := _find_named(samples, name)) is not None:
        return named
    if _COMMIT.match(name):
        of_commit = [sample for sample in samples if sample.commit.startswith(name)]
        if of_commit:
            return of_commit[-1]
    if match := _MOMENT.match(name):
        return _find_by_moment(samples, name, match)
    _check_newest(samples, name)
    raise NotFoundError(f"there is no sample {name}", hint=_newest_names(samples))


def is_sample_name(word: str) -> bool:
    """Return whether a word has the form of a name that find_sample accepts, or nearly so, and not that of an object.

    The last part of a tag is a time with capitals, and the other parts have none: no kind that is written with capitals
    and no name of a ConfigMap, Secret or custom resource looks like a tag.
    """
    if ".." in word:
        return False
    if word.startswith("@") or word.partition("~")[0] == "latest" or _COMMIT.match(word):
        return True
    branch, _, name = word.rpartition("/")
    if branch:
        return branch == branch.lower() and _SAMPLE_NAME.fullmatch(name) is not None
    return _DATE.match(word) is not None


def is_moment(word: str) -> bool:
    """Return whether a word is a time that ``@`` may precede, such as ``2h``."""
    return _MOMENT.match(to_absolute(word, datetime(2000, 1, 2, tzinfo=UTC))) is not None


def sample_before(samples: Sequence[Sample], sample: Sample) -> Sample:
    """Return the sample before a sample. Raises NotFoundError if there is none: retention may have removed it."""
    position = bisect_left(samples, sample.order, key=lambda other: other.order)
    if position:
        return samples[position - 1]
    if sample.metadata.sequence == 1:
        problem = f"{sample.moment} is the first sample of the archive: there is no sample before it to compare with"
    else:
        problem = (
            f"there is no sample before {sample.moment} to compare with: retention removed the earlier samples, "
            "or this copy lacks their tags"
        )
    hint = "Name two samples with --from-sample and --to-sample, or compare with the cluster: --to-sample live."
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


def parse_moment(name: str, *, end: bool, now: datetime) -> datetime:
    """Parse a time that may be shortened, such as a date, or relative to ``now``, such as ``2h``. Raises UsageError.

    Returns the first second that the text stands for, in UTC; with ``end``, the last second.
    """
    match = _MOMENT.match(to_absolute(name, now))
    if match is None:
        raise UsageError(f"{name} is not a time", hint=f"Write {FORMS}.")
    return _time(name, match, end=end)


def _newest_at(samples: Sequence[Sample], name: str, now: datetime | None) -> Sample:
    """Return the newest sample at the time of ``@TIME`` or before it."""
    match = _MOMENT.match(to_absolute(name[1:], now) if now else name[1:])
    if match is None:
        raise UsageError(f"{name} is not a time", hint=f"Write @ and a time: {FORMS}.")
    moment = _time(name, match, end=True)
    if isinstance(samples, TimeIndexed):
        newest = samples.until(moment)
    else:
        newest = next((sample for sample in reversed(samples) if sample.time <= moment), None)
    if newest is None:
        shown = name[1:] if match[0] == name[1:] else f"{moment:%Y-%m-%dT%H:%M:%SZ} ({name})"
        raise NotFoundError(f"there is no sample at or before {shown}; the first is {samples[0].moment}")
    return newest


def _find_by_moment(samples: Sequence[Sample], name: str, match: re.Match[str]) -> Sample:
    """Return the one sample within a time that may be shortened. Raises NotFoundError for none or several."""
    start, end = _time(name, match, end=False), _time(name, match, end=True)
    within = [sample for sample in samples if start <= sample.time <= end]
    if len(within) == 1:
        return within[0]
    if within:
        moments = ", ".join(sample.moment for sample in within[:10])
        raise NotFoundError(f"{len(within)} samples match {name}: {moments}", hint="Give a more exact time.")
    by_distance = sorted(samples, key=lambda sample: abs((sample.time - start).total_seconds()))
    moments = ", ".join(sorted(sample.moment for sample in by_distance[:_MAX_SUGGESTIONS]))
    raise NotFoundError(f"there is no sample {name}", hint=f"The nearest samples: {moments}")


def _time(name: str, match: re.Match[str], *, end: bool) -> datetime:
    """Return the first or the last second of a time that may be shortened; UTC if it names no offset."""
    date, hour, minute, second, zone = match.groups()
    text = f"{date}T{hour or '00'}:{minute or '00'}:{second or '00'}{zone or 'Z'}"
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise UsageError(
            f"{name} is not a valid date",
            hint="Write it as `gitsnap list` prints it, 2023-08-26:05:00:00, or latest, latest~2, @2023-08-26T05:10Z.",
        ) from None
    if not end or second:
        return moment
    span = timedelta(minutes=1) if minute else timedelta(hours=1) if hour else timedelta(days=1)
    return moment + span - timedelta(seconds=1)


def _newest_names(samples: Sequence[Sample]) -> str:
    newest = ", ".join(sample.moment for sample in samples[-_MAX_SUGGESTIONS:])
    return f"The newest samples: {newest}. `gitsnap list` shows all."


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
    matching = [held for held in of_name if not (own_namespace or namespaces) or held.key.namespace in within]
    if len(matching) == 1:
        return matching[0]
    if matching:
        written = ", ".join(map(_written, sorted(held.key for held in matching)))
        raise NotFoundError(f"{reference} is ambiguous: {written}", hint="Write KIND/NAMESPACE/NAME, or KIND.GROUP.")
    _check_not_missing(tree, reference, kinds)
    of_kind = [held.key for held in list_objects(tree, kinds=kinds)]
    if not of_kind:
        raise NotFoundError(f"the sample has no {reference}", hint=_kinds_hint(tree, names, word, kinds))
    similar = (key.namespaced_name if own_namespace else key.name for key in of_kind)
    hint = nearest("/".join([*own_namespace, name]), similar, none="")
    raise NotFoundError(f"the sample has no {reference}", hint=hint)


def _written(key: ObjectKey) -> str:
    """Return an object as a user may name it, ``ConfigMap/default/database``."""
    return f"{key.kind}/{key.namespaced_name}"


def _kinds_hint(tree: Tree, names: KindNames, word: str, kinds: Collection[Kind]) -> str:
    """Return the hint for a kind of which the sample has no object. ``kinds``: the kinds that the word names."""
    listed = f"Its kinds: {', '.join(sorted(map(str, kinds_of_tree(tree))))}"
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
