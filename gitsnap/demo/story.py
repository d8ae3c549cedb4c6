"""The steps of the demo: deploy, break, compare, roll back, report. Each command runs in a process of its own.

This module must not print anything but sentences of the story and commands.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from gitsnap.core.errors import GitsnapError, StorageError
from gitsnap.demo import manifests
from gitsnap.format import encode

_PASSWORD, _OTHER_PASSWORD = "correct-horse", "battery-staple"
_BROKEN = ("          app: redis\n", "          app: redis-follower\n")


class _DemoError(GitsnapError):
    """A command of the demo failed."""


def play(folder: Path) -> None:
    """Run the demo in a new or empty folder, and keep the folder.

    Raises StorageError if the folder is not empty or cannot be created, GitsnapError if a command fails.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} is not an empty folder", hint="Name a new folder: gitsnap demo DIR")
    try:
        (folder / "cluster").mkdir(parents=True)
        (folder / "archive").mkdir()
    except OSError as error:
        raise StorageError(f"cannot create {folder}: {error.strerror}") from error
    stage = _Stage(folder)
    stage.deploy()
    stage.break_things()
    stage.roll_back()
    stage.report()
    stage.tell(f"Everything is in {folder.resolve()}: cluster/ is the cluster, archive/hourly is the git repository.")
    stage.tell(
        "In this folder, `gitsnap log --storage archive` and other commands read the archive, and "
        "`gitsnap web --storage archive` shows it in a browser."
    )


class _Stage:
    """The folder in which the demo runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reports = 0

    def deploy(self) -> None:
        """Write the cluster, a profile and its ConfigMaps, and take the first sample."""
        self.tell("A ClusterProfile deploys a guestbook to the managed cluster clusterapi-workload.")
        self._write("cluster.yaml", manifests.CLUSTER)
        self._write("guestbook.yaml", manifests.PROFILE)
        self._write("database.yaml", manifests.DATABASE)
        self._write("frontend.yaml", manifests.FRONTEND)
        self._write("credentials.yaml", manifests.CREDENTIALS.format(password=_PASSWORD))
        self._report(content=1)
        self._gitsnap("capture --snapshot hourly --storage archive --from-dir cluster")
        self._gitsnap("list --storage archive")
        self._gitsnap("addons --from-dir cluster")
        self.tell("A Secret shows fingerprints in place of its values. The values are encrypted in sealed/.")
        self._gitsnap("show Secret/default/db-credentials --storage archive")

    def break_things(self) -> None:
        """Change a ConfigMap and a Secret, take the second sample, and show the differences."""
        self.tell("Somebody breaks the selector of a Service and changes the password.")
        old, new = _BROKEN
        position = manifests.DATABASE.rindex(old.removeprefix("  "))
        broken = manifests.DATABASE[:position] + new.removeprefix("  ") + manifests.DATABASE[position + len(old) - 2 :]
        self._write("database.yaml", broken)
        self._write("credentials.yaml", manifests.CREDENTIALS.format(password=_OTHER_PASSWORD))
        self._report(content=2)
        time.sleep(1.1)  # so that the samples have different dates
        self._gitsnap("capture --snapshot hourly --storage archive --from-dir cluster")
        self._gitsnap("diff --storage archive")
        self._gitsnap("diff --storage archive --raw-diff")

    def roll_back(self) -> None:
        """Plan and run the rollback to the first sample, and show that nothing differs from this sample."""
        self.tell("Roll back to the previous sample: first a dry run, then the rollback.")
        self._gitsnap("rollback latest~1 --storage archive --from-dir cluster --dry-run")
        self._gitsnap("rollback latest~1 --storage archive --from-dir cluster --yes")
        self._report(content=1)  # Sveltos reports the same hash as for the first sample
        time.sleep(1.1)
        self._gitsnap("capture --snapshot hourly --storage archive --from-dir cluster")
        self.tell("The cluster has the configuration of the first sample again.")
        self._gitsnap("diff latest~4 latest --storage archive")
        self._gitsnap("list --storage archive --wide")
        self._run("git -C archive/hourly log --oneline", ["git", "-C", "archive/hourly", "log", "--oneline"])

    def report(self) -> None:
        """Write the report, if Jinja2 is installed."""
        if importlib.util.find_spec("jinja2") is None:
            self.tell("A report needs Jinja2, which is not installed: pip install 'gitsnap[report]'")
            return
        self.tell("The whole story as one page, for people without an archive: open report.html in a browser.")
        self._gitsnap("report --storage archive -o report.html")

    def tell(self, text: str) -> None:
        """Print a sentence of the story."""
        sys.stdout.write(f"\n# {text}\n")
        sys.stdout.flush()

    def _write(self, name: str, text: str) -> None:
        (self._folder / "cluster" / name).write_text(text)

    def _report(self, *, content: int) -> None:
        """Write the reports of Sveltos: the same entries with a later time, and the hash of the content."""
        self._reports += 1
        for document in manifests.inventory(revision=content, time=f"2026-01-01T00:0{self._reports}:00Z"):
            (self._folder / "cluster" / f"{document['kind'].lower()}.yaml").write_bytes(encode(document))

    def _gitsnap(self, arguments: str) -> None:
        self._run(f"gitsnap {arguments}", [*_program(), *shlex.split(arguments)])

    def _run(self, shown: str, command: list[str]) -> None:
        sys.stdout.write(f"\n$ {shown}\n")
        sys.stdout.flush()
        environment = {**os.environ, "GIT_PAGER": "cat", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        completed = subprocess.run(command, cwd=self._folder, env=environment, check=False)  # noqa: S603 - fixed arguments
        if completed.returncode:
            raise _DemoError(f"the demo stopped: `{shown}` ended with {completed.returncode}")


def _program() -> list[str]:
    """Return the command that starts gitsnap: in a folder with its own Python, the executable is gitsnap itself."""
    return [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "gitsnap"]
