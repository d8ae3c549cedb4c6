"""The Pythons of this machine, and the unit tests on each of them against the built wheel (scripts/test-pythons)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.packaging.build import ROOT, Build, BuildError, source_date, source_version
from scripts.packaging.python_packages import build_python_packages

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
"""The versions of Python that gitsnap supports."""
_FOLDERS = (
    ".pyenv/versions/{version}.*/bin/python{version}",
    ".local/share/uv/python/cpython-{version}*/bin/python{version}",
)
"""Where pyenv and uv keep their Pythons, below the home folder."""


def find_python(version: str) -> str | None:
    """Return a Python of a minor version, such as 3.12: on the PATH, of pyenv or of uv. None if there is none."""
    managed = [path for folder in _FOLDERS for path in sorted(Path.home().glob(folder.format(version=version)))]
    candidates = [shutil.which(f"python{version}"), *map(str, managed)]
    return next((path for path in candidates if path is not None and _starts(path)), None)


def _starts(python: str) -> bool:
    """Return whether a Python can be started: a version manager's name may have no version behind it."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def main(arguments: Sequence[str]) -> int:
    """Test the wheel on the versions that are named, or on all versions of this machine. Returns the exit code."""
    pythons = {version: find_python(version) for version in arguments or VERSIONS}
    results = {}
    with tempfile.TemporaryDirectory(prefix="gitsnap-pythons-") as work:
        build = Build(source_version(), source_date(), Path(work) / "dist", Path(work))
        try:
            wheel = next(path for path in build_python_packages(build) if path.suffix == ".whl")
            for version, python in pythons.items():
                print(f"== Python {version}", flush=True)
                passed = python is None or _test(build, python, wheel, Path(work) / version)
                results[version] = "not on this machine" if python is None else "ok" if passed else "FAILED"
        except BuildError as error:
            print(f"scripts/test-pythons: {error}", file=sys.stderr)
            return 1
    print("\n".join(f"Python {version}  {result}" for version, result in results.items()))
    failures = {"FAILED", "not on this machine"} if arguments else {"FAILED"}
    return 0 if failures.isdisjoint(results.values()) else 1


def _test(build: Build, python: str, wheel: Path, folder: Path) -> bool:
    """Install the wheel in a new virtual environment, and run the unit tests there. Returns whether they passed."""
    environment, checkout = folder / "environment", folder / "checkout"
    build.run(python, "-m", "venv", environment)
    build.run(environment / "bin/pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[dev]")
    _copy_checkout(build, checkout, next(environment.glob("lib/python*/site-packages/gitsnap")))
    command: list[str | Path] = [
        environment / "bin/python",
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "--dist",
        "loadgroup",
        "-m",
        "not slow",
    ]
    return subprocess.run([*command, "tests/unit"], cwd=checkout, check=False).returncode == 0


def _copy_checkout(build: Build, target: Path, package: Path) -> None:
    """Copy the files of the checkout. A link to the installed package stands for gitsnap/."""
    for name in build.run("git", "ls-files", "-z").split("\0"):
        if name and not name.startswith("gitsnap/"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)
    (target / "gitsnap").symlink_to(package)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
