"""A collection that archives only changed objects gives the same files as a collection of all lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, cast
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gitsnap.capture.collector import Collected
from gitsnap.capture.follow import FollowSettings, mirror
from gitsnap.capture.follow.collection import Collection
from gitsnap.capture.follow.differences import differences
from gitsnap.capture.follow.mirror import Mirror, Query
from gitsnap.core.model import Area, JsonObject, Kind, ObjectKey, SecretsMode
from gitsnap.core.ports import Cluster, SecretsKeeper
from gitsnap.sveltos import kinds
from gitsnap.sveltos.generated import Inclusions
from tests.support.followers import INFO, Keeper, config_map, profile, secret
from tests.support.watched_server import WatchedServer

_MAPS = tuple(ObjectKey(kinds.CONFIG_MAP, "default", name) for name in "abcde")
_SECRETS = tuple(ObjectKey(kinds.SECRET, "default", name) for name in "st")
_SOURCES = tuple(ObjectKey(kinds.GIT_REPOSITORY, "default", name) for name in "fg")
_SUMMARY = ObjectKey(kinds.CLUSTER_SUMMARY, "default", "u")
_CLUSTER = ObjectKey(kinds.SVELTOS_CLUSTER, "default", "c")
_SET = ObjectKey(kinds.CLUSTER_SET, "", "n")
_CLASSIFIER = ObjectKey(kinds.CLASSIFIER, "", "k")
_PROFILE = ObjectKey(kinds.CLUSTER_PROFILE, "", "q")
_OBJECTS = (*_MAPS, *_SECRETS, *_SOURCES, _SUMMARY, _CLUSTER, _SET, _CLASSIFIER, _PROFILE)
_REFERENCES = (*_MAPS[:4], *_SECRETS, *_SOURCES)
_ALL, _ONE_SECRET, _NONE = 255, 16, 0


class _Sealing(Keeper):
    """The ciphertext of a value is always the same, so that two collections can be compared."""

    recipients = ("age1x",)

    def seal(self, plaintext: bytes) -> bytes:
        return b"sealed " + plaintext[::-1]


def _document(key: ObjectKey, text: str) -> JsonObject:
    if key.kind in (kinds.CONFIG_MAP, kinds.SECRET):
        return (config_map if key.kind == kinds.CONFIG_MAP else secret)(key.name, "x" * (len(text) % 5) + text)
    row = kinds.BY_KIND[key.kind]
    status: JsonObject = {"artifact": {"revision": text, "digest": f"sha256:{text}"}}
    spec: JsonObject = {}
    if key == _SUMMARY:
        status = {"featureSummaries": [{"featureID": "Helm", "hash": text, "status": "Provisioned"}]}
    elif key == _SET:
        spec = {"clusterSelector": {"matchLabels": {"env": "1"}}, "maxReplicas": int(text)}
    elif key == _CLASSIFIER:
        spec = {"classifierLabels": [{"key": "env" if int(text) % 4 == 0 else "zone", "value": text}]}
    elif key == _PROFILE:
        spec, status = _profile_fields(int(text) // len(_OBJECTS))
    metadata = {"name": key.name, "namespace": key.namespace, "labels": {"env": str(int(text) % 3), "text": text}}
    if not key.namespace:
        del metadata["namespace"]
    api_version = f"{key.kind.group}/{row.versions[0]}"
    document = {"apiVersion": api_version, "kind": key.kind.name, "metadata": metadata, "spec": spec, "status": status}
    if key == _CLUSTER and int(text) % 2:
        metadata["labels"] = {"env": "1"}
    return document


def _profile_fields(bits: int) -> tuple[JsonObject, JsonObject]:
    """Spec and status of a profile: what it matches, depends on and refers to."""
    name = "{{ .Cluster.metadata.labels.env }}" if bits & 8 else "a"
    spec = {
        "clusterSelector": {"matchLabels": {"env": str(bits & 1)}},
        "dependsOn": ["p"] if bits & 2 else [],
        "setRefs": ["n"] if bits & 4 else [],
        "policyRefs": [{"kind": "ConfigMap", "namespace": "default", "name": name}],
        "tier": bits,
    }
    cluster = {"apiVersion": "lib.projectsveltos.io/v1beta1", "kind": "SveltosCluster"}
    matching = [{**cluster, "namespace": "default", "name": "c"}] if bits & 16 else []
    return spec, {"matchingClusters": matching}


_CHANGES: dict[str, Callable[[JsonObject], Any]] = {
    "content": lambda _document: None,
    "label": lambda document: document["metadata"].update(labels={"team": "blue"}),
    "generated": lambda document: document["metadata"].update(
        ownerReferences=[{"kind": "A", "name": "a", "controller": True}]
    ),
    "terminating": lambda document: document["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z"),
    "malformed": lambda document: document.update(data="text", status="text", spec="text"),
    "another type": lambda document: document.update(type="Opaque"),
    "without status": lambda document: document.pop("status", None),
    "without data": lambda document: document.pop("data", None),
}


class _World:
    """A server, and two followers of it: one collects all lists after each step."""

    def __init__(self, mode: SecretsMode, references: int = _ALL) -> None:
        """``references``: which objects the profile refers to. A few Secrets are read by name."""
        self.server = WatchedServer()
        secrets = replace(INFO.secrets, mode=mode, recipients=_Sealing.recipients)
        settings = FollowSettings(replace(INFO, secrets=secrets), cast("SecretsKeeper", _Sealing()))
        for key in _OBJECTS:
            self.server.write(_document(key, "1"))
        self._refer(references)
        self.mirrors = [Mirror(cast("Cluster", self.server)) for _ in range(2)]
        self.updated, self.plain = (
            Collection(settings, Inclusions(frozenset(), ()), now=lambda: self.server.clock, pause=lambda _: None)
            for _ in range(2)
        )
        self.files = self.updated.collect(self.mirrors[0]).files
        self.plain.collect(self.mirrors[1])

    def _refer(self, which: int) -> None:
        """A profile that refers to objects, and to the ConfigMap with the name of each cluster."""
        document = profile("p", [key for n, key in enumerate(_REFERENCES) if which >> n & 1])
        template = {"kind": "ConfigMap", "namespace": "default", "name": "{{ .Cluster.metadata.name }}"}
        document["spec"]["policyRefs"].append(template)
        self.server.write(document)

    def change(self, operation: str, number: int) -> None:
        key = _OBJECTS[number % len(_OBJECTS)]
        if operation == "remove":
            self.server.remove(key)
        elif operation == "touch":
            self.server.touch(key)
        elif operation == "refer":
            self._refer(number)
        else:
            document = _document(key, str(number))
            _CHANGES[operation](document)
            if operation == "another type":  # the type of a Secret cannot change
                self.server.remove(key)
            self.server.write(document, f"manager {number % 3}")

    def collect(self) -> Collected:
        """Apply all events to both copies, and compare both collections."""
        for held, collection in zip(self.mirrors, (self.updated, self.plain), strict=True):
            for query, version in collection.lists.items():
                for event in self.server.events(query, int(version)):
                    key = ObjectKey.of(event.document)
                    held.apply(query, key, event.document, deleted=event.change == "DELETED")
        collected, expected = self.updated.update(self.mirrors[0]), self.plain.collect(self.mirrors[1])
        for area in Area:
            assert list(collected.files[area].items()) == list(expected.files[area].items())
        changed = differences(self.files, collected.files)[Area.CONFIGURATION]
        assert [collected.managers.get(path) for path in changed] == [expected.managers.get(path) for path in changed]
        assert collected.incomplete == expected.incomplete
        assert self.updated.targets == self.plain.targets
        self.files = collected.files
        return collected


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(("collect", "collect", "content", "remove", "touch", "refer", *_CHANGES)), st.integers(0, 447)
    ),
    max_size=25,
)


def _again(operation: str, key: ObjectKey) -> list[tuple[str, int]]:
    """An object changes, and changes back."""
    number = _OBJECTS.index(key)
    return [(operation, number), ("collect", 0), ("content", number), ("collect", 0)]


def _often(key: ObjectKey) -> list[tuple[str, int]]:
    """An object has many contents, one after another."""
    numbers = [_OBJECTS.index(key) + len(_OBJECTS) * (n ^ n >> 1) for n in range(32)]  # one bit changes at a time
    return [step for number in numbers for step in (("content", number), ("collect", 0))]


@given(_STEPS, st.sampled_from((SecretsMode.REDACT, SecretsMode.ENCRYPT)), st.integers(0, _ALL))
@settings(max_examples=60, deadline=None)
@example(_again("generated", _MAPS[0]), SecretsMode.REDACT, _ALL)
@example(_again("terminating", _MAPS[0]), SecretsMode.REDACT, _ALL)
@example(_again("another type", _SECRETS[0]), SecretsMode.REDACT, _ALL)
@example(_again("another type", _SECRETS[0]), SecretsMode.REDACT, _ONE_SECRET)
@example(_again("malformed", _SECRETS[0]), SecretsMode.REDACT, _ALL)
@example(_again("without data", _SECRETS[0]), SecretsMode.ENCRYPT, _ALL)
@example(_again("without status", _SOURCES[0]), SecretsMode.REDACT, _ALL)
@example(_again("content", _MAPS[4]), SecretsMode.REDACT, _ALL)
@example(_again("content", _CLUSTER), SecretsMode.REDACT, _ALL)
@example([*_often(_CLASSIFIER)[:2], ("touch", _OBJECTS.index(_CLUSTER))], SecretsMode.REDACT, _NONE)
@example(_often(_CLUSTER), SecretsMode.REDACT, _NONE)
@example(_often(_SET), SecretsMode.REDACT, _NONE)
@example(_often(_PROFILE), SecretsMode.REDACT, _NONE)
def test_a_collection_of_changes_gives_the_files_of_all_lists(
    steps: Sequence[tuple[str, int]], mode: SecretsMode, references: int
) -> None:
    """Whatever changes between two collections."""
    world = _World(mode, references)
    for operation, number in [*steps, ("collect", 0)]:
        if operation == "collect":
            world.collect()
        else:
            world.change(operation, number)


def test_only_changes_of_contents_need_no_collection() -> None:
    """ConfigMaps, Secrets, sources and reports; whole collections follow all other changes."""
    world = _World(SecretsMode.REDACT)
    world.collect()
    cases: Iterable[tuple[str, Kind, bool]] = [
        ("content", kinds.CONFIG_MAP, True),
        ("touch", kinds.CONFIG_MAP, True),
        ("content", kinds.SECRET, True),
        ("content", kinds.GIT_REPOSITORY, True),
        ("content", kinds.CLUSTER_SUMMARY, True),
        ("content", kinds.SVELTOS_CLUSTER, False),
        ("touch", kinds.SVELTOS_CLUSTER, True),
        ("content", kinds.CLUSTER_PROFILE, False),
        ("touch", kinds.CLUSTER_PROFILE, True),
        ("touch", kinds.CLASSIFIER, True),
        ("another type", kinds.SECRET, False),
        ("generated", kinds.CONFIG_MAP, False),
        ("remove", kinds.CONFIG_MAP, False),
    ]
    for operation, kind, expected in cases:
        number = next(number for number, key in enumerate(_OBJECTS) if key.kind == kind)
        world.change(operation, number + len(_OBJECTS) * 3)
        with mock.patch.object(world.updated, "collect", wraps=world.updated.collect) as whole:
            world.collect()
        assert whole.called != expected, (operation, kind)


def test_changes_that_are_too_many_or_not_in_all_lists_take_a_whole_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch of one list has delivered an event and that of another list has not, or there are too many changes."""
    server = WatchedServer()
    before, after = server.write(config_map("a", "1")), config_map("a", "2")
    copy = Mirror(cast("Cluster", server))
    resource = server.resource_type(kinds.CONFIG_MAP)
    assert resource is not None
    lists = Query(resource), Query(resource, "", "team=blue")
    copy.begin()
    for query in lists:
        list(copy.list(resource, label_selector=query.label_selector))
    copy.finish()
    written = server.write(after)
    copy.apply(lists[0], _MAPS[0], written, deleted=False)
    assert copy.changes() is None
    copy.apply(lists[1], _MAPS[0], written, deleted=False)
    changes = copy.changes()
    assert changes is not None
    assert [(change.before and change.before.raw, change.after and change.after.raw) for change in changes] == [
        (before, written)
    ] * 2
    monkeypatch.setattr(mirror, "_MOST_CHANGED", 1)
    assert copy.changes() is None
    copy.finish()
    assert copy.changes() == []
