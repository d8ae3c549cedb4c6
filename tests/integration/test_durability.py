"""The promise of docs/FORMAT.md for a power loss: each step of a capture is on the disk before the next step begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gitsnap.archive import open_archive_at
from tests.support.power_loss import Call, Disk
from tests.support.write_points import Ran, WritePoints, write_points

pytestmark = pytest.mark.xdist_group("write points")

_PROFILE = (
    "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: a\nspec:\n  tier: {}\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WritePoints]:
    """The server that runs gitsnap."""
    with write_points(tmp_path_factory.mktemp("points") / "server") as made:
        if made is None:
            pytest.skip("a library cannot be preloaded here: no Linux, or no C compiler")
        yield made


def _capture(server: WritePoints, place: Path, tier: int, settings: Mapping[str, float] | None = None) -> Ran:
    (place / "cluster").mkdir(exist_ok=True)
    (place / "cluster" / "a.yaml").write_text(_PROFILE.format(tier))
    words = ("capture", "--create", "--from-dir", f"{place}/cluster", "--storage", str(place), "--snapshot", "hourly")
    ran = server.run(*words, log=True, settings=settings)
    assert ran.code == 0, ran.said
    return ran


@pytest.mark.parametrize("case", ["first", "changed", "unchanged", "as a pack", "refs were packed"])
def test_each_step_is_durable_before_the_next(server: WritePoints, case: str) -> None:
    """Keys and archive come before objects, objects before the branch, the branch before the tag. The tag is last."""
    place = server.below / case.replace(" ", "-")
    place.mkdir()
    if case != "first":
        _capture(server, place, 1, {"loose_tags": 1} if case == "refs were packed" else None)
    disk = Disk(place.rglob("*"))
    git = f"{place}/hourly/.git"
    seen = []

    def check(call: Call) -> None:
        target = call[2] or call[1]
        if call[0] == "create" and target.startswith(f"{git}/objects/"):
            seen.append("object")
            assert disk.at_risk(f"{place}/.keys") == []
            assert [path for path in disk.at_risk(git) if not path.startswith(f"{git}/objects")] == [
                f"{git}/gitsnap.lock"
            ]
        elif call[0] in ("link", "rename") and target.startswith(f"{git}/refs/heads/"):
            seen.append("branch")
            assert disk.at_risk(f"{git}/objects") == []
        elif call[0] in ("link", "rename") and target.startswith(f"{git}/refs/tags/"):
            seen.append("tag")
            assert disk.at_risk(f"{git}/refs/heads/hourly") == []
            assert disk.at_risk(f"{git}/objects") == []

    settings = {"most_loose": 3} if case == "as a pack" else None
    ran = _capture(server, place, 1 if case == "unchanged" else 2, settings)
    disk.replay(ran.calls, check)

    assert list(dict.fromkeys(seen)) == (["object", "tag"] if case == "unchanged" else ["object", "branch", "tag"])
    newest = open_archive_at(place / "hourly").samples()[-1]
    assert disk.at_risk(f"{git}/refs/tags/{newest.tag}") == []
    assert disk.at_risk(f"{git}/refs") == []


def test_the_record_of_retention_is_durable_before_tags_are_removed(server: WritePoints) -> None:
    """The record of the removed samples is on the disk before the first tag is removed."""
    place = server.below / "retention"
    place.mkdir()
    for tier in range(3):
        (place / "cluster").mkdir(exist_ok=True)
        (place / "cluster" / "a.yaml").write_text(_PROFILE.format(tier))
        words = ("capture", "--from-dir", f"{place}/cluster", "--storage", str(place), "--snapshot", "hourly")
        assert server.run(*words, scheduled=True).code == 0
    disk = Disk(place.rglob("*"))
    git = f"{place}/hourly/.git"
    removed = []

    def check(call: Call) -> None:
        if call[0] == "unlink" and call[1].startswith(f"{git}/refs/tags/") and not call[1].endswith(".lock"):
            removed.append(call[1])
            assert disk.at_risk(f"{git}/refs/gitsnap/pruned/hourly") == []
            assert disk.at_risk(f"{git}/objects") == []

    ran = server.run("prune", "--storage", str(place), "--keep-last", "1", "--yes", log=True)
    disk.replay(ran.calls, check)

    assert len(removed) == 2, ran.said
