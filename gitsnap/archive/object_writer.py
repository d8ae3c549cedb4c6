"""Writes git objects durably: up to a hundred as loose objects, more as one pack with its index.

A capture of 10,000 objects takes 40 MB as loose objects, and 9 MB as a pack. The file layouts are those of
gitformat-pack(5): pack version 2, index version 2.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from gitsnap.core.files import create_file, replace_file, sync_file, sync_folder

BLOB, COMMIT, TREE, TAG = b"blob", b"commit", b"tree", b"tag"

_TYPE_NUMBERS = {COMMIT: 1, TREE: 2, BLOB: 3, TAG: 4}
_MOST_LOOSE = 100
_LEVEL = 1
"""The level of deflated objects in a pack: half the time of zlib's default level, a tenth more bytes."""
UNFINISHED_OBJECT = "tmp_gitsnap_"
"""Prefix of the names of incomplete files, in ``objects`` and ``objects/pack``."""
_FOLDER_ATTEMPTS = 10
_READ_ONLY = 0o400  # as git writes objects
_KEPT_BYTES = 32 << 20
"""Contents that are kept for the working tree. To read a content back takes a fifth as long as to encode the object."""


def object_id(kind: bytes, data: bytes) -> str:
    """The id of an object: 40 hexadecimal digits. ``kind``: ``BLOB``, ``COMMIT``, ``TREE`` or ``TAG``."""
    digest = hashlib.sha1(b"%s %d\0" % (kind, len(data)), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


class ObjectSink:
    """Collects the new objects of a sample. git sees none of them before ``finish``.

    Up to a hundred objects are held in memory. When there are more, all objects are deflated into a pack on disk.
    """

    def __init__(self, objects: Path, known: Callable[[str], bool]) -> None:
        """Collect objects for a repository.

        ``objects``: the folder ``objects`` of the repository. ``known``: whether the repository has an object id.
        """
        self._objects = objects
        self._known = known
        self._loose: dict[str, tuple[bytes, bytes]] = {}
        self._pack: _Pack | None = None
        self._contents: dict[str, bytes] = {}
        self._contents_left = _KEPT_BYTES

    def add(self, kind: bytes, data: bytes) -> str:
        """Add an object, unless the repository has it, and return its id. Raises OSError."""
        name = object_id(kind, data)
        if name in self._loose or (self._pack is not None and name in self._pack.entries) or self._known(name):
            return name
        if kind == BLOB and len(data) <= self._contents_left:
            self._contents[name] = data
            self._contents_left -= len(data)
        if self._pack is None and len(self._loose) >= _MOST_LOOSE:
            self._pack = _Pack(self._objects / "pack")
            for loose_name, (loose_kind, loose_data) in self._loose.items():
                self._pack.add(loose_name, loose_kind, loose_data)
            self._loose.clear()
        if self._pack is None:
            self._loose[name] = (kind, data)
        else:
            self._pack.add(name, kind, data)
        return name

    def take_contents(self) -> Mapping[str, bytes]:
        """The contents of added blobs, up to 32 MiB: blob id -> content. They are not kept any longer."""
        contents, self._contents = self._contents, {}
        self._contents_left = _KEPT_BYTES
        return contents

    def finish(self) -> None:
        """Write all objects durably, and make them visible to git. Raises OSError."""
        if self._pack is not None:
            self._pack.finish()
            self._pack = None
        for name, (kind, data) in self._loose.items():
            _write_loose(self._objects, name, kind, data)
        self._loose.clear()

    def abandon(self) -> None:
        """Drop the objects that were added since the last ``finish``."""
        self._loose.clear()
        self.take_contents()
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


def find_deflate() -> Callable[[bytes, int], bytes]:
    """The fastest deflate function: isal needs two fifths of the time of zlib. Some platforms have no wheel of isal.

    Both give the same object ids: git hashes the content before it is deflated.
    """
    try:
        from isal.isal_zlib import compress  # only writers of an archive need it
    except ImportError:
        return zlib.compress
    return compress


class _Pack:
    """A pack that is being written, with the data for its index.

    Objects are deflated without a thread, because a thread costs more time than isal needs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"{UNFINISHED_OBJECT}pack"
        self._file = create_file(self._path, mode=_READ_ONLY)
        self._file.write(b"PACK" + struct.pack(">II", 2, 0))
        self._end = 12
        self._deflate = find_deflate()
        self.entries: dict[str, int] = {}
        """Object id -> offset in the pack << 32 | CRC-32 of the packed bytes.

        One number takes a quarter of the memory of a tuple.
        """

    def add(self, name: str, kind: bytes, data: bytes) -> None:
        """Add an object. Raises OSError."""
        size, header = len(data), bytearray()
        byte = _TYPE_NUMBERS[kind] << 4 | size & 15
        size >>= 4
        while size:
            header.append(byte | 0x80)
            byte, size = size & 0x7F, size >> 7
        header.append(byte)
        packed = bytes(header) + self._deflate(data, _LEVEL)
        self.entries[name] = self._end << 32 | zlib.crc32(packed)
        self._file.write(packed)
        self._end += len(packed)

    def finish(self) -> None:
        """Write pack and index durably. The pack is renamed first: git finds an index and then opens its pack."""
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
        """Remove the incomplete pack."""
        with contextlib.suppress(OSError):  # buffered bytes are lost, as they may be
            self._file.close()
        self._path.unlink(missing_ok=True)

    def _index(self, pack_digest: bytes) -> bytes:
        """The content of the index (gitformat-pack(5), version 2)."""
        names = sorted(self.entries)
        raw = [bytes.fromhex(name) for name in names]
        counts = [0] * 256
        for raw_name in raw:
            counts[raw_name[0]] += 1
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
