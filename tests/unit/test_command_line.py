"""The table of commands agrees with the modules of the commands."""

from __future__ import annotations

import importlib
import inspect

import pytest

from gitsnap.cli.app import COMMANDS, GROUPS, Command

_ALL = [*COMMANDS.values(), *(command for _, commands in GROUPS.values() for command in commands.values())]


@pytest.mark.parametrize("command", _ALL, ids=lambda command: command.function)
def test_the_summary_is_the_first_line_of_the_documentation(command: Command) -> None:
    """`gitsnap --help` and `gitsnap COMMAND --help` begin with the same words."""
    module, function = command.function.split(":")
    documentation = inspect.getdoc(getattr(importlib.import_module(f"gitsnap.cli.commands.{module}"), function))
    assert documentation is not None
    assert documentation.splitlines()[0] == command.summary
