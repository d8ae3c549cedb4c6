"""Search compared with a replay that looks at every version of every object."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gitsnap.core.commits import LoggedCommit, LoggedFile
from gitsnap.core.model import BlobId, CommitId, JsonObject, ObjectKey, Sample
from gitsnap.core.ports import Tree
from gitsnap.format import encode, path_of
from gitsnap.history.changelog import ObjectPattern
from gitsnap.history.fields import fields_of
from gitsnap.history.search import search

_START = datetime(2026, 1, 1, tzinfo=UTC)
_VALUES = st.sampled_from(["nginx:1.25", "nginx:1.26", "x nginx:1.25 y", "other", "", True])
_DATA = st.none() | st.dictionaries(st.sampled_from(["image", "more", "x.y"]), _VALUES, max_size=3)
_STATES = st.fixed_dictionaries({"a": _DATA, "b": _DATA})


def _document(name: str, data: Mapping[str, Any]) -> JsonObject:
    metadata = {"name": name, "namespace": "default"}
    return {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "Profile",
        "metadata": metadata,
        "spec": dict(data),
    }


@dataclass
class _History:
    """A history in memory. ``states`` are the objects after each commit, oldest first."""

    states: Sequence[Mapping[str, Mapping[str, Any] | None]]
    blobs: dict[str, bytes] = field(default_factory=dict)

    def first_samples(self) -> Mapping[CommitId, Sample]:
        return {}

    def author_notes(self) -> Mapping[CommitId, str]:
        return {}

    def tree_at(self, commit: CommitId) -> Tree:
        raise AssertionError(commit)

    def find_histories(self, pattern: str, hidden_folders: Collection[str]) -> None:
        """No index: the log is read."""

    def missing_parts(self) -> Collection[object]:
        return ()

    def read(self, blob: BlobId) -> bytes:
        return self.blobs[blob]

    def log(
        self, patterns: Sequence[str], *, containing: str = "", until: CommitId | None = None
    ) -> Iterator[LoggedCommit]:
        """Commits with the files whose content changed, and in which ``containing`` matches more or less often."""
        assert until is None
        commits = []
        previous: Mapping[str, Any] = {}
        for number, state in enumerate(self.states):
            files = []
            for name in ("a", "b"):
                path = f"configuration/{path_of(ObjectKey.of(_document(name, {})))}"
                before, after = (self._blob(name, side.get(name)) for side in (previous, state))
                counts = [
                    len(re.findall(containing.encode(), self.blobs.get(blob or "", b""), re.MULTILINE))
                    for blob in (before, after)
                ]
                if before != after and (not containing or counts[0] != counts[1]) and _fits(path, patterns):
                    files.append(LoggedFile("modified", path, before, after))
            if files:
                commits.append(
                    LoggedCommit(CommitId(f"{number}"), None, tuple(files), _START + timedelta(hours=number))
                )
            previous = state
        return iter(reversed(commits))

    def _blob(self, name: str, data: Mapping[str, Any] | None) -> BlobId | None:
        if data is None:
            return None
        content = encode(_document(name, data))
        self.blobs[content.hex()] = content
        return BlobId(content.hex())


def _fits(path: str, patterns: Sequence[str]) -> bool:
    return any(pattern in ("configuration", f":(literal){path}") for pattern in patterns)


def _replay(states: Sequence[Mapping[str, Any]], text: str) -> set[tuple[str, str, str, int, int | None]]:
    """Object, field, value, first commit with it, first commit without it."""
    periods = set[tuple[str, str, str, int, int | None]]()
    for name in ("a", "b"):
        held = [dict(fields_of(_document(name, state[name]))) if state[name] is not None else {} for state in states]
        for path in {path for fields in held for path in fields}:
            values = [fields.get(path) for fields in held]
            begin = 0
            for end in range(1, len(values) + 1):
                value = values[begin]
                if end < len(values) and type(values[end]) is type(value) and values[end] == value:
                    continue
                if isinstance(value, str) and text in value:
                    periods.add((name, path, value, begin, end if end < len(values) else None))
                begin = end
    return periods


@settings(max_examples=500)
@given(st.lists(_STATES, min_size=1, max_size=8), st.sampled_from(["nginx:1.25", "1.2", "x nginx", "absent", "\"'"]))
def test_search_finds_what_a_replay_finds(states: list[Mapping[str, Any]], text: str) -> None:
    """Also a value that moves to another field, that returns, or whose object is deleted and created again."""
    found = search(_History(states), text, ObjectPattern())

    def commit_of(time: datetime | None) -> int:
        assert time is not None
        return int((time - _START).total_seconds() // 3600)

    assert {
        (
            match.key.name,
            match.field,
            match.value,
            commit_of(match.since.time),
            commit_of(match.until.time) if match.until else None,
        )
        for match in found
    } == _replay(states, text)
    assert [match.since.time for match in found] == sorted(match.since.time for match in found)  # type: ignore[type-var]
