"""The story: deploy, break, see, put back. Commands run in processes of their own, as on any terminal.

This module must not print anything but what it runs and why.
"""

from __future__ import annotations

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
    """A command of the demo did not do what the story tells."""


def play(folder: Path) -> None:
    """Tell the story in a new or empty folder, which stays. Raises StorageError when it is not empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} is not an empty folder", hint="Name a new one: gitsnap demo DIR")
    try:
        (folder / "cluster").mkdir(parents=True)
        (folder / "archive").mkdir()
    except OSError as error:
        raise StorageError(f"cannot make {folder}: {error.strerror}") from error
    stage = _Stage(folder)
    stage.deploy()
    stage.break_things()
    stage.put_back()
    stage.tell(f"All of it is in {folder.resolve()}: cluster/ is the cluster, archive/hourly the git repository.")


class _Stage:
    """The folder in which the story happens."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reports = 0

    def deploy(self) -> None:
        """A cluster, a profile and what it deploys; the first sample of them."""
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
        self.tell("A Secret shows fingerprints in place of its values; these are encrypted, below sealed/.")
        self._gitsnap("show Secret/default/db-credentials --storage archive")

    def break_things(self) -> None:
        """A mistake in a ConfigMap and in a Secret; a second sample, and what changed."""
        self.tell("Somebody breaks the selector of a Service, and changes the password.")
        old, new = _BROKEN
        position = manifests.DATABASE.rindex(old.removeprefix("  "))
        broken = manifests.DATABASE[:position] + new.removeprefix("  ") + manifests.DATABASE[position + len(old) - 2 :]
        self._write("database.yaml", broken)
        self._write("credentials.yaml", manifests.CREDENTIALS.format(password=_OTHER_PASSWORD))
        self._report(content=2)
        time.sleep(1.1)  # a sample of its own second reads better
        self._gitsnap("capture --snapshot hourly --storage archive --from-dir cluster")
        self._gitsnap("diff --storage archive")
        self._gitsnap("diff --storage archive --raw-diff")

    def put_back(self) -> None:
        """The rollback to the first sample, planned and done; proof that nothing differs from it any more."""
        self.tell("Back to the sample before: first only planned, then done.")
        self._gitsnap("rollback --storage archive --from-dir cluster --sample latest~1 --dry-run")
        self._gitsnap("rollback --storage archive --from-dir cluster --sample latest~1 --yes")
        self._report(content=1)  # as before: Sveltos reports the hash of the content
        time.sleep(1.1)
        self._gitsnap("capture --snapshot hourly --storage archive --from-dir cluster")
        self.tell("The cluster is again what the first sample says.")
        self._gitsnap("diff --storage archive --from-sample latest~4 --to-sample latest")
        self._gitsnap("list --storage archive --wide")
        self._run("git -C archive/hourly log --oneline", ["git", "-C", "archive/hourly", "log", "--oneline"])

    def tell(self, text: str) -> None:
        """Print a sentence of the story."""
        sys.stdout.write(f"\n# {text}\n")
        sys.stdout.flush()

    def _write(self, name: str, text: str) -> None:
        (self._folder / "cluster" / name).write_text(text)

    def _report(self, *, content: int) -> None:
        """What Sveltos would have written by now: the same entries with another time, and the hash of the content."""
        self._reports += 1
        for document in manifests.inventory(revision=content, time=f"2026-01-01T00:0{self._reports}:00Z"):
            (self._folder / "cluster" / f"{document['kind'].lower()}.yaml").write_bytes(encode(document))

    def _gitsnap(self, arguments: str) -> None:
        self._run(f"gitsnap {arguments}", [sys.executable, "-m", "gitsnap", *shlex.split(arguments)])

    def _run(self, shown: str, command: list[str]) -> None:
        sys.stdout.write(f"\n$ {shown}\n")
        sys.stdout.flush()
        environment = {**os.environ, "GIT_PAGER": "cat", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(command, cwd=self._folder, env=environment, check=False)  # noqa: S603 - its own words
        if done.returncode:
            raise _DemoError(f"the demo stopped: `{shown}` ended with {done.returncode}")
