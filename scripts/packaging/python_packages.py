"""Wheel and sdist, checked by twine and by an installation."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from scripts.packaging.build import ROOT, Build, BuildError

_NEEDED = ("gitsnap/py.typed", "gitsnap/cli/__init__.py")


def build_python_packages(build: Build) -> list[Path]:
    """Build wheel and sdist and return their paths. Raises BuildError if they are not as PyPI takes them."""
    folder = build.work / "python-packages"
    build.run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    build.run(sys.executable, "-m", "twine", "check", "--strict", *sorted(folder.iterdir()))
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    source = {str(path.relative_to(ROOT)) for path in (ROOT / "gitsnap").rglob("*") if path.is_file()}
    missing = ({name for name in source if "__pycache__" not in name} | set(_NEEDED)) - names
    if missing:
        raise BuildError(f"the wheel lacks {', '.join(sorted(missing))}")
    return [path.rename(build.file(path.name)) for path in sorted(folder.iterdir())]
