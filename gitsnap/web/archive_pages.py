"""The pages about whole archives: the overview and the timeline."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import overload

from gitsnap.core.changes import AuthorSource
from gitsnap.core.errors import ArchiveError, UsageError
from gitsnap.core.model import Sample, Trigger
from gitsnap.core.states import ChangeState, State, author_text, incomplete_of
from gitsnap.history.change_finder import Changes
from gitsnap.history.moments import parse_moment
from gitsnap.render.web.addresses import address, state_name
from gitsnap.web.answers import Asked, Page
from gitsnap.web.documents import Document
from gitsnap.web.site import ChangedObjects, Site, SiteArchive

PAGE_SIZE = 50
"""The number of samples and changes of one page of the timeline."""
_MOST_SKIPPED = 100_000
_MOST_CARDS = 6
"""More archives than these are rows of a table."""
_NOTHING = ChangedObjects([], 0, [], is_recorded=True)


def overview(site: Site, asked: Asked) -> Page:
    """Return the page of all archives."""
    archives = [(archive, archive.samples()) for archive in site.archives.values()]

    def document() -> Document:
        return {
            "kind": "ArchiveList",
            "archives": [
                {
                    "policy": archive.policy,
                    "address": address(archive.name),
                    "samples": len(samples),
                    "first": asked.documents.sample_document(samples[0]) if samples else None,
                    "newest": asked.documents.sample_document(samples[-1]) if samples else None,
                    "warnings": archive.listed.warnings,
                }
                for archive, samples in archives
            ],
            "problems": site.problems,
        }

    wanted = asked.query.get("q", "")
    entries = [
        (archive, samples[0] if samples else None, samples[-1] if samples else None, len(samples))
        for archive, samples in archives
        if wanted.casefold() in archive.name.casefold()
    ]
    values = {
        "entries": entries,
        "total": len(archives),
        "is_table": len(archives) > _MOST_CARDS,
        "q": wanted,
        "problems": site.problems,
    }
    return Page("overview.html", "Archives", document, values)


@dataclass(slots=True)
class Entry:
    """A row of the timeline: a sample with a change or a note, or a change between two samples."""

    state: State
    before: State | None
    """The previous state. None for the first state."""
    objects: ChangedObjects = _NOTHING
    people: list[str] = field(default_factory=list)
    """Who wrote the objects."""
    is_same: bool = False
    """Whether the state has the same commit as the previous state."""
    problem: str = ""
    """Why the objects are not known."""

    @property
    def sample(self) -> Sample | None:
        """The sample, None for a change."""
        return self.state if isinstance(self.state, Sample) else None

    @property
    def incomplete(self) -> bool:
        """Whether a kind or an object could not be read."""
        return bool(incomplete_of(self.state))


@dataclass(slots=True)
class QuietRun:
    """Consecutive scheduled samples in which nothing changed; newest first."""

    samples: list[Sample] = field(default_factory=list)


class _Older(Sequence[Sample]):
    """The oldest samples of a long list, without a copy of the list."""

    def __init__(self, samples: Sequence[Sample], length: int) -> None:
        self._samples = samples
        self._length = length

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, position: int) -> Sample: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Sample]: ...
    def __getitem__(self, position: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(position, slice):
            return [self[number] for number in range(*position.indices(self._length))]
        if not -self._length <= position < self._length:
            raise IndexError(position)
        return self._samples[position % self._length]


def timeline(archive: SiteArchive, asked: Asked) -> Page:
    """Return a page of the timeline: samples and changes, newest first.

    ``before``: the name of a sample; the page has only older states. ``skip``: the number of these states to skip.
    ``until``: a date; the page has no later states. ``from``, ``to``: the states that were chosen for a diff.
    """
    samples = archive.samples()
    before, skip = asked.query.get("before", ""), _whole_number(asked.query.get("skip", "0"))
    states = _states(archive, samples, before, asked.query.get("until", ""))
    shown = list(islice(states, skip, skip + PAGE_SIZE + 1))
    following = shown[PAGE_SIZE:]
    next_page = _next_page(shown, before, skip) if following else {}
    older = address(archive.name, **next_page) if following else ""
    entries = [
        _entry(archive, state, older_state) for state, older_state in zip(shown, [*shown, None][1:], strict=True)
    ]

    listed = shown[:PAGE_SIZE]

    def document() -> Document:
        return {
            "kind": "SampleList",
            "samples": [asked.documents.sample_document(state) for state in listed if isinstance(state, Sample)],
            "changes": [asked.documents.change_document(state) for state in listed if isinstance(state, ChangeState)],
            "older": older or None,
        }

    picked = {side: archive.state(name) for side in ("from", "to") if (name := asked.query.get(side, ""))}
    names = [state_name(state) for state in listed]
    kept = {state_name(state): state for state in picked.values() if state_name(state) not in names}
    values = {
        "chosen": {
            side: state_name(picked[side]) if side in picked else "".join(names[number : number + 1])
            for number, side in enumerate(("to", "from"))
        },
        "kept": sorted(kept.values(), key=lambda state: state.order, reverse=True),
        "next_page": next_page,
        "rows": _grouped(entries[:PAGE_SIZE]),
        "older": older,
        "is_newest": not (before or skip or asked.query.get("until")),
        "total": len(samples),
        "first": samples[0] if samples else None,
        "last": samples[-1] if samples else None,
        "until": asked.query.get("until", ""),
    }
    return Page("timeline.html", "Timeline", document, values)


def _states(archive: SiteArchive, samples: Sequence[Sample], before: str, until: str) -> Iterator[State]:
    """Yield the samples and changes before a sample, and until a date; newest first.

    Raises UsageError, NotFoundError.
    """
    length = len(samples)
    if before:
        state = archive.state(before)
        sample = state if isinstance(state, Sample) else state.after
        length = bisect_left(samples, sample.order, key=lambda other: other.order) if sample else 0
    changes = Changes(archive) if length == len(samples) else Changes(archive).before(samples[length])
    newest_first = changes.newest_first(_Older(samples, length))
    if not until:
        return newest_first
    end = parse_moment(f"@{until}", None).last
    number = bisect_left(samples, end, hi=length, key=lambda sample: sample.time)
    if number < length:
        newest_first = Changes(archive).before(samples[number]).newest_first(_Older(samples, number))
    return (state for state in newest_first if state.time <= end)


def _whole_number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 6 or int(text) > _MOST_SKIPPED:
        raise UsageError(f"skip is a whole number up to {_MOST_SKIPPED}")
    return int(text)


def _next_page(shown: Sequence[State], before: str, skip: int) -> dict[str, str]:
    """Return the query of the next page: it begins after the last sample of this page."""
    listed = shown[:PAGE_SIZE]
    last = next((number for number in range(len(listed) - 1, -1, -1) if isinstance(listed[number], Sample)), None)
    if last is None:
        return {"before": before, "skip": str(skip + PAGE_SIZE)}
    rest = len(listed) - 1 - last
    return {"before": state_name(listed[last]), "skip": str(rest) if rest else ""}


def _entry(archive: SiteArchive, state: State, before: State | None) -> Entry:
    entry = Entry(state, before)
    if before is not None and state.commit == before.commit:
        entry.is_same = True
        return entry
    try:
        entry.objects = archive.changed_objects(state, before)
        if isinstance(state, Sample):
            entry.people = entry.objects.people
        elif state.author.source is not AuthorSource.UNKNOWN:
            entry.people = [author_text(state.author, late=state.change.late)]
    except ArchiveError as error:
        entry.problem = error.message
    return entry


def _grouped(entries: Sequence[Entry]) -> list[Entry | QuietRun]:
    """Return the entries, with one row for consecutive scheduled samples in which nothing changed."""
    rows: list[Entry | QuietRun] = []
    for entry in entries:
        sample = entry.sample
        if sample is None or not _is_quiet(entry, sample):
            rows.append(entry)
        elif rows and isinstance(last := rows[-1], QuietRun):
            last.samples.append(sample)
        else:
            rows.append(QuietRun([sample]))
    return rows


def _is_quiet(entry: Entry, sample: Sample) -> bool:
    try:
        metadata = sample.metadata
    except ArchiveError:
        return False
    is_plain = metadata.trigger is Trigger.SCHEDULE and not metadata.message and not metadata.incomplete
    return entry.is_same and is_plain
