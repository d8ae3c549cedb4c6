"""The JSON of all commands names managed clusters and resource types in the same form, so that rows can be joined."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import gitsnap

_CLUSTER = "default/capi--clusterapi-workload"
_FOLLOWER = (_CLUSTER, "/Service", "test", "redis-follower")
_LIVE = ("--from-dir", "cluster")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guestbook of the demo: the selector of a Service breaks between its first two samples."""
    folder = tmp_path_factory.mktemp("story")
    gitsnap(folder, "demo", "story", code=0)
    return folder / "story"


def _rows(story: Path, field: str, *words: str) -> list[dict[str, Any]]:
    """The list ``field`` of the JSON that a command prints."""
    done = gitsnap(story, *words, "--storage", "archive", "-o", "json", code=0)
    rows: list[dict[str, Any]] = json.loads(done.stdout)[field]
    return rows


def _keys(rows: list[dict[str, Any]], *fields: str) -> set[tuple[str, ...]]:
    return {tuple(row[field] for field in fields) for row in rows}


def test_rows_of_clusters_can_be_joined(story: Path) -> None:
    """Each changed resource of diff, drift and log is found in addons by cluster, type, namespace and name."""
    fields = ("cluster", "resourceType", "namespace", "name")
    deployed = [_keys(_rows(story, "addons", "addons", *more), *fields) for more in (_LIVE, ("--sample", "latest"))]
    between = ("--from-sample", "latest~4", "--to-sample", "latest~3")
    changed = [
        _keys(_rows(story, "clusters", "diff", *between), *fields),
        _keys(_rows(story, "clusters", "drift", *_LIVE, "--sample", "latest~3"), *fields),
        _keys(_rows(story, "changes", "log", "--cluster", "clusterapi-workload"), *fields),
    ]

    assert all(_FOLLOWER in rows for rows in (*deployed, *changed))
    resources = {key for rows in changed for key in rows if key[1] != "config.projectsveltos.io/ClusterProfile"}
    assert all(resources <= rows for rows in deployed)
    assert {key[0] for rows in (*deployed, *changed) for key in rows} == {_CLUSTER}


def test_rows_of_the_management_cluster_can_be_joined(story: Path) -> None:
    """Each changed object of diff is found in log and show by type, namespace and name."""
    fields = ("resourceType", "namespace", "name")
    between = ("--from-sample", "latest~4", "--to-sample", "latest~3")
    changed = _keys(_rows(story, "management", "diff", *between), *fields)

    assert ("/ConfigMap", "default", "database") in changed
    assert changed <= _keys(_rows(story, "changes", "log"), *fields)
    assert changed <= _keys(_rows(story, "objects", "show"), *fields)


def test_the_tables_have_the_form_of_the_documents(story: Path) -> None:
    """CLUSTER and RESOURCE TYPE are the same in every table, except with --sveltos-cli."""
    words = {
        "addons --from-dir cluster": _FOLLOWER[:2],
        "diff --from-sample latest~4 --to-sample latest~3": _FOLLOWER[:2],
        "log --cluster clusterapi-workload": _FOLLOWER[:2],
        "snapshot diff --from-sample latest~4 --to-sample latest~3": _FOLLOWER[:2],
        "addons --from-dir cluster --sveltos-cli": ("default/clusterapi-workload", ":Service"),
        "show addons --from-dir cluster": ("default/clusterapi-workload", ":Service"),
    }

    for command, expected in words.items():
        shown = gitsnap(story, *command.split(), "--storage", "archive", code=0).stdout
        cells = {tuple(cell.strip() for cell in line.split("|"))[1:-1] for line in shown.splitlines() if "|" in line}
        assert any(set(expected) <= set(row) for row in cells), command


def test_the_advice_on_raw_diff_is_a_footnote(story: Path) -> None:
    """`diff` prints the advice once, below the tables. `snapshot diff` has it in each row, as in the Sveltos CLI."""
    between = ("--from-sample", "latest~4", "--to-sample", "latest~3", "--storage", "archive")
    sentence = "use --raw-diff option to see diff"

    shown = gitsnap(story, "diff", *between, code=0).stdout
    old = gitsnap(story, "snapshot", "diff", *between, code=0).stdout
    history = gitsnap(story, "log", "--cluster", "clusterapi-workload", "--storage", "archive", code=0).stdout

    assert shown.endswith(f"+\n\n{sentence}\n")
    assert shown.count(sentence) == 1
    assert f"| redis-follower | modified | {sentence} |" in old
    assert old.count(sentence) == 1
    assert sentence not in history
    assert _rows(story, "clusters", "diff", *between[:4])[0]["message"] == sentence


@pytest.mark.parametrize(
    ("words", "heading"),
    [
        ("list", r"samples of the archive archive/hourly; dates in UTC"),
        ("show", r"SAMPLE \(manual\) of archive/hourly: 5 objects, Secrets: encrypt"),
        (
            "show references ClusterProfile/guestbook",
            r"references of ClusterProfile/guestbook in SAMPLE \(.*",
        ),
        ("log", r"changes in the archive archive/hourly, newest first; dates in UTC"),
        ("log --cluster clusterapi-workload", r"changes on clusterapi-workload in the archive archive/hourly, .* UTC"),
        ("diff", r"comparing SAMPLE \(after-rollback\) of \S+ with SAMPLE \(manual\)"),
        ("drift --from-dir cluster", r"comparing SAMPLE \(manual\) of \S+ with the folder .* now"),
        ("addons --sample latest", r"add-ons in SAMPLE \(manual\) of archive/hourly"),
        ("addons --from-dir cluster", r"add-ons in the folder cluster now"),
        ("verify", r"the archive archive/hourly, checked by chain"),
        (
            "prune --keep-last 1 --dry-run",
            r"decisions about the samples of the archive archive/hourly; .* UTC",
        ),
    ],
)
def test_every_table_is_headed(story: Path, words: str, heading: str) -> None:
    """The heading on stderr names archive, samples and cluster. stdout has only the JSON document."""
    done = gitsnap(story, *words.split(), "--storage", "archive", code=0)
    document = gitsnap(story, *words.split(), "--storage", "archive", "-o", "json", code=0)

    sample = r"hourly/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(?:-\d)?"
    assert any(re.fullmatch(heading.replace("SAMPLE", sample), line) for line in done.stderr.splitlines()), done.stderr
    assert "kind" in json.loads(document.stdout)
