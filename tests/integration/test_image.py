"""The OCI image: scripts/release builds it, and its controller works on a real API server as the manifests run it.

bubblewrap is in place of the container runtime: a uid that the image does not know, a read-only root file system, no
capability, and gitsnap as process 1. Without its tools the tests are skipped, or fail with CI=true.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gitsnap.archive import open_archive
from scripts.packaging.build import Build, source_version
from scripts.packaging.container import ENTRYPOINT, container_command, unpack_image
from scripts.packaging.image import ENVIRONMENT, build_image
from tests.support.controllers import ControllerProcess, Installation, wait_for
from tests.support.remotes import bare_repository, generate_key, refs_of, ssh_server
from tests.testbed import binaries

pytestmark = [pytest.mark.xdist_group("image"), pytest.mark.slow]

_CI = os.environ.get("CI") == "true"
_MAXIMUM = 60_000_000
"""Bytes of the compressed image (issue 23)."""


@dataclass(frozen=True)
class _Image:
    archive: Path
    root: Path

    def run(self, *words: str, writable: Sequence[Path] = (), **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the image and wait for its end."""
        command = container_command(self.root, words, variables={**ENVIRONMENT, **variables}, writable=writable)
        return subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=120
        )


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> _Image:
    """The image of this checkout, built once and unpacked."""
    try:
        binaries.install(binaries.IMAGE_TOOLS, "the test of the image")
    except binaries.MissingError as error:
        (pytest.fail if _CI else pytest.skip)(str(error))
    place = tmp_path_factory.mktemp("image")
    (place / "work").mkdir()
    build = Build(source_version(), 1_700_000_000, place / "dist", place / "work")
    archive = build_image(build)
    return _Image(archive, unpack_image(build, archive, place))


def test_the_image_is_small_and_has_nothing_to_build_or_install_with(image: _Image) -> None:
    """No compiler, no package manager, no interpreter but Python and the shell of git and ssh; nothing is setuid."""
    programs = {
        path.name for folder in ("bin", "usr/bin", "usr/local/bin", "usr/sbin") for path in _files(image.root / folder)
    }
    unwanted = {
        "apt",
        "apt-get",
        "dpkg",
        "pip",
        "pip3",
        "gcc",
        "cc",
        "ld",
        "make",
        "perl",
        "bash",
        "curl",
        "openssl",
        "su",
    }
    modes = [path.lstat().st_mode for path in image.root.rglob("*") if not path.is_symlink()]

    assert image.archive.stat().st_size <= _MAXIMUM
    assert {"gitsnap", "kubectl-gitsnap", "git", "ssh", "sh", "python3"} <= programs
    assert not programs & unwanted
    assert not [mode for mode in modes if mode & 0o6000]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def test_the_image_runs_as_any_user_without_rights(image: _Image) -> None:
    """The demo, with its git commands, works in a read-only root file system under a uid without a name."""
    version = image.run(ENTRYPOINT, "--version")
    demo = image.run("sh", "-c", "cd /tmp && gitsnap demo && id -u && ! touch /file")

    assert (version.returncode, version.stdout) == (0, f"gitsnap {source_version()}\n")
    assert demo.returncode == 0, demo.stderr
    assert demo.stdout.endswith("\n12345\n")


def test_the_dockerfile_sets_what_the_image_sets(image: _Image) -> None:
    """Both images have the same user, entry point, command, volume, port and variables, from the same lock file."""
    dockerfile = (Path(__file__).resolve().parents[2] / "Dockerfile").read_text()
    lines = dict(line.split(" ", 1) for line in dockerfile.splitlines() if line.isupper() or line[:1].isupper())
    variables = dict(pair.split("=", 1) for pair in lines["ENV"].split())
    del variables["PATH"]  # the packages are in another folder
    settings = _configuration(image)

    assert settings["User"] == lines["USER"]
    assert settings["Entrypoint"] == json.loads(lines["ENTRYPOINT"])
    assert settings["Cmd"] == json.loads(lines["CMD"])
    assert (list(settings["Volumes"]), list(settings["ExposedPorts"])) == ([lines["VOLUME"]], [lines["EXPOSE"]])
    assert variables.items() <= dict(entry.split("=", 1) for entry in settings["Env"]).items()
    assert "requirements/image.txt" in dockerfile


def _configuration(image: _Image) -> dict[str, Any]:
    layout = image.root.parent / "layout"

    def blob(digest: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())
        return document

    index = json.loads((layout / "index.json").read_text())
    manifest = blob(index["manifests"][0]["digest"])
    settings: dict[str, Any] = blob(manifest["config"]["digest"])["config"]
    return settings


def test_the_controller_captures_and_pushes_in_its_container(
    image: _Image, installed: Installation, tmp_path: Path
) -> None:
    """Samples by schedule, a push by ssh, `list` beside the controller, and an orderly end at SIGTERM."""
    record = bare_repository(tmp_path / "record.git")
    storage = installed.storage

    def program(kubeconfig: Path, variables: Mapping[str, str]) -> list[str]:
        words = container_command(
            image.root,
            [ENTRYPOINT],
            variables={**ENVIRONMENT, **variables},
            read_only=[kubeconfig.parent],  # with the certificate of the server
            writable=[storage],
        )
        return [words[0], "--as-pid-1", *words[1:]]

    with ssh_server(tmp_path / "sshd") as server:
        server.authorize(generate_key(tmp_path / "identity"))
        data = {"identity": (tmp_path / "identity").read_text(), "known_hosts": server.known_hosts}
        secret = {"metadata": {"name": "remote"}, "stringData": data}
        installed.api.ask("POST", "/api/v1/namespaces/gitsnap/secrets", secret)
        push = {"url": server.url(record), "secretRef": {"namespace": "gitsnap", "name": "remote"}}
        installed.snapshot("often", {"schedule": "@every 1s", "push": push})
        process = installed.start(program=program)
        wait_for(lambda: installed.status("often").get("sampleCount", 0) >= 2, "two samples", seconds=60)
        wait_for(lambda: installed.condition("often", "Pushed") == ("True", "Pushed"), "a push", seconds=60)
        listed = image.run("gitsnap", "list", "-o", "name", writable=[storage], GITSNAP_STORAGE=str(storage))

        os.kill(_first_child(process), signal.SIGTERM)
        code = process.wait()

    assert listed.returncode == 0, listed.stderr
    assert len(listed.stdout.splitlines()) >= 2
    assert code == 0, process.log[-3:]
    assert set(refs_of(record))
    assert not [finding for finding in open_archive(storage, "often").check() if finding.wrong]


def _first_child(process: ControllerProcess) -> int:
    """The process id of the program in the container, which bubblewrap waits for."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
