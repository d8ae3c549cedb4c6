"""The command line's shape: which commands there are, and their aliases.

A command's module is imported when that command runs: `gitsnap list` pays for nothing of `gitsnap diff`.
This module must not do what commands do.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, NamedTuple

import typer

from gitsnap import __version__
from gitsnap.core.errors import InternalError


class Command(NamedTuple):
    """A command: its function as ``module:function`` below ``gitsnap.cli.commands``, and the first line of its help."""

    place: str
    summary: str


COMMANDS = {
    "capture": Command("capture:capture", "Take one sample: read the configuration and record it."),
    "list": Command("list:list_samples", "List samples, oldest first. Dates are in UTC."),
    "show": Command("show:show", "Show what a sample holds, or single objects of it as YAML."),
    "log": Command("log:log", "Show when objects changed, in which fields, and who did it."),
    "diff": Command("diff:diff", "Show what changed between two samples."),
    "drift": Command("diff:drift", "Show how the cluster now differs from a sample."),
    "rollback": Command("rollback:rollback", "Put objects back as a sample has them: all, or those named."),
    "undo": Command("undo:undo", "Undo the last rollback."),
    "addons": Command("show:addons", "Show the add-ons in each managed cluster, now or by a sample."),
    "push": Command("push:push", "Push the samples that a remote lacks; never forced."),
    "verify": Command("verify:verify", "Check that archives are whole and as they were written."),
    "keep": Command("prune:keep", "Mark a sample, so that retention never removes it."),
    "prune": Command("prune:prune", "Remove scheduled samples that no rule keeps."),
    "import": Command("import_legacy:import_", "Import samples of the old Sveltos Snapshot feature."),
    "controller": Command("controller:controller", "Serve Snapshots: take samples on schedule and on request."),
    "demo": Command("demo:demo", "Walk through capture, diff and rollback on a small cluster."),
}
"""Every command, in the order of the help."""

GROUPS = {
    "secrets": (
        "Change the recipients or the fingerprint key for Secrets.",
        {
            "rotate": Command("secrets:rotate", "Encrypt Secrets to other recipients from now on."),
            "rekey": Command("secrets:rekey", "Give the archive a new fingerprint key."),
        },
    )
}
"""Commands of two words: the help of the first, and what is behind the second."""

ALIAS_GROUP = "snapshot"
ALIASES = ("list", "diff", "rollback")
"""The group that speaks the Sveltos CLI's words, and what is found in it."""

_HELP = "Git-backed, versioned record of a Sveltos management cluster: capture, diff, roll back."
_ALIAS_HELP = "The Sveltos CLI's words: snapshot list, diff and rollback."


def build(words: Sequence[str]) -> typer.Typer:
    """The application for this command line: the command that is called, and of the others their names and summaries.

    words: the arguments as the user gave them.
    """
    said = [word for word in words if not word.startswith("-")]
    called, second = (*said, "", "")[:2]
    app = _group(_HELP, completion=True)
    app.callback()(_root)
    _add(app, COMMANDS, called)
    aliases = {name: COMMANDS[name] for name in ALIASES}
    for name, (help_text, commands) in {**GROUPS, ALIAS_GROUP: (_ALIAS_HELP, aliases)}.items():
        group = _group(help_text)
        _add(group, commands, second if called == name else "")
        app.add_typer(group, name=name)
    return app


def words_of_line(environment: Iterable[tuple[str, str]]) -> list[str] | None:
    """The words of the line that a shell wants to complete, without the program's own; None where it wants nothing."""
    given = dict(environment)
    if not any(name.endswith("GITSNAP_COMPLETE") for name in given):
        return None
    return (given.get("COMP_WORDS") or given.get("_TYPER_COMPLETE_ARGS") or "").split()[1:]


def _group(help_text: str, *, completion: bool = False) -> typer.Typer:
    return typer.Typer(
        name="gitsnap",
        help=help_text,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=completion,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def _add(group: typer.Typer, commands: Mapping[str, Command], called: str) -> None:
    """Give the group its commands: the one that is called with its options, the others by their line in the help."""
    for name, command in commands.items():
        if name == called:
            from gitsnap.cli.option_groups import ungrouped

            module, function = command.place.split(":")
            group.command(name)(ungrouped(getattr(importlib.import_module(f"gitsnap.cli.commands.{module}"), function)))
        else:
            group.command(name, help=command.summary)(_not_called)


def _not_called() -> None:
    """Stand for a command that this line does not call: loading them all takes longer than most commands do."""
    raise InternalError("a command was called that its line did not name")


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
