"""The command line: parses, wires, prints, exits. The only reader of the environment and of the clock of the day.

Nothing costly is imported before a command needs it. This package must not decide anything about configurations.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

from gitsnap.core.consequences import exit_code_of
from gitsnap.core.errors import (
    AbortedError,
    GitsnapError,
    InternalError,
    OutputError,
    ReaderGoneError,
    StorageError,
    UsageError,
)

_COMPLETION = frozenset({"--install-completion", "--show-completion"})


_ended_by: list[int] = []
"""The signal that asked this process to end."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run gitsnap with these arguments (default: the process's own) and exit."""
    from gitsnap.cli.streams import prepare

    prepare()
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if words[:2] == ["show", "addons"]:  # the Sveltos CLI's name for it
        words[:2] = ["addons"]
    gc.disable()  # a short process: walking a cluster's worth of JSON in search of cycles costs half of its decoding
    os.umask(0o077)  # whatever is written may hold configuration that is nobody else's business
    _end_in_order()
    try:
        code = _run(words)
    except KeyboardInterrupt:  # so early or so late that nothing had begun, or all was done
        code = exit_code_of(AbortedError)
    if code == exit_code_of(AbortedError) and _ended_by:
        code = 128 + _ended_by[0]
    gc.freeze()  # else Python walks all there is in search of cycles once more, at its end
    sys.exit(code)


def _end_in_order() -> None:
    """Take SIGTERM and SIGHUP as Ctrl-C: what was begun is left whole, children end, temporary files are removed.

    Removes what a killed process has left, too.
    """
    from gitsnap.core.files import clear_abandoned_folders

    for number in (signal.SIGTERM, signal.SIGHUP):
        with suppress(ValueError):  # not the main thread
            if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` ignores SIGHUP
                signal.signal(number, _interrupt)
    clear_abandoned_folders()


def _interrupt(number: int, _frame: FrameType | None) -> None:
    """The second signal changes nothing: the process is about to end."""
    if not _ended_by:
        _ended_by.append(number)
        raise KeyboardInterrupt


def _run(words: list[str]) -> int:
    """The exit code. Every error ends here, as a message on stderr."""
    import typer
    from typer.exceptions import TyperException

    debug = "--debug" in words or os.environ.get("GITSNAP_DEBUG", "") not in ("", "0")
    try:
        return _carried_out(words)
    except (GitsnapError, OSError) as error:
        if debug:
            traceback.print_exc()
        return _failed(error)
    except TyperException as error:
        hint = "`gitsnap --help` lists the commands, `gitsnap COMMAND --help` the arguments and options."
        _complain(error.format_message(), hint)
        return exit_code_of(UsageError)
    except (typer.Abort, KeyboardInterrupt):
        _complain("interrupted: finished work is kept, and nothing is half written", "")
        return exit_code_of(AbortedError)
    except Exception as error:  # Python's own exit code would say that there are differences
        if debug:
            traceback.print_exc()
        else:  # without the exception's words: they may be a value of a Secret
            traceback.print_tb(error.__traceback__)
        _complain(f"a defect of gitsnap: {type(error).__name__}", "Please report it with the lines above.")
        return exit_code_of(InternalError)


def _carried_out(words: list[str]) -> int:
    from gitsnap.cli.app import build, words_of_line

    line = words_of_line(os.environ.items())
    if line is not None or not _COMPLETION.isdisjoint(words):
        from gitsnap.cli.completion_shells import correct

        correct()
    code = build(words if line is None else line)(words, standalone_mode=False, prog_name=_program())
    if code == exit_code_of(AbortedError):  # typer turns KeyboardInterrupt into this code, without a word
        raise KeyboardInterrupt
    sys.stdout.flush()
    return code if isinstance(code, int) else 0


def _failed(error: GitsnapError | OSError) -> int:
    """Say what failed, on stderr; the exit code."""
    if isinstance(error, OutputError):
        from gitsnap.cli.terminal import accomplished

        done = accomplished()
        if done or not isinstance(error, ReaderGoneError):  # `gitsnap list | head` is nothing to talk about
            _complain(error.message, f"Done all the same: {done}" if done else "")
        return exit_code_of(error)
    if isinstance(error, GitsnapError):
        _complain(error.message, error.hint)
        return exit_code_of(error)
    _complain(_of_system(error), "Look at the rights and the state of that file or folder, and at HOME and TMPDIR.")
    return exit_code_of(StorageError)


def _of_system(error: OSError) -> str:
    """An error of the operating system that no command expected, with what it is about."""
    reason = error.strerror or type(error).__name__
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {reason}"
    try:
        os.getcwd()  # noqa: PTH109 - whether it can be asked for at all
    except OSError:
        return f"the current folder cannot be read: {reason}"
    return f"the system refuses: {reason}"


def _program() -> str:
    """The name that gitsnap was called by; a shell's completion is bound to it."""
    name = os.path.basename(sys.argv[0])  # noqa: PTH119 - a name, not a file
    return name if name in ("gitsnap", "kubectl-gitsnap") else "gitsnap"


def _complain(message: str, hint: str) -> None:
    from gitsnap.cli.terminal import say

    say(f"error: {message}")
    if hint:
        say(hint)
