"""`capture --message`, `capture --scheduled` and `gitsnap forget` as a user runs them, on a folder of YAML."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import gitsnap
from tests.support.terminal import on_terminal

_HOSTILE = (
    "CHG-2: colour\nGitsnap-Trigger: schedule\nGitsnap-Format: 9\n\n-----BEGIN SSH SIGNATURE-----\n\x1b[31m\u202e"
)
_CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: shop, namespace: default}}\ndata: {{colour: {colour}}}\n"
_OPTIONS = ("--from-dir", "cluster", "--snapshot", "shop")


def _gitsnap(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    return gitsnap(folder, *words, code=code, GITSNAP_STORAGE="storage")


def _capture(folder: Path, *words: str, colour: str = "") -> None:
    if colour:
        (folder / "cluster" / "shop.yaml").write_text(_CONFIG.format(colour=colour))
    _gitsnap(folder, "capture", *_OPTIONS, "--resources", "ConfigMap", "--secrets-mode", "omit", *words)


def _json(folder: Path, *words: str) -> Any:
    return json.loads(_gitsnap(folder, *words, "-o", "json").stdout)


def _samples(folder: Path) -> list[dict[str, Any]]:
    return list(_json(folder, "list")["samples"])


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder / "storage" / "shop"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with a cluster, and an archive of three samples: two manual ones with a message, and a scheduled one."""
    (tmp_path / "cluster").mkdir()
    (tmp_path / "storage").mkdir()
    (tmp_path / "cluster" / "namespaces.yaml").write_text(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system, uid: 11111111-1111-4111-8111-111111111111}\n"
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n"
    )
    _capture(tmp_path, "-m", "CHG-1", colour="green")
    _capture(tmp_path, "--message", _HOSTILE, colour="red")
    _capture(tmp_path, "--scheduled")
    return tmp_path


def test_a_message_is_shown_everywhere(shop: Path) -> None:
    """`list`, `log`, `show` and `diff` have the whole message in JSON; texts have it without control characters."""
    assert [(sample["message"], sample["trigger"]) for sample in _samples(shop)] == [
        ("CHG-1", "manual"),
        (_HOSTILE, "manual"),
        ("", "schedule"),
    ]
    assert [change["sampleMessage"] for change in _json(shop, "log")["changes"]] == [_HOSTILE, "CHG-1"]
    diff = _json(shop, "diff", "--from-sample", "latest~2", "--to-sample", "latest~1")
    assert (diff["from"]["message"], diff["to"]["message"]) == ("CHG-1", _HOSTILE)
    assert _json(shop, "show", "--sample", "latest~1")["message"] == _HOSTILE
    shown = _gitsnap(shop, "show", "--sample", "latest~1").stderr
    assert "message: CHG-2: colour\n  Gitsnap-Trigger: schedule\n" in shown
    log = _gitsnap(shop, "log").stdout
    assert "| CHG-2: colour … |" in log
    assert "REASON" in log
    for text in (shown, log, _git(shop, "log"), _git(shop, "for-each-ref", "--format=%(contents)")):
        assert not {"\x1b", "\u202e"} & set(text)


def test_a_message_in_git(shop: Path) -> None:
    """`git log` shows the message in the commit, and git finds no trailer in it. `verify` finds nothing wrong."""
    assert "    \n        CHG-2: colour\n        Gitsnap-Trigger: schedule\n" in _git(shop, "log", "-1")
    assert set(_git(shop, "log", "--format=%(trailers:key=Gitsnap-Format,valueonly)").split()) == {"1"}
    assert _git(shop, "log", "--format=%h", "--grep", "^Gitsnap-Trigger").split() == []
    assert "nothing wrong" in _gitsnap(shop, "verify").stdout


def test_a_log_without_messages_has_no_column_for_them(shop: Path) -> None:
    """Tables stay as narrow as they were."""
    _gitsnap(shop, "forget", "latest~2", "latest~1", "--yes")

    assert "REASON" not in _gitsnap(shop, "log").stdout


def test_a_rollback_and_an_undo_record_their_message(shop: Path) -> None:
    """The samples before and after have the message, and so does the commit."""
    rolled = _json(shop, "rollback", *_OPTIONS, "--sample", "latest~2", "-m", "CHG-3", "--yes")
    undone = _json(shop, "undo", *_OPTIONS, "--message", "CHG-4", "--yes")

    assert (rolled["message"], undone["message"]) == ("CHG-3", "CHG-4")
    first, second, third, fourth = _samples(shop)[3:]
    assert [sample["message"] for sample in (first, second, third, fourth)] == ["CHG-3", "CHG-3", "CHG-4", "CHG-4"]
    assert first["rollback"]["to"] == _samples(shop)[0]["tag"]
    assert (second["rollback"]["before"], second["rollback"]["result"]) == (first["tag"], "done")
    assert third["rollback"]["undoes"] == first["tag"]
    assert (
        f"taken before the rollback to {_samples(shop)[0]['tag']}"
        in _gitsnap(shop, "show", "--sample", first["tag"]).stderr
    )
    assert "    CHG-4\n" in _git(shop, "log", "-1")


@pytest.mark.parametrize(
    ("command", "message", "error"),
    [
        ("capture", "x" * 4001, "4001 characters"),
        ("capture", " \n", "empty"),
        ("rollback", "", "empty"),
        ("undo", "", "empty"),
        ("forget", "", "empty"),
    ],
)
def test_a_message_that_is_refused(shop: Path, command: str, message: str, error: str) -> None:
    """Nothing is read and nothing is changed."""
    arguments = ["latest~1"] if command == "forget" else list(_OPTIONS)

    refused = _gitsnap(shop, command, *arguments, "-m", message, code=2)

    assert error in refused.stderr
    assert len(_samples(shop)) == 3


def test_prune_removes_scheduled_samples_of_the_command_line(shop: Path) -> None:
    """Cron takes them with --scheduled. Manual samples stay."""
    for _ in range(3):
        _capture(shop, "--scheduled")

    _gitsnap(shop, "prune", "--keep-last", "2", "--yes")

    assert [sample["trigger"] for sample in _samples(shop)] == ["manual", "manual", "schedule", "schedule"]
    assert "nothing wrong" in _gitsnap(shop, "verify").stdout


def test_forget(shop: Path) -> None:
    """A dry run removes nothing. Removed samples are gone from the list; `verify` says who removed them, and why."""
    dry = _gitsnap(shop, "forget", "latest~2", "latest~1", "--dry-run")
    refused = _gitsnap(shop, "forget", "latest~2", code=14)
    kept = _samples(shop)
    done = _json(shop, "forget", "latest~2", "latest~1", "latest~2", "--yes", "-m", "CHG-5")

    assert "| CHG-1 " in dry.stdout
    assert "2 samples would be removed" in dry.stderr
    assert "--yes" in refused.stderr
    assert len(kept) == 3
    assert [sample["tag"] for sample in _samples(shop)] == [kept[2]["tag"]]
    assert (done["kind"], done["policy"], done["dryRun"], done["message"]) == ("Forget", "shop", False, "CHG-5")
    assert [sample["tag"] for sample in done["samples"]] == [kept[0]["tag"], kept[1]["tag"]]
    _capture(shop)
    assert {(entry["tag"], entry["message"]) for entry in _samples(shop)[-1]["forgotten"]} == {
        (kept[0]["tag"], "CHG-5"),
        (kept[1]["tag"], "CHG-5"),
    }
    verified = _gitsnap(shop, "verify").stdout
    assert "nothing wrong" in verified
    assert "removed with `gitsnap forget`" in verified


def test_forget_names_every_protected_sample_and_removes_none(shop: Path) -> None:
    """The newest sample is refused, and so is a marked sample until the mark is removed."""
    _gitsnap(shop, "keep", "latest~1")

    refused = _gitsnap(shop, "forget", "latest~2", "latest~1", "latest", "--yes", code=14)

    assert "newest sample" in refused.stderr
    assert "marked by gitsnap keep" in refused.stderr
    assert len(_samples(shop)) == 3
    _gitsnap(shop, "keep", "latest~1", "--remove")
    _gitsnap(shop, "forget", "latest~2", "latest~1", "--yes")
    assert len(_samples(shop)) == 1


def test_forget_warns_of_an_undo_that_becomes_impossible(shop: Path) -> None:
    """The sample before a finished rollback can be removed, with a warning."""
    _gitsnap(shop, "rollback", *_OPTIONS, "--sample", "latest~2", "--yes")
    before = _samples(shop)[3]["tag"]

    done = _gitsnap(shop, "forget", before, "--yes")

    assert f"without {before}, `gitsnap undo` cannot undo the rollback to {_samples(shop)[0]['tag']}" in done.stderr


def test_a_finished_rollback_stays_finished(shop: Path) -> None:
    """Without the sample after, the rollback would count as unfinished. Both samples may be removed together."""
    _gitsnap(shop, "rollback", *_OPTIONS, "--sample", "latest~2", "--yes")
    before, after = (sample["tag"] for sample in _samples(shop)[3:])
    _capture(shop)

    refused = _gitsnap(shop, "forget", after, "--yes", code=14)

    assert f"{after}: has the result of a rollback; remove {before} as well" in refused.stderr
    assert "no rollback is unfinished" in _gitsnap(shop, "status", *_OPTIONS).stdout
    _gitsnap(shop, "forget", after, before, "--yes")
    assert len(_samples(shop)) == 4
    assert "no rollback is unfinished" in _gitsnap(shop, "status", *_OPTIONS).stdout


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("nothere",), 2, "nothere is not a sample"),
        ((), 2, "SAMPLE"),
        (("latest~1", "--archive", "https://example.com/x.git"), 2, "not possible through a URL"),
    ],
)
def test_errors(shop: Path, words: tuple[str, ...], code: int, error: str) -> None:
    """If one name does not exist, no sample is removed."""
    refused = _gitsnap(shop, "forget", *words, "--yes", code=code)

    assert error in refused.stderr
    assert len(_samples(shop)) == 3


def test_a_question_on_a_terminal(shop: Path) -> None:
    """The user sees the samples before the question. The end of the input counts as no."""
    shown = on_terminal(shop, "forget", "latest~1", "--dry-run", columns=80, GITSNAP_STORAGE="storage")

    assert "CHG-2: colour …" in shown
    assert "1 sample would be removed" in shown
