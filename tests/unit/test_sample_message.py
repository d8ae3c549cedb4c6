"""The message of a sample is recorded, and no text can forge a line of a tag or of a commit."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitsnap.archive.commit_history import _managers
from gitsnap.controller.due import message_of_request
from gitsnap.core.commits import ChangedFile
from gitsnap.core.errors import UsageError
from gitsnap.core.escapes import unsafe_character
from gitsnap.core.model import SampleMetadata, Trigger
from gitsnap.format import RollbackRecord, commit_message, parse_record, parse_tag_message, record_lines, tag_message
from gitsnap.format.sample_message import MOST_CHARACTERS, check_message, first_line

_METADATA = SampleMetadata(
    policy="hourly",
    time=datetime(2023, 8, 26, 5, 20, tzinfo=UTC),
    sequence=17,
    trigger=Trigger.MANUAL,
    cluster="cluster-1",
    objects=1,
    content_sha256="5f" * 32,
)
_PATH = "configuration/default/ConfigMap/database.yaml"
_CHANGES = [ChangedFile("modified", _PATH, "kubectl-edit")]

_FORGED = [
    "Gitsnap-Trigger: schedule",
    "CHG-1\n\nGitsnap-Format: 2\nGitsnap-Sequence: 1",
    "CHG-1\r\rGitsnap-Format: 2",
    "CHG-1\x0bGitsnap-Format: 2\x85Gitsnap-Format: 2\u2028Gitsnap-Format: 2",
    "-----BEGIN SSH SIGNATURE-----\nx\n-----END SSH SIGNATURE-----",
    "-----BEGIN PGP SIGNATURE-----",
    f"modified {_PATH} (mallory)",
    f"x\u2028modified {_PATH} (mallory)",
    "Signed-off-by: mallory <m@example.com>",
    "100%0AGitsnap-Format: 2",
    "\u202e\x1b[31m",
    "\ud800",
    "\n\n",
    " ",
]
_Test = TypeVar("_Test", bound=Callable[..., None])
_LINES = st.sampled_from(_FORGED)
_TEXTS = st.lists(st.one_of(_LINES, st.text(max_size=20)), max_size=4).map("\n".join)


def _with_examples(test: _Test) -> _Test:
    for text in _FORGED:
        test = example(text=text)(test)
    return test


@_with_examples
@given(text=_TEXTS)
def test_a_tag_keeps_any_message_in_one_line(text: str) -> None:
    """The message is read as it was written; the other values of the tag do not change."""
    metadata = replace(_METADATA, message=text)

    message = tag_message(metadata)

    assert message.isascii()
    assert len(message.splitlines()) == len(tag_message(_METADATA).splitlines()) + bool(text)
    assert parse_tag_message(message) == metadata
    assert "-----BEGIN" not in message


@_with_examples
@given(text=_TEXTS)
def test_a_record_of_a_rollback_keeps_any_user(text: str) -> None:
    """The names of users cannot end the message of a tag either."""
    record = RollbackRecord(target="hourly/2023-08-26T05-00-00Z", user=text, cluster_user=text)

    parsed = parse_tag_message(tag_message(replace(_METADATA, extra=record_lines(record))))

    assert parse_record(parsed.extra) == record
    assert replace(parsed, extra=()) == _METADATA


@_with_examples
@given(text=_TEXTS)
def test_a_commit_shows_any_message_and_takes_nothing_else_from_it(text: str) -> None:
    """The first line, the last paragraph and the field managers are those of a commit without a message."""
    plain, message = commit_message("hourly", _CHANGES), commit_message("hourly", _CHANGES, reason=text)

    assert message.split("\n")[0] == plain.split("\n")[0]
    assert message.rpartition("\n\n")[2] == plain.rpartition("\n\n")[2]
    assert [line for line in message.splitlines() if line[:1] not in ("", " ")] == [
        line for line in plain.splitlines() if line
    ]
    assert _managers(message) == {_PATH: "kubectl-edit"}
    assert not unsafe_character().search(message)
    message.encode()


@pytest.mark.parametrize("text", [text for text in _FORGED if text.strip()])
def test_git_finds_the_same_trailers(text: str) -> None:
    """git itself reads the trailers of the commit, and no others."""

    def trailers(message: str) -> str:
        command = ["git", "interpret-trailers", "--parse"]
        return subprocess.run(command, input=message, capture_output=True, text=True, check=True).stdout

    parsed = trailers(commit_message("hourly", _CHANGES, reason=text))

    assert parsed == trailers(commit_message("hourly", _CHANGES))
    assert "Gitsnap-Format: 1\n" in parsed


def test_an_older_reader_ignores_the_line() -> None:
    """The line has a key of its own, and the keys that older readers know stay as they were."""
    lines = tag_message(replace(_METADATA, message="CHG-1042: before the upgrade")).splitlines()

    assert "Gitsnap-Message: CHG-1042: before the upgrade" in lines
    assert [line for line in lines if not line.startswith("Gitsnap-Message")] == tag_message(_METADATA).splitlines()


@pytest.mark.parametrize(
    ("text", "recorded"),
    [
        ("CHG-1", "CHG-1"),
        ("  CHG-1\n", "CHG-1"),
        ("first\r\nsecond\r\n", "first\nsecond"),
        ("x" * MOST_CHARACTERS, "x" * MOST_CHARACTERS),
        ("\u202e", "\u202e"),
    ],
)
def test_what_is_recorded(text: str, recorded: str) -> None:
    """White space at the ends is dropped, and lines end with LF."""
    assert check_message(text) == recorded


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("x" * 4001, "4001 characters"),
        ("x" * 2**20, "at most 4000"),
    ],
)
def test_what_is_refused(text: str, error: str) -> None:
    """An empty message is a mistake of a script. A long message would slow down every command."""
    with pytest.raises(UsageError, match=error):
        check_message(text)


@pytest.mark.parametrize(
    ("message", "line"), [("one", "one"), ("one\ntwo", "one …"), ("one \n\ntwo", "one …"), ("", "")]
)
def test_the_first_line(message: str, line: str) -> None:
    """A table shows the first line."""
    assert first_line(message) == line


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("2023-08-26T05:00:00Z", ""),
        ("2023-08-26T05:00:00Z ", ""),
        ("2023-08-26T05:00:00Z CHG-1042: before the upgrade", "CHG-1042: before the upgrade"),
        ("2023-08-26T05:00:00+02:00  CHG-1\nCHG-2", "CHG-1\nCHG-2"),
        ("Sat Aug 26 05:00:00 UTC 2023", ""),
        ("now please", ""),
        ("", ""),
        (f"2023-08-26T05:00:00Z {'x' * 2**20}", "x" * MOST_CHARACTERS),
    ],
)
def test_the_message_of_a_request(request_: str, message: str) -> None:
    """Only a request that begins with a time has a message. No request is refused for its message."""
    assert message_of_request(request_) == message
