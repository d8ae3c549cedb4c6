"""Text that is made to act on a terminal, in every command and every output format.

Everyone who may create objects chooses names and values that gitsnap prints. A ClusterRole may have nearly any name,
and an archive that somebody pushed may have any name.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitsnap.archive import open_archive
from gitsnap.cli import clock
from gitsnap.cli.app import COMMANDS
from gitsnap.core.changes import Author, AuthorSource
from gitsnap.core.model import CommitId, ObjectKey
from gitsnap.core.recording import RecordedChange
from tests.support.changes import write_change
from tests.support.commands import gitsnap
from tests.support.terminal import on_terminal

EVIL = "a\x1b]0;X\x07\x1b[31m\u202e\u061c\u009b2J\x08\u2066\u200b\nFORGED line\r"
"""A window title, colours, right-to-left marks, an 8-bit CSI, invisible characters, and a separate line."""

_ACTING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of control characters, invisible characters, direction marks and line ends."""

_HARMLESS = frozenset("\n\t\u200c\u200d")
_OWN_COLOURS = re.compile(r"\x1b\[(?:0|1|31|32)m")
_ROLE = "ClusterRole.rbac.authorization.k8s.io"

LINES = (
    "list", "list --wide", "list --changes", "list --changes --wide", "show", "show --all",
    "show references ClusterProfile/p", "addons --sample latest", "log", "blame ClusterRole/{name}", "search pods",
    "bisect --good latest~1 --bad latest --field ClusterRole/{name} rules[0].resources[pods]=pods",
    "blame @{newest} ClusterRole/{name}", "show @{newest}", "diff latest @{newest}",
    "bisect --good latest~1 --bad @{newest} --field ClusterRole/{name} rules[0].verbs[*]=*",
    "rollback @{newest} --from-dir cluster --dry-run", "addons --sample @{newest}", "keep {change}",
    "forget {change}", "undo --of {change} --from-dir cluster", "attribute --audit audit.jsonl --dry-run",
    "attribute --audit {name}", "follow --from-dir {name}", "log --cluster {cluster}", "diff", "diff --raw-diff",
    "diff --from-sample latest~1 --to-sample live --from-dir cluster", "drift --from-dir cluster",
    "status --from-dir cluster", "verify", "rollback --sample latest~1 --from-dir cluster --dry-run",
    "prune --keep-last 1 --dry-run", "forget latest~1 --dry-run",
    "rollback --sample latest~1 --from-dir cluster --yes --skip-refused", "undo --from-dir cluster --dry-run",
    "undo --from-dir cluster --yes --skip-refused", "show ClusterRole/{name}",
    "rollback --sample latest~1 --from-dir cluster --except ClusterRole/{name} --dry-run", "list --storage {name}",
    "push --to {name}", "diff --from-sample {name}", "capture --from-dir {name}",
    "capture --from-dir cluster --include-generated", "keep {name}", "import --from {name}",
)  # fmt: skip
"""Command lines; {name} is the hostile text, {change} the commit of the newest change, {newest} its moment."""


def _role(rule: str, verb: str = EVIL) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": EVIL, "annotations": {EVIL: EVIL}, "labels": {"l": EVIL}},
        "rules": [{"apiGroups": [EVIL], "resources": [rule], "verbs": [verb]}],
    }


def _change(folder: Path, document: dict[str, Any], author: Author) -> None:
    """Record a change between samples, with a hostile author."""
    archive = open_archive(folder / "s", "p")
    write_change(
        archive, {ObjectKey.of(document): document}, author=author, time=clock.now().replace(microsecond=0),
        version=7, manager=EVIL, cluster=archive.samples()[-1].metadata.cluster,
    )  # fmt: skip


def _audit_event(document: dict[str, Any], user: str) -> str:
    """The audit event of the write that made the newest change."""
    now = f"{clock.now():%Y-%m-%dT%H:%M:%S.%fZ}"
    metadata = {**document["metadata"], "uid": f"uid-{EVIL}", "resourceVersion": "7"}
    event = {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": "1", "verb": "update",
        "stage": "ResponseComplete", "requestURI": f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{EVIL}",
        "user": {"username": user}, "userAgent": EVIL, "responseStatus": {"code": 200},
        "objectRef": {"resource": "clusterroles", "apiGroup": "rbac.authorization.k8s.io", "apiVersion": "v1",
                      "name": EVIL},
        "responseObject": {**document, "metadata": metadata},
        "requestReceivedTimestamp": now, "stageTimestamp": now,
    }  # fmt: skip
    return json.dumps(event) + "\n"


_PROFILE = {
    "apiVersion": "config.projectsveltos.io/v1beta1",
    "kind": "ClusterProfile",
    "metadata": {"name": "p"},
    "spec": {
        "clusterSelector": {"matchLabels": {"env": "fv"}},
        "policyRefs": [{"kind": "ConfigMap", "namespace": "default", "name": EVIL}],
    },
}
_CLUSTER = {
    "apiVersion": "lib.projectsveltos.io/v1beta1",
    "kind": "SveltosCluster",
    "metadata": {"name": EVIL, "namespace": "default", "labels": {"env": "fv"}},
    "spec": {},
}
_REPORT = {
    "apiVersion": "config.projectsveltos.io/v1beta1",
    "kind": "ClusterConfiguration",
    "metadata": {
        "name": "sveltos--x",
        "namespace": "default",
        "labels": {"projectsveltos.io/cluster-name": EVIL, "projectsveltos.io/cluster-type": "Sveltos"},
    },
    "status": {
        "clusterProfileResources": [
            {
                "clusterProfileName": "p",
                "Features": [
                    {
                        "featureID": "Helm",
                        "charts": [{"namespace": EVIL, "releaseName": EVIL, "chartVersion": EVIL, "repoURL": EVIL}],
                    }
                ],
            }
        ]
    },
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two different samples of objects with hostile texts in every field that commands print."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "cluster").mkdir()
    (folder / "s").mkdir()
    for name, document in (("profile", _PROFILE), ("managed", _CLUSTER), ("report", _REPORT)):
        (folder / "cluster" / f"{name}.json").write_text(json.dumps(document))
    for rule in ("pods", EVIL):
        (folder / "cluster" / "role.json").write_text(json.dumps(_role(rule)))
        done = gitsnap(
            folder, "capture", "--snapshot", "p", "--storage", "s", "--from-dir", "cluster", "--resources", _ROLE
        )
        assert done.returncode == 0, done.stderr
        _check(done.stdout + done.stderr)
        for verb, source in (("get", AuthorSource.STAMP), ("*", AuthorSource.MANAGER)):
            _change(folder, _role(rule, verb), Author(EVIL, source))
    (folder / "audit.jsonl").write_text(_audit_event(_role(EVIL, "*"), EVIL))
    archive = open_archive(folder / "s", "p")
    changes = archive.changes(None, None)
    archive.note_authors({changes[0].commit: Author(EVIL * 2, AuthorSource.AUDIT)}, time=clock.now())
    return folder


def _check(text: str) -> None:
    acting = {char for char in _OWN_COLOURS.sub("", text) if unicodedata.category(char) in _ACTING} - _HARMLESS
    assert not acting, (acting, text)
    assert not re.search(r"^\s{0,1}FORGED", text, re.MULTILINE), text


def _words(place: Path, line: str) -> list[str]:
    newest = open_archive(place / "s", "p").changes(None, None)[-1]
    moment = f"{newest.time:%Y-%m-%dT%H:%M:%SZ}"
    values = {"name": EVIL, "cluster": EVIL, "change": newest.commit, "newest": moment}
    words = [word.format(**values) for word in line.split()]
    named = [] if "--storage" in words else ["--storage", "s"]
    return [*words, "--snapshot", "p", *named]


def test_every_command_is_among_the_lines() -> None:
    """A new command must be added to LINES, unless it prints no text from outside."""
    # The controller's log, the page of a report, and the pages of web have tests of their own.
    own_words_only = {"controller", "demo", "report", "web"}
    assert {line.split()[0] for line in LINES} | own_words_only == set(COMMANDS)


@pytest.mark.parametrize("line", LINES)
def test_nothing_acts_on_a_terminal(place: Path, line: str) -> None:
    """A terminal gets colours and a progress line from gitsnap, and no other control characters."""
    output = on_terminal(place, *_words(place, line), columns=80, code=None).replace("\r", "")
    assert output.strip()
    _check(output)


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
@pytest.mark.parametrize("line", LINES)
def test_nothing_acts_on_a_reader_of_a_file(place: Path, line: str, form: str) -> None:
    """Every output format is safe, and JSON and YAML can be parsed."""
    words = _words(place, line)
    if form != "table" and words[0] not in ("push", "follow"):
        words += ["--output", form]
    done = subprocess.run(
        [sys.executable, "-m", "gitsnap", *words], cwd=place, capture_output=True, check=False, stdin=subprocess.DEVNULL
    )
    output, errors = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in errors
    _check(output)
    _check(errors)
    if output and form == "json":
        json.loads(output)
    elif output and form == "yaml":
        list(yaml.safe_load_all(output))


def test_follow_prints_the_changes_of_hostile_objects(place: Path, tmp_path: Path) -> None:
    """The names of the objects, and of the author where the files name a field manager."""
    shutil.copytree(place / "cluster", tmp_path / "cluster")
    shutil.copytree(place / "s", tmp_path / "s")
    role = tmp_path / "cluster" / "role.json"
    words = ["follow", "--snapshot", "p", "--storage", "s", "--from-dir", "cluster", "--quiet-seconds", "0"]
    with (tmp_path / "out").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gitsnap", *words], cwd=tmp_path, stdout=output, stderr=output,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            for number in range(60):  # until the process follows and sees a change
                role.write_text(json.dumps(_role(f"pods-{number}")))
                time.sleep(1)
                if "changed by" in (text := (tmp_path / "out").read_text()):
                    break
        finally:
            process.terminate()
            process.wait(timeout=30)
    assert "changed by" in text
    _check((tmp_path / "out").read_text())


def test_the_author_of_follow_mode_is_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Follow mode prints the name of a field manager or of a stamp as it records the change."""
    from gitsnap.cli.commands.follow import _print_changes  # noqa: PLC0415 - only this test

    author = Author(EVIL, AuthorSource.STAMP)
    _print_changes([RecordedChange(CommitId("1" * 40), author, clock.now(), late=False, subject="", changed=())])
    output = capsys.readouterr().out
    assert len(output.splitlines()) == 1
    _check(output)


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_escapes_are_read_back_as_the_same_text(place: Path, form: str) -> None:
    """No text is lost: the YAML of an object can be applied."""
    words = ("show", f"{_ROLE}/{EVIL}", "--snapshot", "p", "--storage", "s", "--sample", "latest", "--output", form)
    done = subprocess.run(
        [sys.executable, "-m", "gitsnap", *words], cwd=place, capture_output=True, check=True, stdin=subprocess.DEVNULL
    )
    shown = json.loads(done.stdout)["items"][0] if form == "json" else yaml.safe_load(done.stdout)
    assert shown["metadata"] == {"name": EVIL, "annotations": {EVIL: EVIL}, "labels": {"l": EVIL}}
    assert shown["rules"][0]["apiGroups"] == [EVIL]


def test_logs_of_the_controller(place: Path) -> None:
    """Both log formats: JSON for collectors, lines for a terminal."""
    import logging  # noqa: PLC0415 - only this test

    from gitsnap.controller.logs import JsonFormatter, TextFormatter  # noqa: PLC0415

    del place
    record = logging.LogRecord("gitsnap", logging.INFO, __file__, 1, "object %s", (EVIL,), None)
    record.policy = EVIL
    for formatter in (JsonFormatter(), TextFormatter()):
        text = formatter.format(record)
        _check(text)
        assert "\n" not in text
    assert json.loads(JsonFormatter().format(record))["message"] == f"object {EVIL}"
