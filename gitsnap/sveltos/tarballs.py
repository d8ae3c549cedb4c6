"""Reads a tarball in memory, once from its beginning to its end, in time that depends on its length only.

Older releases of Python's tarfile take hours for, or never come back from, what somebody makes to that end; here
nothing is searched for, sought, or followed. This module must not write files, and must not believe a header.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_BLOCK = 512
_CHECKSUM = slice(148, 156)
_FILES = (b"0", b"\0", b"7")
_LINKS = (b"1", b"2")
_OTHERS = (b"3", b"4", b"5", b"6")
"""Devices, folders, pipes: nothing follows their headers."""
_LONG = {b"L": "path", b"K": "linkpath"}
"""GNU's way to give the next member a name that does not fit; the names of the fields are those of pax."""
_PAX, _PAX_FOR_ALL = b"x", b"g"


def members(tarball: bytes) -> Iterator[tuple[str, bytes | str]]:
    """Name of each file, with its content, and of each link, with what it names; nothing else.

    Raises ValueError for what is no tarball, is cut off, or is of a form that no tool makes by default (sparse files).
    """
    if len(tarball) < _BLOCK:
        raise ValueError("no tarball")
    position, said = 0, dict[str, str]()
    while header := tarball[position : position + _BLOCK]:
        position += _BLOCK
        if not any(header):
            return
        _check(header)
        sort = header[156:157]
        size = _size(header, said, most=len(tarball) - position)
        content = tarball[position : position + size]
        position += -(-size // _BLOCK) * _BLOCK
        if sort in _LONG:
            said[_LONG[sort]] = _text(content)
        elif sort == _PAX:
            said.update(_pax(content))
        elif sort != _PAX_FOR_ALL:
            name = said.get("path") or _name(header)
            if sort in _FILES:
                yield name, content
            elif sort in _LINKS:
                yield name, said.get("linkpath") or _text(header[157:257])
            said.clear()


def _check(header: bytes) -> None:
    unsigned = sum(header) - sum(header[_CHECKSUM]) + 8 * ord(" ")
    if len(header) < _BLOCK or _number(header[_CHECKSUM]) != unsigned:
        raise ValueError("no header of a tarball")


def _size(header: bytes, said: Mapping[str, str], *, most: int) -> int:
    """Bytes of content behind a header. Raises ValueError for more than there are, and for a sort that is not known."""
    sort = header[156:157]
    if sort in _LINKS + _OTHERS:
        return 0
    if sort not in (*_FILES, *_LONG, _PAX, _PAX_FOR_ALL):
        raise ValueError(f"a member of the sort {sort!r}")
    size = int(said.get("size") or _number(header[124:136]))
    if not 0 <= size <= most:
        raise ValueError("the tarball is cut off")
    return size


def _number(field: bytes) -> int:
    """Octal digits; binary, where they do not suffice."""
    if field[0] & 0x80:
        return int.from_bytes(field, "big", signed=True) + (1 << (8 * len(field) - 1) if field[0] == 0x80 else 0)
    return int(field.partition(b"\0")[0].strip() or b"0", 8)


def _name(header: bytes) -> str:
    """The name, behind a prefix where POSIX's form of the header has one."""
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    name = _text(header[:100])
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")


def _pax(content: bytes) -> dict[str, str]:
    """Records: length of the whole, a space, key, ``=``, value, and a line feed."""
    found: dict[str, str] = {}
    position = 0
    while position < len(content) and content[position]:
        digits, _, _ = content[position : position + 20].partition(b" ")
        length = int(digits)
        if not len(digits) < length <= len(content) - position:
            raise ValueError("a pax header is cut off")
        key, _, value = (
            content[position + len(digits) + 1 : position + length - 1].decode(errors="replace").partition("=")
        )
        if key.startswith("GNU.sparse."):
            raise ValueError("a sparse file")
        found[key] = value
        position += length
    return found
