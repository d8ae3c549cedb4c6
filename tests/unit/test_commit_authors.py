"""The author of the commit after a rollback: a user only if nobody else wrote an object of the commit."""

from __future__ import annotations

import re

import pytest

from gitsnap.archive.messages import commit_object
from gitsnap.core.commits import ChangedFile
from gitsnap.core.model import FIELD_MANAGER, Area, SecretsInfo, SecretsMode, TreeInfo, Trigger
from gitsnap.core.recording import SampleDraft
from gitsnap.format import Result, RollbackRecord, record_lines
from tests.support.samples import NOON

_INFO = TreeInfo("hourly", "hourly", (), SecretsInfo(SecretsMode.OMIT))


def _author(*managers: str, trigger: Trigger = Trigger.AFTER_ROLLBACK, recorded: bool = True, area: str = "") -> str:
    record = RollbackRecord(plan="0" * 64, target="t", user="root", cluster_user="admin", result=Result.DONE)
    extra = record_lines(record) if recorded else ()
    draft = SampleDraft(_INFO, {}, NOON, trigger, "cluster-1", extra=extra)
    files = [
        ChangedFile("modified", f"{area or Area.CONFIGURATION}/default/ConfigMap/{number}.yaml", manager)
        for number, manager in enumerate(managers)
    ]
    match = re.search(r"^author (.*) <", commit_object("0" * 40, None, draft, files, ()).decode(), re.MULTILINE)
    assert match is not None
    return match[1]


@pytest.mark.parametrize("managers", [(FIELD_MANAGER,), (FIELD_MANAGER, FIELD_MANAGER)])
def test_the_user_of_a_rollback_is_the_author_if_the_rollback_wrote_every_object(managers: tuple[str, ...]) -> None:
    """``git log --author`` finds the rollback."""
    assert _author(*managers) == "admin"


@pytest.mark.parametrize("managers", [(), (FIELD_MANAGER, "kubectl-edit"), ("kubectl-edit",), (FIELD_MANAGER, "")])
def test_gitsnap_is_the_author_if_others_wrote_objects_too(managers: tuple[str, ...]) -> None:
    """A user must not be the author of what somebody else wrote. An object without a manager counts as such."""
    assert _author(*managers) == "gitsnap"


def test_gitsnap_is_the_author_of_other_samples() -> None:
    """A sample without a record, a scheduled sample, and a sample in which only reports changed."""
    assert _author(FIELD_MANAGER, recorded=False) == "gitsnap"
    assert _author(FIELD_MANAGER, trigger=Trigger.SCHEDULE) == "gitsnap"
    assert _author(FIELD_MANAGER, area=Area.INVENTORY) == "gitsnap"
