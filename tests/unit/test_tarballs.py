"""Reading tarballs: those that tools write, and malformed ones."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.sveltos.tarballs import read_members

_FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
_NAMES = ["kustomization.yaml", "./base/web.yaml", f"{'d' * 90}/{'e' * 90}", "ünï/ö.yaml"]
_TOO_LONG_FOR_USTAR = "w" * 300


def _tarball(form: str) -> bytes:
    names = _NAMES if form == "ustar" else [*_NAMES, _TOO_LONG_FOR_USTAR]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=_FORMATS[form]) as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            content = name.encode() * 50
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, type_ in (("folder", tarfile.DIRTYPE), ("link", tarfile.SYMTYPE), ("same", tarfile.LNKTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = type_, "../base" if type_ != tarfile.DIRTYPE else ""
            archive.addfile(member)
    return packed.getvalue()


def _header(name: str, type_: bytes = tarfile.REGTYPE, *, size: int = 0) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.size = type_, size
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("form", _FORMATS)
def test_every_format_that_tools_write(form: str) -> None:
    """Files with their content and links with their targets, as tarfile reads them."""
    tarball = _tarball(form)
    expected: dict[str, bytes | str] = {}
    with tarfile.open(fileobj=io.BytesIO(tarball)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None:
                expected[member.name] = file.read()
            elif not member.isdir():
                expected[member.name] = member.linkname

    assert dict(read_members(tarball)) == expected
    assert len(expected) > len(_NAMES)


@pytest.mark.parametrize(
    "tarball",
    [
        b"",
        b"x" * 512,
        _header("a", size=1000),
        _header("a", size=-512) * 3,
        _header("a", size=2**80),
        _header("x", tarfile.XHDTYPE, size=512) + b"9" * 512,
        _header("x", tarfile.XHDTYPE, size=512) + b"22 GNU.sparse.major=1\n".ljust(512, b"\0") + _header("a"),
        _header("a", tarfile.GNUTYPE_SPARSE),
        _tarball("pax")[:700],
    ],
    ids=["empty", "nonsense", "truncated", "negative", "huge", "digits", "sparse", "old sparse", "half"],
)
def test_other_bytes_are_no_tarball(tarball: bytes) -> None:
    """Every malformed or truncated tarball raises ValueError."""
    with pytest.raises(ValueError, match=r"tarball|unknown type|header|digits|literal|sparse"):
        list(read_members(tarball))


@given(st.sampled_from(sorted(_FORMATS)), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1))))
def test_damaged_tarballs(form: str, damages: list[tuple[float, bytes]]) -> None:
    """A mutilated tarball yields members or raises ValueError."""
    tarball = bytearray(_tarball(form))
    for place, bytes_ in damages:
        at = int(place * len(tarball))
        tarball[at : at + len(bytes_)] = bytes_
    try:
        found = list(read_members(bytes(tarball)))
    except ValueError:
        return
    assert all(isinstance(name, str) for name, _ in found)
