"""The help of every command: sections, one text for each option, and no words of the library."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitsnap.cli.app import ALIASES, COMMANDS, GROUPS, SECTIONS, LazyCommand, build
from gitsnap.cli.help import described
from gitsnap.cli.help_sections import OF_ONE_COMMAND, arrange
from gitsnap.cli.help_sections import SECTIONS as OPTION_SECTIONS

_WORDS = [*COMMANDS, *(f"{group} {name}" for group, (_, commands) in GROUPS.items() for name in commands)]
_ALL_WORDS = ["", *_WORDS, *GROUPS, "snapshot", *(f"snapshot {name}" for name in ALIASES)]
_OTHER_MEANINGS = {
    "--snapshot": "capture names the archive that it makes, import the Snapshot of the old feature",
    "--storage": "the storage of the controller has another default",
    "--archive": "diff takes two",
    "--cluster": "rollback restores the labels of a cluster",
    "--field": "search has the beginning of a path, bisect a field with its value",
    "--file": "what is read from the manifest",
    "--secrets-mode": "the default",
    "--dry-run": "a prune has no plan",
    "--prune": "on a remote, not in a cluster",
    "--decrypt": "diff needs --raw-diff",
    "--full": "capture reads all objects, a plan shows all lines",
    "--last": "search has periods, not samples",
    "--output": "report writes a file",
    "--profile": "report includes what the profile refers to",
    "--listen": "controller serves metrics, and web serves pages",
    "--allowed-signers": "report requires the signature of the last sample",
    "--since": "verify takes a sample, not a moment",
    "--time-zone": "of dates, and of calendar units",
}
"""The options that have another meaning in one command."""


def _help(capsys: pytest.CaptureFixture[str], words: str, option: str = "--help", name: str = "gitsnap") -> str:
    build()([*words.split(), option], standalone_mode=False, prog_name=name)
    return capsys.readouterr().out


def _options(words: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield each option of a command: its long name, the option, and a context."""
    command: Any = build()
    for word in words.split():
        command = command.commands[word]
    assert isinstance(command, LazyCommand)
    context = command.make_context(words, [], resilient_parsing=True)
    for parameter in context.command.params:
        if parameter.param_type_name == "option":
            yield max(parameter.opts, key=len), parameter, context


@pytest.mark.parametrize("words", _WORDS)
def test_every_option_has_a_section(words: str) -> None:
    """A new option needs a place in ``help_sections``."""
    names = [name for name, _, _ in _options(words)]

    arranged = arrange(words, names)

    assert set(arranged) <= set(OPTION_SECTIONS)
    assert sorted(name for listed in arranged.values() for name in listed) == sorted(names)


def test_no_section_has_an_option_twice_or_an_option_that_does_not_exist() -> None:
    """The table has exactly the options of the commands."""
    listed = [name for names in OPTION_SECTIONS.values() for name in names]

    assert len(listed) == len(set(listed))
    assert set(listed) == {"--help", *(name for words in _WORDS for name, _, _ in _options(words))}
    assert set(OF_ONE_COMMAND) <= {words.split()[-1] for words in _WORDS}


def test_every_command_has_one_section() -> None:
    """`gitsnap --help` lists each command once."""
    listed = [name for names in SECTIONS.values() for name in names]

    assert len(listed) == len(set(listed))
    assert set(listed) <= {*COMMANDS, *GROUPS}


def test_an_option_has_one_text() -> None:
    """The commands explain an option in the same words, except for an option that means something else."""
    texts: dict[str, set[str]] = defaultdict(set)
    for words in _WORDS:
        for name, parameter, _ in _options(words):
            text = re.sub(r" Default: (?:the live cluster|latest)\.$", "", parameter.help)
            texts[name].add(re.sub(r"; (?:wide|name): [^;.]*", "", text))  # formats that some commands have

    assert {name for name, versions in texts.items() if len(versions) > 1} <= set(_OTHER_MEANINGS)


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
@pytest.mark.parametrize("words", _ALL_WORDS)
def test_the_help_has_no_words_of_the_library(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: str, columns: int
) -> None:
    """Defaults, variables and types are written as in the documents. Lines fit, and no option breaks."""
    monkeypatch.setenv("COLUMNS", str(columns))

    text = _help(capsys, words)

    assert not re.search(r"\[(?:default|env var|required)|[<>]=|<\w|\{|range\b|None|INTEGER", text)
    assert max(map(len, text.splitlines())) <= columns
    assert not re.search(r"(?:^|[\s(`])-+\n|-\n", text)
    assert _help(capsys, words, "-h") == text


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("words", _WORDS)
def test_an_example_can_be_copied(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: str, columns: int
) -> None:
    """The lines of an example are one command for a shell: all but the last end with a backslash."""
    monkeypatch.setenv("COLUMNS", str(columns))

    section = re.search(r"^Examples?:\n((?:  .*\n)+)", _help(capsys, words), re.MULTILINE)

    assert section is not None
    examples = re.sub(r" \\\n +", " ", section[1]).splitlines()
    assert all(f" gitsnap {words}" in example for example in examples)
    documentation = " ".join((next(iter(_options(words)))[2].command.help or "").split()) if words != "demo" else ""
    assert all(example.strip() in documentation for example in examples) or words == "demo"


@pytest.mark.parametrize("words", _ALL_WORDS)
def test_the_plugin_has_the_name_that_users_type(capsys: pytest.CaptureFixture[str], words: str) -> None:
    """The usage and all examples of `kubectl gitsnap --help` begin with `kubectl gitsnap`."""
    text = _help(capsys, words, name="kubectl gitsnap")

    assert text.startswith(f"Usage: kubectl gitsnap{f' {words}' if words else ''} ")
    assert not re.search(r"(?<!kubectl )(?<![/\w.-])(?<!-- )gitsnap [a-z-]", " ".join(text.split()))


def test_the_program_of_the_plugin() -> None:
    """kubectl runs the program kubectl-gitsnap, whose help and errors speak of `kubectl gitsnap`."""
    plugin = Path(sysconfig.get_path("scripts")) / "kubectl-gitsnap"

    shown = subprocess.run([plugin, "diff", "--help"], capture_output=True, text=True, check=True)
    failed = subprocess.run([plugin, "diff", "--no-such"], capture_output=True, text=True, check=False)

    assert shown.stdout.startswith("Usage: kubectl gitsnap diff ")
    assert "`kubectl gitsnap diff --help`" in failed.stderr


def test_a_default_is_a_sentence() -> None:
    """The help shows the default of the code, without the library's brackets. A flag has no default."""
    texts = {name: described(parameter, context) for name, parameter, context in _options("rollback")}
    others = {name: described(parameter, context) for name, parameter, context in _options("controller")}

    assert texts["--max-delete"].endswith(" may delete. Default: 10.")
    assert texts["--dry-run"].endswith("change nothing.")
    assert others["--grace-seconds"].endswith(" Default: 20.")
    assert described(next(parameter for name, parameter, _ in _options("import") if name == "--from"), None).endswith(
        " Required."
    )


@pytest.mark.parametrize(
    "words",
    [
        "log --limit x",
        "log --limit=-1",
        "list --last x",
        "prune --keep-last 1.5",
        "controller --workers 65",
        "controller --grace-seconds x",
    ],
)
def test_a_wrong_number_is_explained(words: str) -> None:
    """The error says which numbers are accepted, without a type or a range of the library."""
    done = subprocess.run(
        [Path(sysconfig.get_path("scripts")) / "gitsnap", *words.split()], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert re.search(r"a (?:whole number|number of seconds) is needed, (?:0 or more|1 to 64)\n", done.stderr)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("list hourly", "Usage: gitsnap list [OPTIONS]. A policy is named with --snapshot.\n"),
        ("status --wide hourly", "gitsnap status has no option --wide"),
        ("verify hourly", "A policy is named with --snapshot.\n"),
        ("search web frontend", "Usage: gitsnap search [OPTIONS] VALUE. A policy"),
    ],
)
def test_an_argument_too_many(words: str, hint: str) -> None:
    """The error names the argument, how the command is called, and the option that was probably meant."""
    done = subprocess.run(
        [Path(sysconfig.get_path("scripts")) / "gitsnap", *words.split()], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert hint in done.stderr
    assert "unexpected" not in done.stderr


def test_no_option_has_a_range_of_the_library() -> None:
    """The messages of the library for such an option name Python's types."""
    assert [
        f"{command} {name}"
        for command in COMMANDS
        for name, parameter, _ in _options(command)
        if hasattr(parameter.type, "min")
    ] == []
