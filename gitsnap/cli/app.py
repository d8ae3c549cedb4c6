"""The command line's shape: which commands there are, and their aliases.

This module must not do what commands do.
"""

from __future__ import annotations

from typing import Annotated

import typer

from gitsnap import __version__
from gitsnap.cli import capture, demo, diff, rollback, samples, show, undo

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

app = typer.Typer(
    name="gitsnap",
    help="Git-backed, versioned record of a Sveltos management cluster: capture, diff, roll back.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings=_SETTINGS,
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"gitsnap {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="GITSNAP_DEBUG", help="Show where an error came from.")
    ] = False,
) -> None:
    """Options before the command; main() reads --debug."""


app.command("capture")(capture.capture)
app.command("list")(samples.list_samples)
app.command("show")(show.show)
app.command("diff")(diff.diff)
app.command("rollback")(rollback.rollback)
app.command("undo")(undo.undo)
app.command("addons")(show.addons)
app.command("demo")(demo.demo)

_snapshot = typer.Typer(
    help="The Sveltos CLI's words: snapshot list, diff and rollback.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=_SETTINGS,
)
_snapshot.command("list")(samples.list_samples)
_snapshot.command("diff")(diff.diff)
_snapshot.command("rollback")(rollback.rollback)
app.add_typer(_snapshot, name="snapshot")
