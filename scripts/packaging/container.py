"""Runs a program of the image as its manifests do, with bubblewrap in place of a container runtime.

The user is any uid, the root file system is read-only, the process has no capability and gains no privileges, and it
has the seccomp filter of containerd. Unlike a kubelet, bubblewrap sets no limits of memory and CPU, and the program
shares the network of this machine.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.packaging.build import Build

ENTRYPOINT = "container-entrypoint"
_OPEN_FILTER = 'exec 9<"$0" && exec "$@"'
"""bubblewrap reads the seccomp filter from a file descriptor, which a shell opens."""
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
    seccomp_filter: Path,
    variables: Mapping[str, str],
    read_only: Sequence[Path] = (),
    writable: Sequence[Path] = (),
    first_process: bool = False,
) -> list[str]:
    """Return the command that runs a program of the image.

    Args:
        root: The root file system of the image, from ``unpack_image``.
        words: The program and its arguments: ``("container-entrypoint", "list")``.
        seccomp_filter: The file that ``write_seccomp_filter`` wrote.
        variables: The environment. No variable of the caller reaches the program.
        read_only: Files and folders of this machine that the program may read, under the same paths.
        writable: Files and folders of this machine that the program may write, under the same paths.
        first_process: Whether the program is process 1, as the command of a container, or not, as with `kubectl exec`.
    """
    command = [
        "sh", "-c", _OPEN_FILTER, str(seccomp_filter),
        "bwrap", "--seccomp", "9", *(["--as-pid-1"] if first_process else []),
        "--unshare-all", "--share-net", "--die-with-parent", "--uid", str(_UID), "--gid", "0",
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
