"""Texts of tags, commits and gitsnap.yaml: golden files of format 1, and how a reader handles other texts.

Set GITSNAP_UPDATE_GOLDEN=1 to write the golden files again. Only a new format may change the golden files.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.core.commits import ChangedFile
from gitsnap.core.errors import ArchiveError
from gitsnap.core.forgotten_sample import ForgottenSample
from gitsnap.core.model import (
    ChangeCounts,
    Consistency,
    IncompleteKind,
    IncompleteReason,
    Kind,
    ResourceSelector,
    SampleMetadata,
    SecretsInfo,
    SecretsMode,
    Substitute,
    TagId,
    TreeInfo,
    Trigger,
)
from gitsnap.format import (
    commit_message,
    forgotten_lines,
    is_tag_of,
    parse_forgotten,
    parse_tag_message,
    tag_message,
    tag_name,
    tree_info_from_bytes,
    tree_info_to_bytes,
)
from gitsnap.sveltos.kinds import CLUSTER_PROFILE, CONFIG_MAP, PROFILE, SECRET

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "format"
_UPDATE = os.environ.get("GITSNAP_UPDATE_GOLDEN") == "1"

METADATA = SampleMetadata(
    policy="hourly",
    time=datetime(2023, 8, 26, 5, 20, tzinfo=UTC),
    sequence=17,
    trigger=Trigger.SCHEDULE,
    cluster="0b8f7a52-5c0f-4d0e-a9a5-0d8f3a4f8c11",
    objects=132,
    content_sha256="5f" * 32,
    previous=TagId("3f" * 20),
    server="v1.37.2",
    changes=ChangeCounts(added=2, modified=1),
    consistency=Consistency.PER_KIND,
    incomplete=(
        IncompleteKind(SECRET, Substitute.MISSING, IncompleteReason.FORBIDDEN),
        IncompleteKind(PROFILE, Substitute.CARRIED, IncompleteReason.UNREACHABLE),
    ),
    unresolved=3,
    pruned="4 " + "ab" * 32,
)
INFO = TreeInfo(
    policy="hourly",
    branch="prod-eu/hourly",
    kinds=(CONFIG_MAP, SECRET, CLUSTER_PROFILE),
    secrets=SecretsInfo(SecretsMode.ENCRYPT, "0123456789abcdef", ("age1aaa", "age1bbb")),
    resources=(ResourceSelector(Kind("apps", "Deployment"), ("team-*",), "tier=gold"),),
)


def _assert_golden(name: str, content: bytes) -> None:
    path = GOLDEN / name
    if _UPDATE:
        path.write_bytes(content)
    assert content.decode() == path.read_bytes().decode()


def test_golden_tag() -> None:
    """The message of a tag with all fields."""
    _assert_golden("tag.txt", tag_message(METADATA).encode())


def test_golden_tag_of_a_first_sample() -> None:
    """The message of a tag with required fields only."""
    bare = replace(
        METADATA, previous=None, pruned="", server="", changes=ChangeCounts(), incomplete=(), sequence=1, unresolved=0
    )
    _assert_golden("tag-first.txt", tag_message(bare).encode())


def test_golden_tag_with_a_message_and_forgotten_samples() -> None:
    """The message of a tag of a sample with a message, after two samples were removed by a user."""
    removed = [
        ForgottenSample(
            f"hourly/2023-08-26T0{hour}-00-00Z", TagId(f"{hour}e" * 20), METADATA.time, "alice", "CHG-1: a\nb"
        )
        for hour in (3, 4)
    ]
    message = tag_message(replace(METADATA, message="CHG-1042: 100% of the cafés", extra=forgotten_lines(removed)))
    _assert_golden("tag-message.txt", message.encode())
    assert list(parse_forgotten(parse_tag_message(message).extra)) == removed


def test_golden_commit_with_a_message() -> None:
    """The message of the sample is an indented paragraph between the subject and the objects."""
    changes = [ChangedFile("modified", "configuration/default/ConfigMap/database.yaml", "kubectl-edit")]
    _assert_golden(
        "commit-message.txt", commit_message("hourly", changes, reason="CHG-1042: before\n\nGitsnap-Format: 2").encode()
    )


def test_golden_commit() -> None:
    """A subject as in a change log, a line for each object with its last field manager, and the counts."""
    changes = [
        ChangedFile("modified", "configuration/default/ConfigMap/database.yaml", "kubectl-edit"),
        ChangedFile("added", "configuration/_cluster/ClusterProfile.config.projectsveltos.io/a.yaml", "argocd"),
        ChangedFile("added", "configuration/_cluster/ClusterProfile.config.projectsveltos.io/b.yaml"),
        ChangedFile("deleted", "inventory/default/ClusterSummary.config.projectsveltos.io/a.yaml"),
    ]
    message = commit_message("hourly", changes, incomplete=METADATA.incomplete, marks=["scope"], first=False)
    _assert_golden("commit.txt", message.encode())


def test_golden_long_commit() -> None:
    """The list of objects ends after a hundred lines. The counts cover all objects."""
    changes = [ChangedFile("modified", f"configuration/default/ConfigMap/c-{number:03}.yaml") for number in range(250)]
    message = commit_message("hourly", changes, incomplete=(), marks=[], first=False)
    assert len(message.splitlines()) < 120
    _assert_golden("commit-long.txt", message.encode())


def test_golden_tree_info() -> None:
    """The file gitsnap.yaml with all fields."""
    _assert_golden("gitsnap.yaml", tree_info_to_bytes(INFO))


def test_texts_read_back() -> None:
    """The reader returns the written values."""
    assert parse_tag_message(tag_message(METADATA)) == replace(METADATA, incomplete=tuple(sorted(METADATA.incomplete)))
    assert tree_info_from_bytes(tree_info_to_bytes(INFO)) == INFO


def test_target_and_import_of_a_sample() -> None:
    """A tag has lines for the target of a rollback and the folder of an import. Other tags have no such line."""
    metadata = replace(METADATA, target=TagId("7e" * 20), imported="2023-08-26:05:20:00", incomplete=())

    message = tag_message(metadata)

    assert f"Gitsnap-Target: {'7e' * 20}\nGitsnap-Imported: 2023-08-26:05:20:00\n" in message
    assert parse_tag_message(message) == metadata


@given(text=st.text(max_size=80))
def test_a_name_from_outside_cannot_add_a_line(text: str) -> None:
    """Any text as version of the server leaves the number of lines of the tag unchanged."""
    lines = tag_message(METADATA).count("\n")

    message = tag_message(replace(METADATA, server=text or "x"))

    assert message.count("\n") == lines
    assert message.isascii()
    assert parse_tag_message(message).sequence == METADATA.sequence


def test_a_reader_ignores_keys_of_later_versions() -> None:
    """An unknown key is kept, and does not invalidate a tag of the same format."""
    message = tag_message(replace(METADATA, extra=(("Weather", "fine"),)))

    assert parse_tag_message(message).extra == (("Weather", "fine"),)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Gitsnap-Format: 1", "Gitsnap-Format: 2", "format 2"),
        ("Gitsnap-Sequence: 17", "Gitsnap-Sequence: many", "many"),
        ("Gitsnap-Time: 2023", "Gitsnap-Time: MMXX", "MMXX"),
        ("Gitsnap-Trigger: schedule", "Gitsnap-Trigger: whim", "rigger"),
        ("Gitsnap-Policy: hourly\n", "", "Policy"),
        ("Gitsnap-Policy: hourly\n", "Gitsnap-Policy: hourly\nGitsnap-Policy: daily\n", "Policy"),
    ],
)
def test_an_invalid_tag(old: str, new: str, reason: str) -> None:
    """The error is typed and names the key or the newer format."""
    message = tag_message(METADATA)
    assert old in message

    with pytest.raises(ArchiveError, match=reason):
        parse_tag_message(message.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"format: 1", b"format: 2", "format 2"),
        (b"requires: []", b"requires:\n- time-travel", "time-travel"),
        (b"mode: encrypt", b"mode: rot13", "rot13"),
        (b"rules: 1\n", b"", "rules"),
    ],
)
def test_an_invalid_tree_info(old: bytes, new: bytes, reason: str) -> None:
    """The error names the newer format, or the required feature that is unknown."""
    content = tree_info_to_bytes(INFO)
    assert old in content

    with pytest.raises(ArchiveError, match=reason):
        tree_info_from_bytes(content.replace(old, new))


@pytest.mark.parametrize("year", [5, 812, 1969, 2026, 9999])
def test_a_clock_that_was_never_set(year: int) -> None:
    """Years before 1000 and before 1970 have four digits in tags, and can be read."""
    time = datetime(year, 12, 31, 22, 0, 1, tzinfo=UTC)
    tag = tag_name("hourly", time)
    assert tag == f"hourly/{year:04}-12-31T22-00-01Z"
    assert is_tag_of(tag, "hourly")
    assert parse_tag_message(tag_message(replace(METADATA, time=time))).time == time
