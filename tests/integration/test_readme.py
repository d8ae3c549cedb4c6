"""README.md: its commands, in its order, on a terminal and a real API server, and the output that it shows."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from gitsnap.demo import manifests
from tests.support.controllers import kubectl, wait_for
from tests.support.terminal import run_on_terminal, terminal_environment
from tests.testbed import binaries
from tests.testbed.apiserver import ApiServer

_README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
_COLUMNS = 80
_FOLDER = "/home/you/snapshots"
_CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
_PATHS = {
    "ClusterConfiguration": "/apis/config.projectsveltos.io/v1beta1/namespaces/default/clusterconfigurations",
    "ClusterSummary": "/apis/config.projectsveltos.io/v1beta1/namespaces/default/clustersummaries",
}
_BORDER = "\x00"
"""Stands between the outputs of two blocks."""
_SAMPLE = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(?:-\d+)?")
_CHANGING = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, [^,]+", "DATE, AGE"),
    (r"(?<=commit )[0-9a-f]{12}", "COMMIT"),
    (r"https://[\d.]+:\d+", "SERVER"),
    (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
)


@dataclass
class _Sveltos:
    """A thread that reports the content of the ConfigMap `database` as deployed, as Sveltos does after each change."""

    api: ApiServer
    reported: str = ""
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def wait(self) -> None:
        """Wait until the present content is reported."""
        wait_for(lambda: self.reported == self.content(), "the report of the deployment")

    def content(self) -> str:
        """The content that the cluster has now."""
        return str(self.api.ask("GET", f"{_CONFIG_MAPS}/database")["data"]["database.yaml"])

    def _watch(self) -> None:
        number = 0
        while not self._ended.wait(0.2):
            if (content := self.content()) != self.reported:
                number += 1
                self._report(content, time=f"2026-01-01T00:{number:02}:00Z")
                self.reported = content

    def _report(self, content: str, *, time: str) -> None:
        """Write the reports, with a hash of the content. The status needs a request of its own."""
        revision = int(hashlib.sha256(content.encode()).hexdigest(), 16)
        for document in manifests.inventory(revision=revision, time=time):
            path, name = _PATHS[document["kind"]], document["metadata"]["name"]
            if self.api.request("GET", f"{path}/{name}")[0] != 200:
                self.api.ask("POST", path, {key: value for key, value in document.items() if key != "status"})
            patch = {"status": document["status"]}
            self.api.ask("PATCH", f"{path}/{name}/status", patch, content_type="application/merge-patch+json")


@pytest.fixture
def sveltos(api: ApiServer) -> Iterator[_Sveltos]:
    """The guestbook on the server, deployed to its managed cluster."""
    documents = [manifests.CLUSTER.partition("---\n")[2].partition("---\n")[2], manifests.PROFILE]
    documents += [manifests.DATABASE, manifests.FRONTEND, manifests.CREDENTIALS.format(password="correct-horse")]
    kubectl("apply", "-f", "-", kubeconfig=api.kubeconfig(), stdin="---\n".join(documents))
    with _Sveltos(api) as running:
        yield running


@dataclass(frozen=True)
class _Block:
    """A shell block of the README, and the output that the README shows below it."""

    script: str
    shown: str


def _blocks() -> list[_Block]:
    found = re.finditer(
        r"(?P<mark><!-- not run: [^\n]* -->\n)?^```sh\n(?P<script>.*?)^```$(?:\s+^```\n(?P<shown>.*?)^```$)?",
        _README,
        re.MULTILINE | re.DOTALL,
    )
    return [_Block(block["script"], block["shown"] or "") for block in found if not block["mark"]]


def _replace_changing_values(text: str) -> str:
    """Signs in place of ids, ages, paths and addresses, and numbers in place of samples, by first occurrence."""
    names = dict.fromkeys(_SAMPLE.findall(text))
    for number, name in sorted(enumerate(names, 1), key=lambda item: len(item[1]), reverse=True):
        text = text.replace(name, f"SAMPLE-{number}")
    for pattern, sign in _CHANGING:
        text = re.sub(pattern, sign, text)
    return text


def _assert_shows(output: str, shown: str) -> None:
    """The excerpt is the output, except for the lines that a line `...` stands for."""
    parts = [re.escape(part) for part in re.split(r"^\.\.\.\n", shown, flags=re.MULTILINE)]
    assert re.fullmatch(r"(?:.*\n)*?".join(parts), output), f"shown:\n{shown}\nprinted:\n{output}"


@pytest.fixture
def environment(api: ApiServer, tmp_path: Path) -> dict[str, str]:
    """The environment of the commands: gitsnap and kubectl on the path, and a context `production`."""
    folder = binaries.find()
    assert folder is not None
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "gitsnap"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m gitsnap "$@"\n')
    program.chmod(0o755)
    config = json.loads(api.kubeconfig().read_text())
    config["contexts"][0]["name"] = config["current-context"] = "production"
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    (tmp_path / "kubeconfig").chmod(0o600)
    return {
        **{name: value for name, value in terminal_environment().items() if not name.startswith("GITSNAP_")},
        "NO_COLOR": "1",
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "PATH": f"{tmp_path / 'bin'}:{folder}:{os.environ['PATH']}",
        "FINAL_FOLDER": str(tmp_path / "final-folder"),
    }


def test_the_commands_of_the_readme_print_what_it_shows(
    sveltos: _Sveltos, environment: dict[str, str], tmp_path: Path
) -> None:
    """Each block ends with 0 and prints the lines below it. A line `...` stands for lines that are left out."""
    folder, printed = tmp_path, []
    blocks = _blocks()
    for block in blocks:
        command = ["bash", "-euo", "pipefail", "-c", f'{block.script}pwd > "$FINAL_FOLDER"\n']
        code, output = run_on_terminal(folder, command, columns=_COLUMNS, environment=environment, answer="y")
        assert code == 0, f"{block.script}{output}"
        folder = Path((tmp_path / "final-folder").read_text().rstrip("\n"))
        output = output.replace(str(folder.resolve()), _FOLDER)
        output = output.replace(f"\n  {_FOLDER}", f" {_FOLDER}")  # the real path is longer, and was folded
        printed.append("\n".join(line.rpartition("\r")[2].rstrip() for line in output.split("\n")))
        sveltos.wait()

    assert sum(bool(block.shown) for block in blocks) >= 4
    printed = _replace_changing_values(_BORDER.join(printed)).split(_BORDER)
    shown = _replace_changing_values(_BORDER.join(block.shown for block in blocks)).split(_BORDER)
    for output, excerpt in zip(printed, shown, strict=True):
        if excerpt:
            _assert_shows(output, excerpt)
