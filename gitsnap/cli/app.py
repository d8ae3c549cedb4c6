"""The command line's shape: which commands there are, and their aliases.

A command's module is imported when that command runs: `gitsnap list` pays for nothing of `gitsnap diff`.
This module must not do what commands do.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from gitsnap import __version__
from gitsnap.cli.groups import ungrouped

COMMANDS = {
    "capture": "gitsnap.cli.capture:capture",
    "list": "gitsnap.cli.samples:list_samples",
    "show": "gitsnap.cli.show:show",
    "log": "gitsnap.cli.log:log",
    "diff": "gitsnap.cli.diff:diff",
    "drift": "gitsnap.cli.diff:drift",
    "rollback": "gitsnap.cli.rollback:rollback",
    "undo": "gitsnap.cli.undo:undo",
    "addons": "gitsnap.cli.show:addons",
    "push": "gitsnap.cli.push:push",
    "verify": "gitsnap.cli.verify:verify",
    "keep": "gitsnap.cli.prune:keep",
    "prune": "gitsnap.cli.prune:prune",
    "import": "gitsnap.cli.importing:import_",
    "controller": "gitsnap.cli.controller:controller",
    "demo": "gitsnap.cli.demo:demo",
}
"""Every command and the function behind it, in the order of the help."""

GROUPS = {
    "secrets": (
        "Change the recipients or the fingerprint key for Secrets.",
        {"rotate": "gitsnap.cli.secrets:rotate", "rekey": "gitsnap.cli.secrets:rekey"},
    )
}
"""Commands of two words: the help of the first, and the functions behind the second."""

ALIAS_GROUP = "snapshot"
ALIASES = ("list", "diff", "rollback")
"""The group that speaks the Sveltos CLI's words, and what is found in it."""


def build(words: Sequence[str]) -> typer.Typer:
    """The application for this command line: only the command that is called, or everything where that is not known.

    words: the arguments as the user gave them.
    """
    called = next((word for word in words if not word.startswith("-")), "")
    text = "Git-backed, versioned record of a Sveltos management cluster: capture, diff, roll back."
    app = _group(text, completion=True)
    app.callback()(_root)
    if called not in (ALIAS_GROUP, *GROUPS):
        _add(app, {called: COMMANDS[called]} if called in COMMANDS else COMMANDS)
    for name, (help_text, commands) in GROUPS.items():
        if called == name or called not in COMMANDS:
            group = _group(help_text)
            _add(group, commands)
            app.add_typer(group, name=name)
    if called not in (*COMMANDS, *GROUPS):
        aliases = _group("The Sveltos CLI's words: snapshot list, diff and rollback.")
        _add(aliases, {name: COMMANDS[name] for name in ALIASES})
        app.add_typer(aliases, name=ALIAS_GROUP)
    return app


def _group(help_text: str, *, completion: bool = False) -> typer.Typer:
    return typer.Typer(
        name="gitsnap",
        help=help_text,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=completion,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def _add(group: typer.Typer, commands: Mapping[str, str]) -> None:
    for name, place in commands.items():
        module, function = place.split(":")
        group.command(name)(ungrouped(getattr(importlib.import_module(module), function)))


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"gitsnap {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="GITSNAP_DEBUG", help="Show where an error came from.")
    ] = False,
) -> None:
    """Options before the command; main() reads --debug."""
