"""Packs that gitsnap writes, read by git."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from isal import isal_zlib

from gitsnap.archive.object_writer import BLOB, ObjectSink, find_deflate
from tests.support.remotes import bare_repository

_CONTENTS = [b"", b"a\n", *(b"name: %d\n" % number * number for number in range(1, 300))]


@pytest.mark.parametrize("library", ["isal", "zlib"])
def test_git_reads_a_pack_that_either_library_deflated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    """Ids and contents are those of git. isal is missing on some platforms, and zlib takes its place."""
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", isal_zlib if library == "isal" else None)
    assert (find_deflate() is zlib.compress) is (library == "zlib")
    repository = bare_repository(tmp_path / "repository")
    sink = ObjectSink(repository / "objects", lambda _name: False)
    names = [sink.add(BLOB, content) for content in _CONTENTS]
    sink.finish()

    assert len(list((repository / "objects/pack").glob("*.pack"))) == 1
    git = ["git", "-C", str(repository)]
    subprocess.run([*git, "fsck", "--strict", "--full"], check=True, capture_output=True)
    read = subprocess.run(
        [*git, "cat-file", "--batch=%(objectname) %(objectsize)"],
        input="\n".join(names).encode(),
        capture_output=True,
        check=True,
    ).stdout
    expected = b"".join(
        b"%s %d\n%s\n" % (name.encode(), len(content), content) for name, content in zip(names, _CONTENTS, strict=True)
    )
    assert read == expected
