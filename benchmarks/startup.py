"""Measures the commands on the small cluster of `gitsnap demo`; prints the CPU seconds of each, the best of five.

    python benchmarks/startup.py                                 gitsnap of this Python
    python benchmarks/startup.py /opt/gitsnap/gitsnap            the folder with its own Python
    python benchmarks/startup.py dist/gitsnap-…-image-amd64.tar  the image, as a container runs it

Several programs are the columns of one table, measured in turns.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from scripts.packaging.build import Build, source_version
from scripts.packaging.container import ENTRYPOINT, container_command, unpack_image
from scripts.packaging.image import ENVIRONMENT
from scripts.packaging.seccomp import write_seccomp_filter

Program = Callable[[list[str]], list[str]]
"""Returns the command that runs gitsnap with these arguments."""

_ARCHIVE = ("--archive", "archive/hourly")
_LIVE = (*_ARCHIVE, "--from-dir", "cluster")
_COMMANDS: dict[str, list[str]] = {
    "--version": ["--version"],
    "list --help": ["list", "--help"],
    "list": ["list", *_ARCHIVE],
    "show": ["show", "latest", "ConfigMap/default/database", *_ARCHIVE],
    "log": ["log", "ConfigMap/default/database", *_ARCHIVE],
    "diff": ["diff", *_ARCHIVE],
    "blame": ["blame", "ConfigMap/default/database", *_ARCHIVE],
    "search": ["search", "redis", *_ARCHIVE],
    "status": ["status", *_ARCHIVE],
    "verify": ["verify", *_ARCHIVE],
    "report": ["report", *_ARCHIVE, "-o", "-"],
    "addons": ["addons", "--from-dir", "cluster"],
    "drift": ["drift", *_LIVE],
    "rollback --dry-run": ["rollback", "latest~1", "--dry-run", *_LIVE],
    "capture": ["capture", "--snapshot", "hourly", "--storage", "archive", "--from-dir", "cluster"],
}
_MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime)
sys.exit(code)
"""
"""Runs a command and prints its CPU seconds. In a container, because bubblewrap does not wait for its processes."""
_MEANINGFUL = (0, 1, 3)
"""Exit codes of a command that did its work: drift and status also answer with their exit code."""


def main(arguments: list[str]) -> None:
    """Measure the programs in turns, and print a table in Markdown."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        programs = [_program(argument, folder) for argument in arguments or [""]]
        subprocess.run([sys.executable, "-m", "gitsnap", "demo", folder / "demo"], check=True, capture_output=True)
        print(f"| command | {' | '.join(arguments or ['this Python'])} |")
        for row, words in _COMMANDS.items():
            times = [min(_seconds(program(words), folder / "demo") for _ in range(5)) for program in programs]
            print(f"| `{row}` | {' | '.join(f'{seconds:.2f} s' for seconds in times)} |", flush=True)


def _program(argument: str, folder: Path) -> Program:
    if not argument.endswith(".tar"):
        gitsnap = [argument] if argument else [sys.executable, "-m", "gitsnap"]
        return lambda words: [sys.executable, "-c", _MEASURE, *gitsnap, *words]
    root = unpack_image(Build(source_version(), 0, folder, folder), Path(argument), folder)
    seccomp_filter = write_seccomp_filter(folder / "seccomp")

    def program(words: list[str]) -> list[str]:
        measured = ["env", f"--chdir={folder / 'demo'}", "python3", "-c", _MEASURE, ENTRYPOINT, *words]
        return container_command(
            root, measured, seccomp_filter=seccomp_filter, variables=ENVIRONMENT, writable=[folder / "demo"]
        )

    return program


def _seconds(command: list[str], folder: Path) -> float:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in _MEANINGFUL:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr}")
    return float(done.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
