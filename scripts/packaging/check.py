"""Runs what a release is made of, on this machine: `scripts/release --check`."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from scripts.packaging.build import Build, BuildError, need
from scripts.packaging.conformance import check_chart, check_install, check_manifests
from scripts.packaging.container import ENTRYPOINT, container_command, unpack_image
from scripts.packaging.image import ENVIRONMENT
from scripts.packaging.installers import check_wheel
from scripts.packaging.manifests import find_kubectl
from scripts.packaging.seccomp import write_seccomp_filter
from scripts.packaging.trials import ARCHIVE, REPORT, check_version, run_demo, run_extras

_KREW = "sigs.k8s.io/krew/cmd/krew@v0.4.3"


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
    run_demo(build, program)
    run_extras(build, program)
    return [f"{archive.name}: unpacked, version, demo, report and web without a Python"]


def _check_krew(build: Build, manifest: Path) -> list[str]:
    """Install the plugin by krew from the manifest and the archive beside the manifest, and run it by kubectl."""
    need({"go": "golang-go"})
    folder, home = build.work / "programs", build.work / "krew"
    build.run("go", "install", _KREW, env={"GOBIN": str(folder), "GOFLAGS": "-modcacherw"})
    (folder / "krew").rename(folder / "kubectl-krew")
    path = f"{home / 'bin'}:{folder}:{find_kubectl().parent}:{os.environ['PATH']}"
    kubectl = ["env", f"KREW_ROOT={home}", f"PATH={path}", "kubectl"]
    archive = manifest.with_name(manifest.name.replace("-krew.yaml", f"-linux-{build.architecture}.tar.gz"))
    install = [*kubectl, "krew", "install", f"--manifest={manifest}", f"--archive={archive}"]
    build.run(*install)
    run_demo(build, [*kubectl, "gitsnap"])
    build.run(*kubectl, "gitsnap", "list", "--archive", ARCHIVE, cwd=build.work / "demo")
    # krew refuses to uninstall without an index. Its own index is on the internet; an empty one suffices.
    build.run("git", "init", "--quiet", home / "index/default")
    build.run(*kubectl, "krew", "uninstall", "gitsnap")
    if (home / "bin/kubectl-gitsnap").exists():
        raise BuildError("krew leaves kubectl-gitsnap after `kubectl krew uninstall gitsnap`")
    build.run(*install)
    ran = "version, demo and list as kubectl plugin, uninstalled and installed again"
    return [f"{manifest.name}: installed by krew, {ran}"]


def _check_image(build: Build, image: Path) -> list[str]:
    """Run the image as any user in a read-only root, without capabilities and under containerd's seccomp filter."""
    root = unpack_image(build, image, build.work)
    seccomp_filter = write_seccomp_filter(build.work / "seccomp")

    def run(*words: str) -> str:
        return build.run(*container_command(root, words, seccomp_filter=seccomp_filter, variables=ENVIRONMENT))

    check_version(build, run(ENTRYPOINT, "--version"))
    run("sh", "-c", f"cd /tmp && gitsnap demo && gitsnap {' '.join(REPORT)}")
    return [f"{image.name}: version, demo and report, read-only, without capabilities, with seccomp, as uid 12345"]


_CHECKS: dict[str, Callable[[Build, Path], list[str]]] = {
    ".whl": check_wheel,
    "-linux-{architecture}.tar.gz": _check_folder,
    "-krew.yaml": _check_krew,
    "-image-{architecture}.tar": _check_image,
    ".tgz": check_chart,
    "-manifests.tar.gz": check_manifests,
    "-install.yaml": check_install,
}
"""The end of a file's name, and the function that runs the file."""
