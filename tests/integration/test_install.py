"""docs/INSTALL.md: the commands of the document, in its order, on an API server that does not have gitsnap."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.controllers import MANIFESTS, Installation
from tests.testbed import apiserver, binaries
from tests.testbed.apiserver import ApiServer
from tests.testbed.definitions import definitions
from tests.testbed.fixtures import SHARED

_ROOT = MANIFESTS.parent
_NEEDS_A_NODE = ("kubectl -n gitsnap rollout", "kubectl -n gitsnap exec")
"""Commands about the pod. The test server has no node, so the test runs the controller itself."""
_AGE_KEYGEN = """\
#!{python}
import sys
from pathlib import Path
from pyrage import x25519
if sys.argv[1] == "-o":
    Path(sys.argv[2]).write_text(str(x25519.Identity.generate()))
else:
    print(x25519.Identity.from_str(Path(sys.argv[2]).read_text()).to_public())
"""
"""`age-keygen -o FILE` and `age-keygen -y FILE`, for machines that lack the program."""


@pytest.fixture
def fresh_server(api_server: ApiServer, tmp_path: Path) -> Iterator[ApiServer]:
    """A separate server with Sveltos and without gitsnap. ``api_server`` skips where there are no binaries."""
    del api_server
    folder = binaries.find()
    assert folder is not None
    with apiserver.running(folder, tmp_path / "server") as server:
        server.install(definitions(SHARED if SHARED.is_dir() else None))
        yield server


def _blocks(document: str) -> list[str]:
    """Return the shell commands of a Markdown text, block by block, without indentation."""
    return [
        textwrap.dedent(block) for block in re.findall(r"^ *```sh\n(.*?)^ *```$", document, re.MULTILINE | re.DOTALL)
    ]


def _folder(tmp_path: Path) -> Path:
    """Create a folder with the checkout ``gitsnap``. Its Snapshots use a local storage instead of the pod's volume."""
    folder = tmp_path / "work"
    shutil.copytree(MANIFESTS, folder / "gitsnap" / "manifests")
    for file in (folder / "gitsnap/manifests").rglob("snapshot.yaml"):
        file.write_text(file.read_text().replace("/collection", str(tmp_path / "collection")))
    keygen = tmp_path / "bin" / "age-keygen"
    keygen.parent.mkdir()
    keygen.write_text(_AGE_KEYGEN.format(python=sys.executable))
    keygen.chmod(0o755)
    return folder


def test_the_commands_of_the_document_install_gitsnap_and_take_the_first_sample(
    fresh_server: ApiServer, tmp_path: Path
) -> None:
    """The commands run unchanged and in order. The controller has the rights of the installed ServiceAccount."""
    document = (_ROOT / "docs/INSTALL.md").read_text()
    commands = _blocks(document.partition("## In the cluster")[2].partition("### What the controller may do")[0])
    binary_folder = binaries.find()
    assert binary_folder is not None
    folder = _folder(tmp_path)
    installation = Installation(fresh_server, tmp_path)
    environment = {
        **os.environ,
        "KUBECONFIG": str(fresh_server.kubeconfig()),
        "PATH": f"{tmp_path / 'bin'}:{binary_folder}:{os.environ['PATH']}",
    }

    assert len(commands) == 4
    try:
        for number, block in enumerate(commands):
            script = "\n".join(line for line in block.splitlines() if not line.startswith(_NEEDS_A_NODE))
            assert script.strip()
            done = subprocess.run(
                ["bash", "-euc", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{block}{done.stdout}{done.stderr}"
            if number == 0:
                installation.start()
    finally:
        for process in installation.processes:
            process.kill()

    assert [sample.metadata.trigger for sample in installation.samples("hourly")] == ["manual"]
