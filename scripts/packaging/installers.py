"""Installs the wheel as docs/INSTALL.md, docs/UPGRADE.md and docs/AIR-GAPPED.md say: by pip, pipx and uvx."""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.packaging.build import ROOT, Build, BuildError
from scripts.packaging.interpreters import VERSIONS, find_python
from scripts.packaging.trials import run_demo, run_extras

_EXTRAS = "[audit,report,web]"


def check_wheel(build: Build, wheel: Path) -> list[str]:
    """Install the wheel in all documented ways, run it, and return a line for each way. Raises BuildError."""
    return [
        *_check_pythons(build, wheel),
        *_check_pipx(build, wheel),
        *_check_uvx(build, wheel),
        *_check_without_index(build, wheel),
        *_check_checkout(build),
    ]


def _check_pythons(build: Build, wheel: Path) -> list[str]:
    """Install the wheel by pip for each Python of this machine, then its extras."""
    lines = []
    for version in VERSIONS:
        python = find_python(version)
        if python is None:
            lines.append(f"{wheel.name}: not tried on Python {version}, which this machine does not have")
            continue
        program = _install(build, python, build.work / version, wheel)
        run_demo(build, program)
        run_extras(build, _install(build, python, build.work / version, f"{wheel}{_EXTRAS}"))
        ran = "version and demo; with the extras, report and web"
        lines.append(f"{wheel.name}: installed by pip for Python {version}, {ran}")
    return lines


def _check_pipx(build: Build, wheel: Path) -> list[str]:
    """Install the wheel by pipx, with an extra, in place of an older version, and uninstall it."""
    home = build.work / "pipx"
    variables = {"PIPX_HOME": str(home), "PIPX_BIN_DIR": str(home / "bin")}
    _install(build, sys.executable, build.work / "tools", "pipx")
    pipx, program = build.work / "tools/bin/pipx", home / "bin/gitsnap"
    build.run(pipx, "install", wheel, env=variables)
    run_demo(build, [str(program)])
    build.run(pipx, "install", "--force", f"{wheel}[web]", env=variables)
    run_demo(build, [str(program)])
    run_extras(build, [str(program)])
    build.run(pipx, "uninstall", "gitsnap", env=variables)
    if program.exists():
        raise BuildError("pipx leaves gitsnap after `pipx uninstall gitsnap`")
    return [f"{wheel.name}: installed, replaced and uninstalled by pipx, version, demo, report and web"]


def _check_uvx(build: Build, wheel: Path) -> list[str]:
    """Run the wheel by uvx, without an installation."""
    _install(build, sys.executable, build.work / "tools", "uv")
    variables = [f"UV_CACHE_DIR={build.work / 'uv'}", "UV_PYTHON_DOWNLOADS=never", f"UV_PYTHON={sys.executable}"]
    run_demo(build, ["env", *variables, str(build.work / "tools/bin/uvx"), "--from", str(wheel), "gitsnap"])
    return [f"{wheel.name}: run by uvx, version and demo"]


def _check_without_index(build: Build, wheel: Path) -> list[str]:
    """Download what the wheel needs, and install it without a package index."""
    folder, wheels = build.work / "without-index", build.work / "wheels"
    build.run(sys.executable, "-m", "pip", "download", "--quiet", "--dest", wheels, wheel)
    run_demo(build, _install(build, sys.executable, folder, "--no-index", "--find-links", wheels, "gitsnap"))
    return [f"{wheel.name}: downloaded with what it needs, and installed without a package index, version and demo"]


def _check_checkout(build: Build) -> list[str]:
    """Install the checkout by `pip install .`."""
    folder = build.work / "from-checkout"
    run_demo(build, _install(build, sys.executable, folder, ROOT))
    build.run(folder / "bin/pip", "uninstall", "--quiet", "--yes", "gitsnap")
    if (folder / "bin/gitsnap").exists():
        raise BuildError("pip leaves gitsnap after `pip uninstall gitsnap`")
    return ["the checkout: installed and uninstalled by pip, version and demo"]


def _install(build: Build, python: str, environment: Path, *words: str | Path) -> list[str]:
    """Install packages by pip into a virtual environment, and return the command of gitsnap there."""
    if not environment.exists():
        build.run(python, "-m", "venv", environment)
    build.run(environment / "bin/pip", "install", "--quiet", "--disable-pip-version-check", *words)
    return [str(environment / "bin/gitsnap")]
