"""Kustomize archives in ConfigMaps: compared by file, and read with limits."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from typing import Any

import pytest

from gitsnap.core.model import JsonObject
from gitsnap.diff.comparison import compare
from gitsnap.sveltos import kustomize_archives
from tests.support.trees import W, build, cluster, deployed_by, inventory_of, policy_ref, profile


def _packed(files: dict[str, str], *, time: int = 0) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mtime = len(content.encode()), time
            archive.addfile(member, io.BytesIO(content.encode()))
    return gzip.compress(plain.getvalue(), mtime=time)


def _config_map(packed: bytes, **more: Any) -> JsonObject:
    content = base64.b64encode(packed).decode()
    metadata = {"namespace": "default", "name": "kustomize"}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "binaryData": {kustomize_archives.ARCHIVE_KEY: content, **more},
    }


def _stage(packed: bytes) -> list[JsonObject]:
    spec = {"kustomizationRefs": [policy_ref("kustomize", path="./")]}
    deployed = deployed_by("p", "apps/Deployment shop/web", feature="Kustomize")
    return [cluster(W), profile("p", spec, W), _config_map(packed), inventory_of(W, deployed)]


_FILES = {"kustomization.yaml": "resources: [web.yaml]\n", "./web.yaml": "replicas: 1\n"}


def test_the_files_of_an_archive() -> None:
    """Files are sorted by path; a binary file shows its digest, a link its target."""
    assert kustomize_archives.files_of(_config_map(_packed(_FILES))) == {
        "kustomization.yaml": "resources: [web.yaml]\n",
        "web.yaml": "replicas: 1\n",
    }


def test_a_changed_file_is_shown_by_its_name() -> None:
    """The row names the file; the raw diff shows the lines of the file and not those of the archive."""
    before, after = _stage(_packed(_FILES)), _stage(_packed({**_FILES, "./web.yaml": "replicas: 2\n"}))

    found = compare(build(before), build(after))

    assert [(row.resource_type, row.name, str(row.action)) for row in found.rows] == [
        ("apps/Deployment", "web", "modified")
    ]
    assert [row.message for row in found.management] == [f"binaryData.{kustomize_archives.ARCHIVE_KEY}/web.yaml"]
    (text,) = found.texts
    assert text.before is not None
    assert text.after is not None
    assert "replicas: 1" in text.before
    assert "replicas: 2" in text.after


def test_the_same_files_packed_again_modify_no_resource() -> None:
    """Only the row of the ConfigMap shows the difference."""
    found = compare(build(_stage(_packed(_FILES))), build(_stage(_packed(_FILES, time=1_000_000))))

    assert found.rows == ()
    (row,) = found.management
    assert row.message == "binaryData.kustomize.tar.gz, repacked with the same files"


def _sparse(size: int) -> bytes:
    """A tarball with one header, which claims a file of this size."""
    member = tarfile.TarInfo("huge")
    member.size = size
    return gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)


@pytest.mark.parametrize(
    "packed",
    [
        b"no archive",
        b"",
        gzip.compress(b"no tarball"),
        _packed(_FILES)[:40],
        gzip.compress(b"\0" * (kustomize_archives.MAX_BYTES + 1)),
        _sparse(2**60),
    ],
    ids=["nonsense", "empty", "no tarball", "cut off", "bomb", "claims to be huge"],
)
def test_an_unreadable_archive_is_compared_as_bytes(packed: bytes) -> None:
    """A broken or too large archive raises no error and is not unpacked."""
    assert not kustomize_archives.files_of(_config_map(packed))
    found = compare(build(_stage(packed)), build(_stage(_packed(_FILES))))

    assert [row.name for row in found.rows] == ["web"]
    assert len(found.management) == 1


def test_an_archive_that_is_not_base64() -> None:
    """A server refuses such an object, but a YAML file may hold it."""
    document = _config_map(b"")
    document["binaryData"][kustomize_archives.ARCHIVE_KEY] = "%%%"
    assert kustomize_archives.with_files(document) is document
