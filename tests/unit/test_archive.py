"""The archive as plain git sees it, and as gitsnap reads it back."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitsnap import archive
from gitsnap.archive import GitArchive, GitTree, object_writer, worktree
from gitsnap.archive.messages import differ_only_in_ciphertexts
from gitsnap.archive.repository import open_repository
from gitsnap.core.errors import ArchiveError, ConflictError, NotFoundError, StorageError
from gitsnap.core.model import Area, BlobId, Kind, SecretsInfo, SecretsMode, TreeInfo, Trigger
from gitsnap.core.recording import CaptureCache, RecordedSample, SampleDraft
from gitsnap.format import encode

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_INFO = TreeInfo("hourly", "hourly", (Kind("", "ConfigMap"),), SecretsInfo(SecretsMode.OMIT))


@pytest.fixture
def hourly(tmp_path: Path) -> GitArchive:
    """A new archive."""
    return archive.create_archive(tmp_path, "hourly")


def _take(to: GitArchive, contents: dict[str, str], *, time: datetime = _NOON) -> RecordedSample:
    with to.writer() as writer:
        files = {path: writer.store(encode({"data": text})) for path, text in contents.items()}
        return writer.record(SampleDraft(_INFO, {Area.CONFIGURATION: files}, time, Trigger.MANUAL, "cluster-1"))


def _git(of: GitArchive, *arguments: str) -> str:
    environment = {**os.environ, "GIT_AUTHOR_NAME": "op", "GIT_AUTHOR_EMAIL": "op@example.org"}
    environment |= {"GIT_COMMITTER_NAME": "op", "GIT_COMMITTER_EMAIL": "op@example.org"}
    done = subprocess.run(
        ["git", "-C", of.location, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_an_unchanged_configuration_makes_a_tag_and_no_commit(hourly: GitArchive) -> None:
    """`git log` is the change log, `git tag` the list of samples."""
    first = _take(hourly, {"default/ConfigMap/a.yaml": "1"})
    second = _take(hourly, {"default/ConfigMap/a.yaml": "1"})

    assert (first.new_commit, second.new_commit) == (True, False)
    assert second.sample.commit == first.sample.commit
    assert second.sample.tag == "hourly/2026-01-01T12-00-00Z-2"
    assert [sample.metadata.sequence for sample in hourly.samples()] == [1, 2]
    assert hourly.samples()[1].metadata.previous == first.sample.tag_id


def test_git_finds_nothing_wrong_and_nothing_to_commit(hourly: GitArchive) -> None:
    """Packs, trees and tags are those that git itself would write, and the working tree shows the newest sample."""
    for number in range(3):
        _take(hourly, {f"ns-{index}/ConfigMap/{index}.yaml": f"{number}{index}\n" * 3 for index in range(150)})

    assert _git(hourly, "fsck", "--strict", "--full") == ""
    assert _git(hourly, "status", "--porcelain") == ""
    assert "22" in (Path(hourly.location) / "configuration/ns-2/ConfigMap/2.yaml").read_text()
    assert len(hourly.tree(hourly.samples()[0]).files(Area.CONFIGURATION)) == 150


def test_the_cache_is_written_if_it_has_changed(hourly: GitArchive) -> None:
    """An unchanged capture may have learned the sizes of lists. The revision alone is no reason to write 2 MB."""
    cache = CaptureCache("key", 1, 1000, {"default/ConfigMap/a.yaml": "u 1"})
    larger = replace(cache, revision=3, lists={"Secret": {"refused": True}})
    kept = []
    for following in (cache, replace(cache, revision=2), larger):
        with hourly.writer() as writer:
            files = {"default/ConfigMap/a.yaml": writer.store(encode({"data": "1"}))}
            draft = SampleDraft(_INFO, {Area.CONFIGURATION: files}, _NOON, Trigger.MANUAL, "cluster-1", cache=following)
            writer.record(draft)
        with hourly.writer() as writer:
            kept.append(writer.cache)
    assert kept == [cache, cache, larger]


def test_the_digest_of_each_sample_is_that_of_its_files(hourly: GitArchive) -> None:
    """The cache changes no digest, whether it is complete, missing or damaged."""
    cache = CaptureCache("key", 1, 1000, {"default/ConfigMap/a.yaml": "u 1"})
    file = Path(hourly.location) / ".git" / "gitsnap-seen.json"
    for text, damage in (("1", ""), ("1", ""), ("2", ""), ("2", ""), ("2", "gone"), ("3", "digests"), ("3", "content")):
        if damage == "gone":
            file.unlink()
        elif damage:
            file.write_text(json.dumps({**json.loads(file.read_text()), damage: "zz" if damage == "digests" else ""}))
        with hourly.writer() as writer:
            files = {
                path: writer.store(encode({"data": path + text}))
                for path in ("a/ConfigMap/a.yaml", "b/ConfigMap/b.yaml")
            }
            draft = SampleDraft(_INFO, {Area.CONFIGURATION: files}, _NOON, Trigger.MANUAL, "cluster-1", cache=cache)
            sample = writer.record(draft).sample
        contents = hourly.tree(sample)
        lines = sorted(
            path.encode() + b"\0" + hashlib.sha256(contents.read(blob)).hexdigest().encode() + b"\n"
            for path, blob in contents.all_files.items()
        )
        assert sample.metadata.content_sha256 == hashlib.sha256(b"".join(lines)).hexdigest(), (text, damage)


def test_a_cut_digest_of_an_unchanged_file_is_not_used(hourly: GitArchive) -> None:
    """The digest of a file that is not stored again comes from the cache, unless the cache was cut."""
    cache = CaptureCache("key", 1, 1000, {})
    file = Path(hourly.location) / ".git" / "gitsnap-seen.json"
    digests, kept = [], BlobId("")
    for text in ("1", "2"):
        with hourly.writer() as writer:
            kept = kept or writer.store(encode({"data": "kept"}))
            files = {"a/ConfigMap/a.yaml": writer.store(encode({"data": text})), "b/ConfigMap/b.yaml": kept}
            draft = SampleDraft(_INFO, {Area.CONFIGURATION: files}, _NOON, Trigger.MANUAL, "cluster-1", cache=cache)
            sample = writer.record(draft).sample
        contents = hourly.tree(sample)
        lines = sorted(
            path.encode() + b"\0" + hashlib.sha256(contents.read(blob)).hexdigest().encode() + b"\n"
            for path, blob in contents.all_files.items()
        )
        digests.append((sample.metadata.content_sha256, hashlib.sha256(b"".join(lines)).hexdigest()))
        document = json.loads(file.read_text())
        document["digests"] = kept + hashlib.sha256(encode({"data": "kept"})).hexdigest()[:-2]
        file.write_text(json.dumps(document))
    assert [found for found, _ in digests] == [expected for _, expected in digests]


@pytest.mark.parametrize(
    ("info", "sealed", "is_new"),
    [
        (_INFO, "1", False),
        (_INFO, "2", False),
        (replace(_INFO, rules=2), "1", True),
    ],
)
def test_whether_a_sample_makes_a_commit(hourly: GitArchive, info: TreeInfo, sealed: str, *, is_new: bool) -> None:
    """Settings are part of the tree. A new ciphertext alone is not a change, and a missing area is an empty one."""
    taken = []
    for settings, text in ((_INFO, "1"), (info, sealed)):
        with hourly.writer() as writer:
            areas = {Area.CONFIGURATION: b"a", Area.SEALED: text.encode()}
            files = {area: {"default/Secret/a.yaml": writer.store(content)} for area, content in areas.items()}
            taken.append(writer.record(SampleDraft(settings, files, _NOON, Trigger.MANUAL, "cluster-1")))
    assert [sample.new_commit for sample in taken] == [True, is_new]
    assert _take(hourly, {}).new_commit


@pytest.mark.parametrize("kept", [0, 5000, 1 << 20])
def test_the_working_tree_of_a_large_first_sample(
    hourly: GitArchive, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """All, some or none of the contents are kept in memory until they are written. git sees the same files."""
    monkeypatch.setattr(object_writer, "_KEPT_BYTES", kept)
    contents = {f"ns-{index % 7}/ConfigMap/{index}.yaml": f"{index}\n" * index for index in range(400)}
    taken = _take(hourly, contents)

    assert taken.worktree_error == ""
    assert _git(hourly, "status", "--porcelain") == ""
    written = {path: (Path(hourly.location) / "configuration" / path).read_bytes() for path in contents}
    assert written == {path: encode({"data": text}) for path, text in contents.items()}


@pytest.mark.parametrize("staged", [[], ["notes.txt"]])
def test_the_index_of_a_first_sample(hourly: GitArchive, staged: list[str]) -> None:
    """The index has the files of the sample. A file that an operator staged before stays staged."""
    for name in staged:
        Path(hourly.location, name).write_text("notes")
        _git(hourly, "add", name)

    _take(hourly, {f"ns-{index}/ConfigMap/a.yaml": f"{index}" for index in range(3)})

    files = _git(hourly, "ls-tree", "-r", "--format=%(objectmode) %(objectname) 0\t%(path)", "HEAD").splitlines()
    assert len(files) == 6
    entries = _git(hourly, "ls-files", "--stage").splitlines()
    assert [entry for entry in entries if entry.rpartition("\t")[2] not in staged] == files
    assert _git(hourly, "status", "--porcelain") == "".join(f"A  {name}\n" for name in staged)

    _git(hourly, "read-tree", "--empty")  # stages the removal of all files
    _take(hourly, {f"ns-{index}/ConfigMap/a.yaml": f"{index // 2}" for index in range(3)})

    assert _git(hourly, "ls-files").splitlines() == [f"configuration/ns-{index}/ConfigMap/a.yaml" for index in (1, 2)]


def test_a_working_tree_that_cannot_be_written(hourly: GitArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a worker thread is reported, no folder is incomplete, and the next capture repairs the tree."""
    contents = {f"default/ConfigMap/{index}.yaml": f"{index}" for index in range(400)}
    write = os.write

    def fail(descriptor: int, data: bytes) -> int:
        if threading.current_thread() is not threading.main_thread() and bytes(data) == encode({"data": "300"}):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        taken = _take(hourly, contents)
    assert "No space left" in taken.worktree_error
    assert not (Path(hourly.location) / "configuration").exists()
    assert not (hourly.git_folder / worktree.UNFINISHED_FOLDERS).exists()

    again = _take(hourly, contents)

    assert (again.worktree_error, again.new_commit) == ("", False)
    assert _git(hourly, "status", "--porcelain") == ""


def test_the_same_configuration_has_the_same_tree_everywhere(tmp_path: Path) -> None:
    """The id of configuration/ does not depend on time, order or archive."""
    ids = []
    for name, order in (("one", ["a", "b"]), ("two", ["b", "a"])):
        storage = tmp_path / name
        storage.mkdir()
        made = archive.create_archive(storage, "hourly")
        _take(made, {f"default/ConfigMap/{name}.yaml": name for name in order}, time=_NOON)
        ids.append(_git(made, "rev-parse", "HEAD:configuration"))

    assert ids[0] == ids[1]


@pytest.mark.slow
def test_changes_of_an_operator_are_neither_committed_nor_lost(hourly: GitArchive) -> None:
    """A changed file is left and reported, a stray file stays, and neither becomes part of a sample."""
    path = "default/ConfigMap/a.yaml"
    _take(hourly, {path: "1", "default/ConfigMap/b.yaml": "1"})
    mine = Path(hourly.location) / "configuration" / path
    mine.write_text("mine")
    stray = Path(hourly.location) / "notes.txt"
    stray.write_text("notes")

    taken = _take(hourly, {path: "2", "default/ConfigMap/b.yaml": "2"})

    assert taken.left_alone == (f"configuration/{path}",)
    assert (mine.read_text(), stray.read_text()) == ("mine", "notes")
    assert _git(hourly, "show", f"HEAD:configuration/{path}") == 'data: "2"\n'
    assert _git(hourly, "status", "--porcelain").split() == ["M", f"configuration/{path}", "??", "notes.txt"]


@pytest.mark.slow
def test_a_foreign_commit_is_kept_and_is_no_sample(hourly: GitArchive) -> None:
    """A commit by hand becomes the parent of the next commit, which reverts its change."""
    _take(hourly, {"default/ConfigMap/a.yaml": "1"})
    (Path(hourly.location) / "configuration/default/ConfigMap/a.yaml").write_text("by hand\n")
    _git(hourly, "commit", "-aqm", "by hand")
    foreign = _git(hourly, "rev-parse", "HEAD").strip()

    taken = _take(hourly, {"default/ConfigMap/a.yaml": "1"})

    assert taken.new_commit
    assert _git(hourly, "rev-parse", "HEAD^").strip() == foreign
    assert foreign not in {str(sample.commit) for sample in hourly.samples()}


@pytest.mark.slow
def test_a_rewritten_branch_is_restored_and_the_other_history_is_kept(hourly: GitArchive) -> None:
    """The history with the newest sample is restored, and a ref keeps the other one."""
    _take(hourly, {"default/ConfigMap/a.yaml": "1"})
    second = _take(hourly, {"default/ConfigMap/a.yaml": "2"}).sample.commit
    _git(hourly, "checkout", "-q", "--orphan", "other")
    _git(hourly, "commit", "-qm", "other")
    rewritten = _git(hourly, "rev-parse", "HEAD").strip()
    _git(hourly, "branch", "-f", "hourly", "other")

    taken = _take(hourly, {"default/ConfigMap/a.yaml": "3"})

    assert _git(hourly, "rev-parse", f"{taken.sample.commit}^").strip() == second
    assert _git(hourly, "rev-parse", f"refs/gitsnap/foreign/{rewritten}").strip() == rewritten


def test_only_one_writer_at_a_time(hourly: GitArchive) -> None:
    """A second writer waits, and its error names the process that holds the lock."""
    other = archive.open_archive_at(Path(hourly.location))
    with hourly.writer(), pytest.raises(ConflictError, match=str(os.getpid())), other.writer(patience=0.2):
        pass


def test_other_folders_are_refused_and_not_changed(tmp_path: Path) -> None:
    """Messages distinguish foreign repositories, other folders and missing folders."""
    (tmp_path / "repository").mkdir()
    subprocess.run(["git", "init", "-q", str(tmp_path / "repository")], check=True)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "x").touch()

    with pytest.raises(ArchiveError, match="not a gitsnap archive"):
        archive.create_archive(tmp_path, "repository")
    with pytest.raises(ArchiveError, match="other files"):
        archive.create_archive(tmp_path, "files")
    with pytest.raises(NotFoundError, match="no archive"):
        archive.open_archive(tmp_path, "nothing")
    archive.create_archive(tmp_path, "hourly")
    with pytest.raises(ArchiveError, match="a storage folder, with the archives hourly"):
        archive.open_archive_at(tmp_path)
    with pytest.raises(StorageError, match="does not exist"):
        archive.open_archive(tmp_path / "missing", "hourly")
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["x"]


def test_an_archive_of_a_newer_format_is_refused(hourly: GitArchive) -> None:
    """The message names the format, and nothing is written."""
    _git(hourly, "config", "gitsnap.format", "2")

    with pytest.raises(ArchiveError, match="format 2"):
        archive.open_archive_at(Path(hourly.location))


@pytest.mark.parametrize("ref", ["refs/heads/hourly", "refs/tags/hourly/2026-01-01T12-00-00Z-2"])
@pytest.mark.slow
def test_a_ref_that_git_holds_for_a_moment(hourly: GitArchive, ref: str) -> None:
    """An operator's concurrent `git pack-refs` delays a capture, but does not make it fail."""
    _take(hourly, {"default/ConfigMap/a.yaml": "1"})
    lock = hourly.git_folder / f"{ref}.lock"

    with hourly.writer() as writer:
        files = {"default/ConfigMap/a.yaml": writer.store(encode({"data": "2"}))}
        lock.touch()  # a stale one would have been cleared by now
        threading.Timer(0.3, lock.unlink).start()
        writer.record(SampleDraft(_INFO, {Area.CONFIGURATION: files}, _NOON, Trigger.MANUAL, "cluster-1"))

    assert len(hourly.samples()) == 2
    assert _git(hourly, "fsck", "--strict") == ""


@pytest.mark.slow
def test_captures_beside_an_operator_who_packs(hourly: GitArchive) -> None:
    """During `git pack-refs` and `git gc` no sample is lost or incomplete."""
    done = threading.Event()

    def pack() -> None:
        while not done.is_set():
            subprocess.run(["git", "-C", hourly.location, "pack-refs", "--all"], check=False, capture_output=True)
            subprocess.run(["git", "-C", hourly.location, "gc", "--quiet"], check=False, capture_output=True)

    operator = threading.Thread(target=pack)
    operator.start()
    try:
        for number in range(30):
            _take(hourly, {"default/ConfigMap/a.yaml": str(number)})
    finally:
        done.set()
        operator.join()

    assert [sample.metadata.sequence for sample in hourly.samples()] == list(range(1, 31))
    assert _git(hourly, "fsck", "--strict") == ""


def test_a_tree_has_the_files_that_git_lists(hourly: GitArchive) -> None:
    """Also executables, links and odd names that an operator committed, but no submodules; also path by path."""
    _take(hourly, {f"team-{number % 7}/ConfigMap/map-{number}.yaml": str(number) for number in range(60)})
    folder = Path(hourly.location) / "configuration"
    (folder / "team-1" / "run me").write_text("echo")
    (folder / "team-1" / "run me").chmod(0o755)
    (folder / "\N{SNOWMAN}").mkdir()
    (folder / "\N{SNOWMAN}" / "ConfigMap").symlink_to("../team-2/ConfigMap")
    (folder / "ConfigMap").write_text("a file where folders are")
    _git(hourly, "-c", "core.fileMode=true", "-c", "core.symlinks=true", "add", "--all")
    head = _git(hourly, "rev-parse", "HEAD").strip()
    _git(hourly, "update-index", "--add", "--cacheinfo", f"160000,{head},configuration/within")
    _git(hourly, "commit", "-qm", "by hand")
    head = _git(hourly, "rev-parse", "HEAD").strip()

    entries = [line.split("\t") for line in _git(hourly, "ls-tree", "-r", "-z", head).split("\0")[:-1]]
    listed = {path: facts.split(" ")[2] for facts, path in entries if " commit " not in facts}
    tree = GitTree(open_repository(Path(hourly.location))[0], head)
    files = tree.files(Area.CONFIGURATION)

    assert tree.all_files == listed
    assert {f"configuration/{path}": files[path] for path in files} == {
        path: blob for path, blob in listed.items() if path.startswith("configuration/")
    }
    assert list(files) == sorted(files)
    assert [path in files for path in ("team-1", "team-1/", "within", "ConfigMap/a", "", "none/at/all")] == [False] * 6


@pytest.mark.parametrize(
    ("after", "same"),
    [
        ({"configuration/a": "1", "sealed/a": "3"}, True),
        ({"configuration/a": "1"}, True),
        ({"configuration/a": "2", "sealed/a": "2"}, False),
        ({"configuration/a": "1", "configuration/b": "1", "sealed/a": "2"}, False),
        ({"sealed/a": "2"}, False),
    ],
)
def test_whether_files_are_the_same_but_for_ciphertexts(after: dict[str, str], *, same: bool) -> None:
    """Added, changed and removed files are changes; a new ciphertext is not."""
    before = {"configuration/a": BlobId("1"), "sealed/a": BlobId("2")}

    assert differ_only_in_ciphertexts(before, {path: BlobId(blob) for path, blob in after.items()}) is same


@pytest.mark.parametrize("text", ["", "\n", "x", "../HEAD", "a\0b", "f" * 40, "\udcff"])
@pytest.mark.parametrize("with_refs", [True, False])
def test_a_damaged_record_of_the_working_tree(hourly: GitArchive, text: str, *, with_refs: bool) -> None:
    """The file that names the commit of the working tree may hold any text: the next capture writes it again."""
    if with_refs:
        _take(hourly, {"a": "1"})
    (hourly.git_folder / "gitsnap-worktree").write_bytes(text.encode("utf-8", "surrogateescape"))

    taken = _take(hourly, {"a": "2"}, time=_NOON + timedelta(minutes=1))

    assert taken.worktree_error == ""
    assert taken.left_alone == ()
    assert (hourly.git_folder / "gitsnap-worktree").read_text() == f"{taken.sample.commit}\n"
