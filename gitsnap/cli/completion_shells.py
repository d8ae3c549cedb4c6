"""What typer's completion lacks in some shells, and the completion behind ``kubectl gitsnap``."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
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


def answer_kubectl() -> None:
    """Run ``kubectl_complete-gitsnap WORD...``: complete the last word for kubectl.

    The output is that for fish, a word and its description in each line, and then a directive of cobra: ``:0`` lets the
    shell offer files where gitsnap offers nothing (https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/).
    """
    from gitsnap.cli import main
    from gitsnap.cli.streams import prepare

    prepare()
    os.environ["_GITSNAP_COMPLETE"] = "complete_fish"
    os.environ["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    os.environ["_TYPER_COMPLETE_ARGS"] = shlex.join(["gitsnap", *sys.argv[1:]])
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main()
    for line in [*filter(None, printed.getvalue().splitlines()), ":0"]:
        sys.stdout.write(f"{line}\n")
