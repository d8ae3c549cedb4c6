"""Clones that lack a part of the record, and damaged archives: the message and exit code of every command.

A table lists damage, command, exit code and words. No command gives an answer from a part of the record without a
report, ``verify`` without a sample always fails, and no planted object stops reading or capturing.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from gitsnap.archive import create_archive
from tests.support import incomplete_archives as archives
from tests.support.commands import gitsnap
from tests.support.incomplete_archives import Damage, git, hostile, planted, tags

_SAMPLES = 4
_TO_THE_SECOND = len("2023-08-26:05:20:00")
_NAMESPACES = """\
apiVersion: v1
kind: Namespace
metadata: {name: kube-system, uid: 11111111-1111-4111-8111-111111111111}
---
apiVersion: v1
kind: Namespace
metadata: {name: default}
"""
_OBJECT = "ConfigMap/default/shop"
_MAPS = (b"configuration", b"default", b"ConfigMap")


def _cluster(folder: Path, text: str) -> None:
    (folder / "cluster").mkdir(exist_ok=True)
    (folder / "cluster" / "namespaces.yaml").write_text(_NAMESPACES)
    document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "shop", "namespace": "default"},
        "data": {"n": text},
    }
    (folder / "cluster" / "shop.json").write_text(json.dumps(document))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four samples, each with a commit of its own."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "store").mkdir()
    for number in range(_SAMPLES):
        _cluster(folder, str(number))
        words = ("--from-dir", "cluster", "--secrets-mode", "omit", "--resources", "ConfigMap")
        gitsnap(folder, "capture", "--storage", "store", "--snapshot", "p", *words, code=0)
    time.sleep(1)  # otherwise the next sample could reuse the name of a tag that a test removes in the same second
    return folder


@pytest.fixture
def place(whole: Path, tmp_path: Path) -> Path:
    """A copy of the storage, to damage."""
    shutil.copytree(whole, tmp_path / "place", symlinks=True)
    return tmp_path / "place"


_UNSHALLOW = "git fetch --unshallow --tags"
_FETCH_TAGS = "git fetch --tags"
_REFETCH = "git fetch --refetch --no-filter --tags"
_GONE = "the tags of the samples are missing"
_NEITHER = "`git fetch --tags origin '+refs/heads/p:refs/remotes/origin/p'` fetches them"
_NOT_SEEN = "packed-refs is damaged at line"
_DAMAGED = "points at an object that is missing or damaged"
_FOLDER = "the folder configuration/default/ConfigMap/ ("
_HOSTILE_FILE = b"just text\n"

_Expected = tuple[str, int, str]
"""Command, exit code, and words of its answer, on stdout or stderr."""

_TABLE: dict[str, tuple[Damage, list[_Expected]]] = {
    # Clones
    "clone": (archives.clone, [("list", 0, ""), ("diff", 1, ""), ("verify", 0, "4 samples"), ("capture", 0, "")]),
    "depth 1": (
        archives.depth_1,
        [("list", 0, _UNSHALLOW), ("show", 0, _UNSHALLOW), ("log", 13, _UNSHALLOW), ("verify", 13, _UNSHALLOW)],
    ),
    "depth 1, all tags": (
        archives.depth_1_and_tags,
        [("diff", 1, _UNSHALLOW), ("log", 13, _UNSHALLOW), ("verify", 13, "nothing wrong in the part that is here")],
    ),
    "no tags": (
        archives.no_tags,
        [
            ("list", 5, _FETCH_TAGS),
            ("show", 5, _FETCH_TAGS),
            ("diff", 5, _FETCH_TAGS),
            ("log", 0, _FETCH_TAGS),
            ("verify", 5, _FETCH_TAGS),
            ("capture", 5, _FETCH_TAGS),
            ("prune", 5, _FETCH_TAGS),
        ],
    ),
    "stale tags": (
        archives.stale_tags,
        [("list", 0, _FETCH_TAGS), ("show", 5, _FETCH_TAGS), ("diff", 5, _FETCH_TAGS), ("verify", 13, _FETCH_TAGS),
         ("capture", 5, _FETCH_TAGS), ("prune", 5, _FETCH_TAGS)],
    ),
    "stale branch": (archives.stale_branch, [("list", 0, ""), ("log", 0, ""), ("verify", 0, "nothing wrong")]),
    "partial": (
        archives.partial,
        [("list", 0, ""), ("show", 5, _REFETCH), ("log", 5, _REFETCH), ("verify", 13, _REFETCH)],
    ),
    "treeless": (archives.treeless, [("list", 5, _REFETCH), ("verify", 5, _REFETCH)]),
    "borrowed objects": (archives.borrowing, [("list", 5, "borrowed from"), ("verify", 5, "borrowed from")]),
    "detached": (archives.detached, [("list", 0, ""), ("diff", 1, ""), ("verify", 0, "4 samples")]),
    "another branch": (archives.other_branch, [("diff", 1, ""), ("log", 0, ""), ("verify", 0, "4 samples")]),
    "mirror": (archives.mirror, [("diff", 1, ""), ("log", 0, ""), ("verify", 0, "4 samples"), ("capture", 0, "")]),
    "bare, HEAD is main": (archives.bare_with_another_head, [("diff", 1, ""), ("verify", 0, "4 samples")]),
    "tags alone": (archives.tags_alone, [("diff", 1, ""), ("log", 0, "the branch p is not here"), ("verify", 13, "")]),
    "another single branch": (archives.single_other_branch, [("list", 5, "'+refs/heads/*:refs/remotes/origin/*'")]),
    "a branch made from the archive's": (
        archives.branch_made_from_it,
        [("list", 5, _NEITHER), ("show", 5, _NEITHER), ("diff", 5, _NEITHER), ("log", 13, _NEITHER),
         ("verify", 5, _NEITHER), ("prune", 5, _NEITHER)],
    ),
    "grafts": (archives.grafts, [("log", 0, ""), ("verify", 0, "another history"), ("capture", 0, "")]),
    "replaced": (archives.replaced, [("log", 0, ""), ("verify", 0, "another history"), ("capture", 0, "")]),
    # Refs
    "packed-refs cut off": (
        archives.packed_refs_cut_off,
        [("list", 5, _NOT_SEEN), ("show", 5, _NOT_SEEN), ("diff", 5, _NOT_SEEN), ("verify", 5, _NOT_SEEN),
         ("capture", 5, _NOT_SEEN), ("prune", 5, _NOT_SEEN)],
    ),
    "packed-refs cut off between lines": (
        archives.packed_refs_cut_off_between_lines,
        [("list", 0, "are missing"), ("show", 5, "are missing"), ("diff", 5, "are missing"),
         ("verify", 5, "are missing"), ("prune", 5, "are missing"), ("capture", 0, "")],
    ),
    "packed-refs overwritten": (
        archives.packed_refs_overwritten,
        [("list", 5, _NOT_SEEN), ("log", 13, _NOT_SEEN), ("verify", 5, _NOT_SEEN), ("capture", 5, _NOT_SEEN)],
    ),
    "packed-refs emptied": (
        archives.packed_refs_emptied,
        [("list", 5, _GONE), ("show", 5, _GONE), ("log", 13, _GONE), ("verify", 5, _GONE),
         ("capture", 5, "update-ref")],
    ),
    "all tags deleted": (
        archives.all_tags_deleted,
        [("list", 5, _GONE), ("diff", 5, _GONE), ("verify", 5, _GONE), ("prune", 5, _GONE),
         ("capture", 5, "update-ref")],
    ),
    "newest tag deleted": (
        archives.newest_tag_deleted,
        [("list", 0, "are missing"), ("diff", 5, "are missing"), ("verify", 5, "are missing"), ("capture", 0, "")],
    ),
    "branch renamed": (
        archives.branch_renamed,
        [("diff", 1, ""), ("log", 0, ""), ("verify", 5, "the branch is missing"), ("capture", 0, "")],
    ),
    "branch overwritten": (
        archives.branch_overwritten,
        [("list", 0, ""), ("log", 0, ""), ("verify", 5, "ref is damaged"), ("capture", 0, "")],
    ),
    "index emptied": (archives.index_emptied, [("verify", 0, "recreates it"), ("capture", 0, "")]),
    "rebased": (archives.rebased, [("diff", 1, ""), ("verify", 5, "it was rewritten"), ("capture", 0, "")]),
    "filtered": (archives.filtered, [("diff", 1, ""), ("verify", 5, "it was rewritten"), ("capture", 0, "")]),
    # Objects
    "pack cut off": (
        archives.pack_cut_off,
        [("list", 5, _DAMAGED), ("show", 5, _DAMAGED), ("diff", 5, _DAMAGED), ("log", 5, ""), ("verify", 5, _DAMAGED),
         ("prune", 5, _DAMAGED), ("capture", 5, "is missing from the archive or damaged")],
    ),
    "pack without index": (
        archives.pack_without_index,
        [("list", 5, _DAMAGED), ("show", 5, _DAMAGED), ("diff", 5, _DAMAGED), ("log", 5, ""), ("verify", 5, _DAMAGED),
         ("prune", 5, _DAMAGED), ("capture", 5, "is missing from the archive or damaged")],
    ),
    "newest tag object gone": (
        archives.newest_tag_object_gone,
        [("list", 0, _DAMAGED), ("show", 5, _DAMAGED), ("diff", 5, _DAMAGED), ("verify", 5, _DAMAGED),
         ("prune", 5, _DAMAGED), ("log", 0, ""), ("capture", 0, "")],
    ),
    "commit not UTF-8": (archives.commit_not_utf8, [("log", 0, ""), ("verify", 0, ""), ("capture", 0, "")]),
    # Planted tags
    "tag not UTF-8": (
        archives.not_utf8,
        [("list", 0, "cannot be read"), ("show", 0, ""), ("verify", 5, "cannot be read"), ("capture", 0, "")],
    ),
    "lightweight tag": (archives.lightweight, [("list", 0, "cannot be read"), ("verify", 5, ""), ("capture", 0, "")]),
    "tag of a blob": (archives.tag_of_a_blob, [("list", 0, "a blob"), ("verify", 5, "a blob"), ("capture", 0, "")]),
    "doubled line": (
        planted((b"Gitsnap-Policy: p", b"Gitsnap-Policy: p\nGitsnap-Policy: p")),
        [("list", 0, "2 lines Gitsnap-Policy"), ("verify", 5, "2 lines"), ("capture", 0, "")],
    ),
    "huge number": (
        planted((b"Gitsnap-Sequence: 4", b"Gitsnap-Sequence: " + b"9" * 5000)),
        [("list", 0, "not a number"), ("verify", 5, "not a number"), ("capture", 0, "")],
    ),
    "line not ASCII": (
        planted((b"Gitsnap-Cluster: ", b"Gitsnap-Cluster: f\xfc\x1b[31m")),
        [("list", 0, "cannot be read"), ("verify", 5, "cannot be read"), ("capture", 0, "")],
    ),
    "damaged Pruned": (
        planted((b"Gitsnap-Sequence: 4", b"Gitsnap-Sequence: 5\nGitsnap-Pruned: some 00")),
        [("list", 0, ""), ("verify", 5, "Gitsnap-Pruned is damaged"), ("capture", 0, "")],
    ),
    "damaged Previous": (
        planted(
            (b"Gitsnap-Sequence: 4", b"Gitsnap-Sequence: 5"), (b"Gitsnap-Previous: ", b"Gitsnap-Previous: ../../")
        ),
        [("list", 0, ""), ("verify", 5, "was moved or recreated"), ("capture", 0, "")],
    ),
    "own name not UTF-8": (
        planted((b"tag p/2099", b"tag p/\xfc"), (b"Gitsnap-Sequence: 4", b"Gitsnap-Sequence: 5")),
        [("list", 0, ""), ("verify", 5, "was moved"), ("capture", 0, "")],
    ),
    # Hostile trees
    "document is no mapping": (
        hostile(b"100644", b"odd.yaml", _HOSTILE_FILE, below=_MAPS),
        [("show ConfigMap/default/odd", 5, "not an object"), ("show", 0, ""),
         ("diff", 5, "not an object"), ("log", 0, ""), ("verify", 5, ""), ("capture", 0, "")],
    ),
    "document not UTF-8": (
        hostile(b"100644", b"odd.yaml", b"a: f\xfc\n", below=_MAPS),
        [("show ConfigMap/default/odd", 5, "not UTF-8"), ("diff", 5, ""), ("log", 0, ""), ("capture", 0, "")],
    ),
    "metadata is a list": (
        hostile(b"100644", b"odd.yaml", b"apiVersion: v1\nkind: ConfigMap\nmetadata: []\n", below=_MAPS),
        [("show ConfigMap/default/odd", 5, "metadata"), ("diff", 5, ""), ("log", 0, ""), ("capture", 0, "")],
    ),
    "name not UTF-8": (
        hostile(b"100644", b"f\xfc.yaml", b"x: 1\n", below=_MAPS),
        [("show", 0, ""), ("diff", 5, ""), ("log", 0, ""), ("verify", 5, ""), ("capture", 0, "")],
    ),
    "file without a kind": (
        hostile(b"100644", b"x.yaml", b"x: 1\n"),
        [("show", 0, ""), ("diff", 5, ""), ("log", 0, ""), ("verify", 5, ""), ("capture", 0, "")],
    ),
    "symbolic link": (
        hostile(b"120000", b"odd.yaml", b"/etc/passwd", below=_MAPS),
        [("show ConfigMap/default/odd", 5, ""), ("verify", 5, "neither ordinary files nor"), ("capture", 0, "")],
    ),
    "submodule": (
        hostile(b"160000", b"odd.yaml", b"x", below=_MAPS),
        [("show", 0, ""), ("log", 0, ""), ("verify", 5, "neither ordinary files nor"), ("capture", 0, "")],
    ),
    "two entries of one name": (
        hostile(b"100644", b"shop.yaml", b"x: 1\n", below=_MAPS),
        [("list", 0, ""), ("show", 5, "damaged"), ("log", 5, _FOLDER), ("search", 5, _FOLDER), ("blame", 5, "damaged"),
         ("verify", 5, "duplicate")],
    ),
    "a folder and a file of one name": (
        hostile(b"40000", b"shop.yaml", b"x: 1\n", below=_MAPS),
        [("list", 0, ""), ("show", 5, "damaged"), ("log", 5, _FOLDER), ("search", 5, _FOLDER), ("diff", 5, "damaged"),
         ("verify", 5, "duplicate")],
    ),
    "a folder ..": (
        hostile(b"40000", b"..", b"x", below=()),
        [("list", 0, ""), ("show", 5, "damaged"), ("log", 0, ""), ("verify", 5, "'..'")],
    ),
    "a folder .git": (
        hostile(b"40000", b".GIT", b"x"),
        [("list", 0, ""), ("show", 5, "damaged"), ("log", 5, "damaged"), ("search", 5, "damaged"),
         ("verify", 5, "'.git'")],
    ),
}  # fmt: skip


def _words(command: str, looked_at: Path) -> list[str]:
    name, *rest = command.split(" ")
    if name == "capture":
        where = ["--storage", str(looked_at.parent), "--snapshot", looked_at.name]
        return ["capture", "--from-dir", "cluster", *where]
    options = {"diff": ["--exit-code"], "prune": ["--keep-last", "1", "--yes"], "show": rest or [_OBJECT],
               "search": ["web:9"], "blame": [_OBJECT]}  # fmt: skip
    return [name, *options.get(name, []), "--archive", str(looked_at)]


@pytest.mark.parametrize("kind", _TABLE)
def test_each_command_reports_missing_and_damaged_parts(place: Path, kind: str) -> None:
    """Exit code and words of each command; the last command may write. No command has a traceback."""
    damage, expected = _TABLE[kind]
    looked_at = damage(place)
    _cluster(place, "new")

    for command, code, words in expected:
        done = gitsnap(place, *_words(command, looked_at))

        answer = done.stdout + done.stderr
        assert (done.returncode, words in answer) == (code, True), f"{command}: {done.returncode}: {answer}"


@pytest.mark.parametrize("kind", ["depth 1", "no tags", "packed-refs cut off"])
@pytest.mark.parametrize("command", ["list", "verify", "log"])
def test_json_lists_missing_parts(place: Path, kind: str, command: str) -> None:
    """Documents list the parts that the copy lacks, with the command that fetches them, if there is one."""
    looked_at = _TABLE[kind][0](place)

    done = gitsnap(place, *_words(command, looked_at), "-o", "json")

    if command == "log" and kind == "packed-refs cut off":
        assert done.returncode == 5  # git cannot read such a repository
        return
    document = json.loads(done.stdout)
    (missing,) = (document["archives"][0] if command == "verify" else document)["missing"]
    assert missing["what"] == {"depth 1": "history", "no tags": "samples", "packed-refs cut off": "refs"}[kind]
    assert missing["command"] == {"depth 1": _UNSHALLOW, "no tags": _FETCH_TAGS, "packed-refs cut off": ""}[kind]


@pytest.mark.parametrize(
    ("kind", "commands"),
    [
        ("depth 1", [_UNSHALLOW]),
        ("no tags", [_FETCH_TAGS]),
        ("stale tags", [_FETCH_TAGS]),
        ("a branch made from the archive's", ["git fetch --tags origin +refs/heads/p:refs/remotes/origin/p"]),
        ("partial", [_REFETCH]),
        (
            "tags alone",
            ["git fetch ../store/p +refs/heads/p:refs/remotes/origin/p", "git remote add origin ../store/p"],
        ),
    ],
)
def test_the_suggested_command_fetches_the_missing_parts(place: Path, kind: str, commands: list[str]) -> None:
    """After the command the archive is complete, and ``verify`` succeeds."""
    looked_at = _TABLE[kind][0](place)

    for command in commands:
        git(looked_at, *command.split(" ")[1:])

    done = gitsnap(place, "verify", "--archive", str(looked_at), code=0)
    assert f"{_SAMPLES} samples" in done.stdout
    assert "nothing wrong\n" in done.stdout


def test_verify_without_a_sample_fails(tmp_path: Path) -> None:
    """A storage without an archive fails, and an archive without a sample fails."""
    assert "nothing was verified" in gitsnap(tmp_path, "verify", code=4).stderr

    create_archive(tmp_path, "p")

    assert "no sample was taken yet" in gitsnap(tmp_path, "verify", code=5).stdout


def test_an_archive_without_its_git_folder_is_reported(place: Path) -> None:
    """Every command names the folder. The storage is not empty, and the working tree is not a clone."""
    shutil.rmtree(place / "store/p/.git")

    for command in ("list", "verify", "log", "show", "diff", "capture --from-dir cluster --snapshot p"):
        refused = gitsnap(place, *command.split(" "), "--storage", "store", code=5)
        assert "p has the files of an archive and no .git" in refused.stderr, command
    assert "no .git" in gitsnap(place, "verify", "--archive", "store/p", code=5).stderr


def test_a_bundle_file_is_reported_with_the_command_to_clone_it(place: Path) -> None:
    """The message names the command that makes an archive of the bundle."""
    git(place / "store/p", "bundle", "create", "-q", str(place / "p.bundle"), "--all")

    refused = gitsnap(place, "list", "--archive", "p.bundle", code=5)

    assert "p.bundle is a file" in refused.stderr
    git(place, *refused.stderr.split("`git ")[1].split("`")[0].replace("FOLDER", "ci").split(" "), "-b", "p")
    assert f"{_SAMPLES} samples" in gitsnap(place, "verify", "--archive", "ci", code=0).stdout


def test_a_named_sample_can_be_read_from_damaged_refs(place: Path) -> None:
    """The newest sample is unknown. An intact sample can be read by its name."""
    first = tags(place / "store/p")[0]
    looked_at = archives.packed_refs_cut_off(place)

    done = gitsnap(place, "show", _OBJECT, "--archive", str(looked_at), "--sample", first, code=0)

    assert "packed-refs is damaged" in done.stderr


def test_sequences_continue_after_tags_were_removed(place: Path) -> None:
    """No sequence number is used twice, and ``verify`` names the removed samples."""
    archive = place / "store/p"
    gone = tags(archive)[-2:]
    git(archive, "tag", "-d", *gone)
    _cluster(place, "new")

    gitsnap(place, *_words("capture", archive), code=0)

    newest = json.loads(gitsnap(place, "list", "--archive", str(archive), "-o", "json", code=0).stdout)["samples"][-1]
    assert newest["sequence"] == _SAMPLES + 1
    report = gitsnap(place, "verify", "--archive", str(archive), code=5).stdout
    assert f"2 samples are missing, and retention removed none: {', '.join(gone)}" in report


def test_a_refused_capture_names_the_command_that_restores_a_tag(place: Path) -> None:
    """All tags are missing. After the suggested command, a capture succeeds in the same mode and chain."""
    archive = archives.all_tags_deleted(place)
    _cluster(place, "new")
    refused = gitsnap(place, *_words("capture", archive), code=5).stderr

    git(archive, *refused.split("`git ")[1].split("`")[0].split(" "))

    gitsnap(place, *_words("capture", archive), code=0)
    assert "2 samples, newest" in gitsnap(place, "verify", "--archive", str(archive), code=5).stdout


def test_the_log_has_the_dates_of_removed_samples(place: Path) -> None:
    """A commit of gitsnap has the date of its sample, even if retention removed the tag."""
    archive = place / "store/p"
    before = json.loads(gitsnap(place, *_words("log", archive), "-o", "json", code=0).stdout)["changes"]
    git(archive, "tag", "-d", tags(archive)[1])

    words = ("--since", "2000-01-01", "-o", "json")
    after = json.loads(gitsnap(place, *_words("log", archive), *words, code=0).stdout)["changes"]

    # A second sample in a second has a date that ends in "-2". Only its tag has this number, not its commit.
    assert [change["date"][:_TO_THE_SECOND] for change in after] == [
        change["date"][:_TO_THE_SECOND] for change in before
    ]
    assert [change["sample"] is None for change in after].count(True) == 1


def test_a_clone_with_several_archives(place: Path) -> None:
    """``--snapshot`` selects an archive, by its exact name first. Without the option the names are listed."""
    bare = archives.bare_with_another_head(place)
    words = ("--create", "--allow-empty", "--storage", "store", "--snapshot", "q", "--from-dir", "cluster")
    gitsnap(place, "capture", *words, code=0)
    git(place / "store/q", "push", "-q", "--tags", str(bare), "q")

    assert "p, q" in gitsnap(place, "list", "--archive", str(bare), code=2).stderr
    listed = gitsnap(place, "list", "--archive", str(bare), "--snapshot", "p", "-o", "json", code=0).stdout
    assert len(json.loads(listed)["samples"]) == _SAMPLES
    assert "p, q" in gitsnap(place, "list", "--archive", str(bare), "--snapshot", "none", code=4).stderr


def test_a_copy_of_a_remote_has_no_working_tree_to_compare(place: Path) -> None:
    """``verify --archive URL`` does not report every file as changed by hand."""
    url = f"file://{archives.bare_with_another_head(place)}"

    done = gitsnap(place, "verify", "--archive", url, code=0, XDG_CACHE_HOME=str(place / "cache"))

    assert done.stdout.count("\n") == 1
