"""Each kind of damage and tampering is detected and names the affected sample. Other samples stay readable."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gitsnap.archive import open_archive_at
from tests.support.commands import gitsnap
from tests.support.remotes import bare_repository

_PROFILE = (
    "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: a\nspec:\n  tier: {}\n"
)
_SAMPLES = 4


def _git(folder: Path, *words: str, given: str | None = None) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "advice.detachedHead=false"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout.strip()


def _verify(folder: Path) -> tuple[int, list[dict[str, Any]]]:
    done = gitsnap(folder, "verify", "-o", "json")
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)["archives"][0]["findings"]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of four samples, each with its own commit."""
    (tmp_path / "cluster").mkdir()
    for tier in range(_SAMPLES):
        (tmp_path / "cluster" / "a.yaml").write_text(_PROFILE.format(tier))
        done = gitsnap(tmp_path, "capture", "--from-dir", "cluster", "--snapshot", "hourly", "--secrets-mode", "omit")
        assert done.returncode == 0, done.stderr
    return tmp_path / "hourly"


def _tags(archive: Path) -> list[str]:
    listed = json.loads(gitsnap(archive.parent, "list", "-o", "json").stdout)["samples"]
    return [sample["tag"] for sample in listed]


def _blob(archive: Path, tag: str) -> str:
    path = "configuration/_cluster/ClusterProfile.config.projectsveltos.io/a.yaml"
    return _git(archive, "rev-parse", f"{tag}:{path}")


def test_an_intact_archive(archive: Path) -> None:
    """There are no findings."""
    assert _verify(archive.parent) == (0, [])
    newest = _git(archive, "rev-parse", f"refs/tags/{_tags(archive)[-1]}")
    done = gitsnap(archive.parent, "verify")
    assert done.stdout == f"hourly: 4 samples, newest {newest}, nothing wrong\n"
    assert done.stderr.startswith("the archive hourly, checked by chain\nnote: the chain alone does not prove")


def test_the_proofs_are_named(archive: Path) -> None:
    """The line above the result and the JSON document have the proofs that were used, without credentials."""
    remote = bare_repository(archive.parent / "record.git")
    gitsnap(archive.parent, "push", "--to", f"file://{remote}", code=0)
    newest = _git(archive, "rev-parse", f"refs/tags/{_tags(archive)[-1]}")
    options = ("--pinned", newest, "--remote", f"file://{remote}")

    done = gitsnap(archive.parent, "verify", *options, code=0)
    assert done.stderr == f"the archive hourly, checked by chain; pin {newest}; remote file://{remote}\n"
    document = json.loads(gitsnap(archive.parent, "verify", *options, "-o", "json", code=0).stdout)
    assert document["archives"][0]["proofs"] == ["chain", "pin", "remote"]


def _loosen(archive: Path) -> None:
    """Unpack all objects into loose files, so that a test can damage a single object."""
    packs = list((archive / ".git/objects/pack").glob("*.pack"))
    moved = [pack.rename(archive.parent / pack.name) for pack in packs]
    for index in (archive / ".git/objects/pack").glob("*.idx"):
        index.unlink()
    for pack in moved:
        with pack.open("rb") as content:
            subprocess.run(["git", "-C", archive, "unpack-objects", "-q"], stdin=content, check=True)


@pytest.mark.parametrize("damage", ["missing", "flipped"])
def test_a_damaged_object(archive: Path, damage: str) -> None:
    """The affected sample is named, and all other samples can be read."""
    first, *others = _tags(archive)
    _loosen(archive)
    blob = _blob(archive, first)
    file = archive / ".git/objects" / blob[:2] / blob[2:]
    file.chmod(0o600)
    if damage == "missing":
        file.unlink()
    else:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)

    code, findings = _verify(archive.parent)

    assert code == 5
    assert {finding["subject"] for finding in findings if finding["wrong"]} == {"git", first}
    for tag in others:
        shown = gitsnap(archive.parent, "show", "ClusterProfile/a", "--sample", tag)
        assert shown.returncode == 0, shown.stderr
    assert gitsnap(archive.parent, "show", "ClusterProfile/a", "--sample", first).returncode == 5


def test_a_truncated_tree_object(archive: Path) -> None:
    """Each truncated tree of the newest sample is detected. libgit2's status of the working tree would not end."""
    lines = _git(archive, "ls-tree", "-rt", "HEAD").splitlines()
    trees = [line.split()[2] for line in lines if " tree " in line]
    for tree in trees:
        file = archive / ".git" / "objects" / tree[:2] / tree[2:]
        whole = file.read_bytes()
        file.chmod(0o600)
        file.write_bytes(whole[: len(whole) // 2])

        done = gitsnap(archive.parent, "verify", code=5)

        assert tree in done.stdout + done.stderr
        file.write_bytes(whole)
    assert len(trees) > 1
    gitsnap(archive.parent, "verify", code=0)


def test_a_truncated_pack(archive: Path) -> None:
    """The check of git finds the damage, and there is no traceback."""
    pack = next((archive / ".git/objects/pack").glob("*.pack"), None)
    if pack is None:
        _git(archive, "repack", "-aq")
        _git(archive, "prune-packed", "-q")
        pack = next((archive / ".git/objects/pack").glob("*.pack"))
    pack.chmod(0o600)
    pack.write_bytes(pack.read_bytes()[: pack.stat().st_size // 2])

    done = gitsnap(archive.parent, "verify")

    assert done.returncode == 5
    assert "Traceback" not in done.stderr


def test_a_moved_tag(archive: Path) -> None:
    """A tag that points to the tag object of another sample does not match its own name."""
    first, second, *_ = _tags(archive)
    _git(archive, "update-ref", f"refs/tags/{first}", _git(archive, "rev-parse", f"refs/tags/{second}"))

    code, findings = _verify(archive.parent)

    assert code == 5
    assert any(finding["subject"] == first and "was moved" in finding["message"] for finding in findings)


def test_a_recreated_tag(archive: Path) -> None:
    """The next sample names the original tag object, so a tag with the same name and commit is detected."""
    second, third = _tags(archive)[1:3]
    text = _git(archive, "cat-file", "tag", second).replace("Gitsnap-Objects: 1", "Gitsnap-Objects: 7")
    _git(archive, "update-ref", f"refs/tags/{second}", _git(archive, "mktag", given=f"{text}\n"))

    code, findings = _verify(archive.parent)

    assert code == 5
    assert any(finding["subject"] == second and third in finding["message"] for finding in findings)
    assert any(finding["subject"] == second and "differs from its tag" in finding["message"] for finding in findings)


def test_a_deleted_tag(archive: Path) -> None:
    """Retention did not remove the sample."""
    second = _tags(archive)[1]
    _git(archive, "tag", "-d", second)

    code, findings = _verify(archive.parent)

    assert code == 5
    wrong = [finding["message"] for finding in findings if finding["wrong"]]
    assert wrong == [f"1 sample is missing, and retention removed none: {second}"]


def test_samples_removed_by_retention_are_accounted_for(archive: Path) -> None:
    """There are no findings before and after the next sample records the removal. A clone has a note."""
    opened = open_archive_at(archive)
    with opened.writer() as writer:
        writer.remove(opened.samples()[1:3])
    assert _verify(archive.parent) == (0, [])

    (archive.parent / "cluster" / "a.yaml").write_text(_PROFILE.format("9"))
    taken = gitsnap(archive.parent, "capture", "--from-dir", "cluster", "--snapshot", "hourly")
    assert taken.returncode == 0, taken.stderr
    assert _verify(archive.parent) == (0, [])

    (archive.parent / "clones").mkdir()
    subprocess.run(["git", "clone", "--quiet", f"file://{archive}", archive.parent / "clones" / "hourly"], check=True)
    code, findings = _verify(archive.parent / "clones")
    assert code == 0
    assert any("not in this copy of the archive" in finding["message"] for finding in findings)


def test_a_rewritten_branch(archive: Path) -> None:
    """The samples whose commits are no longer on the branch are named."""
    _git(archive, "checkout", "--quiet", "--orphan", "other")
    _git(archive, "commit", "--quiet", "-m", "another history")
    _git(archive, "branch", "-f", "hourly", "other")

    code, findings = _verify(archive.parent)

    assert code == 5
    assert {finding["subject"] for finding in findings if "rewritten" in finding["message"]} == set(_tags(archive))


def test_changes_by_users_are_notes(archive: Path) -> None:
    """A commit by hand and a changed file are notes, not damage."""
    (archive / "notes.txt").write_text("mine\n")
    _git(archive, "add", "notes.txt")
    _git(archive, "commit", "--quiet", "-m", "a note of mine")
    (archive / "notes.txt").write_text("changed\n")

    code, findings = _verify(archive.parent)

    assert code == 0
    assert [finding["wrong"] for finding in findings] == [False, False]
    assert "a note of mine" in findings[0]["message"]
    assert "notes.txt" in findings[1]["message"]


def test_an_archive_that_continues_another(archive: Path) -> None:
    """The first sample of the new archive names the last sample of the old archive."""
    newest = _git(archive, "rev-parse", f"refs/tags/{_tags(archive)[-1]}")
    archive.rename(archive.parent / "old")
    words = ("capture", "--from-dir", "cluster", "--snapshot", "hourly", "--secrets-mode", "omit")
    gitsnap(archive.parent, *words, "--continues", "nonsense", code=2)

    gitsnap(archive.parent, *words, "--continues", newest, code=0)

    (only,) = _git(archive, "tag").split()
    assert f"Gitsnap-Continues: {newest}" in _git(archive, "cat-file", "tag", only)
    gitsnap(archive.parent, "verify", "--snapshot", "hourly", code=0)
    refused = gitsnap(archive.parent, *words, "--continues", newest, code=2)
    assert "first sample" in refused.stderr
    gitsnap(archive.parent, *words, code=0)


def test_several_root_commits(archive: Path) -> None:
    """A history that was merged with another history stays usable, and the foreign commits are notes."""
    tree = _git(archive, "rev-parse", "hourly^{tree}")
    other = _git(archive, "commit-tree", tree, "-m", "another root")
    joined = _git(archive, "commit-tree", tree, "-p", "hourly", "-p", other, "-m", "joined")
    _git(archive, "update-ref", "refs/heads/hourly", joined)

    (archive.parent / "cluster" / "a.yaml").write_text(_PROFILE.format("9"))
    gitsnap(archive.parent, "capture", "--from-dir", "cluster", "--snapshot", "hourly", code=0)

    code, findings = _verify(archive.parent)
    assert code == 0
    assert sum("gitsnap did not make" in finding["message"] for finding in findings) == 2
