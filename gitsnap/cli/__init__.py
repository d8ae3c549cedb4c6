"""The command line: parse arguments, run a command, print its result and exit.

Apart from the controller, only this package reads the environment and the current time. A library that takes long to
import is imported by the function that needs it. This package must not decide anything about configurations.
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
from typing import TYPE_CHECKING

from gitsnap.core.consequences import exit_code_of
from gitsnap.core.errors import (
    AbortedError,
    ClosedOutputError,
    GitsnapError,
    InternalError,
    OutputError,
    StorageError,
    UsageError,
)

if TYPE_CHECKING:
    from typer.exceptions import TyperException

_SHELL_SETUP = frozenset({"--install-completion", "--show-completion"})
"""The options that print or install the completion script of a shell."""


_received_signals: list[int] = []
"""The signal that asked this process to end, if one did."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run gitsnap with ``arguments`` (default: those of the process) and exit with the code of the command."""
    from gitsnap.cli.streams import prepare
    from gitsnap.core.files import remove_abandoned_folders

    prepare()
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if words[:2] == ["show", "addons"]:  # the name of this command in the Sveltos CLI
        words[:2] = ["addons", "--sveltos-cli"]
    gc.disable()  # the process is short, and a search for cycles takes half as long as decoding the JSON of a cluster
    os.umask(0o077)  # every file may hold configuration that other users must not read
    _handle_signals()
    remove_abandoned_folders()
    try:
        code = _run(words)
    except KeyboardInterrupt:  # before the command began or after it ended
        code = exit_code_of(AbortedError)
    if code == exit_code_of(AbortedError) and _received_signals:
        code = 128 + _received_signals[0]
    gc.freeze()  # otherwise Python searches all objects for cycles when it exits
    sys.exit(code)


def _handle_signals() -> None:
    """Treat SIGTERM and SIGHUP as Ctrl-C: a command leaves no half-written archive, child process or temporary file."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        with suppress(ValueError):  # not the main thread
            if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` ignores SIGHUP
                signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt at the first signal. Later signals are ignored: the process is about to end."""
    if not _received_signals:
        _received_signals.append(number)
        raise KeyboardInterrupt


def _run(words: list[str]) -> int:
    """Run the command and return the exit code. Every error is printed to stderr."""
    import typer
    from typer.exceptions import TyperException

    debug = "--debug" in words or os.environ.get("GITSNAP_DEBUG", "") not in ("", "0")
    try:
        return _execute(words)
    except (GitsnapError, OSError) as error:
        if debug:
            traceback.print_exc()
        return _report_error(error)
    except TyperException as error:
        _print_error(*_describe_usage_error(error))
        return exit_code_of(UsageError)
    except (typer.Abort, KeyboardInterrupt):
        _print_error("interrupted: finished work is kept, and nothing is half written", "")
        return exit_code_of(AbortedError)
    except Exception as error:  # Python would exit with 1, which means differences
        if debug:
            traceback.print_exc()
        else:  # the message of the exception is left out, since it may hold a value of a Secret
            traceback.print_tb(error.__traceback__)
        _print_error(f"a defect of gitsnap: {type(error).__name__}", "Please report it with the lines above.")
        return exit_code_of(InternalError)


def _describe_usage_error(error: TyperException) -> tuple[str, str]:
    """Return the message and the hint for a command line that typer refuses."""
    context = getattr(error, "ctx", None)
    if context is None:
        return error.format_message(), f"`{_typed_name(_program_name())} --help` lists the commands."
    if not hasattr(error, "possibilities"):
        return error.format_message(), f"`{context.command_path} --help` lists the arguments and options."
    from gitsnap.cli.option_suggestions import explain_option, options_of, suggest_options

    option, path = str(getattr(error, "option_name", "")), context.command_path
    meant = suggest_options(option, options_of(context.command.params))
    hint = f"Did you mean {' or '.join(meant)}?" if meant else explain_option(option, is_root=context.parent is None)
    return f"{path} has no option {option}", f"{hint} `{path} --help` lists the options.".lstrip()


def _execute(words: list[str]) -> int:
    """Run the command and return its exit code. Raises the errors of the command, and KeyboardInterrupt."""
    from gitsnap.cli.app import build

    program = _program_name()

    def run(name: str = program) -> int:
        code = build()(words, standalone_mode=False, prog_name=name)
        return code if isinstance(code, int) else 0

    if any(name.endswith("GITSNAP_COMPLETE") for name in os.environ):
        from gitsnap.cli.completion_shells import show_descriptions_unchanged

        show_descriptions_unchanged()
        code = run()
    elif _SHELL_SETUP.isdisjoint(words):
        code = run(_typed_name(program))
    else:
        from gitsnap.cli.completion_shells import set_up_shell

        code = set_up_shell(run, program)
    if code == exit_code_of(AbortedError):  # typer returns this code for KeyboardInterrupt, and prints nothing
        raise KeyboardInterrupt
    sys.stdout.flush()
    return code


def _report_error(error: GitsnapError | OSError) -> int:
    """Print the error to stderr and return its exit code."""
    if isinstance(error, OutputError):
        from gitsnap.cli.terminal import describe_finished

        finished = describe_finished()
        if finished or not isinstance(error, ClosedOutputError):  # `gitsnap list | head` is not an error
            _print_error(error.message, f"Done before the error: {finished}" if finished else "")
        return exit_code_of(error)
    if isinstance(error, GitsnapError):
        _print_error(error.message, error.hint)
        return exit_code_of(error)
    _print_error(_describe_system_error(error), "Check the permissions of that file or folder, and HOME and TMPDIR.")
    return exit_code_of(StorageError)


def _describe_system_error(error: OSError) -> str:
    """Return the message for an error of the operating system that no command handled."""
    reason = error.strerror or type(error).__name__
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {reason}"
    try:
        os.getcwd()  # noqa: PTH109 - only its error matters
    except OSError:
        return f"the current folder cannot be read: {reason}"
    return f"the system refuses: {reason}"


def _program_name() -> str:
    """Return the name under which gitsnap was called. The completion of a shell is registered for one name."""
    name = os.path.basename(sys.argv[0])  # noqa: PTH119 - a name, not a file
    return name if name in ("gitsnap", "kubectl-gitsnap") else "gitsnap"


def _typed_name(program: str) -> str:
    """Return the words that a user types for the program: kubectl runs ``kubectl-gitsnap`` for ``kubectl gitsnap``."""
    return program.replace("kubectl-", "kubectl ")


def _print_error(message: str, hint: str) -> None:
    from gitsnap.cli.terminal import say

    say(f"error: {message}")
    if hint:
        say(hint)
