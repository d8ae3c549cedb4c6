"""The formats of --output, and the parser of that option for every command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from gitsnap.cli.terminal import Output
from gitsnap.core.errors import UsageError

_COMMON = (Output.TABLE, Output.JSON, Output.YAML)
_HELP = {
    Output.WIDE: "wide: a table with more columns",
    Output.NAME: "name: one name per line",
}


def output_option(*more: Output) -> Any:
    """Declare --output for a command with table, json, yaml and ``more`` formats."""
    formats = sorted({*_COMMON, *more}, key=list(Output).index)
    described = "; ".join(_HELP[form] for form in more)
    return typer.Option(
        "--output",
        "-o",
        metavar="|".join(formats),
        help=f"Output format (docs/SCRIPTING.md){f'; {described}' if described else ''}.",
        parser=_parser(formats),
        autocompletion=_completion(formats),
    )


def _parser(formats: list[Output]) -> Callable[[str], Output]:
    def parse(text: str) -> Output:
        """Return the format. Raises UsageError with the formats of the command."""
        if text in formats:
            return Output(text)
        names = f"{', '.join(formats[:-1])} and {formats[-1]}"
        raise UsageError(f"--output: this command has no format {text!r}", hint=f"Its formats are {names}.")

    return parse


def _completion(formats: list[Output]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [form for form in formats if form.startswith(incomplete)]

    return complete
