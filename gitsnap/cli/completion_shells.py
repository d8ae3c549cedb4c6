"""Corrections of the completion of typer, for descriptions and for zsh."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

_ZSH_SCRIPT = "#compdef {program}"
_ZSH_FIRST_TAB = """
[[ ${{funcstack[1]}} != _{program} ]] || _{function}_completion
"""
"""At the first Tab of a session zsh runs the installed file as the function that the file defines.

Without this line the first Tab defines the function and completes nothing.
"""


def show_descriptions_unchanged() -> None:
    """Hide rich from typer, which reads the description of an option as rich's markup.

    As markup, words in brackets are lost and long lines are wrapped; fish offers each wrapped line as a word.
    """
    sys.modules["rich"] = None  # type: ignore[assignment] # an import of rich fails, as where it is not installed


def set_up_shell(run: Callable[[], int], program: str) -> int:
    """Run typer's ``--install-completion`` or ``--show-completion``, and add the line for the first Tab in zsh.

    ``run``: prints the script, or installs it and prints where; it may raise SystemExit.
    """
    printed = io.StringIO()
    line = _ZSH_FIRST_TAB.format(program=program, function=program.replace("-", "_"))
    try:
        with contextlib.redirect_stdout(printed):
            return run()
    finally:
        text = printed.getvalue()
        is_zsh_script = text.startswith(_ZSH_SCRIPT.format(program=program))
        sys.stdout.write(text.rstrip("\n") + line if is_zsh_script else text)
        installed = Path.home() / ".zfunc" / f"_{program}"
        if f" {installed}" in text:
            installed.write_text(installed.read_text() + line)
