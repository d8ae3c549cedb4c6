"""gitsnap accepts every `gitsnap` command in README.md, CONTRIBUTING.md and docs/."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer import Context
from typer.exceptions import TyperException

from gitsnap.cli.app import build

_ROOT = Path(__file__).resolve().parents[2]
_PAGES = sorted([*_ROOT.glob("*.md"), *(_ROOT / "docs").glob("*.md")])
_PLACEHOLDERS = {"N": "3", "SECONDS": "30"}
"""Placeholders for numbers in documents. Other placeholders are valid values."""
_IN_A_SHELL_LINE = re.compile(r"(?:^|\s-- |\$ |; |&& |\| )(gitsnap(?: [^;|&#<>]*)?)(?=$|[;|&#<>])")
_OTHER_TEXTS = ("gitsnap author 1", "gitsnap fingerprint 1", "gitsnap fingerprint key id")
"""Texts of the archive format that look like commands."""


def _commands(text: str) -> Iterator[str]:
    """The commands of a Markdown text: in code blocks, and in code spans that begin with ``gitsnap``."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            yield from re.findall(
                r"(?:^|\s-- |\$ |; |&& |\| |^ *)(gitsnap(?: [^;|&#<>]*)?)(?=$|[;|&#<>])", line.strip()
            )
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for span in re.findall(r"`([^`]+)`", prose):
        words = " ".join(span.split())
        if words.startswith("gitsnap "):
            yield re.split(r" [|;>] | && ", words)[0]


def _cases() -> Iterator[tuple[str, str]]:
    for page in _PAGES:
        for command in sorted(set(_commands(page.read_text()))):
            if command.strip() not in _OTHER_TEXTS and "…" not in command and "COMMAND" not in command:
                yield page.name, command.strip()


@pytest.mark.parametrize(("page", "command"), list(_cases()))
def test_a_documented_command_is_accepted(page: str, command: str) -> None:
    """The words, options and number of arguments of the command are valid. Nothing is executed."""
    words = [_PLACEHOLDERS.get(word, word) for word in shlex.split(command, comments=True)[1:]]
    try:
        _parse(words)
    except TyperException as error:
        pytest.fail(f"{page}: `{command}`: {error.format_message()}")


def _parse(words: list[str]) -> None:
    """Parse the words of a command as gitsnap does. Raises TyperException.

    A command without arguments is only named, so it may lack arguments that it needs.
    """
    group: Any = build()
    context = None
    if words[0].startswith("-"):
        assert words[0] in {option for parameter in group.get_params(Context(group)) for option in parameter.opts}
        return
    while words and hasattr(group, "resolve_command"):
        name, command, words = group.resolve_command(context or Context(group), words)
        group, context = command, Context(command, info_name=name, parent=context)
    if words and not set(words) & {"--help", "-h"}:
        group.make_context(group.name, words, parent=context)


def _options() -> set[str]:
    """Every option of every command."""
    root: Any = build()
    names = {"--help", *(option for parameter in root.get_params(Context(root)) for option in parameter.opts)}
    pending = [root]
    while pending:
        group = pending.pop()
        for name in group.list_commands(Context(group)):
            command = group.get_command(Context(group), name)
            if hasattr(command, "list_commands"):
                pending.append(command)
            else:
                loaded = command.make_context(name, [], resilient_parsing=True).command
                names |= {
                    option for parameter in loaded.params for option in (*parameter.opts, *parameter.secondary_opts)
                }
    return names


def test_every_option_in_the_documents_exists() -> None:
    """A code span that begins with an option names an option of some command of gitsnap."""
    known = _options()
    missing = {
        (page.name, option)
        for page in _PAGES
        for span in re.findall(r"`([^`]+)`", page.read_text())
        if span.startswith("--")
        for option in re.findall(r"(?:^|\s)(--[a-z][a-z-]*[a-z])(?![-a-z…])", span)
        if option not in known
    }
    assert not missing
