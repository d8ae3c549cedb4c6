"""What shells are told about completion: two corrections of typer's own, tried in the shells, and kubectl's protocol.

This module must not know what is offered.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys

from typer import _completion_classes as protocol
from typer import _completion_shared as installed

_FIRST_TIME = """
[[ ${funcstack[1]} != _%(prog_name)s ]] || %(complete_func)s
"""
"""At the first Tab zsh runs the installed file as if it were the function that it defines: it must complete too."""


def correct() -> None:
    """From now on descriptions are shown as they are written, and zsh completes at the first Tab of a session as well.

    typer takes descriptions for rich's markup, which loses what stands in brackets, and wraps them; fish then offers
    the second line as a word of its own.
    """
    protocol._sanitize_help_text = _in_one_line  # noqa: SLF001 - typer has no public way
    scripts = installed._completion_scripts  # noqa: SLF001
    if not scripts["zsh"].endswith(_FIRST_TIME):
        scripts["zsh"] += _FIRST_TIME


def answer_kubectl() -> None:
    """The program ``kubectl_complete-gitsnap WORD ...``, which kubectl asks what may stand behind ``kubectl gitsnap``.

    The last word is the one that is being written. Said are the words as to fish, each with its description behind a
    tab, and cobra's directive: where nothing is offered, files are (kubectl's documentation, "kubectl plugin").
    """
    from gitsnap.cli import main
    from gitsnap.cli.streams import prepare

    prepare()
    os.environ["_GITSNAP_COMPLETE"] = "complete_fish"
    os.environ["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    os.environ["_TYPER_COMPLETE_ARGS"] = shlex.join(["gitsnap", *sys.argv[1:]])
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        main()
    for line in [*filter(None, said.getvalue().splitlines()), ":0"]:
        sys.stdout.write(f"{line}\n")


def _in_one_line(text: str) -> str:
    return " ".join(text.split())
