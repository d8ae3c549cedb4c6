"""Two corrections of what typer tells shells about completion, both tried in the shells themselves.

This module must not know what is offered.
"""

from __future__ import annotations

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


def _in_one_line(text: str) -> str:
    return " ".join(text.split())
