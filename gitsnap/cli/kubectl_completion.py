"""The program ``kubectl_complete-gitsnap``, which kubectl runs to complete the words behind ``kubectl gitsnap``."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys

from gitsnap.cli import main
from gitsnap.cli.streams import prepare


def answer_kubectl() -> None:
    """Run ``kubectl_complete-gitsnap WORD...``: complete the last word for kubectl.

    The output is that for fish, a word and its description in each line, and then a directive of cobra: ``:0`` lets the
    shell offer files where gitsnap offers nothing (https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/).
    """
    prepare()
    os.environ["_GITSNAP_COMPLETE"] = "complete_fish"
    os.environ["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    os.environ["_TYPER_COMPLETE_ARGS"] = shlex.join(["gitsnap", *sys.argv[1:]])
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main()
    for line in [*filter(None, printed.getvalue().splitlines()), ":0"]:
        sys.stdout.write(f"{line}\n")
