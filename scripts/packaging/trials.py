"""Runs an installed gitsnap: its version, its demo, a report and a page."""

from __future__ import annotations

import re
import shutil
import subprocess
import urllib.request

from scripts.packaging.build import Build, BuildError

ARCHIVE = "gitsnap-demo/archive/hourly"
"""The archive that `gitsnap demo` leaves in the current folder."""
REPORT = ("report", "--archive", ARCHIVE, "-o", "report.html")
"""The arguments that write a report of that archive."""


def run_demo(build: Build, program: list[str]) -> None:
    """Check the version of a program, and run its demo in a new folder ``demo`` of the build. Raises BuildError."""
    folder = build.work / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    check_version(build, build.run(*program, "--version"))
    build.run(*program, "demo", cwd=folder)


def run_extras(build: Build, program: list[str]) -> None:
    """Run what needs the extras of the wheel, on the archive of the demo: a report, and a page of `gitsnap web`.

    Raises BuildError.
    """
    build.run(*program, *REPORT, cwd=build.work / "demo")
    command = [*program, "web", "--listen=127.0.0.1:0", "--archive", ARCHIVE]
    with subprocess.Popen(command, cwd=build.work / "demo", stderr=subprocess.PIPE, text=True) as server:
        try:
            lines = iter(server.stderr or ())
            address = next((match[0] for line in lines if (match := re.search(r"http://127\S+/", line))), None)
            if address is None:
                raise BuildError("gitsnap web ended before it served a page")
            with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - the address is http://
                if b"<title>" not in answer.read():
                    raise BuildError("gitsnap web answers without a page")
        finally:
            server.terminate()


def check_version(build: Build, output: str) -> None:
    """Raise BuildError if the output of `gitsnap --version` names another version than that of the build."""
    if output.split() != ["gitsnap", build.version]:
        raise BuildError(f"`gitsnap --version` prints {output.strip()!r} instead of gitsnap {build.version}")
