"""Runs gitsnap as a child process without a terminal.

This module must not be imported by the package.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def gitsnap(folder: Path, *words: str, code: int | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder with additional environment variables. Fails if the command prints a traceback.

    ``code`` is the required exit code, None for any.
    """
    done = subprocess.run(
        [sys.executable, "-m", "gitsnap", *words],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert "Traceback" not in done.stderr, done.stderr
    if code is not None:
        assert done.returncode == code, done.stdout + done.stderr
    return done
