"""The commands of gitsnap and their aliases.

The module of a command is imported when that command is called: `gitsnap list` imports nothing of `gitsnap diff`, and
the help imports no command at all.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, cast

import typer.main
from typer.core import TyperCommand, TyperGroup

from gitsnap import __version__
from gitsnap.cli.help import HelpfulCommand, SectionedGroup
from gitsnap.core.errors import UsageError


class Command(NamedTuple):
    """Where a command is implemented, and the line that `gitsnap --help` shows for it."""

    function: str
    """``module:function`` in ``gitsnap.cli.commands``."""
    summary: str
    """The first line of the function's docstring."""
    option: str = ""
    """An option that is always given."""


COMMANDS = {
    "capture": Command("capture:capture", "Take one sample: read the configuration and record it."),
    "follow": Command("follow:follow", "Record each change as a commit with its author, until Ctrl-C."),
    "status": Command("status:status", "Show whether samples are taken, can be read and are pushed."),
    "list": Command("list:list_", "List samples, oldest first. Dates are in UTC."),
    "show": Command("show:show", "Show what a sample holds, or single objects as YAML."),
    "log": Command("log:log", "Show when objects changed, in which fields, and by whom."),
    "blame": Command(
        "blame:blame", "Show when each field of an object last changed, who wrote it, and its value before."
    ),
    "search": Command("search:search", "Show when a value appeared in the configuration, and when it disappeared."),
    "bisect": Command(
        "bisect:bisect", "Find the change that turned the configuration from good to bad, by a binary search."
    ),
    "diff": Command("diff:diff", "Show what changed between two samples, or between two changes."),
    "drift": Command("drift:drift", "Show how the live cluster differs from a sample."),
    "report": Command("report:report", "Write a report of a period as one HTML file."),
    "web": Command("web:web", "Show archives in a browser: timeline, diffs, objects, clusters, search."),
    "rollback": Command("rollback:rollback", "Restore all objects of a sample, or selected objects."),
    "undo": Command("undo:undo", "Undo the last rollback."),
    "attribute": Command("attribute:attribute_", "Record who made each change, from audit logs of the API server."),
    "addons": Command("addons:addons", "Show the add-ons of each managed cluster, now or in a sample."),
    "push": Command("push:push", "Push samples and changes to a remote. A push is never forced."),
    "verify": Command("verify:verify", "Verify that archives are complete and unchanged."),
    "keep": Command("keep:keep", "Mark a sample, so that retention never removes it."),
    "prune": Command("prune:prune", "Remove scheduled samples that no rule keeps."),
    "forget": Command("forget:forget", "Remove single samples."),
    "import": Command("import_legacy:import_", "Import samples of the old Sveltos Snapshot feature."),
    "controller": Command("controller:controller", "Run the controller: take samples on schedule and on request."),
    "demo": Command("demo:demo", "Walk through capture, diff and rollback on a small cluster."),
}
"""Every command."""

SECTIONS = {
    "Everyday commands": ("capture", "follow", "list", "show", "log", "diff", "drift", "rollback", "undo"),
    "History and add-ons": ("report", "web", "blame", "search", "bisect", "attribute", "addons"),
    "Archive maintenance": ("status", "verify", "push", "keep", "forget", "prune", "secrets"),
}
"""The sections of `gitsnap --help`. The other commands follow, in the order of ``COMMANDS``."""

GROUPS = {
    "secrets": (
        "Change the recipients or the fingerprint key for Secrets.",
        {
            "rotate": Command("secrets:rotate", "Encrypt Secrets to other recipients from now on."),
            "rekey": Command("secrets:rekey", "Give the archive a new fingerprint key."),
        },
    )
}
"""Commands of two words: for each first word its summary and the second words."""

ALIAS_GROUP = "snapshot"
"""The group that accepts the commands of the Sveltos CLI, such as ``snapshot list``."""
ALIASES = {"list": "", "diff": "--sveltos-cli", "rollback": ""}
"""The commands in that group, each with the option that gives the output of the Sveltos CLI."""

_HELP = "Git-backed, versioned record of a Sveltos management cluster: capture, diff, roll back."
_HELP_OF_COMPLETION = {
    "--install-completion": "Install the completion of commands, options and samples for your shell.",
    "--show-completion": "Print the script of that completion.",
}
"""The help texts of the options that typer adds."""
_ALIAS_HELP = "Commands of the Sveltos CLI: list, diff and rollback."


class LazyCommand(TyperCommand):
    """A command whose module is imported when the command is called or completed.

    The help of a group and the completion of a command's name need only the name and the summary.
    """

    def __init__(self, name: str, command: Command) -> None:
        super().__init__(name, help=command.summary, rich_markup_mode=None)
        self._function = command.function
        self._options = [command.option] if command.option else []

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Return the context of the imported command; typer runs and completes the command of that context."""
        return self._load().make_context(info_name, [*self._options, *args], parent=parent, **extra)

    def _load(self) -> TyperCommand:
        from gitsnap.cli.option_groups import expand_groups

        module, function = self._function.split(":")
        app = _typer(add_completion=False)
        app.command(self.name, cls=HelpfulCommand)(
            expand_groups(getattr(importlib.import_module(f"gitsnap.cli.commands.{module}"), function))
        )
        return cast("TyperCommand", typer.main.get_command(app))


class CommandGroup(SectionedGroup):
    """A group that suggests a command for an unknown word, and that accepts ``help [COMMAND]``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the name, the command and its arguments. Raises UsageError for an unknown command."""
        if args[0] == "help":
            return self._resolve_help(ctx, args[1:])
        if args[0] in self.commands or ctx.resilient_parsing or args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        from gitsnap.cli.command_suggestions import describe_command

        program = ctx.command_path
        is_root = ctx.parent is None or self.name == ALIAS_GROUP
        if not is_root or args[0] not in COMMANDS:
            hint = describe_command(args[0], self.commands, program, is_root=is_root)
        else:
            hint = f"Did you mean `{ctx.parent.command_path} {args[0]}`?"  # `gitsnap snapshot show`
        raise UsageError(f"{args[0]!r} is not a command of {program}", hint=hint or f"`{program} --help` lists them.")

    def _resolve_help(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Resolve ``help ARGS`` as ``ARGS --help``."""
        if ctx.resilient_parsing:  # the completion of a word after `help`
            return self.resolve_command(ctx, args) if args else (None, None, [])
        if args:
            return self.resolve_command(ctx, [*args, "--help"])
        typer.echo(ctx.get_help())
        raise typer.Exit


def build() -> TyperGroup:
    """Return the application with all commands and groups."""
    settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
    app = _typer(help=_HELP, cls=CommandGroup, context_settings=settings)
    app.callback()(_global_options)
    root = cast("SectionedGroup", typer.main.get_command(app))
    root.sections = SECTIONS
    options: list[Any] = root.params
    for parameter in options:
        parameter.help = _HELP_OF_COMPLETION.get(parameter.opts[0], parameter.help)
    _add_commands(root, COMMANDS)
    aliases = {name: COMMANDS[name]._replace(option=option) for name, option in ALIASES.items()}
    for name, (help_text, commands) in {**GROUPS, ALIAS_GROUP: (_ALIAS_HELP, aliases)}.items():
        group = CommandGroup(name=name, help=help_text, rich_markup_mode=None)
        _add_commands(group, commands)
        root.add_command(group)
    return root


def _add_commands(group: TyperGroup, commands: Mapping[str, Command]) -> None:
    for name, command in commands.items():
        group.add_command(LazyCommand(name, command))


def _typer(**settings: Any) -> typer.Typer:
    return typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, **settings)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"gitsnap {__version__}")
        raise typer.Exit


def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            envvar="GITSNAP_DEBUG",
            help="Print a traceback when an error occurs. The variable GITSNAP_DEBUG does the same.",
        ),
    ] = False,
) -> None:
    """Declare the options before the command; main() reads --debug from the arguments itself."""
