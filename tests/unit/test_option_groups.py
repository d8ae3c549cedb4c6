"""A command takes a dataclass, and typer sees the fields of the dataclass as options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from gitsnap.cli.option_groups import expand_groups

Name = Annotated[str, typer.Option("--name", help="The name.")]
Often = Annotated[int, typer.Option("--often", help="How often.")]


@dataclass(frozen=True, slots=True)
class Greeting:
    """A group. The command below takes it as ``name``, which is also the name of a field."""

    name: Name = "nobody"
    often: Often = 1


def _app(command: Callable[..., None]) -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command()(expand_groups(command))
    return app


def test_fields_are_options_in_their_place() -> None:
    """Names, defaults and order are those of the fields; the command gets one value."""
    seen: list[tuple[bool, Greeting, str]] = []

    def greet(*, loud: bool = False, name: Greeting, end: str = ".") -> None:
        """Greet."""
        seen.append((loud, name, end))

    runner = CliRunner()
    assert runner.invoke(_app(greet), []).exit_code == 0
    assert runner.invoke(_app(greet), ["--end", "!", "--often", "3", "--name", "you", "--loud"]).exit_code == 0

    assert seen == [(False, Greeting(), "."), (True, Greeting("you", 3), "!")]
    text = runner.invoke(_app(greet), ["--help"]).output
    assert [word for word in text.split() if word in ("--loud", "--name", "--often", "--end")] == [
        "--loud", "--name", "--often", "--end",
    ]  # fmt: skip
    assert "Greet." in text


def test_duplicate_names_are_an_error() -> None:
    """Two parameters with the same name are refused; otherwise one value would be lost."""

    def greet(*, greeting: Greeting, often: int = 1) -> None:
        """Greet."""

    with pytest.raises(ValueError, match="duplicate parameter name: 'often'"):
        expand_groups(greet)
