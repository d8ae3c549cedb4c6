"""The OCI image: scripts/release builds it, and its controller works on a real API server as the manifests run it.

bubblewrap is in place of the container runtime: a uid that the image does not know, a read-only root file system, no
capability, containerd's seccomp filter, and gitsnap as process 1. Without its tools the tests are skipped, or fail with
CI=true.
"""

from __future__ import annotations

import ast
import json
import os
import platform
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
from scripts.packaging.seccomp import write_seccomp_filter
from tests.support.controllers import Installation, wait_for
from tests.support.remotes import bare_repository, generate_key, refs_of, ssh_server
from tests.support.web_servers import running_server
from tests.testbed import binaries

pytestmark = [pytest.mark.xdist_group("image"), pytest.mark.slow]

_CI = os.environ.get("CI") == "true"
_MAXIMUM = 60_000_000
"""Bytes of the compressed image (issue 23)."""


@dataclass(frozen=True)
class _Image:
    archive: Path
    root: Path
    seccomp_filter: Path

    def command(
        self,
        *words: str,
        read_only: Sequence[Path] = (),
        writable: Sequence[Path] = (),
        first_process: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> list[str]:
        """The command that runs a program of the image."""
        return container_command(
            self.root,
            words,
            seccomp_filter=self.seccomp_filter,
            variables={**ENVIRONMENT, **(variables or {})},
            read_only=read_only,
            writable=writable,
            first_process=first_process,
        )

    def run(self, *words: str, writable: Sequence[Path] = (), **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the image and wait for its end."""
        command = self.command(*words, writable=writable, variables=variables)
        return subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=120
        )


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> _Image:
    """The image of this checkout, built once and unpacked."""
    try:
        binaries.install(binaries.IMAGE_TOOLS, "the test of the image")
        binaries.obtain_seccomp_profile()
    except binaries.MissingError as error:
        (pytest.fail if _CI else pytest.skip)(str(error))
    place = tmp_path_factory.mktemp("image")
    (place / "work").mkdir()
    build = Build(source_version(), 1_700_000_000, place / "dist", place / "work")
    archive = build_image(build)
    return _Image(archive, unpack_image(build, archive, place), write_seccomp_filter(place / "seccomp"))


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


_ATTEMPTS = """
import ctypes, errno, json, sys
library = ctypes.CDLL(None, use_errno=True)
errors = {}
for name, arguments in json.loads(sys.argv[1]).items():
    result = library.syscall(*map(ctypes.c_long, arguments))
    errors[name] = "" if result >= 0 else errno.errorcode[ctypes.get_errno()]
print(json.dumps(errors))
"""
_REFUSED: dict[str, list[int]] = {
    "unshare": [272, 0x10000000],  # a new user namespace, in which the process has all capabilities
    "keyctl": [250, 0, -3, 0],
    "mount": [165, 0, 0, 0, 0, 0],
    "bpf": [321, 0, 0, 0],
    "perf_event_open": [298, 0, 0, 0, 0, 0],
    "userfaultfd": [323, 1],
    "vsock": [41, 40, 1, 0],  # socket(AF_VSOCK, SOCK_STREAM): refused by its argument
}
"""System calls of amd64 that the profile refuses, with arguments. A kernel without the filter answers EPERM to none."""
_ALLOWED: dict[str, list[int]] = {"getpid": [39], "unix": [41, 1, 1, 0], "flock": [73, 1, 8]}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of the system calls are those of amd64")
def test_the_kernel_refuses_what_the_profile_of_a_pod_refuses(image: _Image) -> None:
    """The programs run without capabilities and new privileges, under a filter that refuses by call and by argument."""
    attempts = json.dumps({**_REFUSED, **_ALLOWED})
    status = image.run("cat", "/proc/self/status").stdout.splitlines()
    done = image.run("python3", "-c", _ATTEMPTS, attempts)

    assert {f"CapEff:\t{0:016x}", f"CapBnd:\t{0:016x}", "NoNewPrivs:\t1", "Seccomp:\t2"} <= set(status)
    assert json.loads(done.stdout) == {**dict.fromkeys(_REFUSED, "EPERM"), **dict.fromkeys(_ALLOWED, "")}, done.stderr


_OPTIONAL = {"urllib3.contrib.socks"}
"""Modules that need a package that gitsnap does not require: PySocks, for a SOCKS proxy."""


def test_the_image_has_every_module_that_gitsnap_imports(image: _Image) -> None:
    """All imports, also those in functions and those of the extras, are found in the image."""
    imported = {
        name
        for path in (Path(__file__).resolve().parents[2] / "gitsnap").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _imported_modules(node)
    } - _OPTIONAL
    program = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    done = image.run("python3", "-c", program, *sorted(imported))

    assert {"jinja2", "h11", "starlette", "uvicorn", "pygit2", "gitsnap.cli"} <= {
        *imported, *(name.partition(".")[0] for name in imported)
    }  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def _imported_modules(node: ast.AST) -> list[str]:
    """The modules that an import statement names."""
    if isinstance(node, ast.ImportFrom):
        return [node.module] if node.module and not node.level else []
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def test_the_image_writes_a_report_and_serves_pages(image: _Image, tmp_path: Path) -> None:
    """`gitsnap report` and `gitsnap web` work, whose packages are extras of the wheel."""
    demo = image.run("gitsnap", "demo", str(tmp_path / "demo"), writable=[tmp_path])
    archive = tmp_path / "demo/archive/hourly"
    report = image.run(
        "gitsnap", "report", "--archive", str(archive), "-o", str(tmp_path / "report.html"), writable=[tmp_path]
    )
    program = image.command(ENTRYPOINT, writable=[tmp_path], first_process=True)
    with running_server(tmp_path, "--archive", str(archive), program=program) as server:
        page = server.get("/")
        os.kill(_first_child(_first_child(server.process.pid)), signal.SIGTERM)  # of timeout, of bubblewrap
        server.process.communicate(timeout=60)

    assert demo.returncode == 0, demo.stderr
    assert report.returncode == 0, report.stderr
    assert b"</html>" in (tmp_path / "report.html").read_bytes()
    assert (page.status, b"</html>" in page.body) == (200, True)
    assert server.process.returncode == 0


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
        return image.command(
            ENTRYPOINT,
            read_only=[kubeconfig.parent],  # with the certificate of the server
            writable=[storage],
            first_process=True,
            variables=variables,
        )

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

        os.kill(_first_child(process.pid), signal.SIGTERM)
        code = process.wait()

    assert listed.returncode == 0, listed.stderr
    assert len(listed.stdout.splitlines()) >= 2
    assert code == 0, process.log[-3:]
    assert set(refs_of(record))
    assert not [finding for finding in open_archive(storage, "often").check() if finding.wrong]


def _first_child(pid: int) -> int:
    """The process id of the program in the container, which bubblewrap waits for."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
