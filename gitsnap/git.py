"""Runs the git program, for what libgit2 does not do safely or fast; no setting of the machine or of the user counts.

This module must not know what the commands are for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from gitsnap.errors import StorageError

_SETTINGS = (
    "safe.directory=*",
    f"core.hooksPath={os.devnull}",
    "core.fsync=all",
    "core.filesRefLockTimeout=3000",
    "core.packedRefsTimeout=5000",
    "gc.auto=0",
    "maintenance.auto=false",
)


def run_git(
    git_folder: Path,
    *arguments: str,
    given: str = "",
    lock: int | None = None,
    environment: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run git on a repository, with ``given`` on its standard input; the caller looks at the exit code.

    A command that writes inherits ``lock``, the descriptor of the writer's lock: should this process be killed, the
    next writer waits until git is done. ``environment`` is added to the little that git gets to see; after ``seconds``
    git is killed, and subprocess.TimeoutExpired raised. Raises StorageError where there is no git.
    """
    program = shutil.which("git")
    if program is None:
        raise StorageError("the program git was not found", hint="Install git.")
    settings = [part for setting in _SETTINGS for part in ("-c", setting)]
    return subprocess.run(
        [program, f"--git-dir={git_folder}", *settings, *arguments],
        input=given,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": os.devnull,
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",  # the record as it was written, not what somebody shows in its place
            "GIT_GRAFT_FILE": f"{os.devnull}/none",
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
        pass_fds=() if lock is None else (lock,),
        timeout=seconds,
    )
