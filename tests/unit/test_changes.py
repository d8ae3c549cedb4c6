"""Changes: their text, and their commits as gitsnap and plain git read them."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitsnap import archive
from gitsnap.archive import GitArchive
from gitsnap.archive.commit_objects import read_commit
from gitsnap.archive.repository import open_repository
from gitsnap.core.changes import UNKNOWN_AUTHOR, Author, AuthorSource, Change, ChangedObject, Revision
from gitsnap.core.commits import ChangedFile
from gitsnap.core.errors import ArchiveError
from gitsnap.core.model import Area, CommitId, Kind, ObjectKey, SecretsInfo, SecretsMode, TreeInfo, Trigger
from gitsnap.core.recording import ChangeDraft, SampleDraft
from gitsnap.format import encode
from gitsnap.format.change_message import (
    MOST_OBJECTS,
    author_identity,
    author_note,
    change_message,
    parse_author_note,
    parse_change,
    parse_identity,
    short_name,
)
from tests.support.changes import write_change

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_KIND = Kind("", "ConfigMap")
_INFO = TreeInfo("hourly", "hourly", (_KIND,), SecretsInfo(SecretsMode.OMIT))
_A, _B, _C = (ObjectKey(_KIND, "default", name) for name in "abc")
_ALICE = Author("alice@example.com", AuthorSource.AUDIT)
_NAMED = [source for source in AuthorSource if source is not AuthorSource.UNKNOWN]


def _document(key: ObjectKey, text: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": key.name, "namespace": key.namespace},
        "data": {"text": text},
    }


@pytest.fixture
def hourly(tmp_path: Path) -> GitArchive:
    """An archive with one sample of the ConfigMaps a and b."""
    made = archive.create_archive(tmp_path, "hourly")
    _sample(made, {"a": "1", "b": "1"})
    return made


def _sample(of: GitArchive, contents: dict[str, str], *, time: datetime = _NOON) -> bool:
    """Take a sample; whether it made a commit."""
    keys = {ObjectKey(_KIND, "default", name): text for name, text in contents.items()}
    with of.writer() as writer:
        files = {
            f"default/ConfigMap/{k.name}.yaml": writer.store(encode(_document(k, text))) for k, text in keys.items()
        }
        draft = SampleDraft(_INFO, {Area.CONFIGURATION: files}, time, Trigger.MANUAL, "cluster-1")
        return writer.record(draft).new_commit


def _git(of: GitArchive, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", of.location, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def _change(of: GitArchive, commit: str) -> Change:
    recorded = read_commit(open_repository(Path(of.location))[0], commit)
    identity = _git(of, "show", "-s", "--format=%an <%ae>", commit).strip()
    change = parse_change(CommitId(commit), CommitId(recorded.parents[0]), identity, recorded.message)
    assert change is not None
    return change


def test_a_change_is_a_commit_of_its_author_on_the_branch_without_a_tag(hourly: GitArchive) -> None:
    """Plain git tells who changed what, and the working tree shows the change."""
    before = _git(hourly, "rev-parse", "HEAD").strip()
    made = write_change(
        hourly,
        {_A: _document(_A, "2")},
        author=_ALICE,
        time=_NOON + timedelta(minutes=5),
        version=17,
        manager="kubectl",
    )

    assert _git(hourly, "show", "-s", "--format=%an|%ae|%cn|%s", "HEAD").strip() == (
        "alice@example.com|alice@example.com|gitsnap|hourly: 1 ConfigMap modified"
    )
    assert _git(hourly, "log", "--format=%s", "--author=alice").count("\n") == 1
    assert _git(hourly, "tag", "--points-at", "HEAD") == ""
    assert "alice@example.com" in _git(hourly, "blame", "-e", "configuration/default/ConfigMap/a.yaml")
    assert _git(hourly, "status", "--porcelain") == ""
    assert _git(hourly, "fsck", "--strict") == ""
    change = _change(hourly, made.commit)
    assert (change.author, change.parent, change.late) == (_ALICE, before, False)
    assert change.revisions == (Revision("17"),)
    assert change.objects == (ChangedObject(_A, "uid-a", "17"),)
    assert change.time == _NOON + timedelta(minutes=5)
    assert "modified configuration/default/ConfigMap/a.yaml (kubectl)" in change.message


def test_a_sample_after_a_change_tags_the_change_where_nothing_else_changed(hourly: GitArchive) -> None:
    """The contents are those of a capture, so that a capture finds no difference."""
    write_change(hourly, {_A: _document(_A, "2"), _B: None, _C: _document(_C, "1")})
    head = _git(hourly, "rev-parse", "HEAD").strip()

    assert not _sample(hourly, {"a": "2", "c": "1"})
    assert hourly.samples()[-1].commit == head


def test_changes_of_one_call_are_recorded_together_and_a_change_of_nothing_is_none(hourly: GitArchive) -> None:
    """Each author gets a commit, in the given order, and the branch moves once."""
    with hourly.writer() as writer:
        old, new = (writer.store(encode(_document(_A, text))) for text in "12")
        drafts = [
            ChangeDraft(
                {Area.CONFIGURATION: {"default/ConfigMap/a.yaml": blob}}, author, _NOON, (Revision(str(number)),)
            )
            for number, (blob, author) in enumerate(
                [(old, _ALICE), (new, _ALICE), (new, UNKNOWN_AUTHOR), (old, UNKNOWN_AUTHOR)]
            )
        ]
        recorded = writer.record_changes(drafts, cluster="cluster-1", time=_NOON)

    assert [change.author for change in recorded] == [_ALICE, UNKNOWN_AUTHOR]
    assert _git(hourly, "log", "--format=%an", "-3").split("\n")[:2] == ["unknown", "alice@example.com"]
    assert len(_git(hourly, "reflog", "show", "hourly").splitlines()) <= 2


def test_the_last_file_of_a_folder_leaves_no_folder(hourly: GitArchive) -> None:
    """git has no empty folders."""
    write_change(hourly, {_A: None, _B: None})

    assert "configuration" not in _git(hourly, "ls-tree", "-r", "-t", "--name-only", "HEAD")


def test_an_archive_without_a_sample_gets_no_change(tmp_path: Path) -> None:
    """A change needs a configuration that it changes."""
    made = archive.create_archive(tmp_path, "hourly")
    with pytest.raises(ArchiveError, match="no sample"):
        write_change(made, {_A: _document(_A, "1")})


_names = st.text(st.characters(codec=None), min_size=1, max_size=256)


@given(name=_names, source=st.sampled_from(_NAMED))
@example("alice <root@localhost>\nauthor mallory", AuthorSource.AUDIT)
@example(" system:serviceaccount:kube-system:x ", AuthorSource.AUDIT)
@example("%0A", AuthorSource.STAMP)
@example("unknown", AuthorSource.MANAGER)
@example("\ud800", AuthorSource.AUDIT)
def test_any_name_is_one_line_of_a_commit_and_reads_back(name: str, source: AuthorSource) -> None:
    """Names come from outside. None ends the line, hides its characters or is confused with another name."""
    author = Author(name, source)
    identity = author_identity(author)

    assert identity.isprintable()
    assert (identity.count("<"), identity.count(">"), identity[-1]) == (1, 1, ">")
    assert not identity.startswith((" ", "<"))
    assert parse_identity(identity, source) == author
    assert parse_author_note(author_note(author)) == author


def test_a_name_of_a_megabyte_is_cut_and_stays_distinct() -> None:
    """The length of a user name has no limit."""
    first, second = "a" * 1_000_000, "a" * 1_000_001

    assert len(short_name(first)) < 256
    assert short_name(first) != short_name(second)
    assert parse_author_note(author_note(Author(first, AuthorSource.AUDIT))) == Author(
        short_name(first), AuthorSource.AUDIT
    )


_texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
_keys = st.builds(ObjectKey, st.just(Kind("example.com", "Widget")), st.one_of(st.just(""), _texts), _texts)
_objects = st.builds(ChangedObject, _keys, st.uuids().map(str), st.integers(0).map(str))


@given(
    objects=st.lists(_objects, unique=True, max_size=5),
    revisions=st.lists(
        st.builds(Revision, st.integers(1).map(str), _texts), min_size=1, unique_by=lambda r: r.resource
    ),
    late=st.booleans(),
    source=st.sampled_from(AuthorSource),
)
def test_a_change_reads_back_as_it_was_written(
    *, objects: list[ChangedObject], revisions: list[Revision], late: bool, source: AuthorSource
) -> None:
    """The last paragraph has every kind of line."""
    author = UNKNOWN_AUTHOR if source is AuthorSource.UNKNOWN else Author("bob", source)
    message = change_message(
        "hourly",
        [ChangedFile("modified", "configuration/default/ConfigMap/a.yaml")],
        cluster="cluster-1",
        time=_NOON,
        source=source,
        revisions=revisions,
        late=late,
        objects=objects,
    )
    change = parse_change(CommitId("1" * 40), None, author_identity(author), message)

    assert change is not None
    assert (change.author, change.late, change.time, change.cluster) == (author, late, _NOON, "cluster-1")
    assert change.revisions == tuple(sorted(revisions))
    assert change.objects == tuple(sorted(objects))


def test_a_change_of_too_many_objects_names_none() -> None:
    """A truncated list would join names to some of the objects only."""
    objects = [ChangedObject(ObjectKey(_KIND, "default", str(number)), "u", "1") for number in range(MOST_OBJECTS + 1)]
    message = change_message(
        "hourly", [], cluster="c", time=_NOON, source=AuthorSource.UNKNOWN, revisions=[Revision("1")], objects=objects
    )
    assert "Gitsnap-Object" not in message


@pytest.mark.parametrize(
    "message",
    [
        "hourly: 1 ConfigMap modified\n\nGitsnap-Format: 1\nGitsnap-Added: 0\n",
        "by hand\n\nGitsnap-Revision: 1\nGitsnap-Author-Source: audit\n\nmore text\n",
        "by hand\n",
    ],
)
def test_other_commits_are_no_changes(message: str) -> None:
    """Interrupted captures and foreign commits are not taken for changes."""
    assert parse_change(CommitId("1" * 40), None, "op <op@example.org>", message) is None


@pytest.mark.parametrize(
    "line", ["Gitsnap-Time: noon", "Gitsnap-Author-Source: gossip", "Gitsnap-Format: 2", "Gitsnap-Object: x"]
)
def test_a_damaged_change_is_reported(line: str) -> None:
    """A reader does not guess the missing values."""
    message = change_message(
        "hourly", [], cluster="c", time=_NOON, source=AuthorSource.AUDIT, revisions=[Revision("1")]
    )
    key = line.partition(":")[0]
    kept = [text for text in message.splitlines() if not text.startswith(f"{key}:")]
    with pytest.raises(ArchiveError):
        parse_change(CommitId("1" * 40), None, author_identity(_ALICE), "\n".join([*kept, line]) + "\n")
