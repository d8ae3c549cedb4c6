"""Commands at changes, the commits of follow mode between samples: each works as at a sample."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import gitsnap
from tests.support.followed_archives import Story, story
from tests.support.report_pages import read_page
from tests.support.terminal import on_terminal
from tests.support.web_servers import running_server

_EVERYTHING = ("--storage", "s")
_LIVE = (*_EVERYTHING, "--from-dir", "cluster")


@pytest.fixture
def made(tmp_path: Path) -> Story:
    """An archive with two samples and three changes."""
    return story(tmp_path / "story")


def _json(made: Story, *words: str, code: int = 0) -> dict[str, Any]:
    done = gitsnap(made.folder, *words, "-o", "json", code=code)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def _rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


# Lists ----------------------------------------------------------------------------------------------------------------


def test_list_shows_samples_and_changes_only_with_the_option(made: Story) -> None:
    """By default samples are listed. --changes lists samples and changes in the order of the branch."""
    samples = gitsnap(made.folder, "list", *_EVERYTHING, code=0)
    both = gitsnap(made.folder, "list", "--changes", *_EVERYTHING, code=0)

    assert [row[1] for row in _rows(samples.stdout)] == ["2026-01-01:12:00:00", "2026-01-01:12:20:00"]
    assert "warning" not in samples.stderr
    assert [row[1:] for row in _rows(both.stdout)] == [
        ["2026-01-01:12:00:00", "+2", _commit(made, made.first), "schedule", ""],
        ["2026-01-01:12:05:00", "1 ClusterProfile modified", made.alice[:12], "change", "alice@example.com (audit)"],
        [
            "2026-01-01:12:10:00",
            "1 ClusterProfile modified",
            made.late[:12],
            "change",
            "kubectl-edit (manager), seen late",
        ],
        ["2026-01-01:12:20:00", "none", made.late[:12], "schedule", ""],
        ["2026-01-01:12:25:00", "1 ClusterProfile modified", made.bob[:12], "change", "bob (stamp)"],
    ]
    assert "samples and changes of the archive" in both.stderr


def test_diff_and_status_name_changes_that_the_newest_sample_does_not_have(made: Story) -> None:
    """The answer about the newest sample is not the answer about the newest configuration."""
    note = f"note: 1 change is newer than the newest sample; `gitsnap diff latest {made.bob[:12]}` includes it"
    status = gitsnap(made.folder, "status", *_LIVE)

    assert note in gitsnap(made.folder, "diff", *_EVERYTHING, code=0).stderr
    assert "note:" not in gitsnap(made.folder, "diff", "latest~1", "latest", *_EVERYTHING, code=0).stderr
    assert "  changes   1 change since the newest sample, the last at 2026-01-01 12:25:00 UTC" in status.stdout
    gitsnap(made.folder, "forget", made.first, "--yes", *_EVERYTHING, code=0)
    alone = gitsnap(made.folder, "diff", *_EVERYTHING, code=4)
    assert f"`gitsnap diff {made.second} {made.bob[:12]}` shows the 1 change since this sample." in alone.stderr


def test_the_state_before_a_change_has_a_name(made: Story) -> None:
    """ID~N counts samples and changes. Without TO, the changes after a change are shown up to the newest one."""
    for name, before in ((f"{made.alice[:9]}~1", made.first), (f"{made.bob[:9]}~", made.second)):
        assert _json(made, "diff", name, name.partition("~")[0], *_EVERYTHING)["from"]["tag"] == before
    earlier = _json(made, "diff", f"{made.bob[:9]}~2", made.bob, *_EVERYTHING)["from"]
    assert earlier["change"] == made.late
    missing = gitsnap(made.folder, "diff", f"{made.alice[:9]}~2", made.alice, *_EVERYTHING, code=4)
    assert "there are fewer samples and changes before" in missing.stderr
    newest = _json(made, "diff", made.bob, *_EVERYTHING)
    assert newest["from"]["change"] == newest["to"]["change"] == made.bob


def _commit(made: Story, tag: str) -> str:
    return next(sample.commit[:12] for sample in made.followed.archive.samples() if sample.tag == tag)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ["first", "alice", "late", "second", "bob"]),
        (("--last", "2"), ["second", "bob"]),
        (("--last", "2", "--reverse"), ["bob", "second"]),
        (("--since", "2026-01-01T12:05:00Z", "--until", "2026-01-01T12:20:00Z"), ["alice", "late", "second"]),
    ],
)
def test_list_limits_samples_and_changes_together(made: Story, options: tuple[str, ...], expected: list[str]) -> None:
    """In a script, a sample is named by its tag, and a change by its commit id."""
    done = gitsnap(made.folder, "list", "--changes", *options, *_EVERYTHING, "-o", "name", code=0)

    assert done.stdout.split() == [getattr(made, name) for name in expected]


def test_list_as_a_document_has_the_changes_on_their_own(made: Story) -> None:
    """Scripts that read samples do not find changes among them."""
    document = _json(made, "list", "--changes", *_EVERYTHING)

    assert [sample["tag"] for sample in document["samples"]] == [made.first, made.second]
    assert [(change["change"], change["after"], change["late"]) for change in document["changes"]] == [
        (made.alice, made.first, False),
        (made.late, made.first, True),
        (made.bob, made.second, False),
    ]
    assert "changes" not in _json(made, "list", *_EVERYTHING)


def test_the_log_has_the_moment_and_the_author_of_each_change(made: Story) -> None:
    """So has the change that is the commit of a sample. Other commits have their sample and the field manager."""
    entries = _json(made, "log", *_EVERYTHING)["changes"]

    assert [
        (entry["date"], entry["name"], entry["change"], entry["sample"], (entry["author"] or {}).get("source"))
        for entry in entries
    ] == [
        ("2026-01-01:12:25:00", "guestbook", made.bob, None, "stamp"),
        ("2026-01-01:12:10:00", "other", made.late, None, "manager"),
        ("2026-01-01:12:05:00", "guestbook", made.alice, None, "audit"),
        ("2026-01-01:12:00:00", "guestbook", None, made.first, None),
        ("2026-01-01:12:00:00", "other", None, made.first, None),
    ]
    table = gitsnap(made.folder, "log", "ClusterProfile/other", *_EVERYTHING, code=0)
    assert _rows(table.stdout)[0][-2:] == ["kubectl-edit (manager), seen late", made.late[:12]]


def test_the_log_of_a_period_counts_the_moment_of_a_change(made: Story) -> None:
    """The sample that has the change as its commit is later than the period."""
    period = ("--since", "2026-01-01T12:08:00Z", "--until", "2026-01-01T12:15:00Z")
    entries = _json(made, "log", *period, *_EVERYTHING)["changes"]

    assert [entry["change"] for entry in entries] == [made.late]


def test_blame_names_the_author_of_a_change_and_the_source_of_the_name(made: Story) -> None:
    """So does blame for the change that is the commit of a sample. A field from a sample has no author."""
    table = gitsnap(made.folder, "blame", "ClusterProfile/guestbook", *_EVERYTHING, code=0)
    (late,) = _json(made, "blame", "ClusterProfile/other", *_EVERYTHING)["fields"]
    (first,) = _json(made, "blame", made.first, "ClusterProfile/other", *_EVERYTHING)["fields"]

    assert _rows(table.stdout) == [["spec.tier", "2", "2026-01-01:12:05:00", "alice@example.com (audit)", "1"]]
    assert (late["change"], late["author"], late["late"], late["sample"]) == (
        made.late, {"name": "kubectl-edit", "source": "manager"}, True, None,
    )  # fmt: skip
    assert (first["change"], first["author"], first["sample"]) == (None, None, made.first)


def test_pages_answer_at_a_change_as_at_a_sample(made: Story) -> None:
    """Every tab of an object has an address at a change. Blame and search link to the change and name its author."""
    key = "ClusterProfile.config.projectsveltos.io/guestbook"
    with running_server(made.folder, *_EVERYTHING) as server:
        content = server.get(f"/hourly/object/{key}?at={made.bob}")
        assert f"/hourly/blame/{key}?at={made.bob}" in content.body.decode()
        blame = server.get(f"/hourly/blame/{key}?at={made.bob}")
        document = server.get(f"/hourly/blame/{key}?at={made.bob}", Accept="application/json")
        found = server.get("/hourly/search?q=9&kind=ClusterProfile")
        lacking = server.get(f"/hourly/blame/{key}x?at={made.bob}", Accept="application/json")

    for page in (blame, found):
        assert page.status == 200
        assert "bob (stamp)" in page.body.decode()
        assert f'<a href="/hourly/sample/{made.bob}">' in page.body.decode()
    assert "and all changes since 2026-01-01" in found.body.decode()
    assert json.loads(document.body) == _json(made, "blame", made.bob, "ClusterProfile/guestbook", *_EVERYTHING)
    error = json.loads(lacking.body)
    assert (lacking.status, error["message"]) == (404, f"ClusterProfile guestbookx is not in change {made.bob[:12]}")
    assert f"/hourly/log/{key}x" in error["hint"]


@pytest.mark.parametrize(
    ("name", "since"), [("alice", "12:05:00"), ("late", "12:05:00"), ("second", "12:05:00"), ("bob", "12:25:00")]
)
def test_blame_at_a_change_has_the_fields_of_that_change(made: Story, name: str, since: str) -> None:
    """Blame does not show the fields of the sample before the change."""
    table = gitsnap(made.folder, "blame", getattr(made, name), "ClusterProfile/guestbook", *_EVERYTHING, code=0)

    assert _rows(table.stdout)[0][2] == f"2026-01-01:{since}"


@pytest.mark.parametrize("has_index", [True, False])
def test_a_search_finds_changes_with_their_own_times_and_authors(made: Story, *, has_index: bool) -> None:
    """The search works with the index, and without it if the branch has several heads."""
    if not has_index:
        _git(made, "remote", "add", "origin", "elsewhere")
        _git(made, "update-ref", "refs/remotes/origin/hourly", made.alice)
    found = {
        tier: _json(made, "search", tier, "--field", "spec", *_EVERYTHING)["matches"][0] for tier in ("2", "3", "9")
    }

    assert {
        tier: (match["since"], match["change"], match["author"]["source"], match["sample"], match["untilChange"])
        for tier, match in found.items()
    } == {
        "2": ("2026-01-01:12:05:00", made.alice, "audit", None, made.bob),
        "3": ("2026-01-01:12:10:00", made.late, "manager", None, None),
        "9": ("2026-01-01:12:25:00", made.bob, "stamp", None, None),
    }
    table = gitsnap(made.folder, "search", "3", *_EVERYTHING, code=0)
    assert _rows(table.stdout)[0][-1] == "kubectl-edit (manager), seen late"


def test_lines_about_changes_fit_the_terminal(made: Story) -> None:
    """Each line of bisect and verify that has no command to copy is wrapped."""
    field = ("--field", "ClusterProfile/other", "spec.tier=1")
    found = on_terminal(
        made.folder, "bisect", "--good", made.first, "--bad", "latest", *field, *_EVERYTHING, columns=60
    )
    verified = gitsnap(made.folder, "verify", *_EVERYTHING, code=0, COLUMNS="60")
    texts = [*found.splitlines(), *verified.stdout.splitlines()[:2]]

    assert [line for line in texts if len(line) > 60 and "`" not in line] == []
    assert "the first bad change is" in found
    assert verified.stdout.splitlines()[1].startswith("  ")


def test_bisect_finds_and_names_a_change(made: Story) -> None:
    """The change is between samples, between changes, or after the newest sample."""
    between = ("bisect", "--good", made.first, "--bad", made.second, *_EVERYTHING)
    text = gitsnap(made.folder, *between, "--field", "ClusterProfile/guestbook", "spec.tier=1", code=0).stdout
    after = ("bisect", "--good", made.alice[:12], "--bad", "@2026-01-01T12:25:00Z", *_EVERYTHING)
    newest = _json(made, *after, "--field", "ClusterProfile/guestbook", "spec.tier=9")
    older = _json(made, *after, "--field", "ClusterProfile/other", "spec.tier=1")

    assert (
        f"the first bad change is {made.alice[:12]} of 2026-01-01:12:05:00 by alice@example.com (audit), "
        f"first contained in {made.second}" in text
    )
    assert _rows(text)[0][-1] == "alice@example.com (audit)"
    assert (newest["first"]["change"], newest["first"]["containedIn"]) == (made.bob, None)
    assert (newest["good"]["change"], newest["bad"]["change"]) == (made.alice, made.bob)
    first = older["first"]
    assert (first["change"], first["sample"], first["containedIn"]) == (made.late, None, made.second)
    assert first["late"]


def test_a_report_lists_each_change_with_its_author(made: Story) -> None:
    """The report has the changes after the newest sample, and those of a period without a sample."""
    gitsnap(made.folder, "report", *_EVERYTHING, "-o", "all.html", code=0)
    period = ("--since", "2026-01-01T12:02:00Z", "--until", "2026-01-01T12:12:00Z")
    told = gitsnap(made.folder, "report", *_EVERYTHING, *period, "-o", "part.html", code=0)

    def authors(file: str) -> list[tuple[str, str]]:
        page = read_page((made.folder / file).read_text())
        changes = [element for element in page.all(".change") if element.tag == "article"]
        return [(change.one(".tag").text.split()[-1], change.one(".who").text) for change in changes]

    expected = [
        (made.bob[:12], "by bob (stamp)"),
        (made.late[:12], "by kubectl-edit (manager), seen late"),
        (made.alice[:12], "by alice@example.com (audit)"),
    ]
    assert authors("all.html") == expected
    assert authors("part.html") == expected[1:]
    assert "part.html: 2 changes in s/hourly" in told.stderr


# One state ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minute", "tier", "named"),
    [
        ("12:04", 1, "hourly/2026-01-01T12-00-00Z"),
        ("12:05", 2, "change "),
        ("12:09", 2, "change "),
        ("12:10", 2, "change "),
        ("12:20", 2, "hourly/2026-01-01T12-20-00Z"),
        ("12:24", 2, "hourly/2026-01-01T12-20-00Z"),
        ("12:25", 9, "change "),
        ("12:59", 9, "change "),
    ],
)
def test_a_moment_is_the_newest_sample_or_change_until_then(made: Story, minute: str, tier: int, named: str) -> None:
    """The configuration at 12:09 is that of the change of 12:05, not that of the sample of 12:00."""
    moment = f"@2026-01-01T{minute}:00Z"
    shown = gitsnap(made.folder, "show", moment, "ClusterProfile/guestbook", *_EVERYTHING, code=0)
    listed = gitsnap(made.folder, "show", moment, *_EVERYTHING, code=0)

    assert f"tier: {tier}" in shown.stdout
    heading = [line for line in listed.stderr.splitlines() if "of s/hourly" in line]
    assert heading[0].startswith(named)


def test_a_change_is_named_by_the_first_digits_of_its_commit(made: Story) -> None:
    """`list --changes`, `log` and `git log` print these digits."""
    shown = gitsnap(made.folder, "show", made.alice[:7], "ClusterProfile/guestbook", *_EVERYTHING, code=0)
    document = _json(made, "show", made.alice, *_EVERYTHING)

    assert "tier: 2" in shown.stdout
    assert document["change"]["author"] == {"name": "alice@example.com", "source": "audit"}
    unknown = gitsnap(made.folder, "show", "0" * 12, *_EVERYTHING)
    assert unknown.returncode == 4
    assert "there is no sample 000000000000" in unknown.stderr


def test_two_moments_between_the_same_samples_are_compared(made: Story) -> None:
    """A single change is compared with the state before it."""
    between = _json(made, "diff", "@2026-01-01T12:04:00Z", "@2026-01-01T12:07:00Z", *_EVERYTHING)
    alone = gitsnap(made.folder, "diff", "--to-sample", made.late[:9], *_EVERYTHING, code=0)

    assert (between["from"]["tag"], between["to"]["change"]) == (made.first, made.alice)
    assert [row[2] for row in _rows(alone.stdout)] == ["other"]
    assert f"comparing change {made.alice[:12]} (2026-01-01 12:05:00 UTC, alice@example.com (audit))" in alone.stderr


def test_drift_compares_the_cluster_with_a_change(made: Story) -> None:
    """The cluster has the configuration of the newest change, not that of the previous change."""
    gitsnap(made.folder, "drift", made.bob[:12], *_LIVE, "--exit-code", code=0)
    drifted = gitsnap(made.folder, "drift", made.alice[:12], *_LIVE, "--exit-code", code=1)

    assert [row[2] for row in _rows(drifted.stdout)] == ["guestbook", "other"]


# Rollbacks ------------------------------------------------------------------------------------------------------------


def test_a_rollback_to_a_change_is_planned_recorded_and_undone(made: Story) -> None:
    """The samples before and after name the commit of the change as the target."""
    plan = gitsnap(made.folder, "rollback", "@2026-01-01T12:07:00Z", *_LIVE, "--dry-run", code=0)
    done = gitsnap(made.folder, "rollback", made.alice[:12], *_LIVE, "--yes", code=0)

    assert f"change:  {made.alice[:12]}" in plan.stdout
    assert "by alice@example.com (audit)" in plan.stdout
    assert "after sample hourly/2026-01-01T12-00-00Z" in plan.stdout
    assert "rollback: 2 applied" in done.stdout
    assert "tier: 2" in (made.folder / "cluster" / "guestbook.yaml").read_text()
    samples = _json(made, "list", *_EVERYTHING)["samples"]
    assert [sample["rollback"]["to"] for sample in samples if sample["rollback"]] == [made.alice, made.alice]
    shown = gitsnap(made.folder, "show", "latest", *_EVERYTHING, code=0)
    assert f"the rollback to change {made.alice[:12]}" in shown.stderr

    undone = gitsnap(made.folder, "undo", *_LIVE, "--yes", code=0)
    assert f"undoing the rollback to change {made.alice[:12]}" in undone.stderr
    gitsnap(made.folder, "drift", made.bob[:12], *_LIVE, "--exit-code", code=0)
    gitsnap(made.folder, "verify", *_EVERYTHING, code=0)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("keep",), "and needs no mark: retention removes samples only"),
        (("forget", "--dry-run"), "and cannot be removed: the history of the branch is never rewritten"),
        (("undo", "--from-dir", "cluster", "--dry-run"), "and not the sample before a rollback"),
    ],
)
def test_a_command_that_takes_samples_only_says_why_a_change_is_refused(
    made: Story, words: tuple[str, ...], expected: str
) -> None:
    """The error names the right command. A moment still names the sample at that time or before it."""
    done = gitsnap(made.folder, *words, made.alice[:9], *_EVERYTHING, code=2)
    answers = {
        "keep": "`gitsnap keep 2026-01-01:12:20:00` marks it",
        "forget": "`gitsnap rollback 2026-01-01:12:00:00 ClusterProfile/guestbook`",
        "undo": "`gitsnap rollback 2026-01-01:12:00:00 ClusterProfile/guestbook`",
    }

    assert f"{made.alice[:9]} is a change between samples, {expected}" in done.stderr
    assert answers[words[0]] in done.stderr
    if words[0] == "keep":
        kept = gitsnap(made.folder, "keep", "@2026-01-01T12:07:00Z", *_EVERYTHING, code=0)
        assert kept.stdout.startswith(made.first)


def test_the_author_of_the_commit_after_a_rollback_is_the_user(made: Story) -> None:
    """Plain git finds the person. The committer is gitsnap, and so is the author if others wrote, too."""

    def people() -> str:
        line = ["git", "-C", str(made.followed.archive.git_folder), "log", "-1", "--format=%an %ae %cn"]
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()

    gitsnap(made.folder, "rollback", made.alice[:12], *_LIVE, "--yes", code=0, LOGNAME="carol", USER="carol")
    record = made.followed.archive.samples()[-1].metadata.extra
    user = dict(record)["Rollback-By"]
    assert people() == f"{user} {user}@kubernetes.invalid gitsnap"
    assert gitsnap(made.folder, "verify", *_EVERYTHING, code=0).stdout.count("nothing wrong") == 1


def test_undo_names_the_rollback_to_a_change(made: Story) -> None:
    """The text names the target, not the sample before the rollback."""
    gitsnap(made.folder, "rollback", made.alice[:12], *_LIVE, "--yes", code=0)
    done = gitsnap(made.folder, "undo", "--of", made.alice[:12], *_LIVE, code=2)
    before = next(sample for sample in made.followed.archive.samples() if sample.metadata.trigger == "before-rollback")

    assert f"`gitsnap undo --of {before.moment}` undoes the last rollback to this change" in done.stderr


def test_a_plan_file_of_a_change_is_applied(made: Story) -> None:
    """The commit id pins the content."""
    gitsnap(made.folder, "rollback", made.alice[:12], *_LIVE, "--dry-run", "--plan-out", "plan.json", code=0)
    done = gitsnap(made.folder, "rollback", "--plan", "plan.json", *_LIVE, "--yes", code=0)

    assert "rollback: 2 applied" in done.stdout


def test_a_relative_name_that_a_rollback_shifted_is_refused(made: Story) -> None:
    """After a rollback, `@` and the current minute would name the sample after the rollback."""
    gitsnap(made.folder, "rollback", made.alice[:12], *_LIVE, "--yes", code=0)
    done = gitsnap(made.folder, "rollback", "latest~1", *_LIVE, "--yes")

    assert done.returncode not in (0, 2)
    assert "the sample taken before the rollback" in done.stderr


def test_a_change_of_another_cluster_is_not_rolled_back_to(made: Story, tmp_path: Path) -> None:
    """Changes have the same guard as samples."""
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "elsewhere" / "ns.yaml"
    other.write_text("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: kube-system\n  uid: another\n")
    done = gitsnap(made.folder, "rollback", made.alice[:12], *_EVERYTHING, "--from-dir", str(other.parent), "--yes")

    assert done.returncode not in (0, 2)
    assert f"{made.alice[:12]} is a change of the cluster directory" in done.stderr


# What is kept ---------------------------------------------------------------------------------------------------------


def test_verify_knows_changes(made: Story) -> None:
    """Changes are not foreign commits. A change after the newest sample is intact, but not proved by a sample yet."""
    done = gitsnap(made.folder, "verify", *_EVERYTHING, code=0)

    assert "hourly: 2 samples, 3 changes, newest" in done.stdout
    assert "nothing wrong" in done.stdout
    assert "note  hourly: 1 change is newer than the newest sample; the next sample proves it" in done.stdout
    assert "gitsnap did not make" not in done.stdout
    made.followed.sample(30)
    assert "note " not in gitsnap(made.folder, "verify", *_EVERYTHING, code=0).stdout


def test_verify_names_changes_that_neither_the_branch_nor_a_sample_has(made: Story) -> None:
    """Somebody moved the branch. No tag leads to the changes after the newest sample."""
    last = made.followed.change(27, "other", 5)
    _git(made, "update-ref", "refs/heads/hourly", made.late)
    done = gitsnap(made.folder, "verify", *_EVERYTHING, code=0)

    assert f"note  {last[:12]}: 2 changes are neither on the branch nor in a sample" in done.stdout
    _git(made, "update-ref", "refs/heads/hourly", last)
    assert "neither on the branch" not in gitsnap(made.folder, "verify", *_EVERYTHING, code=0).stdout


def test_pruning_samples_says_that_changes_stay(made: Story) -> None:
    """`prune` and `forget` say so before the question."""
    words = ("--snapshot", "hourly", "--dry-run", *_EVERYTHING)
    pruned = gitsnap(made.folder, "prune", "--keep-last", "1", *words, code=0)
    forgotten = gitsnap(made.folder, "forget", made.first, *words, code=0)

    for done in (pruned, forgotten):
        assert "3 changes between samples stay in the history" in done.stderr


def test_pruning_samples_loses_no_change(made: Story) -> None:
    """The changes before a kept sample and after the newest sample stay."""
    newest = made.followed.sample(30)
    last = made.followed.change(35, "other", 7)
    gitsnap(made.folder, "prune", *_EVERYTHING, "--snapshot", "hourly", "--keep-last", "1", "--yes", code=0)

    done = gitsnap(made.folder, "list", "--changes", *_EVERYTHING, "-o", "name", code=0)
    assert done.stdout.split() == [made.alice, made.late, made.bob, newest, last]
    shown = gitsnap(made.folder, "show", "@2026-01-01T12:06:00Z", "ClusterProfile/guestbook", *_EVERYTHING, code=0)
    assert "tier: 2" in shown.stdout
    verified = gitsnap(made.folder, "verify", *_EVERYTHING, code=0)
    assert "nothing wrong" in verified.stdout


@pytest.mark.parametrize("damage", ["missing", "damaged", "rewritten"])
def test_a_lost_branch_is_restored_with_the_changes_after_the_newest_sample(made: Story, damage: str) -> None:
    """No tag leads to these changes."""
    ref = made.followed.git_folder / "refs" / "heads" / "hourly"
    if damage == "missing":
        ref.unlink()
    elif damage == "damaged":
        ref.write_text("x\n")
    else:
        tree = _git(made, "mktree", stdin="")
        ref.write_text(_git(made, "commit-tree", "-m", "another history", tree) + "\n")
    made.followed.sample(30)

    history = _git(made, "log", "--format=%H", "hourly").split()
    assert {made.alice, made.late, made.bob} <= set(history)


def test_a_change_that_was_copied_by_hand_is_a_commit_by_somebody_else(made: Story) -> None:
    """`git commit --amend` and `git rebase` keep the message. The copy does not count as a change."""
    _git(made, "commit", "--amend", "--no-edit", "--author=Mallory <m@example.com>")
    done = gitsnap(made.folder, "list", "--changes", *_EVERYTHING, "-o", "name", code=0)
    verified = gitsnap(made.folder, "verify", *_EVERYTHING, code=0)

    assert done.stdout.split() == [made.first, made.alice, made.late, made.second]
    assert "a commit that gitsnap did not make" in verified.stdout


def test_a_change_with_invalid_lines_is_wrong(made: Story) -> None:
    """Readers leave out the change, and verify reports an error."""
    message = _git(made, "show", "-s", "--format=%B", "HEAD").replace("Gitsnap-Time: 2026", "Gitsnap-Time: x2026")
    tree = _git(made, "rev-parse", "HEAD^{tree}")
    commit = _git(made, "commit-tree", "-p", "HEAD", tree, stdin=message)
    _git(made, "update-ref", "refs/heads/hourly", commit)

    done = gitsnap(made.folder, "verify", *_EVERYTHING, code=5)
    assert f"WRONG {commit[:12]}: is not a valid change" in done.stdout


def test_a_change_after_a_killed_capture_hides_nothing(made: Story) -> None:
    """The capture was killed between branch and tag. The next sample takes its number, and no tag counts as lost."""
    checked_out = made.followed.git_folder / "gitsnap-worktree"
    shown = checked_out.read_text()
    tag = made.followed.sample(30, other=8)
    _git(made, "update-ref", "-d", f"refs/tags/{tag}")
    checked_out.write_text(shown)
    change = made.followed.change(32, "other", 9)

    listed = gitsnap(made.folder, "list", "--changes", *_EVERYTHING, "-o", "name", code=0)
    assert listed.stdout.split() == [made.first, made.alice, made.late, made.second, made.bob, change]
    assert "missing" not in listed.stderr
    newest = made.followed.sample(40)
    assert [sample.sequence for sample in made.followed.archive.samples()] == [1, 2, 3]
    assert newest.endswith("12-40-00Z")
    assert "nothing wrong" in gitsnap(made.folder, "verify", *_EVERYTHING, code=0).stdout


def _invalid_change(made: Story) -> str:
    """Replace the newest change by one with a line that no reader understands; returns its commit."""
    message = _git(made, "show", "-s", "--format=%B", "HEAD").replace("Gitsnap-Time: 2026", "Gitsnap-Time: x2026")
    dated = {"GIT_AUTHOR_DATE": "2026-01-01T12:25:00Z"}
    commit = _git(made, "commit-tree", "-p", "HEAD~1", "HEAD^{tree}", stdin=message, **dated)
    _git(made, "update-ref", "refs/heads/hourly", commit)
    return commit


def test_a_change_that_cannot_be_read_is_named_and_never_left_out(made: Story) -> None:
    """Lists, logs, reports and verify name the change and show the others. Exit code 13, of verify 5."""
    commit = _invalid_change(made)
    problem = f"the change {commit[:12]} is not valid: "
    listed = gitsnap(made.folder, "list", "--changes", *_EVERYTHING, "-o", "name", code=13)
    logged = gitsnap(made.folder, "log", *_EVERYTHING, code=13)
    reported = gitsnap(made.folder, "report", *_EVERYTHING, "-o", "page.html", code=13)
    verified = gitsnap(made.folder, "verify", *_EVERYTHING, code=5)

    assert listed.stdout.split() == [made.first, made.alice, made.late, made.second]
    assert _rows(logged.stdout)[0][-2:] == ["(unreadable)", commit[:12]]
    assert len(_rows(logged.stdout)) == 5
    for text in (
        listed.stderr,
        logged.stderr,
        reported.stderr,
        verified.stdout,
        (made.folder / "page.html").read_text(),
    ):
        assert problem in text.replace("\n  ", " ")
    earlier = ("--until", "2026-01-01T12:20:00Z", *_EVERYTHING)
    gitsnap(made.folder, "list", "--changes", *earlier, code=0)
    gitsnap(made.folder, "log", *earlier, code=0)


def test_the_state_at_a_moment_is_not_guessed_around_an_unreadable_change(made: Story) -> None:
    """An older state would be wrong, above all as the target of a rollback."""
    commit = _invalid_change(made)
    for words in (("show",), ("rollback", "--from-dir", "cluster", "--dry-run")):
        refused = gitsnap(made.folder, *words, "@2026-01-01T12:26:00Z", *_EVERYTHING, code=5)
        assert f"the change {commit[:12]} is not valid" in refused.stderr
    assert "is not valid" in gitsnap(made.folder, "show", commit[:12], *_EVERYTHING, code=5).stderr
    before = gitsnap(made.folder, "show", "@2026-01-01T12:24:00Z", *_EVERYTHING, "-o", "name", code=0)
    assert made.second in before.stderr


def test_a_missing_commit_hides_no_other_change(made: Story) -> None:
    """The changes after the missing commit are listed, and the commit is named."""
    (made.followed.git_folder / "objects" / made.alice[:2] / made.alice[2:]).unlink()
    listed = gitsnap(made.folder, "list", "--changes", *_EVERYTHING, "-o", "name", code=13)
    logged = gitsnap(made.folder, "log", *_EVERYTHING, code=5)
    newer = gitsnap(made.folder, "show", "@2026-01-01T12:12:00Z", *_EVERYTHING, "-o", "name", code=0)
    gitsnap(made.folder, "show", "@2026-01-01T12:07:00Z", *_EVERYTHING, code=5)
    verified = gitsnap(made.folder, "verify", *_EVERYTHING, code=5)

    assert listed.stdout.split() == [made.first, made.late, made.second, made.bob]
    assert f"the commit {made.alice[:12]} is missing or damaged" in listed.stderr
    assert made.alice in logged.stderr
    assert f"change {made.late[:12]}" in newer.stderr
    assert f"beyond the commit {made.alice[:12]}" in verified.stdout


def _git(made: Story, *words: str, stdin: str | None = None, **environment: str) -> str:
    """Run git in the working tree of the archive; commits are by gitsnap, except with ``commit``."""
    name, email = ("Mallory", "m@example.com") if words[0] == "commit" else ("gitsnap", "gitsnap@localhost")
    people = ["-c", f"user.name={name}", "-c", f"user.email={email}"]
    done = subprocess.run(
        ["git", *people, "-C", str(made.folder / "s" / "hourly"), *words],
        input=stdin, capture_output=True, text=True, check=True, env={**os.environ, **environment},
    )  # fmt: skip
    return done.stdout.strip()
