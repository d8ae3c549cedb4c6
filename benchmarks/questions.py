"""Measures the questions about a long history; prints CPU seconds of whole processes, the best of three.

    python benchmarks/questions.py STORAGE      an archive `hourly` as benchmarks/history.py makes it; it is only read

The row start-up is part of every other row. The first search makes the index, in a copy of the archive. A second table
has the size of a report.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_REPORT = "report.html"
_COMMANDS = {
    "start-up": ["list", "--help"],
    "first search, makes the index": ["search", "18333"],
    "search for a value": ["search", "18333"],
    "search for a value of no object": ["search", "no-such-value"],
    "blame of one object": ["blame", "ConfigMap/team-1/map-1"],
    "blame of one field, with deleted": ["blame", "ConfigMap/team-1/map-1", "data", "--deleted"],
    "report of all samples": ["report", "-o", _REPORT],
}


def main() -> None:
    """Run each command on a copy of the archive, and print its time."""
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder) / "storage"
        shutil.copytree(Path(sys.argv[1]), storage, symlinks=True)
        index = storage / "hourly" / ".git" / "gitsnap-search"
        for name, words in _COMMANDS.items():
            times = []
            for _ in range(3):
                if "index" in name:
                    index.unlink(missing_ok=True)
                times.append(_seconds(Path(folder), words))
            print(f"{name:34} {min(times):6.2f} s")
        print(f"{'size of the report':34} {(Path(folder) / _REPORT).stat().st_size / 1e6:6.2f} MB")


def _seconds(folder: Path, words: list[str]) -> float:
    """The CPU seconds of a command and its children. The report of a made-up chain of samples ends with exit code 5."""
    command = [sys.executable, "-m", "gitsnap", *words]
    if "--help" not in words:
        command += ["--storage", "storage", "--snapshot", "hourly"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, env=dict(os.environ), capture_output=True, check=False)
    if done.returncode not in (0, 5):
        raise SystemExit(f"{' '.join(words)}: {done.stderr.decode()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
