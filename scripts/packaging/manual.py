"""Man pages and completion scripts, written from the commands themselves."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from inspect import cleandoc
from pathlib import Path
from typing import Any

from click_man.man import ManPage

from gitsnap.cli import app
from scripts.packaging.build import Build, Entry, compress, write_tar

_SHELLS = {"bash": "gitsnap.bash", "zsh": "_gitsnap", "fish": "gitsnap.fish"}
"""The file of the completion script for each shell, under the name that the shell looks for."""


def manual_entries(build: Build) -> list[Entry]:
    """Return the man pages, ``man/man1/gitsnap-list.1``, and the completion scripts, ``completions/gitsnap.bash``."""
    pages = [Entry(f"man/man1/{name}.1", text.encode()) for name, text in man_pages(build).items()]
    scripts = []
    for shell, name in _SHELLS.items():
        script = build.run(sys.executable, "-m", "gitsnap", env={"_GITSNAP_COMPLETE": f"source_{shell}"})
        scripts.append(Entry(f"completions/{name}", script.encode()))
    return [*pages, *scripts]


def man_pages(build: Build) -> dict[str, str]:
    """Return the text of each man page by its name: ``gitsnap``, ``gitsnap-list``, ``gitsnap-secrets-rotate``."""
    root = app.build()
    context: Any = root.make_context("gitsnap", [], resilient_parsing=True)
    pages: dict[str, str] = {}
    _add_pages(pages, context, build)
    return pages


def _add_pages(pages: dict[str, str], context: Any, build: Build) -> None:
    """Add the page of a command and the pages of its subcommands."""
    command = context.command
    page = ManPage(context.command_path)
    page.version = f"gitsnap {build.version}"
    page.date = datetime.fromtimestamp(build.epoch, UTC).date().isoformat()
    text = cleandoc(command.help)
    page.short_help = text.split("\n", 1)[0]
    page.description = text
    page.synopsis = " ".join(command.collect_usage_pieces(context))
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    page.options = [record for parameter in shown if (record := parameter.get_help_record(context)) is not None]
    commands = getattr(command, "commands", {})
    page.commands = [(name, subcommand.help) for name, subcommand in commands.items()]
    pages[context.command_path.replace(" ", "-")] = str(page)
    for name, subcommand in commands.items():
        _add_pages(pages, subcommand.make_context(name, [], parent=context, resilient_parsing=True), build)


def write_manual(build: Build) -> list[Path]:
    """Write ``gitsnap-VERSION-manual.tar.gz``: man pages and completion scripts, for a package of a distribution."""
    path = build.file(f"gitsnap-{build.version}-manual.tar")
    write_tar(path, manual_entries(build), build.epoch)
    return [compress(path, build)]
