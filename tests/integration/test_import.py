"""`gitsnap import`: samples of the old Sveltos feature become samples with their dates, and their folders stay."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gitsnap import archive
from gitsnap.archive import GitArchive
from gitsnap.core.model import Area, Kind, Trigger
from gitsnap.format import decode
from gitsnap.sveltos import kinds
from tests.support import old_snapshots
from tests.support.commands import gitsnap


def _import(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    done = gitsnap(folder, "import", "--from", "old", "--storage", "new", "--output", "json", *arguments)
    assert done.returncode in (0, 13), done.stderr
    folders: list[dict[str, Any]] = json.loads(done.stdout)["folders"]
    return folders


def _outcomes(folders: list[dict[str, Any]]) -> list[str]:
    return [one["outcome"] for one in folders]


def _opened(place: Path, policy: str = "hourly") -> GitArchive:
    return archive.open_archive(place / "new", policy)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Three samples of the old feature, the second with a change, and a folder for archives."""
    (tmp_path / "new").mkdir()
    old = tmp_path / "old"
    old_snapshots.write(old, "hourly", "2023-08-26:05:00:00")
    old_snapshots.write(old, "hourly", "2023-08-26:05:20:00", selector="redis-follower")
    old_snapshots.write(old, "hourly", "2023-08-26:05:40:00", selector="redis-follower")
    return tmp_path


def test_samples_keep_their_dates_and_order(place: Path) -> None:
    """Local time of the old feature becomes UTC; each line names the folder and the sample."""
    zone = ["--time-zone", "America/Los_Angeles"]
    done = gitsnap(place, "import", "--from", "old", "--storage", "new", "--cluster-uid", "uid-1", *zone)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("2023-08-26:05:00:00: hourly/2023-08-26T12-00-00Z: 4 objects, 4 added, commit ")
    assert "1 modified" in lines[1]
    assert "unchanged" in lines[2]
    samples = _opened(place).samples()
    assert [one.tag[-9:] for one in samples] == ["12-00-00Z", "12-20-00Z", "12-40-00Z"]
    assert [one.metadata.imported for one in samples] == [line[:19] for line in lines]
    assert {one.metadata.trigger for one in samples} == {Trigger.SCHEDULE}
    assert {one.metadata.cluster for one in samples} == {"uid-1"}


def test_what_they_hold_is_normalized_and_sealed(place: Path) -> None:
    """As in a capture: no server fields, no value of a Secret; and only what the old feature collected is covered."""
    _import(place)

    opened = _opened(place)
    tree = opened.tree(opened.samples()[-1])
    profile = tree.read(
        tree.files(Area.CONFIGURATION)["_cluster/ClusterProfile.config.projectsveltos.io/guestbook.yaml"]
    )
    assert b"managedFields" not in profile
    assert b"finalizers" not in profile
    assert "default/Secret/login.yaml" in tree.files(Area.SEALED)
    assert list(tree.files(Area.INVENTORY)) != []
    assert kinds.CLUSTER_HEALTH_CHECK not in tree.info.kinds
    assert Kind("", "Secret") in tree.info.kinds
    for blob in {blob for area in Area for blob in tree.files(area).values()}:
        assert old_snapshots.CANARY.encode() not in tree.read(blob)


def test_imported_samples_are_compared_as_others_are(place: Path) -> None:
    """A change between two of them is a row of diff."""
    _import(place)

    shown = gitsnap(place, "diff", "--storage", "new", "--from-sample", "latest~2", "--to-sample", "latest~1")

    assert "/Service" in shown.stdout
    assert "redis" in shown.stdout
    assert "modified" in shown.stdout


def test_a_second_run_imports_only_what_is_new(place: Path) -> None:
    """Nothing twice, whatever time zone the second run is told."""
    assert _outcomes(_import(place)) == ["imported"] * 3
    before = [one.tag_id for one in _opened(place).samples()]
    old_snapshots.write(place / "old", "hourly", "2023-08-27:05:00:00")

    again = _import(place, "--time-zone", "Asia/Tokyo")

    assert _outcomes(again) == ["already imported"] * 3 + ["imported"]
    assert [one.tag_id for one in _opened(place).samples()][:3] == before


def test_after_retention_took_some_they_do_not_come_back(place: Path) -> None:
    """Imported samples count as scheduled ones, which they were."""
    _import(place)
    done = gitsnap(place, "prune", "--storage", "new", "--keep-last", "1", "--yes")
    assert done.returncode == 0, done.stderr

    assert _outcomes(_import(place)) == ["too old", "too old", "already imported"]
    assert len(_opened(place).samples()) == 1


def test_the_old_folders_are_only_read(place: Path) -> None:
    """Names, contents and times are as before."""

    def state() -> list[tuple[str, int, bytes]]:
        files = sorted((place / "old").rglob("*"))
        return [(str(one), one.stat().st_mtime_ns, one.read_bytes() if one.is_file() else b"") for one in files]

    before = state()
    _import(place)

    assert state() == before


def test_folders_that_are_not_whole_are_left_out_and_said_so(place: Path) -> None:
    """Half a file, no YAML, no file, no text: the others are imported, and the exit code tells."""
    half = "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: x\nspec:\n  syncM"
    for minute, content in (("01", half.encode()), ("02", b"kind: [\n"), ("03", None), ("04", b"\xff\xfe\n")):
        folder = place / "old" / "snapshot" / "hourly" / f"2023-08-26:05:{minute}:00"
        folder.mkdir()
        if content is not None:
            (folder / "x.yaml").write_bytes(content)
    (place / "old" / "snapshot" / "hourly" / "lost+found").mkdir()

    done = gitsnap(place, "import", "--from", "old", "--storage", "new")

    assert done.returncode == 13
    outcomes = [line.split(": ", 2)[1].partition(" ")[0] for line in done.stdout.splitlines()]
    assert outcomes == [
        "hourly/2023-08-26T05-00-00Z",
        *["left"] * 4,
        *[f"hourly/2023-08-26T05-{m}-00Z" for m in (20, 40)],
    ]
    assert "x.yaml is cut off" in done.stdout
    assert "lost+found" in done.stderr
    assert "Traceback" not in done.stderr


_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: odd\n  namespace: default\ndata:\n"


@pytest.mark.parametrize("value", ["123e4567", "=", "1e400", "0x123456789abcdef0123456789abcdef0", "12:30:45"])
def test_text_that_go_leaves_without_quotes(place: Path, value: str) -> None:
    """The old feature wrote with Go's YAML, so such a value is text, and the sample of that date is taken over."""
    folder = place / "old" / "snapshot" / "hourly" / "2023-08-26:05:20:00"
    (folder / "default" / "ConfigMap" / "odd.yaml").write_text(f"{_MAP}  commit: {value}\n")
    profile = next(folder.glob("**/ClusterProfile/*.yaml"))
    profile.write_text(
        profile.read_text().replace(
            "policyRefs:\n", "policyRefs:\n  - {kind: ConfigMap, namespace: default, name: odd}\n"
        )
    )

    folders = _import(place)

    assert _outcomes(folders) == ["imported"] * 3
    opened = _opened(place)
    tree = opened.tree(opened.samples()[1])
    archived = decode(tree.read(tree.files(Area.CONFIGURATION)["default/ConfigMap/odd.yaml"]))
    assert archived["data"] == {"commit": value}


def test_a_config_map_that_is_no_text(place: Path) -> None:
    """One sample is left out, and its file, line and key are named; the others are taken over."""
    folder = place / "old" / "snapshot" / "hourly" / "2023-08-26:05:20:00" / "default" / "ConfigMap"
    (folder / "odd.yaml").write_text(f"{_MAP}  commit: 1234567\n")

    folders = _import(place)

    assert _outcomes(folders) == ["imported", "unreadable", "imported"]
    assert "odd.yaml, line 7: ConfigMap default/odd: data.commit is a number" in folders[1]["reason"]


@pytest.mark.parametrize(
    "kind",
    ["config.projectsveltos.io/v1beta1 ClusterProfile", "lib.projectsveltos.io/v1beta1 SveltosCluster default"],
)
def test_an_object_that_no_server_would_have_taken_is_no_end_of_the_import(place: Path, kind: str) -> None:
    """The folder is named; nothing of it is recorded."""
    version, name, *namespace = kind.split()
    lines = [f"apiVersion: {version}", f"kind: {name}", "metadata:", "  name: x"]
    lines += [*(f"  namespace: {one}" for one in namespace), "spec: text", ""]
    (place / "old" / "snapshot" / "hourly" / "2023-08-26:05:20:00" / "x.yaml").write_text("\n".join(lines))

    folders = _import(place)

    assert _outcomes(folders) == ["imported", "unreadable", "imported"]
    assert "the form of its kind" in folders[1]["reason"]


def test_local_times_that_come_twice_stay_in_the_order_of_folders(place: Path) -> None:
    """In Rome clocks went back from 03:00 to 02:00 that night: what cannot be told apart is never out of order."""
    for time in ("01:30:00", "02:00:00", "02:30:00", "03:00:00"):
        old_snapshots.write(place / "old", "nightly", f"2023-10-29:{time}")

    folders = _import(place, "--snapshot", "nightly", "--time-zone", "Europe/Rome")

    assert [one["sample"]["time"] for one in folders] == [
        "2023-10-28T23:30:00Z", "2023-10-29T00:00:00Z", "2023-10-29T00:30:00Z", "2023-10-29T02:00:00Z",
    ]  # fmt: skip


def test_captures_go_on_where_the_import_ended(place: Path) -> None:
    """With the cluster's uid known, no --adopt is needed; a wider scope is no addition of objects."""
    _import(place, "--cluster-uid", "uid-1")
    cluster = old_snapshots.write(place / "later", "x", "2023-08-26:05:20:00", selector="redis-follower")
    (cluster / "ns.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: kube-system\n  uid: uid-1\n")
    command = ["capture", "--snapshot", "hourly", "--storage", "new", "--from-dir", str(cluster)]

    done = gitsnap(place, *command)
    shown = gitsnap(place, "diff", "--storage", "new")

    assert done.returncode == 0, done.stderr
    assert "no changes detected" in shown.stdout
    assert _outcomes(_import(place)) == ["already imported"] * 3


def test_an_archive_that_went_on_takes_nothing_older(place: Path) -> None:
    """Samples are ordered as they are recorded: the import goes into an archive of its own, or comes first."""
    cluster = place / "old" / "snapshot" / "hourly" / "2023-08-26:05:20:00"
    gitsnap(place, "capture", "--snapshot", "hourly", "--storage", "new", "--from-dir", str(cluster))

    assert _outcomes(_import(place)) == ["too old"] * 3
    assert len(_opened(place).samples()) == 1
    assert _outcomes(_import(place, "--into", "hourly-old")) == ["imported"] * 3


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("--from missing", 4, "missing/snapshot"),
        ("--from old --snapshot daily", 4, "hourly"),
        ("--from old --snapshot hourly --time-zone Mars/Olympus", 3, "time zone"),
        ("--from two", 2, "daily, hourly"),
        ("--from old --into snapshot", 3, "snapshot"),
    ],
)
def test_words_and_exit_code(place: Path, arguments: str, code: int, said: str) -> None:
    """What cannot be done says so, and makes nothing."""
    for name in ("daily", "hourly"):
        (place / "two" / "snapshot" / name).mkdir(parents=True)

    done = gitsnap(place, "import", "--storage", "new", *arguments.split())

    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert not list((place / "new").iterdir())


def test_many_folders_cost_no_more_each_than_a_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the archive has is read once, not for each folder again; and what is done with is freed."""
    from gitsnap.archive import GitArchive  # noqa: PLC0415
    from gitsnap.capture import import_legacy  # noqa: PLC0415 - only this test looks inside
    from gitsnap.cli import main  # noqa: PLC0415

    (tmp_path / "s").mkdir()
    for hour in range(12):
        old_snapshots.write(tmp_path, "hourly", f"2023-08-26:{hour:02}:00:00", selector=str(hour))
    asked: list[str] = []
    samples = GitArchive.samples

    def counted(archive: GitArchive) -> object:
        asked.append(sys._getframe(1).f_code.co_filename)
        return samples(archive)

    monkeypatch.setattr(GitArchive, "samples", counted)
    words = ["import", "--from", str(tmp_path), "--snapshot", "hourly", "--storage", str(tmp_path / "s")]
    try:
        with pytest.raises(SystemExit) as ended:
            main([*words, "--secrets-mode", "omit"])
        assert ended.value.code == 0
        assert gc.isenabled(), "main() turns the collector off; hundreds of configurations then fill the memory"
        assert asked.count(import_legacy.__file__) <= 2
    finally:
        gc.enable()
        gc.unfreeze()
