"""The table of what follows from an error."""

from __future__ import annotations

import ast
from http import HTTPStatus
from pathlib import Path

import pytest

import gitsnap
from gitsnap.core.consequences import CONSEQUENCES, LATER, SOON, Backoff, FailureReason, consequence_of
from gitsnap.core.errors import (
    AccessDeniedError,
    ArchiveError,
    ClusterUnreachableError,
    GitsnapError,
    IncompleteError,
    InputError,
    KindNotInstalledError,
    NotFoundError,
    NotPermittedError,
    UsageError,
)

_PACKAGE = Path(gitsnap.__file__).parent
_ROWS = CONSEQUENCES.values()
_NOTICES = [notice for row in _ROWS for notice in (row.run, row.push, row.spec, row.follow)]


def test_every_reason_of_a_failure_is_in_the_table() -> None:
    """Otherwise another module would decide when a condition has this reason."""
    assert {notice.reason for notice in _NOTICES} == set(FailureReason)


def test_only_the_table_names_the_events_of_errors() -> None:
    """No other module chooses an Event for an error."""
    events = {notice.event for notice in _NOTICES if notice.event} | {row.retention for row in _ROWS}
    named = {
        str(file.relative_to(_PACKAGE))
        for file in _PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and node.value in events
    }
    assert named - {"core/consequences.py"} == set()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (IncompleteError, FailureReason.KINDS_NOT_FOLLOWED),
        (ClusterUnreachableError, FailureReason.RETRYING),
        (AccessDeniedError, FailureReason.NEEDS_ATTENTION),
    ],
)
def test_the_condition_following(error: type[GitsnapError], reason: FailureReason) -> None:
    """Kinds that cannot be read are not followed; other errors have the reasons of a failed run."""
    assert consequence_of(error).follow == (reason, "FollowFailed")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError, HTTPStatus.NOT_FOUND),
        (KindNotInstalledError, HTTPStatus.NOT_FOUND),
        (UsageError, HTTPStatus.BAD_REQUEST),
        (InputError, HTTPStatus.BAD_REQUEST),
        (NotPermittedError, HTTPStatus.BAD_REQUEST),
        (ArchiveError, HTTPStatus.INTERNAL_SERVER_ERROR),
    ],
)
def test_the_status_of_a_page(error: type[GitsnapError], status: HTTPStatus) -> None:
    """The address is to blame for a page that does not exist, and the archive for all other errors."""
    assert consequence_of(error).http_status == status


@pytest.mark.parametrize("backoff", [SOON, LATER, Backoff(0.5, 15.0)])
def test_pauses_double(backoff: Backoff) -> None:
    """The first pause is the shortest, and no number of failures exceeds the longest."""
    assert [backoff.pause(failures) for failures in (1, 2, 3)] == [backoff.first * factor for factor in (1, 2, 4)]
    assert backoff.pause(10**9) == backoff.longest
