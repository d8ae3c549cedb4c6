"""What all parts of a release share: the version, the date, the output folder, and the programs that parts run."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""


ARCHITECTURE = {"aarch64": "arm64"}.get(platform.machine(), "amd64")
"""The platform of this machine."""


class BuildError(Exception):
    """A part cannot be built. The message says which program or file is missing, and what to do."""


@dataclass(frozen=True, slots=True)
class Build:
    """One run of scripts/release."""

    version: str
    epoch: int
    """The date of every file that is built: seconds since 1970, UTC."""
    output: Path
    """The folder of the finished files."""
    work: Path
    """A folder for what lies between. It is removed at the end."""
    architecture: str = ARCHITECTURE
    """The name that Debian and OCI use for the platform of the files."""

    def run(self, *command: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
        """Run a program with ``SOURCE_DATE_EPOCH`` and return its output. Raises BuildError if the program fails."""
        variables = {**os.environ, "SOURCE_DATE_EPOCH": str(self.epoch), "PYTHONHASHSEED": "0", **(env or {})}
        words = [str(word) for word in command]
        completed = subprocess.run(words, cwd=cwd, env=variables, capture_output=True, text=True, check=False)
        if completed.returncode:
            end = "\n".join((completed.stdout + completed.stderr).splitlines()[-20:])
            raise BuildError(f"{' '.join(words[:3])} failed with exit code {completed.returncode}:\n{end}")
        return completed.stdout

    def file(self, name: str) -> Path:
        """Return the path of a finished file, and make its folder."""
        self.output.mkdir(parents=True, exist_ok=True)
        return self.output / name


def source_version() -> str:
    """Return the version of gitsnap, which has one place: ``gitsnap/__init__.py``."""
    match = re.search(r'^__version__ = "([^"]+)"', (ROOT / "gitsnap/__init__.py").read_text(), re.MULTILINE)
    if match is None:
        raise BuildError('gitsnap/__init__.py has no line `__version__ = "…"`')
    return match[1]


def source_date() -> int:
    """Return ``SOURCE_DATE_EPOCH``, or the date of the newest commit, in seconds since 1970. Raises BuildError."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        if not given.isdecimal():
            raise BuildError(f"SOURCE_DATE_EPOCH={given}: not a number of seconds since 1970")
        return int(given)
    command = ["git", "log", "-1", "--format=%ct"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if completed.returncode or not completed.stdout.strip():
        raise BuildError("the checkout has no git history: set SOURCE_DATE_EPOCH to the date of the release")
    return int(completed.stdout)


def need(programs: Mapping[str, str]) -> None:
    """Raise BuildError if a program is not installed. ``programs``: each program with its Debian package."""
    missing = {program: package for program, package in programs.items() if shutil.which(program) is None}
    if missing:
        raise BuildError(
            f"not installed: {', '.join(missing)}. On Debian: apt-get install {' '.join(sorted(set(missing.values())))}"
        )


def normalized_name(package: str) -> str:
    """Return the name of a Python package as PyPI compares names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, a folder or a symbolic link of a tar archive."""

    name: str
    """The path in the archive, without a slash at its begin."""
    content: bytes = b""
    mode: int = 0o644
    link: str = ""
    """The target of a symbolic link."""
    is_folder: bool = False
    same_file: str = ""
    """Entries with the same text here are hard links of one file."""


def read_folder(folder: Path, prefix: str = "") -> list[Entry]:
    """Return the entries below a folder, with paths below ``prefix``."""
    entries = []
    for path in sorted(folder.rglob("*")):
        name = f"{prefix}{path.relative_to(folder)}"
        if path.is_symlink():
            entries.append(Entry(name, link=str(path.readlink()), mode=0o777))
        elif path.is_dir():
            entries.append(Entry(name, mode=0o755, is_folder=True))
        else:
            entries.append(Entry(name, path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644))
    return entries


def write_tar(path: Path, entries: Iterable[Entry], epoch: int, mode: str = "w") -> None:
    """Write a tar archive whose bytes depend only on the entries and the date: sorted, owned by root."""
    first_names: dict[str, str] = {}
    with tarfile.open(path, mode, format=tarfile.GNU_FORMAT) as archive:  # type: ignore[call-overload]
        for entry in sorted(entries, key=lambda entry: entry.name):
            information = tarfile.TarInfo(entry.name)
            information.mtime, information.mode = epoch, entry.mode
            if entry.link:
                information.type, information.linkname = tarfile.SYMTYPE, entry.link
            elif entry.is_folder:
                information.type = tarfile.DIRTYPE
            elif entry.same_file and first_names.setdefault(entry.same_file, entry.name) != entry.name:
                information.type, information.linkname = tarfile.LNKTYPE, first_names[entry.same_file]
            else:
                information.size = len(entry.content)
            archive.addfile(information, BytesIO(entry.content) if information.isreg() else None)


def compress(path: Path, build: Build) -> Path:
    """Compress a file with gzip, without its name and date in the header, and return the path of the result."""
    build.run("gzip", "-9", "-n", "-f", path)
    return path.with_name(f"{path.name}.gz")


def sizes(paths: Sequence[Path]) -> str:
    """Return a line for each file: its name and its size in MB (1,000,000 bytes)."""
    width = max((len(path.name) for path in paths), default=0)
    return "\n".join(f"{path.name:{width}}  {path.stat().st_size / 1e6:8.2f} MB" for path in paths)
