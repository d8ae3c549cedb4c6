"""Writes git objects: a few as loose files, many as one pack with its index, all of them durable before they count.

A capture of 10,000 objects as loose files would take 40 MB; as a pack it takes 9. The layouts are those of git's
gitformat-pack documentation (pack version 2, index version 2). This module must not touch refs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gitsnap.core.files import create_file, replace_file, sync_file, sync_folder

if TYPE_CHECKING:
    from concurrent.futures import Future

BLOB, COMMIT, TREE, TAG = b"blob", b"commit", b"tree", b"tag"

_TYPE_NUMBERS = {COMMIT: 1, TREE: 2, BLOB: 3, TAG: 4}
_MOST_LOOSE = 100
_LEVEL = 1  # of zlib, for many objects: half the time of the default for a tenth more bytes
UNFINISHED_OBJECT = "tmp_gitsnap_"
"""How names of files begin that are not whole yet, in ``objects`` and ``objects/pack``."""
_FOLDER_ATTEMPTS = 10
_READ_ONLY = 0o400  # as git writes objects
_BATCH = 64
"""Objects that are deflated at a time, while others are collected: zlib does not hold the interpreter's lock."""


def object_id(kind: bytes, data: bytes) -> str:
    """The id git gives this object: 40 hexadecimal digits."""
    digest = hashlib.sha1(b"%s %d\0" % (kind, len(data)), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


class ObjectSink:
    """Collects new objects of one sample; nothing is visible to git before ``finish``.

    ``known`` says whether the repository has an object already. Memory holds a hundred objects at the most: from then
    on they are deflated into a pack on disk.
    """

    def __init__(self, objects: Path, known: Callable[[str], bool]) -> None:
        self._objects = objects
        self._known = known
        self._waiting: dict[str, tuple[bytes, bytes]] = {}
        self._pack: _Pack | None = None

    def add(self, kind: bytes, data: bytes) -> str:
        """The id of the object, which is written unless the repository has it."""
        name = object_id(kind, data)
        if name in self._waiting or (self._pack is not None and name in self._pack.entries) or self._known(name):
            return name
        if self._pack is None and len(self._waiting) >= _MOST_LOOSE:
            self._pack = _Pack(self._objects / "pack")
            for waiting, (its_kind, its_data) in self._waiting.items():
                self._pack.add(waiting, its_kind, its_data)
            self._waiting.clear()
        if self._pack is None:
            self._waiting[name] = (kind, data)
        else:
            self._pack.add(name, kind, data)
        return name

    def finish(self) -> None:
        """Make everything durable and visible. Raises OSError."""
        if self._pack is not None:
            self._pack.finish()
            self._pack = None
        for name, (kind, data) in self._waiting.items():
            _write_loose(self._objects, name, kind, data)
        self._waiting.clear()

    def abandon(self) -> None:
        """Drop what was not finished."""
        self._waiting.clear()
        if self._pack is not None:
            self._pack.abandon()
            self._pack = None


def _write_loose(objects: Path, name: str, kind: bytes, data: bytes) -> None:
    """Write an object in a file of its own, durably. Raises OSError."""
    folder = objects / name[:2]
    content = zlib.compress(b"%s %d\0" % (kind, len(data)) + data)
    temporary = objects / f"{UNFINISHED_OBJECT}{name}"
    for attempt in range(_FOLDER_ATTEMPTS):
        is_new = not folder.is_dir()
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            replace_file(folder / name[2:], content, mode=_READ_ONLY, temporary=temporary, durable=True)
        except FileNotFoundError:  # a concurrent `git gc` removes empty folders, and those whose objects it has packed
            if attempt + 1 == _FOLDER_ATTEMPTS:
                raise
        else:
            if is_new:
                sync_folder(objects)
            return


class _Pack:
    """A pack that is being written, and what its index needs."""

    def __init__(self, folder: Path) -> None:
        from concurrent.futures import ThreadPoolExecutor  # brings logging along, which no reader needs

        self._folder = folder
        self._path = folder / f"{UNFINISHED_OBJECT}pack"
        self._file = create_file(self._path, mode=_READ_ONLY)
        self._file.write(b"PACK" + struct.pack(">II", 2, 0))
        self._end = 12
        self._batch: list[tuple[str, bytes, bytes]] = []
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="deflate")
        self._deflating: Future[None] | None = None
        self.entries: dict[str, int] = {}
        """Object id -> offset in the pack, then 32 bits for the CRC-32 of the packed bytes; 0 until it is there.

        One number, since a tuple of two takes four times the memory.
        """

    def add(self, name: str, kind: bytes, data: bytes) -> None:
        """Take an object. Raises OSError, also for one that was taken before."""
        self.entries[name] = 0
        self._batch.append((name, kind, data))
        if len(self._batch) >= _BATCH:
            self._hand_over()

    def _hand_over(self) -> None:
        """Give the batch to the worker, once it has done the one before: memory holds two of them at the most."""
        self._wait()
        batch, self._batch = self._batch, []
        self._deflating = self._worker.submit(self._deflate, batch)

    def _wait(self) -> None:
        deflating, self._deflating = self._deflating, None
        if deflating is not None:
            deflating.result()

    def _deflate(self, batch: Sequence[tuple[str, bytes, bytes]]) -> None:
        for name, kind, data in batch:
            size, header = len(data), bytearray()
            byte = _TYPE_NUMBERS[kind] << 4 | size & 15
            size >>= 4
            while size:
                header.append(byte | 0x80)
                byte, size = size & 0x7F, size >> 7
            header.append(byte)
            packed = bytes(header) + zlib.compress(data, _LEVEL)
            self.entries[name] = self._end << 32 | zlib.crc32(packed)
            self._file.write(packed)
            self._end += len(packed)

    def finish(self) -> None:
        """Put pack and index in place, the pack first: git looks for an index and then opens its pack."""
        self._hand_over()
        self._wait()
        self._worker.shutdown()
        with self._file:
            self._file.seek(8)
            self._file.write(struct.pack(">I", len(self.entries)))
            self._file.seek(0)
            digest = self._digest()
            self._file.seek(0, os.SEEK_END)
            self._file.write(digest)
            sync_file(self._file)
        stem = self._folder / f"pack-{digest.hex()}"
        index = self._folder / f"{UNFINISHED_OBJECT}idx"
        with create_file(index, mode=_READ_ONLY) as file:
            file.write(self._index(digest))
            sync_file(file)
        self._path.replace(stem.with_suffix(".pack"))
        index.replace(stem.with_suffix(".idx"))
        sync_folder(self._folder)

    def _digest(self) -> bytes:
        digest = hashlib.sha1(usedforsecurity=False)
        while chunk := self._file.read(1 << 20):
            digest.update(chunk)
        return digest.digest()

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._worker.shutdown(cancel_futures=True)
        with contextlib.suppress(OSError):  # what is buffered need not be written any more
            self._file.close()
        self._path.unlink(missing_ok=True)

    def _index(self, pack_digest: bytes) -> bytes:
        names = sorted(self.entries)
        raw = [bytes.fromhex(name) for name in names]
        counts = [0] * 256
        for one in raw:
            counts[one[0]] += 1
        fanout, total = [], 0
        for count in counts:
            total += count
            fanout.append(total)
        offsets, large = [], []
        for name in names:
            offset = self.entries[name] >> 32
            if offset >= 1 << 31:
                large.append(offset)
                offset = 1 << 31 | len(large) - 1
            offsets.append(offset)
        body = b"".join(
            (
                b"\xfftOc" + struct.pack(">I", 2),
                struct.pack(">256I", *fanout),
                b"".join(raw),
                struct.pack(f">{len(names)}I", *(self.entries[name] & 0xFFFFFFFF for name in names)),
                struct.pack(f">{len(names)}I", *offsets),
                struct.pack(f">{len(large)}Q", *large),
                pack_digest,
            )
        )
        return body + hashlib.sha1(body, usedforsecurity=False).digest()
