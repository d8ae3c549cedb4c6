"""``gitsnap attribute`` without a cluster: logs of every form, and logs that cannot be read."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gitsnap import archive
from gitsnap.core.changes import Author, AuthorSource
from gitsnap.core.model import Area, Kind, ObjectKey, SecretsInfo, SecretsMode, TreeInfo, Trigger
from gitsnap.core.recording import SampleDraft
from gitsnap.format.change_message import parse_author_note
from gitsnap.format.fingerprint import key_id
from gitsnap.kube.pseudonyms import pseudonym
from tests.support.changes import write_change
from tests.support.commands import gitsnap

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_KIND = Kind("", "ConfigMap")


def _change(folder: Path, name: str, *, version: int, minutes: int, author: Author | None = None) -> str:
    """Record a change of a ConfigMap. Return the commit."""
    key = ObjectKey(_KIND, "default", name)
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}
    return write_change(
        archive.open_archive(folder, "hourly"),
        {key: {**document, "data": {"version": str(version)}}},
        author=author or Author("kubectl-edit", AuthorSource.MANAGER),
        version=version,
        time=_NOON + timedelta(minutes=minutes),
    ).commit


def _event(name: str, *, version: int, minutes: int, user: str, verb: str = "create") -> dict[str, Any]:
    """The event of a write of a ConfigMap."""
    time = (_NOON + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "auditID": f"id-{name}-{version}",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/default/configmaps",
        "verb": verb,
        "user": {"username": user},
        "objectRef": {"resource": "configmaps", "namespace": "default", "name": name, "apiVersion": "v1"},
        "responseStatus": {"code": 201 if verb == "create" else 200},
        "responseObject": {
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": str(version)},
        },
        "requestReceivedTimestamp": time,
        "stageTimestamp": time,
    }


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An archive with a sample and two changes."""
    _fill(tmp_path, SecretsInfo(SecretsMode.OMIT))
    return tmp_path


def _fill(folder: Path, secrets: SecretsInfo) -> None:
    made = archive.create_archive(folder, "hourly")
    info = TreeInfo("hourly", "hourly", (_KIND,), secrets)
    with made.writer() as writer:
        writer.record(SampleDraft(info, {Area.CONFIGURATION: {}}, _NOON, Trigger.MANUAL, "cluster-1"))
    _change(folder, "a", version=10, minutes=5)
    _change(folder, "b", version=20, minutes=10)


_EVENTS = [_event("a", version=10, minutes=5, user="alice"), _event("b", version=20, minutes=10, user="bob")]
_LIST = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": _EVENTS}
_FORMS = {
    "lines": "".join(f"{json.dumps(event)}\n" for event in _EVENTS),
    "a list of a webhook": json.dumps(_LIST),
    "an indented document": json.dumps(_LIST, indent=2),
    "an indented array": json.dumps(_EVENTS, indent=2),
    "lines without a newline at the end": "\n".join(json.dumps(event) for event in _EVENTS),
}


@pytest.mark.parametrize("form", _FORMS)
def test_each_form_of_a_log_names_the_authors(place: Path, form: str) -> None:
    """The forms are lines, and documents with many events."""
    (place / "audit.log").write_text(_FORMS[form])

    done = gitsnap(place, "attribute", "--audit", "audit.log", code=0)

    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines() if "(audit)" in line
    ]
    assert [(date, objects, author) for date, _, objects, author in rows] == [
        ("2026-01-01:12:05:00", "ConfigMap default/a", "alice (audit)"),
        ("2026-01-01:12:10:00", "ConfigMap default/b", "bob (audit)"),
    ]
    assert done.stdout.splitlines()[-1] == "2 names recorded"
    assert "from 2 audit events in 1 file, 2026-01-01 12:05:00 to 2026-01-01 12:10:00 UTC" in done.stderr


def test_a_log_is_read_from_standard_input(place: Path) -> None:
    """A shipper pipes its log."""
    done = subprocess.run(
        [sys.executable, "-m", "gitsnap", "attribute", "--audit", "-", "-o", "json"],
        cwd=place,
        input=_FORMS["lines"],
        capture_output=True,
        text=True,
        check=True,
    )
    document = json.loads(done.stdout)
    assert document["log"] == {
        "files": 1,
        "events": 2,
        "unread": 0,
        "first": "2026-01-01T12:05:00Z",
        "last": "2026-01-01T12:10:00Z",
    }
    assert [change["logAuthor"]["name"] for change in document["changes"]] == ["alice", "bob"]


def test_lines_that_cannot_be_read_are_counted_and_change_the_exit_code(place: Path) -> None:
    """The names of the other lines are recorded. The message quotes no part of the line."""
    (place / "audit.log").write_text(f'{_FORMS["lines"]}{{"password":"hunter2"}}\n{{"kind":"Ev')

    done = gitsnap(place, "attribute", "--audit", "audit.log", code=13)

    assert "2 names recorded" in done.stdout
    assert "warning: 2 lines of 4 could not be read as audit events" in done.stderr
    assert "audit.log line 3: it is not an audit event" in done.stderr
    assert "audit.log line 4: it is not JSON, or it was cut off" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (None, 4, "there is no file audit.log"),
        ("", 3, "no audit event in audit.log"),
        ("hello\n", 3, "no audit event in audit.log"),
    ],
)
def test_a_log_without_events_is_an_error(place: Path, content: str | None, code: int, message: str) -> None:
    """The command must not say anything about changes that it did not check."""
    if content is not None:
        (place / "audit.log").write_text(content)
    done = gitsnap(place, "attribute", "--audit", "audit.log", code=code)
    assert message in done.stderr
    assert done.stdout == ""


def test_a_damaged_compressed_file_is_an_error(place: Path) -> None:
    """The file has only half of the gzip data."""
    (place / "audit.log.gz").write_bytes(b"\x1f\x8b\x08\x00")
    done = gitsnap(place, "attribute", "--audit", "audit.log.gz", code=3)
    assert "cannot read audit.log.gz: the compressed file is damaged or was cut off" in done.stderr


def test_an_archive_without_changes_says_so(place: Path) -> None:
    """Only follow mode records changes."""
    info = TreeInfo("daily", "daily", (_KIND,), SecretsInfo(SecretsMode.OMIT))
    with archive.create_archive(place, "daily").writer() as writer:
        writer.record(SampleDraft(info, {Area.CONFIGURATION: {}}, _NOON, Trigger.MANUAL, "cluster-1"))
    (place / "audit.log").write_text(_FORMS["lines"])

    done = gitsnap(place, "attribute", "--snapshot", "daily", "--audit", "audit.log", code=0)

    assert done.stdout == "the archive has no changes: only follow mode records changes between samples\n"


def test_changes_outside_the_log_are_counted_and_keep_their_author(place: Path) -> None:
    """The log covers five minutes."""
    (place / "audit.log").write_text(json.dumps(_EVENTS[0]))

    done = gitsnap(place, "attribute", "--audit", "audit.log", code=0)

    assert done.stdout.splitlines()[-1] == "1 name recorded; 1 outside the time of the log"


def test_a_change_that_cannot_be_read_is_named(place: Path) -> None:
    """The other changes get their names. Exit code 13: nobody knows who made the unreadable change."""
    git = ["git", "-c", "user.name=gitsnap", "-c", "user.email=gitsnap@localhost", "-C", "hourly"]

    def run(*words: str, stdin: str = "") -> str:
        command = [*git, *words]
        return subprocess.run(command, cwd=place, input=stdin, capture_output=True, text=True, check=True).stdout

    message = run("show", "-s", "--format=%B", "HEAD").replace("Gitsnap-Time: 2026", "Gitsnap-Time: x2026")
    commit = run("commit-tree", "-p", "HEAD~1", "HEAD^{tree}", stdin=message).strip()
    run("update-ref", "refs/heads/hourly", commit)
    (place / "audit.log").write_text(_FORMS["lines"])

    done = gitsnap(place, "attribute", "--audit", "audit.log", code=13)

    assert f"warning: the change {commit[:12]} " in done.stderr
    assert "; it gets no author" in done.stderr
    assert done.stdout.splitlines()[-1] == "1 name recorded"


def test_every_object_of_a_change_needs_an_author(place: Path) -> None:
    """The log has the write of one of two objects, and nothing refers to the other."""
    keys = [ObjectKey(_KIND, "default", name) for name in ("first", "second")]
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "default"}}
    write_change(
        archive.open_archive(place, "hourly"),
        {key: {**document, "metadata": {"name": key.name, "namespace": "default"}} for key in keys},
        version=50,
        time=_NOON + timedelta(minutes=50),
    )
    events = [_event("first", version=50, minutes=50, user="alice"), _event("z", version=60, minutes=60, user="bob")]
    (place / "audit.log").write_text("\n".join(json.dumps(event) for event in events))

    done = gitsnap(place, "attribute", "--audit", "audit.log", code=0)

    reason = "the log has no write to ConfigMap default/second at that time (1 of 2 objects without an author)"
    assert reason in done.stdout
    assert "ConfigMap default/first, ConfigMap default/second" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("no new name; 1 without a certain author")


def test_a_change_that_had_a_name_from_a_webhook_is_compared(place: Path) -> None:
    """The same name is known. Another name is a contradiction and is not recorded."""
    for name, version in (("carol", 30), ("mallory", 40)):
        _change(place, name, version=version, minutes=version, author=Author(name, AuthorSource.AUDIT))
    events = [
        _event("carol", version=30, minutes=30, user="carol"),
        _event("mallory", version=40, minutes=40, user="bob"),
    ]
    (place / "audit.log").write_text("\n".join(json.dumps(event) for event in events))

    done = gitsnap(place, "attribute", "--audit", "audit.log", code=13)

    assert done.stdout.splitlines()[-1] == (
        "no new name; 1 known already; 1 contradicting the recorded name; 2 outside the time of the log"
    )
    assert "mallory (audit)" in done.stdout
    assert "the log names bob" in done.stdout


def test_the_names_are_shown_by_other_commands(place: Path) -> None:
    """The note takes precedence over the author of the commit."""
    (place / "audit.log").write_text(_FORMS["lines"])
    gitsnap(place, "attribute", "--audit", "audit.log", code=0)

    assert "bob (audit)" in gitsnap(place, "show", "@2026-01-01T12:10:30Z", code=0).stderr


def test_pseudonyms_are_recorded_in_place_of_names(tmp_path: Path) -> None:
    """The pseudonyms are those of follow mode, by the key of the archive. A second run finds them recorded."""
    key = bytes(range(32))
    _fill(tmp_path, SecretsInfo(SecretsMode.REDACT, key_id(key)))
    keys = tmp_path / ".keys" / "hourly"
    keys.mkdir(parents=True)
    (keys / "fingerprint.key").write_text(f"{key.hex()}\n")
    (keys / "fingerprint.key").chmod(0o600)
    (tmp_path / "audit.log").write_text(_FORMS["lines"])

    gitsnap(tmp_path, "attribute", "--audit", "audit.log", "--pseudonyms", code=0)

    notes = archive.open_archive(tmp_path, "hourly").author_notes()
    recorded = {parsed.name for note in notes.values() if (parsed := parse_author_note(note)) is not None}
    assert recorded == {pseudonym(key, "alice"), pseudonym(key, "bob")}
    again = gitsnap(tmp_path, "attribute", "--audit", "audit.log", "--pseudonyms", code=0)
    assert again.stdout.splitlines()[-1] == "no new name; 2 known already"


def test_pseudonyms_need_a_key(place: Path) -> None:
    """Without a key, no name is recorded in place of a pseudonym."""
    (place / "audit.log").write_text(_FORMS["lines"])

    done = gitsnap(place, "attribute", "--audit", "audit.log", "--pseudonyms", code=7)

    assert "has no fingerprint key" in done.stderr
    assert not archive.open_archive(place, "hourly").author_notes()
