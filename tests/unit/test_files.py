"""core.files: a file is replaced whole, and its folder is synced."""

from __future__ import annotations

import errno
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitsnap.core import files
from gitsnap.core.files import create_file, replace_file, sync_folder, why_not_writable, write_output


def _mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("temporary", [None, "other/unfinished"])
@pytest.mark.parametrize("before", [None, b"old"])
def test_a_file_is_written_completely_without_leftovers(
    tmp_path: Path, before: bytes | None, temporary: str | None, *, durable: bool
) -> None:
    """The folder contains only the complete file, whether or not the file existed."""
    (tmp_path / "other").mkdir()
    file = tmp_path / "file"
    if before is not None:
        file.write_bytes(before)

    replace_file(file, b"new", temporary=tmp_path / temporary if temporary else None, durable=durable)

    assert file.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "other"]


@pytest.mark.parametrize(
    ("existing", "keep_mode", "expected"),
    [(None, False, 0o644), (None, True, 0o644), (0o604, False, 0o644), (0o604, True, 0o604), (0o666, True, 0o666)],
)
def test_permission_bits(tmp_path: Path, existing: int | None, expected: int, *, keep_mode: bool) -> None:
    """The mode is less the umask; with ``keep_mode`` an existing file keeps exactly its own bits."""
    file = tmp_path / "file"
    if existing is not None:
        file.touch()
        file.chmod(existing)

    replace_file(file, b"new", mode=0o666, keep_mode=keep_mode)

    assert _mode(file) == expected


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 1 KiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
@pytest.mark.parametrize("temporary", [None, "unfinished"])
def test_a_failed_write_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, temporary: str | None
) -> None:
    """Neither a part of the new content nor the temporary file stays, whichever call fails."""
    file = tmp_path / "file"
    file.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if call != "write":
        monkeypatch.setattr(os, call, fail)
    content = b"n" * (4096 if call == "write" else 10)

    with pytest.raises(OSError, match="File too large" if call == "write" else "No space left"):
        replace_file(file, content, temporary=tmp_path / temporary if temporary else None, durable=True)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"old"}


@pytest.mark.parametrize("name", ["f" * 255, "\N{PERSONAL COMPUTER}" * 63, "\udcff" * 255])
def test_the_longest_names(tmp_path: Path, name: str) -> None:
    """The temporary file has a name that the file system takes, whatever the name of the file."""
    replace_file(tmp_path / name, b"new")

    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
@pytest.mark.parametrize("linked", ["file", "unfinished"])
def test_writes_do_not_follow_links(tmp_path: Path, linked: str, link: object) -> None:
    """Neither the name of the file nor the temporary name may be a link that the write follows."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    assert callable(link)
    link(tmp_path / linked, victim)

    replace_file(tmp_path / "file", b"new", temporary=tmp_path / "unfinished")

    assert victim.read_bytes() == b"precious"
    assert (tmp_path / "file").read_bytes() == b"new"
    assert not (tmp_path / "file").is_symlink()


def test_a_temporary_file_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    """The temporary file is replaced even if it is read-only."""
    unfinished = tmp_path / "unfinished"
    unfinished.write_bytes(b"half, and longer than the new content")
    unfinished.chmod(0o400)

    replace_file(tmp_path / "file", b"new", temporary=unfinished)

    assert (tmp_path / "file").read_bytes() == b"new"
    assert not unfinished.exists()


def test_a_durable_file_is_synced_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First the content, then the rename, then the folder: in any other order a power failure leaves an empty file."""
    calls: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        calls.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        sync(descriptor)

    def renamed(source: str, target: str) -> None:
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)

    replace_file(tmp_path / "file", b"new", durable=True)
    durable, calls[:] = list(calls), []
    replace_file(tmp_path / "file", b"new")

    assert durable == ["sync file", "rename", "sync folder"]
    assert calls == ["rename"]


@pytest.mark.parametrize(("number", "accepted"), [(errno.EINVAL, True), (errno.EIO, False), (errno.ENOSPC, False)])
def test_a_folder_that_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, accepted: bool
) -> None:
    """EINVAL says that the file system cannot sync folders; any other error is a failure."""

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)

    if accepted:
        sync_folder(tmp_path)
    else:
        with pytest.raises(OSError, match=os.strerror(number)):
            sync_folder(tmp_path)


def test_a_created_file_can_be_read_back(tmp_path: Path) -> None:
    """A pack is hashed after its header was filled in."""
    with create_file(tmp_path / "pack", mode=0o400) as file:
        file.write(b"abc")
        file.seek(0)

        assert file.read() == b"abc"
    assert _mode(tmp_path / "pack") == 0o400


@pytest.mark.parametrize(
    ("flags", "reason"), [(0, "is not writable for this user"), (os.ST_RDONLY, "is on a read-only file system")]
)
def test_a_read_only_file_system_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: int, reason: str
) -> None:
    """A read-only file system and missing permissions have different reasons. A writable folder has none."""
    assert why_not_writable(tmp_path) == ""
    status = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result([*status[:8], flags, status[9]]))
    assert why_not_writable(tmp_path) == reason


@pytest.mark.parametrize("name", ["fifo", "link", "descriptor"])
def test_an_output_does_not_replace_a_special_file(tmp_path: Path, name: str) -> None:
    """A pipe, a link to a pipe, and a descriptor of a file receive the content, and are not replaced."""
    fifo, plain = tmp_path / "fifo", tmp_path / "plain"
    os.mkfifo(fifo)
    (tmp_path / "link").symlink_to(fifo)
    plain.touch()
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    descriptor = os.open(plain, os.O_RDWR)
    file = Path(f"/dev/fd/{descriptor}") if name == "descriptor" else tmp_path / name
    inode = plain.stat().st_ino

    write_output(file, b"page", keep_mode=True)

    assert (plain.read_bytes() if name == "descriptor" else os.read(reader, 99)) == b"page"
    assert fifo.is_fifo()
    assert plain.stat().st_ino == inode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fifo", "link", "plain"]
    os.close(reader)
    os.close(descriptor)


def test_an_output_replaces_an_ordinary_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device reports its own error, and a folder is no file."""
    (tmp_path / "a").write_bytes(b"old")
    write_output(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    with pytest.raises(IsADirectoryError):
        write_output(tmp_path, b"new")
    monkeypatch.setattr(files, "replace_file", None)  # a defect must not replace the device
    with pytest.raises(OSError, match="No space left"):
        write_output(Path("/dev/full"), b"new")
