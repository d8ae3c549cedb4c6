"""A folder with gitsnap and its own Python, for machines without Python and for krew.

PyInstaller makes a folder (onedir). A single file (onefile) would unpack itself at each start, which takes seconds.
"""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from importlib.metadata import packages_distributions
from pathlib import Path

from scripts.packaging.build import ROOT, Build, Entry, compress, need, normalized_name, read_folder, write_tar
from scripts.packaging.manual import manual_entries

_START = """\
import os
import sys

# The boot loader of PyInstaller sets LD_LIBRARY_PATH. git and ssh, which gitsnap starts, must load their own libraries.
before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
if before is None:
    os.environ.pop("LD_LIBRARY_PATH", None)
else:
    os.environ["LD_LIBRARY_PATH"] = before

from gitsnap.cli import main

sys.exit(main())
"""
_LEFT_OUT = (
    "kubernetes.aio", "kubernetes.client.api", "kubernetes.client.models", "aiohttp", "rich", "pygments",
    "markdown_it", "tkinter", "setuptools",
)  # fmt: skip
"""Modules that gitsnap never imports. kubernetes.client imports its API and its models only when they are used, and
typer imports rich only to format help that gitsnap formats itself."""
_LOCK = "requirements/image.txt"
"""The packages that gitsnap runs with."""


def build_standalone(build: Build) -> Path:
    """Build ``gitsnap-VERSION-linux-ARCHITECTURE.tar.gz`` with one folder, ``gitsnap/``, and return its path.

    The platform is that of this machine: PyInstaller packs the Python that runs it. Raises BuildError.
    """
    need({"objdump": "binutils"})
    script = build.work / "start.py"
    script.write_text(_START)
    folder = build.work / "standalone"
    excluded = [option for module in (*_LEFT_OUT, *_foreign_modules()) for option in ("--exclude-module", module)]
    build.run(
        sys.executable, "-m", "PyInstaller", "--onedir", "--name", "gitsnap", "--noconfirm", "--clean",
        "--log-level", "ERROR",
        "--collect-submodules", "gitsnap", "--collect-data", "gitsnap", "--collect-data", "tzdata",
        "--hidden-import", "_cffi_backend", *excluded, "--paths", ROOT, "--distpath", folder,
        "--workpath", build.work / "pyinstaller", "--specpath", build.work, script,
    )  # fmt: skip
    # No symbolic links: krew does not unpack them. They name libraries of wheels, which find each other without them.
    entries = [entry for entry in read_folder(folder) if not entry.link]
    entries = [entry if entry.name != "gitsnap/gitsnap" else replace(entry, mode=0o755) for entry in entries]
    entries.append(Entry("gitsnap/LICENSE", (ROOT / "LICENSE").read_bytes()))
    entries += [replace(entry, name=f"gitsnap/{entry.name}") for entry in manual_entries(build)]
    path = build.file(f"gitsnap-{build.version}-linux-{build.architecture}.tar")
    write_tar(path, entries, build.epoch)
    return compress(path, build)


def _foreign_modules() -> list[str]:
    """Return the modules that only packages of the release tools have, such as cryptography.

    A library that works with and without such a package would take it into the folder.
    """
    locked = {normalized_name(name) for name in re.findall(r"^([\w.-]+)==", (ROOT / _LOCK).read_text(), re.MULTILINE)}
    return sorted(
        module
        for module, packages in packages_distributions().items()
        if module != "gitsnap" and locked.isdisjoint(map(normalized_name, packages))
    )
