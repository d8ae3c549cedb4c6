"""Unknown commands and options lead to a suggestion."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitsnap.cli import _run
from gitsnap.cli.app import COMMANDS, GROUPS
from gitsnap.cli.command_suggestions import _MEANT, describe_command
from gitsnap.cli.option_suggestions import _SYNONYMS, suggest_options

_NAMES = [*COMMANDS, *GROUPS, "snapshot"]


@pytest.mark.parametrize(
    ("word", "command"),
    [
        ("history", "log"),
        ("history", "list"),
        ("restore", "rollback"),
        ("annotate", "blame"),
        ("snapshots", "list"),
        ("backup", "capture"),
        ("delete", "forget"),
        ("remove", "prune"),
        ("tag", "keep"),
        ("checkout", "rollback"),
        ("revert", "undo"),
        ("compare", "diff"),
        ("get", "show"),
        ("apply", "rollback"),
        ("init", "capture"),
        ("ls", "list"),
        ("LS", "list"),
        ("histroy", "log"),
        ("Diff", "diff"),
        ("verfiy", "verify"),
        ("rollbak", "rollback"),
    ],
)
def test_a_word_of_another_tool_names_the_command(word: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is that of a usage error, and nothing is on stdout."""
    assert _run([word]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert f"{word!r} is not a command of gitsnap" in err
    assert f"`gitsnap {command}" in err


def test_the_proposed_commands_exist_and_no_command_is_in_the_table() -> None:
    """Every suggested command exists."""
    assert not set(_MEANT) & {*_NAMES, "help"}
    for hint in set(_MEANT.values()):
        for command in re.findall(r"`gitsnap ([a-z]+)", hint):
            assert command in _NAMES, hint


def test_a_group_proposes_its_own_commands_and_those_of_gitsnap(capsys: pytest.CaptureFixture[str]) -> None:
    """`snapshot` is the first word of the Sveltos CLI, so the words of other tools apply there too."""
    for words, hint in (
        (["secrets", "rotat"], "`gitsnap secrets rotate`"),
        (["secrets", "restore"], "`gitsnap secrets --help`"),
        (["snapshot", "show"], "`gitsnap show`"),
        (["snapshot", "create"], "`gitsnap capture`"),
    ):
        assert _run(words) == 2
        assert hint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("diff --from x", "--from-sample"),
        ("diff --to x", "Did you mean --to-sample?"),
        ("list --lst 3", "Did you mean --last?"),
        ("list -n 3", "Did you mean --last?"),
        ("list --sort-by date", "Did you mean --reverse?"),
        ("log --last 3", "Did you mean --limit?"),
        ("log --after 2h", "Did you mean --since?"),
        ("list --json", "Did you mean --output=json?"),
        ("diff --name-only", "Did you mean --output=name?"),
        ("rollback --name-only", "Did you mean --names-only?"),
        ("keep --name-only", "error: gitsnap keep has no option --name-only\n`gitsnap keep --help`"),
        ("rollback --labels a=b", "Did you mean --selector?"),
        ("show -A", "All namespaces are the default"),
        ("list --xyzzy", "`gitsnap list --help` lists the options"),
        ("--snapshot hourly list", "`gitsnap COMMAND --snapshot`"),
    ],
)
def test_an_unknown_option_names_the_nearest_ones(words: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Similar names, parts of names, and the names of other tools lead to a suggestion."""
    assert _run(words.split()) == 2
    error = capsys.readouterr().err
    assert "has no option" in error
    assert hint in error


_OPTIONS = sorted({option for options in _SYNONYMS.values() for option in options})


@given(
    st.text(max_size=20).map("--{}".format) | st.sampled_from(sorted(_SYNONYMS)),
    st.lists(st.sampled_from(_OPTIONS), max_size=6),
)
def test_only_options_of_the_command_are_proposed(word: str, options: list[str]) -> None:
    """This holds for any word."""
    assert set(suggest_options(word, options)) <= set(options)


@given(st.text(max_size=30))
def test_any_word_is_described(word: str) -> None:
    """No word leads to an internal error."""
    assert isinstance(describe_command(word, _NAMES, "gitsnap"), str)


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        ("help", "Usage: gitsnap [OPTIONS] COMMAND"),
        ("help list", "Usage: gitsnap list [OPTIONS]"),
        ("help secrets", "Usage: gitsnap secrets [OPTIONS] COMMAND"),
        ("help secrets rotate", "Usage: gitsnap secrets rotate"),
        ("secrets help rotate", "Usage: gitsnap secrets rotate"),
        ("--debug help diff", "Usage: gitsnap diff"),
    ],
)
def test_help_is_a_command(words: str, usage: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`gitsnap help COMMAND` prints what `gitsnap COMMAND --help` prints."""
    assert _run(words.split()) == 0
    assert capsys.readouterr().out.startswith(usage)


def test_help_for_an_unknown_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """`gitsnap help` suggests the same command as the unknown command itself."""
    assert _run(["help", "history"]) == 2
    assert "`gitsnap log`" in capsys.readouterr().err
