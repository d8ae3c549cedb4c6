"""Runs what a release is made of, on this machine: `scripts/release --check`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from scripts.packaging.build import Build, BuildError, need
from scripts.packaging.conformance import check_chart, check_install, check_manifests
from scripts.packaging.container import ENTRYPOINT, container_command, unpack_image
from scripts.packaging.image import ENVIRONMENT
from scripts.packaging.manifests import find_kubectl
from scripts.packaging.seccomp import write_seccomp_filter

_KREW = "sigs.k8s.io/krew/cmd/krew@v0.4.3"
_ARCHIVE = "gitsnap-demo/archive/hourly"
"""The archive that `gitsnap demo` leaves in the current folder."""
_REPORT = ("report", "--archive", _ARCHIVE, "-o", "report.html")
_PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")


def check_release(build: Build, files: Sequence[Path]) -> list[str]:
    """Run each file as people use it, and return a line for each. Raises BuildError with the first that fails."""
    lines = []
    for path in files:
        if path.name.endswith(".tar") and not path.name.endswith(f"-image-{build.architecture}.tar"):
            lines.append(f"{path.name}: built, not run: this machine is {build.architecture}")
        for ending, check in _CHECKS.items():
            if path.name.endswith(ending.format(architecture=build.architecture)):
                with tempfile.TemporaryDirectory(prefix="gitsnap-check-") as work:
                    lines += check(replace(build, work=Path(work)), path)
    return lines


def _check_wheel(build: Build, wheel: Path) -> list[str]:
    """Install the wheel by pip for each Python of this machine, and by pipx and uvx, and run the demo."""
    lines = []
    for python in _find_pythons():
        version = build.run(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
        folder = build.work / version
        build.run(python, "-m", "venv", folder)
        _install(build, folder, wheel)
        _run_demo(build, [str(folder / "bin/gitsnap")])
        _install(build, folder, f"{wheel}[audit,report,web]")
        _run_extras(build, [str(folder / "bin/gitsnap")])
        lines.append(
            f"{wheel.name}: installed by pip for Python {version}, version and demo; with extras, report and web"
        )
    return [*lines, *_check_installers(build, wheel)]


def _install(build: Build, environment: Path, *packages: str | Path) -> None:
    """Install packages by pip into a virtual environment."""
    build.run(environment / "bin/pip", "install", "--quiet", "--disable-pip-version-check", *packages)


def _find_pythons() -> list[str]:
    """Return a Python of each minor version that is on the PATH or in the folder of pyenv, or else this Python."""
    pythons = []
    for name in _PYTHONS:
        managed = sorted(Path.home().glob(f".pyenv/versions/{name.removeprefix('python')}.*/bin/{name}"))
        candidates = [path for path in (shutil.which(name), *map(str, managed)) if path is not None]
        pythons += [path for path in candidates if _starts(path)][:1]
    return pythons or [sys.executable]


def _starts(python: str) -> bool:
    """Return whether a Python can be started: a version manager's name may have no version behind it."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def _check_installers(build: Build, wheel: Path) -> list[str]:
    """Install the wheel by pipx, run it by uvx, and run the demo of both."""
    tools, home = build.work / "tools", build.work / "pipx"
    build.run(sys.executable, "-m", "venv", tools)
    _install(build, tools, "pipx", "uv")
    build.run(
        tools / "bin/pipx", "install", "--quiet", wheel, env={"PIPX_HOME": str(home), "PIPX_BIN_DIR": str(home / "bin")}
    )
    _run_demo(build, [str(home / "bin/gitsnap")])
    cache = ["env", f"UV_CACHE_DIR={build.work / 'uv'}", "UV_PYTHON_DOWNLOADS=never"]
    _run_demo(
        build, [*cache, str(tools / "bin/uvx"), "--quiet", "--python", sys.executable, "--from", str(wheel), "gitsnap"]
    )
    return [f"{wheel.name}: installed by pipx, and run by uvx, version and demo"]


def _check_folder(build: Build, archive: Path) -> list[str]:
    """Unpack the folder with its own Python and run it without any Python on the PATH."""
    build.run("tar", "--extract", "--gzip", "--file", archive, "--directory", build.work)
    programs = build.work / "programs"
    programs.mkdir()
    git = shutil.which("git")
    if git is None:
        raise BuildError("not installed: git")
    (programs / "git").symlink_to(git)
    program = ["env", "-i", f"PATH={programs}", f"HOME={build.work}", str(build.work / "gitsnap/gitsnap")]
    _run_demo(build, program)
    _run_extras(build, program)
    return [f"{archive.name}: unpacked, version, demo, report and web without a Python"]


def _check_krew(build: Build, manifest: Path) -> list[str]:
    """Install the plugin by krew from the manifest and the archive beside the manifest, and run it by kubectl."""
    need({"go": "golang-go"})
    folder, home = build.work / "programs", build.work / "krew"
    build.run("go", "install", _KREW, env={"GOBIN": str(folder), "GOFLAGS": "-modcacherw"})
    path = f"{home / 'bin'}:{folder}:{find_kubectl().parent}:{os.environ['PATH']}"
    variables = {"KREW_ROOT": str(home), "PATH": path}
    archive = manifest.with_name(manifest.name.replace("-krew.yaml", f"-linux-{build.architecture}.tar.gz"))
    build.run(folder / "krew", "install", f"--manifest={manifest}", f"--archive={archive}", env=variables)
    _run_demo(build, ["env", *(f"{name}={value}" for name, value in variables.items()), "kubectl", "gitsnap"])
    return [f"{manifest.name}: installed by krew, version and demo as kubectl plugin"]


def _check_image(build: Build, image: Path) -> list[str]:
    """Run the image as any user in a read-only root, without capabilities and under containerd's seccomp filter."""
    root = unpack_image(build, image, build.work)
    seccomp_filter = write_seccomp_filter(build.work / "seccomp")

    def run(*words: str) -> str:
        return build.run(*container_command(root, words, seccomp_filter=seccomp_filter, variables=ENVIRONMENT))

    _check_version(build, run(ENTRYPOINT, "--version"))
    run("sh", "-c", f"cd /tmp && gitsnap demo && gitsnap {' '.join(_REPORT)}")
    return [f"{image.name}: version, demo and report, read-only, without capabilities, with seccomp, as uid 12345"]


def _run_demo(build: Build, program: list[str]) -> None:
    """Run the demo into a new folder ``demo``."""
    folder = build.work / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    _check_version(build, build.run(*program, "--version"))
    build.run(*program, "demo", cwd=folder)


def _run_extras(build: Build, program: list[str]) -> None:
    """Run what needs the extras of the wheel, on the archive of the demo: a report, and a page of `gitsnap web`."""
    build.run(*program, *_REPORT, cwd=build.work / "demo")
    command = [*program, "web", "--listen=127.0.0.1:0", "--archive", _ARCHIVE]
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


def _check_version(build: Build, output: str) -> None:
    if output.split() != ["gitsnap", build.version]:
        raise BuildError(f"`gitsnap --version` prints {output.strip()!r} instead of gitsnap {build.version}")


_CHECKS: dict[str, Callable[[Build, Path], list[str]]] = {
    ".whl": _check_wheel,
    "-linux-{architecture}.tar.gz": _check_folder,
    "-krew.yaml": _check_krew,
    "-image-{architecture}.tar": _check_image,
    ".tgz": check_chart,
    "-manifests.tar.gz": check_manifests,
    "-install.yaml": check_install,
}
"""The end of a file's name, and the function that runs the file."""
