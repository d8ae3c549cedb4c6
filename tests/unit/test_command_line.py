"""The table of commands agrees with the modules of the commands, and no command accepts an empty value."""

from __future__ import annotations

import importlib
import inspect

import pytest

from gitsnap.cli.app import COMMANDS, GROUPS, Command, LazyCommand
from gitsnap.core.errors import UsageError

_ALL = [*COMMANDS.values(), *(command for _, commands in GROUPS.values() for command in commands.values())]


@pytest.mark.parametrize("command", _ALL, ids=lambda command: command.function)
def test_an_option_with_an_empty_value_is_an_error(command: Command) -> None:
    """A script with an unset variable gives such an option: it would select everything, or the current folder."""
    loaded = LazyCommand("x", command)._load()
    options = [parameter for parameter in loaded.params if parameter.param_type_name == "option"]
    for option in options:
        if "--output" in option.opts and option.type.name not in {"path", "file"}:
            continue  # the error names the formats: test_an_unknown_format_names_those_of_the_command
        if not (getattr(option, "is_flag", False) or getattr(option, "count", False)):
            values = [""] * option.nargs
            name = max(option.opts, key=len)
            for words in ([option.opts[-1], *values], [f"{name}="] if option.nargs == 1 else [name, *values]):
                with pytest.raises(UsageError, match=rf"^{name}: the value is empty"):
                    loaded.make_context("x", words)


def test_an_empty_folder_name_is_an_error() -> None:
    """`gitsnap demo ''` does not write into the current folder."""
    with pytest.raises(UsageError, match=r"^DIR: the value is empty"):
        LazyCommand("demo", COMMANDS["demo"])._load().make_context("demo", [""])


@pytest.mark.parametrize("command", _ALL, ids=lambda command: command.function)
def test_the_summary_is_the_first_line_of_the_documentation(command: Command) -> None:
    """`gitsnap --help` and `gitsnap COMMAND --help` begin with the same words."""
    module, function = command.function.split(":")
    documentation = inspect.getdoc(getattr(importlib.import_module(f"gitsnap.cli.commands.{module}"), function))
    assert documentation is not None
    assert documentation.splitlines()[0] == command.summary
