"""Reads a tarball in memory in one pass, in time proportional to its length.

Python's tarfile is not used: some releases take hours or never return on a tarball that was made to exploit them. This
reader never seeks, follows no link and checks every size in a header against the length of the tarball. The formats are
those of tar(5): ustar, pax and GNU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_BLOCK = 512
_CHECKSUM = slice(148, 156)
_FILES = (b"0", b"\0", b"7")
_LINKS = (b"1", b"2")
_OTHERS = (b"3", b"4", b"5", b"6")
"""Devices, directories and pipes. No content follows their headers."""
_LONG_NAMES = {b"L": "path", b"K": "linkpath"}
"""GNU headers that contain a long name of the next member, each with the pax keyword for that name."""
_PAX, _PAX_GLOBAL = b"x", b"g"


def read_members(tarball: bytes) -> Iterator[tuple[str, bytes | str]]:
    """The name of each file with its content (bytes), and the name of each link with its target (text).

    Raises ValueError if the bytes are not a tarball, are truncated, or use a format that no tool writes by default,
    such as sparse files.
    """
    if len(tarball) < _BLOCK:
        raise ValueError("not a tarball")
    position, attributes = 0, dict[str, str]()
    while header := tarball[position : position + _BLOCK]:
        position += _BLOCK
        if not any(header):
            return
        _check_header(header)
        typeflag = header[156:157]
        size = _size(header, attributes, remaining=len(tarball) - position)
        content = tarball[position : position + size]
        position += -(-size // _BLOCK) * _BLOCK
        if typeflag in _LONG_NAMES:
            attributes[_LONG_NAMES[typeflag]] = _text(content)
        elif typeflag == _PAX:
            attributes.update(_pax_records(content))
        elif typeflag != _PAX_GLOBAL:
            name = attributes.get("path") or _name(header)
            if typeflag in _FILES:
                yield name, content
            elif typeflag in _LINKS:
                yield name, attributes.get("linkpath") or _text(header[157:257])
            attributes.clear()


def _check_header(header: bytes) -> None:
    unsigned = sum(header) - sum(header[_CHECKSUM]) + 8 * ord(" ")
    if len(header) < _BLOCK or _number(header[_CHECKSUM]) != unsigned:
        raise ValueError("not a header of a tarball")


def _size(header: bytes, attributes: Mapping[str, str], *, remaining: int) -> int:
    """Bytes of content after a header. Raises ValueError for an unknown type, or if fewer bytes remain."""
    typeflag = header[156:157]
    if typeflag in _LINKS + _OTHERS:
        return 0
    if typeflag not in (*_FILES, *_LONG_NAMES, _PAX, _PAX_GLOBAL):
        raise ValueError(f"a member of the unknown type {typeflag!r}")
    size = int(attributes.get("size") or _number(header[124:136]))
    if not 0 <= size <= remaining:
        raise ValueError("the tarball is truncated")
    return size


def _number(field: bytes) -> int:
    """A number in octal digits, or in GNU's binary form for a number with too many digits."""
    if field[0] & 0x80:
        return int.from_bytes(field, "big", signed=True) + (1 << (8 * len(field) - 1) if field[0] == 0x80 else 0)
    return int(field.partition(b"\0")[0].strip() or b"0", 8)


def _name(header: bytes) -> str:
    """The name of a member, with the prefix if the header is a ustar header and has one."""
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    name = _text(header[:100])
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")


def _pax_records(content: bytes) -> dict[str, str]:
    """The records of a pax header: length of the whole record in bytes, a space, ``KEY=VALUE`` and a line feed."""
    records: dict[str, str] = {}
    position = 0
    while position < len(content) and content[position]:
        digits, _, _ = content[position : position + 20].partition(b" ")
        length = int(digits)
        if not len(digits) < length <= len(content) - position:
            raise ValueError("a pax header is truncated")
        key, _, value = (
            content[position + len(digits) + 1 : position + length - 1].decode(errors="replace").partition("=")
        )
        if key.startswith("GNU.sparse."):
            raise ValueError("a sparse file")
        records[key] = value
        position += length
    return records
