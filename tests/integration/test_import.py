"""`gitsnap import`: samples of the old Sveltos feature become samples with their dates. Their folders do not change."""

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
    return [folder["outcome"] for folder in folders]


def _opened(place: Path, policy: str = "hourly") -> GitArchive:
    return archive.open_archive(place / "new", policy)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Three samples of the old feature, the second with a change, and an empty storage folder."""
    (tmp_path / "new").mkdir()
    old = tmp_path / "old"
    old_snapshots.write(old, "hourly", "2023-08-26:05:00:00")
    old_snapshots.write(old, "hourly", "2023-08-26:05:20:00", selector="redis-follower")
    old_snapshots.write(old, "hourly", "2023-08-26:05:40:00", selector="redis-follower")
    return tmp_path


def test_samples_keep_their_dates_and_order(place: Path) -> None:
    """Local times of the old feature become UTC. Each line names the folder and the sample."""
    zone = ["--time-zone", "America/Los_Angeles"]
    done = gitsnap(place, "import", "--from", "old", "--storage", "new", "--cluster-uid", "uid-1", *zone)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("2023-08-26:05:00:00: hourly/2023-08-26T12-00-00Z: 4 objects, 4 added, commit ")
    assert "1 modified" in lines[1]
    assert "unchanged" in lines[2]
    samples = _opened(place).samples()
    assert [sample.tag[-9:] for sample in samples] == ["12-00-00Z", "12-20-00Z", "12-40-00Z"]
    assert [sample.metadata.imported for sample in samples] == [line[:19] for line in lines]
    assert {sample.metadata.trigger for sample in samples} == {Trigger.SCHEDULE}
    assert {sample.metadata.cluster for sample in samples} == {"uid-1"}


def test_imported_content_is_normalized_and_sealed(place: Path) -> None:
    """Server fields are removed and Secrets encrypted, as in a capture. The scope is the kinds of the old feature."""
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


def test_imported_samples_can_be_compared(place: Path) -> None:
    """A change between two imported samples is a row of `diff`."""
    _import(place)

    shown = gitsnap(place, "diff", "--storage", "new", "--from-sample", "latest~2", "--to-sample", "latest~1")

    assert "/Service" in shown.stdout
    assert "redis" in shown.stdout
    assert "modified" in shown.stdout


def test_a_second_run_imports_only_new_folders(place: Path) -> None:
    """No folder is imported twice, even if the second run has another time zone."""
    assert _outcomes(_import(place)) == ["imported"] * 3
    before = [sample.tag_id for sample in _opened(place).samples()]
    old_snapshots.write(place / "old", "hourly", "2023-08-27:05:00:00")

    again = _import(place, "--time-zone", "Asia/Tokyo")

    assert _outcomes(again) == ["already imported"] * 3 + ["imported"]
    assert [sample.tag_id for sample in _opened(place).samples()][:3] == before


def test_samples_that_retention_removed_are_not_imported_again(place: Path) -> None:
    """Retention treats imported samples as scheduled samples."""
    _import(place)
    done = gitsnap(place, "prune", "--storage", "new", "--keep-last", "1", "--yes")
    assert done.returncode == 0, done.stderr

    assert _outcomes(_import(place)) == ["too old", "too old", "already imported"]
    assert len(_opened(place).samples()) == 1


def test_the_old_folders_are_only_read(place: Path) -> None:
    """Names, contents and modification times stay the same."""

    def state() -> list[tuple[str, int, bytes]]:
        files = sorted((place / "old").rglob("*"))
        return [(str(file), file.stat().st_mtime_ns, file.read_bytes() if file.is_file() else b"") for file in files]

    before = state()
    _import(place)

    assert state() == before


def test_damaged_folders_are_skipped_and_reported(place: Path) -> None:
    """Truncated, not YAML, empty, binary: these folders are skipped with exit code 13, the others are imported."""
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
def test_unquoted_values_are_text_as_in_go(place: Path, value: str) -> None:
    """The old feature wrote YAML with Go, which leaves these strings unquoted. The sample is imported."""
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


def test_a_config_map_value_that_is_not_text(place: Path) -> None:
    """The sample is skipped, with file, line and key named. The other samples are imported."""
    folder = place / "old" / "snapshot" / "hourly" / "2023-08-26:05:20:00" / "default" / "ConfigMap"
    (folder / "odd.yaml").write_text(f"{_MAP}  commit: 1234567\n")

    folders = _import(place)

    assert _outcomes(folders) == ["imported", "unreadable", "imported"]
    assert "odd.yaml, line 7: ConfigMap default/odd: data.commit is a number" in folders[1]["reason"]


@pytest.mark.parametrize(
    "kind",
    ["config.projectsveltos.io/v1beta1 ClusterProfile", "lib.projectsveltos.io/v1beta1 SveltosCluster default"],
)
def test_an_invalid_object_does_not_stop_the_import(place: Path, kind: str) -> None:
    """The folder is named, and no object of the folder is recorded."""
    version, name, *namespace = kind.split()
    lines = [f"apiVersion: {version}", f"kind: {name}", "metadata:", "  name: x"]
    lines += [*(f"  namespace: {value}" for value in namespace), "spec: text", ""]
    (place / "old" / "snapshot" / "hourly" / "2023-08-26:05:20:00" / "x.yaml").write_text("\n".join(lines))

    folders = _import(place)

    assert _outcomes(folders) == ["imported", "unreadable", "imported"]
    assert "the form of its kind" in folders[1]["reason"]


def test_ambiguous_local_times_keep_the_order_of_folders(place: Path) -> None:
    """Clocks in Rome went back from 03:00 to 02:00 that night. Ambiguous times keep their order."""
    for time in ("01:30:00", "02:00:00", "02:30:00", "03:00:00"):
        old_snapshots.write(place / "old", "nightly", f"2023-10-29:{time}")

    folders = _import(place, "--snapshot", "nightly", "--time-zone", "Europe/Rome")

    assert [folder["sample"]["time"] for folder in folders] == [
        "2023-10-28T23:30:00Z", "2023-10-29T00:00:00Z", "2023-10-29T00:30:00Z", "2023-10-29T02:00:00Z",
    ]  # fmt: skip


def test_captures_continue_after_an_import(place: Path) -> None:
    """With the cluster's uid known, --adopt is not needed. A wider scope does not count as added objects."""
    _import(place, "--cluster-uid", "uid-1")
    cluster = old_snapshots.write(place / "later", "x", "2023-08-26:05:20:00", selector="redis-follower")
    (cluster / "ns.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: kube-system\n  uid: uid-1\n")
    command = ["capture", "--snapshot", "hourly", "--storage", "new", "--from-dir", str(cluster)]

    done = gitsnap(place, *command)
    shown = gitsnap(place, "diff", "--storage", "new")

    assert done.returncode == 0, done.stderr
    assert "no changes detected" in shown.stdout
    assert _outcomes(_import(place)) == ["already imported"] * 3


def test_older_samples_are_not_imported_after_a_capture(place: Path) -> None:
    """Samples are ordered by their recording. Older samples can be imported into an archive of their own."""
    cluster = place / "old" / "snapshot" / "hourly" / "2023-08-26:05:20:00"
    gitsnap(place, "capture", "--snapshot", "hourly", "--storage", "new", "--from-dir", str(cluster))

    assert _outcomes(_import(place)) == ["too old"] * 3
    assert len(_opened(place).samples()) == 1
    assert _outcomes(_import(place, "--into", "hourly-old", "--create")) == ["imported"] * 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("--from missing", 4, "missing/snapshot"),
        ("--from old --snapshot daily", 4, "hourly"),
        ("--from old --snapshot hourly --time-zone Mars/Olympus", 3, "time zone"),
        ("--from two", 2, "daily, hourly"),
        ("--from old --into snapshot", 3, "snapshot"),
    ],
)
def test_messages_and_exit_codes(place: Path, arguments: str, code: int, message: str) -> None:
    """A failing import reports the reason and creates nothing."""
    for name in ("daily", "hourly"):
        (place / "two" / "snapshot" / name).mkdir(parents=True)

    done = gitsnap(place, "import", "--storage", "new", *arguments.split())

    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert not list((place / "new").iterdir())


def test_the_cost_per_folder_is_constant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive's samples are read once, not once per folder, and the garbage collector runs."""
    from gitsnap.archive import GitArchive  # noqa: PLC0415
    from gitsnap.capture import import_legacy  # noqa: PLC0415 - only this test looks inside
    from gitsnap.cli import main  # noqa: PLC0415

    (tmp_path / "s").mkdir()
    for hour in range(12):
        old_snapshots.write(tmp_path, "hourly", f"2023-08-26:{hour:02}:00:00", selector=str(hour))
    callers: list[str] = []
    samples = GitArchive.samples

    def counted(archive: GitArchive) -> object:
        callers.append(sys._getframe(1).f_code.co_filename)
        return samples(archive)

    monkeypatch.setattr(GitArchive, "samples", counted)
    words = ["import", "--from", str(tmp_path), "--snapshot", "hourly", "--storage", str(tmp_path / "s")]
    try:
        with pytest.raises(SystemExit) as ended:
            main([*words, "--secrets-mode", "omit"])
        assert ended.value.code == 0
        assert gc.isenabled(), "main() turns the collector off; hundreds of configurations then fill the memory"
        assert callers.count(import_legacy.__file__) <= 2
    finally:
        gc.enable()
        gc.unfreeze()
