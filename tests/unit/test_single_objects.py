"""A single object that cannot be archived is carried forward or missing, by name; all others are captured."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap import capture
from gitsnap.archive import GitArchive, create_archive
from gitsnap.cluster.api.responses import truncate_depth
from gitsnap.core.errors import IncompleteError, NotFoundError
from gitsnap.core.model import (
    Area,
    IncompleteKind,
    IncompleteReason,
    JsonObject,
    Kind,
    ObjectKey,
    ResourceSelector,
    Sample,
    SecretsInfo,
    SecretsMode,
    Substitute,
    TreeInfo,
    Trigger,
)
from gitsnap.core.objects import KubeObject
from gitsnap.diff.comparison import compare
from gitsnap.format import parse_tag_message, tag_message
from gitsnap.history.samples import find_object
from gitsnap.rollback.sample_objects import SampleObjects
from gitsnap.sveltos import inventory, kinds
from tests.support.scripted_server import ScriptedServer, document

_CONFIG_MAP = Kind("", "ConfigMap")
_CAPTURED = tuple(sorted({kinds.CLUSTER_PROFILE, kinds.CAPI_CLUSTER, kinds.CLUSTER_CONFIGURATION}))


def _deep(levels: int, opening: str = "[", closing: str = "]") -> str:
    return opening * levels + "1" + closing * levels


def _text(kind: str, name: str, content: str) -> str:
    """The JSON of an object with this text as its spec, or as its status if the kind has no spec."""
    field = "status" if kind == "ClusterConfiguration" else "spec"
    return json.dumps(document(kind, name, "2", **{field: "CONTENT"})).replace('"CONTENT"', content)


BAD = {
    "deeper than an archive holds": ("Cluster", f'{{"v": {_deep(250)}}}', "unarchivable"),
    "deeper than Python's reader goes": ("Cluster", f'{{"v": {_deep(5000)}}}', "unarchivable"),
    "maps instead of lists": ("Cluster", _deep(3000, '{"a":', "}"), "unarchivable"),
    "half of a surrogate pair": ("Cluster", '{"v": "\\ud800"}', "unarchivable"),
    "no number": ("Cluster", '{"v": NaN}', "unarchivable"),
    "a profile whose spec is a text": ("ClusterProfile", '"text"', "malformed"),
    "a spec that is a list": ("ClusterProfile", "[1]", "malformed"),
    "a report whose list has a number": ("ClusterConfiguration", '{"clusterProfileResources": [7]}', "malformed"),
    "a report with a text in place of a list": (
        "ClusterConfiguration",
        '{"clusterProfileResources": [{"Features": [{"resources": "x"}]}]}',
        "malformed",
    ),
}
"""The fault -> kind, spec, and the reason in the sample."""


@pytest.fixture
def archive(tmp_path: Path) -> GitArchive:
    """An empty archive."""
    return create_archive(tmp_path, "p")


def _info(archive: GitArchive) -> TreeInfo:
    resources = (ResourceSelector(_CONFIG_MAP),)
    return TreeInfo("p", archive.branch, _CAPTURED, SecretsInfo(SecretsMode.OMIT), resources)


def _take(archive: GitArchive, *objects: JsonObject | str, **more: Any) -> capture.CaptureResult:
    number = len(archive.samples())
    request = capture.Request(
        _info(archive), None, datetime(2026, 1, 1, number, tzinfo=UTC), more.pop("trigger", Trigger.MANUAL), **more
    )
    return capture.capture(ScriptedServer(objects), archive, request)


def _good(kind: str, name: str, **fields: Any) -> JsonObject:
    return document(kind, name, spec=fields or {"paused": False})


_STATUS = {
    "clusterProfileResources": [
        {
            "clusterProfileName": "fine",
            "Features": [{"featureID": "Helm", "charts": [{"namespace": "a", "releaseName": "b"}]}],
        }
    ]
}
_OTHERS = (_good("Cluster", "fine"), _good("ClusterProfile", "fine"), document("ConfigMap", "shop", data={"a": "1"}))


def _held(archive: GitArchive, sample: Sample) -> set[str]:
    return {path.rpartition("/")[2] for path in archive.tree(sample).files(Area.CONFIGURATION)}


@pytest.mark.parametrize("wrong", BAD)
def test_all_other_objects_are_captured(archive: GitArchive, wrong: str) -> None:
    """Only the object is missing. The sample, its tag and the output say so."""
    kind, spec, reason = BAD[wrong]
    taken = _take(archive, *_OTHERS, _text(kind, "bad", spec))

    sample = taken.recorded.sample
    assert _held(archive, sample) == {"fine.yaml", "shop.yaml"}
    assert sample.metadata.objects == len(_OTHERS)
    [lacking] = sample.metadata.incomplete
    assert (lacking.kind.name, lacking.name, lacking.substitute, lacking.reason) == (kind, "bad", "missing", reason)
    [(key, words)] = taken.problems.items()
    assert key.name == "bad"
    assert "defect" not in words
    reopened = archive.samples()[-1]
    assert archive.tree(reopened).incomplete == (lacking,)


@pytest.mark.parametrize("wrong", BAD)
def test_the_object_is_carried_forward_from_the_previous_sample(archive: GitArchive, wrong: str) -> None:
    """No deletion is recorded. A comparison lists this object alone as not comparable."""
    kind, spec, _ = BAD[wrong]
    first = _take(archive, *_OTHERS, document(kind, "bad", spec={"tier": 1}, status=_STATUS)).recorded.sample
    changed = document("ClusterProfile", "fine", "2", spec={"tier": 7})
    taken = _take(archive, _OTHERS[0], changed, _OTHERS[2], _text(kind, "bad", spec))

    second = taken.recorded.sample
    [lacking] = second.metadata.incomplete
    assert lacking.substitute is Substitute.CARRIED
    held = Area.INVENTORY if kind == "ClusterConfiguration" else Area.CONFIGURATION
    assert any(path.endswith("/bad.yaml") for path in archive.tree(second).files(held))
    changes = second.metadata.changes
    assert (changes.added, changes.modified, changes.deleted) == (0, 1, 0)
    comparison = compare(archive.tree(first), archive.tree(second))
    assert [(row.name, str(row.action)) for row in comparison.management] == [("fine", "modified")]
    assert [(entry.kind.name, entry.name) for entry in comparison.not_comparable] == [(kind, "bad")]


def test_the_object_is_archived_again_when_it_can_be(archive: GitArchive) -> None:
    """The sample then has the object and is complete."""
    bad = _text("Cluster", "bad", f'{{"v": {_deep(250)}}}')
    _take(archive, *_OTHERS, _good("Cluster", "bad"))
    _take(archive, *_OTHERS, bad)
    assert _take(archive, *_OTHERS, bad).recorded.sample.metadata.incomplete
    third = _take(archive, *_OTHERS, document("Cluster", "bad", "3", spec={"paused": True})).recorded.sample
    assert not third.metadata.incomplete
    assert third.metadata.changes.modified == 1


def test_a_defect_is_not_blamed_on_the_object(archive: GitArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the place of the defect, and no value. All other objects are captured."""

    def broken(obj: KubeObject, **more: Any) -> JsonObject | None:
        if obj.key.name == "bad":
            raise KeyError("value of a Secret")
        return distill(obj, **more)

    distill: Callable[..., JsonObject | None] = inventory.distill
    monkeypatch.setattr(inventory, "distill", broken)
    taken = _take(archive, *_OTHERS, _good("Cluster", "bad"))

    [lacking] = taken.recorded.sample.metadata.incomplete
    assert lacking.reason is IncompleteReason.DEFECT
    [words] = taken.problems.values()
    assert (
        words == "a defect of gitsnap, not of the object: KeyError in test_single_objects.py, broken; please report it"
    )
    assert "fine.yaml" in _held(archive, taken.recorded.sample)


def test_other_errors_end_the_capture(archive: GitArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk does not make an object incomplete."""

    def full(*_arguments: Any, **_more: Any) -> JsonObject:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(inventory, "distill", full)
    with pytest.raises(OSError, match="No space"):
        _take(archive, *_OTHERS)
    assert not archive.samples()


def test_a_complete_sample_can_be_required(archive: GitArchive) -> None:
    """The error names the object. Before a rollback, only the objects that it writes are required."""
    bad = _text("Cluster", "bad", f'{{"v": {_deep(250)}}}')
    with pytest.raises(IncompleteError, match="default/bad"):
        _take(archive, *_OTHERS, bad, require_complete=True)
    key = ObjectKey(kinds.CAPI_CLUSTER, "default", "bad")
    other = ObjectKey(kinds.CAPI_CLUSTER, "default", "fine")
    with pytest.raises(IncompleteError, match="default/bad"):
        _take(
            archive, *_OTHERS, bad, require_complete=True, trigger=Trigger.BEFORE_ROLLBACK, also=frozenset({key, other})
        )
    taken = _take(
        archive, *_OTHERS, bad, require_complete=True, trigger=Trigger.BEFORE_ROLLBACK, also=frozenset({other})
    )
    assert taken.recorded.sample.metadata.incomplete


def test_a_missing_object_is_not_reported_as_absent(archive: GitArchive) -> None:
    """The object may have existed."""
    sample = _take(archive, *_OTHERS, _text("Cluster", "bad", '{"v": "\\ud800"}')).recorded.sample
    for name in ("Cluster/bad", "Cluster/default/bad", "Cluster.cluster.x-k8s.io/default/bad"):
        with pytest.raises(NotFoundError, match="could not read"):
            find_object(archive.tree(sample), name)
    with pytest.raises(NotFoundError, match="has no"):
        find_object(archive.tree(sample), "Cluster/other")


def test_many_incomplete_objects_are_recorded_as_a_kind(archive: GitArchive) -> None:
    """The number of objects must not decide the length of a tag."""
    bad = [_text("Cluster", f"bad-{number}", '{"v": "\\ud800"}') for number in range(501)]
    [lacking] = _take(archive, *_OTHERS, *bad).recorded.sample.metadata.incomplete
    assert (str(lacking), lacking.substitute) == (str(kinds.CAPI_CLUSTER), "missing")


_LINES = st.builds(
    IncompleteKind,
    st.sampled_from([kinds.CAPI_CLUSTER, kinds.CLUSTER_PROFILE, _CONFIG_MAP]),
    st.sampled_from(Substitute),
    st.sampled_from(IncompleteReason),
    st.text(max_size=8),
    st.text(min_size=1, max_size=8),
)


@given(st.frozensets(_LINES, max_size=6))
def test_incomplete_objects_of_a_tag_are_read_back(lacking: frozenset[IncompleteKind]) -> None:
    """With any names. A reader that knows only kinds treats the kinds as incomplete, which is safe."""
    metadata = _metadata(tuple(sorted(lacking)))
    message = tag_message(metadata)
    assert message.isascii()
    assert parse_tag_message(message) == metadata
    old = [line for line in message.splitlines() if not line.startswith("Gitsnap-Incomplete-Object: ")]
    known = parse_tag_message("\n".join(old) + "\n").incomplete
    assert {entry.kind for entry in known} == {entry.kind for entry in lacking}
    assert all(entry.key is None for entry in known)
    assert {entry.reason for entry in known} <= {IncompleteReason.BAD_ANSWER}


def _metadata(incomplete: tuple[IncompleteKind, ...]) -> Any:
    from gitsnap.core.model import SampleMetadata  # noqa: PLC0415 - long, and used once

    return SampleMetadata(
        "p",
        datetime(2026, 1, 1, tzinfo=UTC),
        1,
        Trigger.MANUAL,
        "uid",
        0,
        "0" * 64,
        incomplete=incomplete,
    )


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(_JSON, st.sampled_from(["", "[]{}", '"', "\\"]))
def test_a_shallow_text_is_not_changed(value: Any, extra: str) -> None:
    """Brackets and quotes inside strings do not count as nesting."""
    text = json.dumps([value, extra]).encode()
    assert truncate_depth(text) == text


@pytest.mark.parametrize("levels", [399, 400, 401, 5000])
def test_a_deep_text_is_cut_off_and_stays_too_deep(levels: int) -> None:
    """Otherwise a part of an object would be archived as the whole object."""
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        text = json.dumps({"before": "]}", "deep": "HERE", "after": 7}).replace(
            '"HERE"', _deep(levels, opening, closing)
        )
        value = json.loads(truncate_depth(text.encode()))
        assert (value["before"], value["after"]) == ("]}", 7)
        depth, inner = 0, value["deep"]
        while isinstance(inner, list | dict):
            depth, inner = depth + 1, next(iter(inner.values() if isinstance(inner, dict) else inner))
        assert depth == min(levels, 399)
        assert inner == (1 if levels <= 399 else None)


def test_an_object_that_is_too_deep_for_recursion(archive: GitArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recursive step may fail before the limit of the archive is checked."""

    def deep(obj: KubeObject, **more: Any) -> JsonObject | None:
        return deep(obj, **more) if obj.key.name == "bad" else distill(obj, **more)

    distill: Callable[..., JsonObject | None] = inventory.distill
    monkeypatch.setattr(inventory, "distill", deep)
    [lacking] = _take(archive, *_OTHERS, _good("Cluster", "bad")).recorded.sample.metadata.incomplete
    assert (lacking.name, lacking.reason) == ("bad", "unarchivable")


def test_a_rollback_is_planned_for_a_live_object_that_cannot_be_archived(archive: GitArchive) -> None:
    """The live object differs from the sample; the plan is made all the same."""
    sample = _take(archive, *_OTHERS).recorded.sample
    objects = SampleObjects(archive.tree(sample), None)
    assert objects.contains(_OTHERS[0], controller_labels=())
    for spec in ('{"v": "\\ud800"}', f'{{"v": {_deep(250)}}}'):
        live = json.loads(_text("Cluster", "fine", spec))
        assert not objects.contains(live, controller_labels=())


@pytest.mark.parametrize("before", [True, False])
def test_a_substitute_is_not_compared_with_an_object(archive: GitArchive, *, before: bool) -> None:
    """A missing object is not added later, and a carried object is not modified."""
    if before:
        _take(archive, *_OTHERS, document("Cluster", "bad", "1", spec={"tier": 1}))
    first = _take(archive, *_OTHERS, _text("Cluster", "bad", '{"v": "\\ud800"}')).recorded.sample
    second = _take(archive, *_OTHERS, document("Cluster", "bad", "3", spec={"paused": True})).recorded.sample
    comparison = compare(archive.tree(first), archive.tree(second))
    assert comparison.management == ()
    assert [(entry.name, entry.detail) for entry in comparison.not_comparable] == [
        ("bad", "could not be captured before")
    ]
