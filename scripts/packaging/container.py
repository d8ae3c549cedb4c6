"""Runs a program of the image as its manifests do, with bubblewrap in place of a container runtime.

The user is any uid, the root file system is read-only, and the process has no capability. Other than a kubelet,
bubblewrap sets no seccomp profile and no limits of memory and CPU, and the program shares the network of this machine.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.packaging.build import Build

ENTRYPOINT = "container-entrypoint"
_UID = 12345
"""No uid that the image knows, as a platform may choose."""


def unpack_image(build: Build, image: Path, folder: Path) -> Path:
    """Unpack the root file system of an OCI archive below a folder, and return its path. Raises BuildError."""
    layout, root = folder / "layout", folder / "root"
    with tarfile.open(image) as archive:
        archive.extractall(layout, filter="data")
    build.run("umoci", "raw", "unpack", "--rootless", "--image", f"{layout}:{build.version}", root)
    return root


def container_command(
    root: Path,
    words: Sequence[str],
    *,
    variables: Mapping[str, str],
    read_only: Sequence[Path] = (),
    writable: Sequence[Path] = (),
) -> list[str]:
    """Return the command that runs a program of the image.

    Args:
        root: The root file system of the image, from ``unpack_image``.
        words: The program and its arguments: ``("container-entrypoint", "list")``.
        variables: The environment. No variable of the caller reaches the program.
        read_only: Files and folders of this machine that the program may read, under the same paths.
        writable: Files and folders of this machine that the program may write, under the same paths.
    """
    command = [
        "bwrap", "--unshare-all", "--share-net", "--die-with-parent", "--uid", str(_UID), "--gid", "0",
        "--cap-drop", "ALL", "--clearenv", "--ro-bind", str(root), "/",
        "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/",
    ]  # fmt: skip
    for path in read_only:
        command += ["--ro-bind", str(path), str(path)]
    for path in writable:
        command += ["--bind", str(path), str(path)]
    for name, value in variables.items():
        command += ["--setenv", name, value]
    return [*command, "--", *words]
