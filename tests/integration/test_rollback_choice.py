"""Which sample `gitsnap rollback` restores: relative names after a rollback, and the list on a terminal."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.terminal import on_terminal
from tests.support.typed import TypedPlace, config_map

_PLACE = ("--storage", "storage", "--from-dir", "cluster")
_DATABASE = "rollback --sample latest~1 --resource ConfigMap/database"


@pytest.fixture
def place(tmp_path: Path) -> TypedPlace:
    """Two samples: a good state, and a broken one, which is live."""
    place = TypedPlace(tmp_path)
    place.write("database", config_map("database", "broken"))
    place.write("frontend", config_map("frontend", "broken"))
    place.run("capture --snapshot hourly")
    return place


def _ask(place: TypedPlace, *words: str, typed: str, code: int) -> str:
    return on_terminal(place.folder, *words, *_PLACE, columns=80, typed=typed, code=code)


def _dates(place: TypedPlace) -> list[str]:
    document = json.loads(place.exactly(["gitsnap", "list", "--storage", "storage", "-o", "json"]).stdout)
    return [sample["date"] for sample in document["samples"]]


def test_the_same_command_twice_is_refused(place: TypedPlace) -> None:
    """The message has the sample of the name now and before. A date and a dry run are not refused."""
    place.run(f"{_DATABASE} --yes")
    good, _, before, _ = _dates(place)

    refused = place.run(f"{_DATABASE} --yes", 14)

    assert "a: 1" in place.read("database")
    assert f"--sample {before} is what latest~1 is now, --sample {good} is what it was" in refused.stderr
    undo = f"gitsnap undo --snapshot hourly --storage storage --from-dir cluster --of {before}"
    assert f"To undo that rollback: `{undo}`" in refused.stderr
    assert "1 update" in place.exactly([*shlex.split(undo), "--dry-run"]).stdout
    warned = place.run(f"{_DATABASE} --dry-run")
    assert "warning: latest~1 is hourly/" in warned.stderr
    assert "1 update" in warned.stdout
    place.run(f"rollback --sample {before} --resource ConfigMap/database --yes")
    assert "broken" in place.read("database")
    place.run(f"rollback --sample {good} --resource ConfigMap/database --yes")
    assert "a: 1" in place.read("database")


def test_the_rest_of_the_sample_by_the_same_name(place: TypedPlace) -> None:
    """The sample before the first rollback has the broken object, so `nothing to do` would be wrong."""
    place.run(f"{_DATABASE} --yes")

    refused = place.run("rollback --sample latest~1 --resource ConfigMap/frontend --yes", 14)

    assert "nothing to do" not in refused.stderr
    assert "nothing was changed: latest~1 is" in refused.stderr


def test_a_rollback_that_wrote_nothing_shifts_no_name(place: TypedPlace) -> None:
    """Without a write no sample is taken, so the command can be repeated."""
    for _ in range(2):
        done = place.run("rollback --sample latest --yes")
        assert "nothing to do: the cluster already has what was selected" in done.stderr


def test_a_plan_file_names_its_sample(place: TypedPlace) -> None:
    """A plan file that was made before the rollback is applied, although the name now stands for another sample."""
    place.run("rollback --sample latest~1 --resource ConfigMap/frontend --plan-out plan.json")
    place.run(f"{_DATABASE} --yes")

    place.run("rollback --plan plan.json --yes")

    assert "b: 1" in place.read("frontend")


@pytest.mark.parametrize("yes", [(), ("--yes",)], ids=["asks", "yes"])
def test_the_question_on_a_terminal(place: TypedPlace, yes: tuple[str, ...]) -> None:
    """A user is asked even with --yes, because few users repeat a rollback on purpose. `n` changes nothing."""
    place.run(f"{_DATABASE} --yes")
    before = _dates(place)[2]

    shown = _ask(place, *_DATABASE.split(), *yes, typed="n\n", code=130)

    assert f"Plan a rollback to {before}? [y/N]" in shown
    assert "taken before the rollback of" in " ".join(shown.split())
    assert max(map(len, shown.partition("[y/N]")[0].splitlines())) <= 80
    assert "a: 1" in place.read("database")
    _ask(place, *_DATABASE.split(), *yes, typed="y\ny\n", code=0)
    assert "broken" in place.read("database")


# The list -------------------------------------------------------------------------------------------------------------


def test_a_sample_is_picked_from_a_list(place: TypedPlace) -> None:
    """Samples are listed newest first, with age, trigger and changes. Invalid answers lead to a new question."""
    shown = _ask(place, "rollback", typed="3\nx\n0\n2\ny\n", code=0)

    good, broken = _dates(place)[:2]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in shown.splitlines() if line.startswith("  | ")]
    assert [row[:2] for row in rows] == [["NUMBER", "DATE (UTC)"], ["1", broken], ["2", good]]
    assert [row[3:] for row in rows[1:]] == [["manual", "~2"], ["manual", "+5"]]
    assert [answer in shown for answer in ("3 is not in", "x is not in", "0 is not in")] == [True] * 3
    assert "a: 1" in place.read("database")


def test_enter_cancels(place: TypedPlace) -> None:
    """The exit code is 130, as for a declined question."""
    shown = _ask(place, "rollback", typed="\n", code=130)

    assert "nothing was changed: no sample was picked" in shown
    assert "broken" in place.read("database")


@pytest.mark.parametrize(("words", "typed"), [("rollback", "\x04"), (f"{_DATABASE}", "\x04")], ids=["list", "question"])
def test_the_end_of_input_is_no_answer(place: TypedPlace, words: str, typed: str) -> None:
    """Ctrl-D at the list or at a question changes nothing. The message begins on a line of its own."""
    shown = _ask(place, *words.split(), typed=typed, code=130)

    assert shown.splitlines()[-1].startswith("error: interrupted")
    assert "broken" in place.read("database")


def test_older_samples_are_on_the_next_page(place: TypedPlace) -> None:
    """A page has 20 samples. Numbers continue on the next page, and a sample of an earlier page can still be picked."""
    for _ in range(19):
        place.run("capture --snapshot hourly")

    shown = _ask(place, "rollback", "--dry-run", typed="21\nm\nm\n21\n", code=0)

    first, _, second = shown.partition("older samples:")
    assert ("| 20 " in first, "| 21 " in first, "| 21 " in second, "| 1 " in second) == (True, False, True, False)
    assert "m for older samples" in first
    assert "21 is not in the list" in first
    assert "m is not in the list" in second
    assert "plan: 2 update" in second


@pytest.mark.parametrize("words", ["rollback", "rollback --yes"])
def test_a_script_names_its_sample(place: TypedPlace, words: str) -> None:
    """Without a terminal the error names the newest samples. --yes asks nothing on a terminal either."""
    done = place.run(words, 2)

    assert "--sample is needed" in done.stderr
    assert f"The newest samples: {', '.join(_dates(place))}" in done.stderr
    assert "--sample is needed" in _ask(place, "rollback", "--yes", typed="", code=2)


# The cluster changes while the question is open -----------------------------------------------------------------------


def _approve(place: TypedPlace, command: str, change: Callable[[], None], code: int) -> str:
    words = (*command.split(), *_PLACE)
    return on_terminal(place.folder, *words, columns=80, answer="y", at_question=change, code=code)


def test_a_cluster_that_comes_to_match_is_not_part_of_the_approval(place: TypedPlace) -> None:
    """The user has approved a plan that reaches one cluster. Nothing is written where it would reach two."""
    place.write("guestbook", place.read("guestbook").replace("spec:", "spec:\n  tier: 50", 1))
    west = place.read("west")
    command = "rollback latest --clusterprofile guestbook"

    shown = _approve(place, command, lambda: place.write("east", west.replace("west", "east")), 10)

    assert "the cluster has changed since the plan was shown" in shown
    assert "default/sveltos--east (ClusterProfile guestbook), which is not in the approved plan" in " ".join(
        shown.split()
    )
    assert "tier: 50" in place.read("guestbook")
    assert len(_dates(place)) == 2
    _approve(place, command, lambda: None, 0)
    assert "tier: 50" not in place.read("guestbook")


def test_an_object_that_changes_is_planned_again(place: TypedPlace) -> None:
    """Also in an undo. A change of another object is no reason to refuse."""
    place.run(f"{_DATABASE} --yes")

    shown = _approve(place, "undo", lambda: place.write("database", config_map("database", "by hand")), 10)
    assert "ConfigMap default/database has changed" in " ".join(shown.split())
    assert "by hand" in place.read("database")

    place.write("database", config_map("database", "a: 1"))
    _approve(place, "undo", lambda: place.write("frontend", config_map("frontend", "by hand")), 0)
    assert "broken" in place.read("database")
