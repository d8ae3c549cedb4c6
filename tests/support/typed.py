"""A folder with a cluster and an archive, and commands that run there as child processes.

This module must not be imported by the package.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

OLD_VALUE = "Y29ycmVjdC1ob3JzZQ=="
NEW_VALUE = "YmF0dGVyeS1zdGFwbGU="


class TypedPlace:
    """A folder with a cluster and a storage, and commands that run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "cluster").mkdir()
        (folder / "storage").mkdir()
        self.write("database", config_map("database", "a: 1"))
        self.write("frontend", config_map("frontend", "b: 1"))
        self.write("password", secret(OLD_VALUE))
        self.write("guestbook", _PROFILE)
        self.write("west", _cluster("fv"))
        self.run("capture --snapshot hourly")

    def write(self, name: str, content: str) -> None:
        """Write the YAML document of an object."""
        (self.folder / "cluster" / f"{name}.yaml").write_text(content)

    def read(self, name: str) -> str:
        """The live YAML document of an object."""
        return (self.folder / "cluster" / f"{name}.yaml").read_text()

    def run(self, command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command with the storage and the cluster of the folder. Fails on another exit code."""
        words = [*shlex.split(command), "--storage", "storage", "--from-dir", "cluster"]
        return self.exactly([sys.executable, "-m", "gitsnap", *words], code)

    def exactly(self, words: list[str], code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command line without changes."""
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done


def config_map(name: str, text: str, extra: str = "") -> str:
    """A ConfigMap with a text, and additional lines at its end."""
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: default\n"
        f"  labels:\n    app: {name}\ndata:\n  text: '{text}'\n{extra}"
    )


def secret(value: str) -> str:
    """A Secret with a base64 value."""
    return (
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: password\n  namespace: default\n"
        f"type: addons.projectsveltos.io/cluster-profile\ndata:\n  password: {value}\n"
    )


def _cluster(env: str) -> str:
    return (
        "apiVersion: lib.projectsveltos.io/v1beta1\nkind: SveltosCluster\nmetadata:\n  name: west\n"
        f"  namespace: default\n  labels:\n    env: {env}\nspec: {{}}\n"
    )


_PROFILE = """\
apiVersion: config.projectsveltos.io/v1beta1
kind: ClusterProfile
metadata:
  name: guestbook
spec:
  clusterSelector:
    matchLabels:
      env: fv
  policyRefs:
  - {kind: ConfigMap, name: database, namespace: default}
  - {kind: ConfigMap, name: frontend, namespace: default}
  - {kind: Secret, name: password, namespace: default}
"""


def changed_place(folder: Path) -> TypedPlace:
    """A cluster with a sample, and later changes of two ConfigMaps and a Secret."""
    place = TypedPlace(folder)
    place.write("database", config_map("database", "a: 2"))
    place.write("frontend", config_map("frontend", "b: 2"))
    place.write("password", secret(NEW_VALUE))
    return place
