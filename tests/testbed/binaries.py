"""The API server, etcd and kubectl of the integration tests: from a given folder, from the cache, or built with Go.

Run ``python tests/testbed/binaries.py`` to build the programs before the tests. The module needs only the standard
library. ``build/go.mod`` and ``build/go.sum`` pin all compiled code. This module must not start a server.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

PROGRAMS = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}
"""Program -> the Go package that it is built from."""

HOW_TO_GET_THEM = (
    "no API server to test against: run python tests/testbed/binaries.py once (needs Go; about 8 minutes on 2 cores), "
    "or set KUBEBUILDER_ASSETS to a folder with kube-apiserver, etcd and kubectl"
)

_BUILD = Path(__file__).resolve().parent / "build"

YAML_MODULE = Path(__file__).resolve().parent / "yaml"
"""A separate Go module, so that its changes do not rebuild the API server."""

_HELM_MODULE = Path(__file__).resolve().parent / "helm"
_GRAFANA_MODULE = Path(__file__).resolve().parent / "grafana"

_SECCOMP_MODULE = Path(__file__).resolve().parent / "seccomp"

YAML_ORACLE = "yaml-as-json"

BROWSER = "chromium"

_ENVIRONMENT = dict(os.environ)
"""The environment at the start of the tests. Tests run with another HOME."""


class MissingError(Exception):
    """A program is missing and cannot be built. The message names the remedy."""


def find() -> Path | None:
    """Return the folder with all programs, or None if they have not been built yet.

    Raises MissingError when KUBEBUILDER_ASSETS names a folder without them.
    """
    assets = _ENVIRONMENT.get("KUBEBUILDER_ASSETS", "")
    if assets:
        missing = [name for name in PROGRAMS if not _is_program(Path(assets) / name)]
        if missing:
            raise MissingError(f"KUBEBUILDER_ASSETS={assets} has no {' and no '.join(missing)}")
        return Path(assets)
    folder = cache_folder()
    return folder if all(_is_program(folder / name) for name in PROGRAMS) else None


def obtain() -> Path:
    """Return the folder with all programs. Builds missing programs.

    Raises MissingError when Go is missing or the build fails.
    """
    folder = find()
    if folder is not None:
        return folder
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / ".lock"):
        for name, package in PROGRAMS.items():
            if not _is_program(folder / name):  # another process may have built it meanwhile
                _build(name, package, folder / name)
    return folder


def obtain_yaml_oracle() -> Path:
    """Return the program that prints how Go's YAML parses a text. Builds it, in seconds, if it is missing.

    Raises MissingError when Go is missing or the build fails.
    """
    return _obtain_tool(YAML_ORACLE, ".", YAML_MODULE)


def obtain_helm() -> Path:
    """Return helm, which the tests of the chart run. Builds helm, in about a minute, if it is missing.

    Raises MissingError when Go is missing or the build fails.
    """
    return _obtain_tool("helm", "helm.sh/helm/v3/cmd/helm", _HELM_MODULE)


def obtain_helm_docs() -> Path:
    """Return helm-docs, which writes the README of the chart. Builds it, in seconds after helm, if it is missing.

    Raises MissingError when Go is missing or the build fails.
    """
    return _obtain_tool("helm-docs", "github.com/norwoodj/helm-docs/cmd/helm-docs", _HELM_MODULE)


def obtain_helm_unittest() -> Path:
    """Return helm-unittest, which runs the tests in the chart. Builds it, in seconds after helm, if it is missing.

    Raises MissingError when Go is missing or the build fails.
    """
    return _obtain_tool("helm-unittest", "github.com/helm-unittest/helm-unittest/cmd/helm-unittest", _HELM_MODULE)


def obtain_kubeconform() -> Path:
    """Return kubeconform, which checks objects against schemas. Builds it, in seconds, if it is missing.

    Raises MissingError when Go is missing or the build fails.
    """
    return _obtain_tool("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform", _HELM_MODULE)


def obtain_dashboard_check() -> Path:
    """Return the program that checks a dashboard by the types of Grafana. Builds it, in seconds, if it is missing.

    Raises MissingError when Go is missing or the build fails.
    """
    return _obtain_tool("check-dashboard", ".", _GRAFANA_MODULE)


def obtain_seccomp_profile() -> Path:
    """Return the program that prints the seccomp profile of a pod. Builds it, in half a minute, if it is missing.

    Raises MissingError when Go is missing or the build fails.
    """
    return _obtain_tool("seccomp-profile", ".", _SECCOMP_MODULE)


def _obtain_tool(name: str, package: str, module: Path) -> Path:
    """Return a program of a Go module of its own. Builds the program if it is missing. Raises MissingError."""
    target = cache_folder(module) / name
    if not _is_program(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.with_name(".lock")):
            if not _is_program(target):
                _build(name, package, target, module=module)
    return target


def obtain_prometheus() -> Path:
    """Return the folder with prometheus and promtool, which the tests of alerts run.

    The programs are those on the PATH, or else those of Debian's package. The package is unpacked and not installed: an
    installation would start a server. Raises MissingError without Debian's package.
    """
    installed = find_program("prometheus")
    if installed is not None and (installed.parent / "promtool").is_file():
        return installed.parent
    target = cache() / "prometheus"
    programs = target / "usr" / "bin"
    if not _is_program(programs / "promtool"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.with_name("prometheus.lock")):
            if not _is_program(programs / "promtool"):
                _unpack_package("prometheus", target)
    return programs


def _unpack_package(package: str, target: Path) -> None:
    """Download a package of the distribution and unpack it. Raises MissingError."""
    if find_program("apt-get") is None or find_program("dpkg-deb") is None:
        raise MissingError(f"{package} not found: install it, with promtool (the tests of alerts need it)")
    _say(f"unpacking Debian's package {package} for the tests of alerts …")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpacking-") as scratch:
        commands = [["apt-get", "--quiet", "download", package], ["dpkg-deb", "--extract", "PACKAGE", "root"]]
        if os.geteuid() == 0:
            commands.insert(0, ["apt-get", "--quiet", "update"])
        for command in commands:
            files = [path.name for path in Path(scratch).glob("*.deb")]
            words = [files[0] if word == "PACKAGE" else word for word in command]
            done = subprocess.run(words, cwd=scratch, env=_ENVIRONMENT, capture_output=True, text=True, check=False)
            if done.returncode and command[2] != "update":
                raise MissingError(f"`{' '.join(words)}` failed:\n{(done.stdout + done.stderr)[-2000:]}")
        (Path(scratch) / "root").replace(target)


def cache_folder(module: Path = _BUILD) -> Path:
    """Return the folder for this state of the pinned modules, build flags and machine. Old folders can be deleted."""
    digest = hashlib.sha256()
    for part in (module / "go.mod", module / "go.sum", *sorted(module.glob("*.go"))):
        digest.update(part.read_bytes())
    digest.update(" ".join([*_flags(), platform.system(), platform.machine()]).encode())
    return cache() / digest.hexdigest()[:16]


def cache() -> Path:
    """Return the folder for all programs that the tests build or unpack."""
    if folder := _ENVIRONMENT.get("GITSNAP_TESTBED_CACHE"):
        return Path(folder)
    caches = _ENVIRONMENT.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path(_ENVIRONMENT.get("HOME", "~")).expanduser() / ".cache") / "gitsnap-testbed"


def _flags() -> list[str]:
    version = pinned_version("k8s.io/kubernetes")
    major, minor = version.removeprefix("v").split(".")[:2]
    stamp = "-X k8s.io/component-base/version."
    return [
        "-trimpath",
        "-ldflags",
        f"-s -w {stamp}gitVersion={version} {stamp}gitMajor={major} {stamp}gitMinor={minor}",
    ]


def pinned_version(module: str, folder: Path = _BUILD) -> str:
    """Return the version that ``go.mod`` in a folder requires of a Go module. Raises MissingError if there is none."""
    match = re.search(rf"^(?:require)?\s*{re.escape(module)} (v\S+)", (folder / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise MissingError(f"{folder / 'go.mod'} does not pin {module}")
    return match[1]


IMAGE_TOOLS = {"mmdebstrap": "mmdebstrap", "umoci": "umoci", "bwrap": "bubblewrap"}
"""The programs that build the image and run it in a test, each with its Debian package."""
_SSH_SERVER = {"sshd": "openssh-server"}
"""The program that the tests of pushing by ssh need, with its Debian package."""
_BROWSER = {BROWSER: "chromium"}
"""The program that the tests of reports need, with its Debian package."""


def install(programs: Mapping[str, str], purpose: str) -> None:
    """Install the programs that are missing from the distribution's packages.

    Args:
        programs: Names of programs, each with its Debian package.
        purpose: What needs them, for messages.

    Raises MissingError when they cannot be installed.
    """
    missing = _missing(programs)
    if not missing:
        return
    packages = sorted(programs[program] for program in missing)
    if find_program("apt-get") is None or os.geteuid() != 0:
        raise MissingError(f"{', '.join(missing)} not found: install {' '.join(packages)} ({purpose} needs them)")
    _say(f"installing {' '.join(packages)} for {purpose} …")
    environment = {**_ENVIRONMENT, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "--quiet", *command], env=environment, capture_output=True, text=True, check=False
        )
    if missing := _missing(programs):
        raise MissingError(f"{', '.join(missing)} could not be installed:\n{(done.stdout + done.stderr)[-2000:]}")


def _missing(programs: Mapping[str, str]) -> list[str]:
    return [program for program in programs if find_program(program) is None]


def find_program(name: str) -> Path | None:
    """Return a program of the distribution, None if it is not installed."""
    found = shutil.which(name, path=f"{_ENVIRONMENT.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


def _build(name: str, package: str, target: Path, *, module: Path = _BUILD) -> None:
    go = shutil.which("go", path=_ENVIRONMENT.get("PATH"))
    if go is None:
        raise MissingError(
            f"{name} must be built, and there is no Go on the PATH (version 1.21 or newer); {HOW_TO_GET_THEM}"
        )
    took = {"kube-apiserver": "about 8 minutes", YAML_ORACLE: "seconds"}.get(name, "half a minute")
    _say(f"building {name} for the integration tests, once: {took} on two cores where Go has compiled nothing yet …")
    before = time.monotonic()
    # Settings of the user (a vendor mode, a workspace) must not change the build.
    environment = {**_ENVIRONMENT, "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as scratch:
        built = Path(scratch) / name
        outcome = subprocess.run(
            [go, "build", *_flags(), "-o", str(built), package],
            cwd=module,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if outcome.returncode != 0 or not built.is_file():
            raise MissingError(f"`go build {package}` failed:\n{outcome.stdout[-4000:]}")
        built.replace(target)
    _say(f"built {name} in {time.monotonic() - before:.0f} s: {target}")


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock a build, so that concurrent test processes build once. The kernel releases the lock of a dead process."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    sys.stderr.write(f"testbed: {text}\n")
    sys.stderr.flush()


def _try_install() -> None:
    """Install what single tests need. A missing program is an error only in CI: the other tests work without it."""
    for programs, purpose in (
        (_SSH_SERVER, "the tests of pushing by ssh"),
        (IMAGE_TOOLS, "the test of the image"),
        (_BROWSER, "the tests of reports in a browser"),
    ):
        try:
            install(programs, purpose)
        except MissingError as error:
            if _ENVIRONMENT.get("CI") == "true":
                raise
            _say(str(error))


def _try_prometheus() -> None:
    """Unpack Prometheus. An error only in CI."""
    try:
        obtain_prometheus()
    except MissingError as error:
        if _ENVIRONMENT.get("CI") == "true":
            raise
        _say(str(error))


def main() -> int:
    """Build or find the programs. Print their folder. Return the exit code."""
    try:
        folder = obtain()
        obtain_yaml_oracle()
        obtain_helm()
        obtain_helm_docs()
        obtain_helm_unittest()
        obtain_kubeconform()
        obtain_dashboard_check()
        obtain_seccomp_profile()
        _try_prometheus()
        _try_install()
    except MissingError as error:
        _say(str(error))
        return 1
    _say(f"kube-apiserver {pinned_version('k8s.io/kubernetes')}, etcd and kubectl are in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
