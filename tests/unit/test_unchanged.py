"""When a capture uses the cache of the previous capture, and when it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gitsnap.capture.unchanged import LONGEST_SECONDS, Unchanged, version_of
from gitsnap.core.model import (
    Area,
    BlobId,
    Kind,
    ResourceSelector,
    SecretsInfo,
    SecretsMode,
    TreeInfo,
)
from gitsnap.core.objects import KubeObject
from gitsnap.core.recording import CaptureCache
from gitsnap.sveltos.kinds import CONFIG_MAP
from tests.support.previous_tree import PreviousTree

INFO = TreeInfo("hourly", "hourly", (CONFIG_MAP,), SecretsInfo(SecretsMode.ENCRYPT, "0123", ("age1a",)))
PATH = "default/ConfigMap/a.yaml"
_HELD = {PATH: BlobId("b1")}


def _seen(info: TreeInfo = INFO, *, now: int = 1000, revision: str = "50") -> CaptureCache:
    first = Unchanged(info, cache=None, previous=None, now=now)
    first.start_at(revision)
    first.record({PATH: "u 7"})
    return first.result()


def _files(
    seen: CaptureCache, *, info: TreeInfo = INFO, now: int = 2000, revision: str = "60", version: str = "u 7"
) -> Any:
    second = Unchanged(info, cache=seen, previous=PreviousTree(INFO, _HELD), now=now)
    second.start_at(revision)
    return second.files(PATH, version)


def test_an_object_of_the_same_version_has_not_changed() -> None:
    """Its files are those of the previous sample, area by area."""
    assert _files(_seen()) == {Area.CONFIGURATION: "b1"}


@pytest.mark.parametrize("version", ["u 8", "other 7", ""])
def test_another_version_is_archived_again(version: str) -> None:
    """Changed, recreated under the same name, or without a version."""
    assert _files(_seen(), version=version) == {}


def test_the_cache_is_not_used_if_the_revision_went_back() -> None:
    """A restored etcd assigns a resource version again, to another content."""
    assert _files(_seen(), revision="49") == {}
    assert _files(_seen(), revision="50") != {}
    assert _files(_seen(), revision="") == {}


def test_the_first_list_decides() -> None:
    """The revisions of later lists of the same capture do not count."""
    second = Unchanged(INFO, cache=_seen(), previous=PreviousTree(INFO, _HELD), now=2000)
    second.start_at("60")
    second.start_at("10")

    assert second.files(PATH, "u 7") != {}


@pytest.mark.parametrize(
    "info",
    [
        replace(INFO, rules=2),
        replace(INFO, secrets=SecretsInfo(SecretsMode.REDACT, "0123")),
        replace(INFO, secrets=SecretsInfo(SecretsMode.ENCRYPT, "4567", ("age1a",))),
        replace(INFO, secrets=SecretsInfo(SecretsMode.ENCRYPT, "0123", ("age1b",))),
    ],
)
def test_the_cache_is_not_used_with_other_rules_modes_or_keys(info: TreeInfo) -> None:
    """These settings affect archived objects."""
    assert _files(_seen(info)) == {}


def test_the_cache_is_not_used_for_more_than_a_day() -> None:
    """The day starts at the last capture without a cache. The cache is not used if the clock went back, either."""
    seen = _seen(now=1000)
    second = Unchanged(INFO, cache=seen, previous=PreviousTree(INFO, _HELD), now=5000)
    second.start_at("60")
    second.record({PATH: "u 7"})
    again = second.result()

    assert again.checked_at == 1000
    assert _files(again, now=1000 + LONGEST_SECONDS - 1) != {}
    assert _files(again, now=1000 + LONGEST_SECONDS) == {}
    assert _files(again, now=999) == {}


def test_labels_of_classifiers_are_part_of_a_clusters_version() -> None:
    """A new classifier changes the archived labels of a cluster that has not changed itself."""
    metadata = {"uid": "u", "resourceVersion": "7"}
    cluster = KubeObject.of(
        {"apiVersion": "lib.projectsveltos.io/v1beta1", "kind": "SveltosCluster", "metadata": metadata}
    )

    assert version_of(cluster, {"a"}) != version_of(cluster, {"a", "b"})
    assert version_of(cluster, ["b", "a"]) == version_of(cluster, ["a", "b"])
    assert version_of(KubeObject.of({"kind": "ConfigMap", "metadata": metadata}), {"a"}) == "u 7"


def test_the_cache_is_not_used_with_other_entries_of_the_policy() -> None:
    """An entry decides whether objects that a controller owns are included."""
    added = replace(INFO, resources=(ResourceSelector(Kind("config.projectsveltos.io", "ClusterProfile")),))
    seen = Unchanged(added, cache=None, previous=PreviousTree(INFO, _HELD), now=1).result()

    assert seen.key != Unchanged(INFO, cache=None, previous=PreviousTree(INFO, _HELD), now=1).result().key


def test_the_api_version_is_part_of_the_version() -> None:
    """An object keeps its resource version when the server serves its kind at another API version."""
    metadata = {"uid": "u", "resourceVersion": "7"}
    old, new = (
        KubeObject.of({"apiVersion": f"x.example.com/{version}", "kind": "X", "metadata": metadata})
        for version in ("v1", "v2")
    )

    assert version_of(old, ()) != version_of(new, ())
