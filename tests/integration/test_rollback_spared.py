"""Notes of a plan that selecting another object would keep the add-ons that a cluster is about to lose."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitsnap.core.model import ObjectKey
from gitsnap.rollback.plan import Uncertainty, without_loss
from gitsnap.sveltos import kinds
from tests.support.commands import gitsnap
from tests.support.plans import plan_of
from tests.support.trees import O, W, cluster, profile

_NOTE = "ClusterProfile base loses no cluster if it is rolled back as well"


def _selecting(env: str, **spec: Any) -> dict[str, Any]:
    return profile("base", {"clusterSelector": {"matchLabels": {"env": env}}, **spec})


def _put(folder: Path, *objects: dict[str, Any]) -> None:
    (folder / "cluster").mkdir(exist_ok=True)
    (folder / "cluster" / "all.json").write_text(
        json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    )


def _plan(folder: Path, *words: str) -> dict[str, Any]:
    named = ("rollback", "--sample", "latest", "--from-dir", "cluster", "--dry-run", "-o", "json", *words)
    done = gitsnap(folder, *named)
    assert done.returncode in (0, 14), done.stderr
    plan: dict[str, Any] = json.loads(done.stdout)
    return plan


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A sample in which a profile matches a cluster by a label that both have changed since."""
    _put(tmp_path, cluster(W, env="old"), cluster(O, env="else"), _selecting("old"))
    gitsnap(tmp_path, "capture", "--from-dir", "cluster", "--snapshot", "hourly", code=0)
    _put(tmp_path, cluster(W, env="new"), cluster(O, env="else"), _selecting("new"))
    return tmp_path


def test_the_plan_suggests_the_profile(place: Path) -> None:
    """A rollback of the cluster alone withdraws the profile. A rollback of both withdraws nothing and has no note."""
    alone, both = _plan(place, "--cluster", "west"), _plan(place, "--cluster", "west", "--clusterprofile", "base")

    assert [text.partition(":")[0] for text in alone["withdraws"]] == [f"ClusterProfile base stops matching {W}"]
    assert alone["notes"] == [_NOTE]
    assert (both["withdraws"], both["notes"], both["blocked"]) == ([], [], [])
    words = ("rollback", "--sample", "latest", "--from-dir", "cluster", "--dry-run", "--cluster", "west")
    assert f"note: {_NOTE}\n" in gitsnap(place, *words).stdout


_MIRROR = f"{kinds.CAPI_CLUSTER.name} {W.namespace}/{W.name} loses no add-ons if it is rolled back as well"


def test_the_plan_suggests_the_cluster(place: Path) -> None:
    """A rollback of the profile alone withdraws it from the cluster. A rollback of both withdraws nothing."""
    alone = _plan(place, "--clusterprofile", "base")

    assert [text.partition(":")[0] for text in alone["withdraws"]] == [f"ClusterProfile base stops matching {W}"]
    assert alone["notes"] == [_MIRROR.replace(kinds.CAPI_CLUSTER.name, W.kind.name)]


def test_a_cluster_that_would_lose_another_profile_is_not_suggested(place: Path) -> None:
    """The label of a cluster decides about all profiles, not only about the selected profile."""
    other = _selecting("new") | {"metadata": {"name": "other"}}
    _put(place, cluster(W, env="new"), cluster(O, env="else"), _selecting("new"), other)

    assert _plan(place, "--clusterprofile", "base")["notes"] == []


@pytest.mark.parametrize(
    ("live", "why"),
    [
        ([cluster(O, env="new"), _selecting("new")], "it would lose another cluster in exchange"),
        ([cluster(O), _selecting("new") | {"metadata": {"name": "other"}}], "the sample has no such profile"),
        (
            [
                cluster(O),
                _selecting("new")
                | {"metadata": {"name": "base", "labels": {"argocd.argoproj.io/instance": "x"}, "annotations": {
                    "argocd.argoproj.io/tracking-id": "x:config.projectsveltos.io/ClusterProfile:default/base"}}},
            ],
            "it is somebody else's, and refused",
        ),
    ],
)  # fmt: skip
def test_an_unsuitable_object_is_not_suggested(place: Path, live: list[dict[str, Any]], why: str) -> None:
    """A plan does not suggest an object that withdraws from others, is refused, or is not in the sample."""
    _put(place, cluster(W, env="new"), *live)

    plan = _plan(place, "--cluster", "west")

    assert plan["withdraws"]
    assert plan["notes"] == [], why


@pytest.mark.parametrize("env", ["old", "{{ .Cluster.metadata.name }}"])
def test_a_profile_that_may_not_match_in_the_sample_is_not_suggested(place: Path, env: str) -> None:
    """The profile of the sample does not select the restored label, or only Sveltos can evaluate its selector."""
    _put(place, cluster(W, env="third"), cluster(O), _selecting(env))
    gitsnap(place, "capture", "--from-dir", "cluster", "--snapshot", "hourly", code=0)
    _put(place, cluster(W, env="new"), cluster(O), _selecting("new"))

    plan = _plan(place, "--cluster", "west")

    assert (bool(plan["withdraws"]), plan["notes"]) == (True, [])


def test_an_uncertain_profile_is_not_suggested() -> None:
    """A profile that seems to keep its clusters is not suggested while its match is uncertain."""
    plan = plan_of([cluster(W, env="old"), _selecting("old")], [cluster(W, env="new"), _selecting("new")])
    key = ObjectKey(kinds.CLUSTER_PROFILE, "", "base")

    assert without_loss(plan, {key}) == {key}
    assert (
        without_loss(replace(plan, uncertainties=(Uncertainty(key, "its selector is a template"),)), {key})
        == frozenset()
    )
