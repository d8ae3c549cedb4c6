"""The OCI image, without a Docker daemon: a root of Debian packages, the locked Python packages, and gitsnap.

The root comes from the Debian mirror that the machine uses, by mmdebstrap. The maintainer scripts of the packages do
not run. The image leaves out files that the controller does not need: perl, package managers, documents.
"""

from __future__ import annotations

import re
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from scripts.packaging.build import ARCHITECTURE, ROOT, Build, BuildError, Entry, need, read_folder, write_tar

PACKAGES = (
    "base-files",
    "ca-certificates",
    "coreutils",
    "dash",
    "findutils",
    "git",
    "libnss-wrapper",
    "libpython3-stdlib",
    "openssh-client",
    "python3-minimal",
)
"""The Debian packages of the image. mmdebstrap adds what they depend on."""

PROGRAMS = {"mmdebstrap": "mmdebstrap", "umoci": "umoci", "bwrap": "bubblewrap", "gzip": "gzip"}
"""The programs that build the image, each with its Debian package."""

_LEFT_OUT = re.compile(
    r"usr/share/(?:doc|man|info|locale|lintian|bug|perl|perl5|bash-completion|debconf|gitweb|menu|pixmaps)/"
    r"|usr/share/(?:git-core/contrib|python3/debpython|zsh|keyrings|pam|pam-configs|mime|fillup-templates)/"
    r"|usr/lib/[^/]+/(?:perl|perl-base|gconv|security|krb5|sasl2)/|(?:usr/)?lib/[^/]+/(?:libperl|libdb|libgdbm|libmvec)"
    r"|(?:usr/)?s?bin/(?:perl|cpan|pod|dpkg|debconf|apt|update-|git-shell|scalar|mawk|tar$|openssl|c_rehash)"
    r"|usr/sbin/|sbin/|usr/lib/(?:dpkg|apt|init|tmpfiles\.d|systemd)/"
    r"|usr/lib/git-core/(?:mergetools/|scalar|git-(?:cvs|svn|p4|gui|citool|send-email|instaweb|daemon|shell|imap-send"
    r"|http-(?:backend|push|fetch)|sh-i18n--envsubst))"
    r"|etc/(?:apt|cron|pam\.d|perl|bash_completion\.d|init\.d|alternatives|dpkg|security)"
    r"|usr/lib/python3[^/]*/(?:test|idlelib|lib2to3|pydoc_data)/|usr/lib/openssh/ssh-(?:keysign|pkcs11|sk)"
    r"|var/cache/|var/lib/(?:dpkg|apt)/|(?:.*/)?__pycache__/|dev/."
)
"""Paths of Debian packages that are not in the image: no program in it needs them, and no package manager runs."""

_UNUSED = re.compile(
    r"kubernetes/(?:aio|client/(?:api|models))/(?!__init__\.py)"
    r"|(?:aiohttp|aiohttp_retry|aiosignal|aiohappyeyeballs|multidict|yarl|propcache|frozenlist)[-/]"
    r"|(?:rich|pygments|markdown_it|markdown_it_py|mdurl)[-/]"
    r"|(?:hatchling|tomlkit|pluggy|pathspec|trove_classifiers|editables)[-/]"
    r"|.*/__pycache__/|bin/|[^/]*/tests?/"
)
"""Paths of Python packages that are not in the image: the typed and the asynchronous API of the Kubernetes client with
the packages that only these need, what typer would format its help with, and the build backend. gitsnap imports none of
them, and a test of the image imports all that gitsnap imports."""

_PYTHON = "usr/local/lib/python3.11/dist-packages"
"""The folder of the Python packages, which Debian's Python searches."""
_USER = 65532
"""The uid of the manifests."""
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "GITSNAP_STORAGE": "/collection",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
}
"""The variables of the container."""
_SCRIPT = """#!/usr/bin/python3
import sys
from {module} import {function}
sys.exit({function}())
"""


def build_image(build: Build) -> Path:
    """Build ``gitsnap-VERSION-image-ARCHITECTURE.tar``, an OCI archive, and return its path.

    The archive also has a list of the Debian packages, ``/usr/share/gitsnap/debian-packages``. Raises BuildError.
    """
    need(PROGRAMS)
    layers = {
        "Debian packages": debian_layer(build),
        "Python packages": python_layer(build),
        "gitsnap": gitsnap_layer(build),
    }
    layers["bytecode"] = bytecode_layer(build, list(layers.values()))
    layout = build.work / "layout"
    image = f"{layout}:{build.version}"
    date = datetime.fromtimestamp(build.epoch, UTC).isoformat().replace("+00:00", "Z")
    build.run("umoci", "init", "--layout", layout)
    build.run("umoci", "new", "--image", image)
    for name, layer in layers.items():
        history = ["--history.created", date, "--history.created_by", "scripts/release", "--history.comment", name]
        build.run("umoci", "raw", "add-layer", "--image", image, *history, layer)
    build.run("umoci", "config", "--image", image, "--no-history", "--created", date, *_configuration(build))
    build.run("umoci", "gc", "--layout", layout)
    archive = build.file(f"gitsnap-{build.version}-image-{build.architecture}.tar")
    write_tar(archive, read_folder(layout), build.epoch)
    return archive


def _configuration(build: Build) -> list[str]:
    """Return the options of `umoci config`: what the Dockerfile sets."""
    options = [
        "--architecture", build.architecture, "--os", "linux", "--config.user", f"{_USER}:{_USER}",
        "--config.entrypoint", "container-entrypoint", "--config.cmd", "controller", "--config.cmd", "--listen=:8080",
        "--config.volume", "/collection", "--config.exposedports", "8080", "--config.workingdir", "/",
    ]  # fmt: skip
    for name, value in ENVIRONMENT.items():
        options += ["--config.env", f"{name}={value}"]
    labels = {"title": "gitsnap", "version": build.version, "licenses": "Apache-2.0"}
    for name, value in labels.items():
        options += ["--config.label", f"org.opencontainers.image.{name}={value}"]
    return options


def debian_layer(build: Build) -> Path:
    """Write the layer of the Debian packages. Raises BuildError if they cannot be read."""
    root = build.work / "debian.tar"
    hook = r"""
        mkdir -p "$1/usr/share/gitsnap"
        for file in "$1"/var/cache/apt/archives/*.deb; do
            dpkg-deb --show --showformat '${Package} ${Version} ${Architecture}\n' "$file"
        done | sort > "$1/usr/share/gitsnap/debian-packages"
    """
    build.run(
        "mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(PACKAGES)}",
        f"--architectures={build.architecture}", "--skip=check/qemu", f"--extract-hook={hook}", "bookworm", root,
    )  # fmt: skip
    entries = []
    certificates = {}
    with tarfile.open(root) as archive:
        for member in archive:
            name = member.name.removeprefix("./").rstrip("/")
            if not name or _LEFT_OUT.match(name + ("/" if member.isdir() else "")):
                continue
            content = b""
            if (file := archive.extractfile(member) if member.isreg() or member.islnk() else None) is not None:
                content = file.read()
            if member.issym():
                entries.append(Entry(name, link=member.linkname, mode=0o777))
            elif member.isdir():
                entries.append(Entry(name, mode=member.mode & 0o1777, is_folder=True))
            elif member.isreg() or member.islnk():
                # No program of the image needs the rights of another user: no setuid, no setgid.
                same_file = (member.linkname if member.islnk() else member.name).removeprefix("./")
                entries.append(Entry(name, content, member.mode & 0o777, same_file=same_file))
            if name.startswith("usr/share/ca-certificates/") and name.endswith(".crt"):
                certificates[name] = content
    entries += _system_files(b"".join(content for _, content in sorted(certificates.items())))
    layer = build.work / "debian-layer.tar"
    write_tar(layer, _without_empty_folders(entries), build.epoch)
    return layer


def _system_files(certificates: bytes) -> list[Entry]:
    """Return what the maintainer scripts of the packages would have made, and the folders of the container."""
    users = f"root:x:0:0:root:/root:/sbin/nologin\ngitsnap:x:{_USER}:{_USER}:gitsnap:/tmp:/sbin/nologin\n"
    return [
        Entry("etc/passwd", users.encode()),
        Entry("etc/group", f"root:x:0:\ngitsnap:x:{_USER}:\n".encode()),
        Entry("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n"),
        Entry("etc/ssl/certs/ca-certificates.crt", certificates),
        Entry("collection", mode=0o1777, is_folder=True),
    ]


def _without_empty_folders(entries: list[Entry]) -> list[Entry]:
    """Leave out folders below /usr and /var that have no entry: what was in them is left out."""
    needed = {str(parent) for entry in entries if not entry.is_folder for parent in Path(entry.name).parents}
    return [
        entry
        for entry in entries
        if not entry.is_folder or entry.name in needed or not entry.name.startswith(("usr/", "var/", "etc/"))
    ]


def python_layer(build: Build) -> Path:
    """Write the layer of the locked Python packages, installed by their hashes."""
    packages = build.work / "python"
    build.run(
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile",
        "--only-binary=:all:", "--require-hashes", "--requirement", ROOT / "requirements/image.txt", *_platform(build),
        "--target", packages,
    )  # fmt: skip
    _check_unused()
    entries = [entry for entry in read_folder(packages) if not _UNUSED.match(entry.name)]
    layer = build.work / "python-layer.tar"
    write_tar(layer, [replace(entry, name=f"{_PYTHON}/{entry.name}") for entry in entries], build.epoch)
    return layer


def _platform(build: Build) -> list[str]:
    """Return the options of pip for the platform of the image: Python 3.11 of Debian 12."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}[build.architecture]
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(36, 16, -1)] + [f"manylinux2014_{machine}"]
    return ["--python-version=3.11", "--implementation=cp", *(f"--platform={tag}" for tag in tags)]


def _check_unused() -> None:
    """Raise BuildError if gitsnap imports a module that the image leaves out."""
    pattern = re.compile(r"kubernetes\.(?:aio|client\.(?:api\b(?!_)|models))|client\.(?:\w+Api|V\d\w+)\b")
    for path in sorted((ROOT / "gitsnap").rglob("*.py")):
        if match := pattern.search(path.read_text()):
            raise BuildError(f"{path.relative_to(ROOT)} uses {match[0]}, which scripts/packaging/image.py leaves out")


def gitsnap_layer(build: Build) -> Path:
    """Write the layer of gitsnap: its package and its programs."""
    package = read_folder(ROOT / "gitsnap", prefix=f"{_PYTHON}/gitsnap/")
    entries = [entry for entry in package if "__pycache__" not in entry.name]
    for name, function in (("gitsnap", "main"), ("kubectl-gitsnap", "main")):
        script = _SCRIPT.format(module="gitsnap.cli", function=function)
        entries.append(Entry(f"usr/local/bin/{name}", script.encode(), 0o755))
    entrypoint = (ROOT / "scripts/container-entrypoint").read_bytes()
    entries.append(Entry("usr/local/bin/container-entrypoint", entrypoint, 0o755))
    entries.append(Entry("usr/share/gitsnap/LICENSE", (ROOT / "LICENSE").read_bytes()))
    layer = build.work / "gitsnap-layer.tar"
    write_tar(layer, entries, build.epoch)
    return layer


def bytecode_layer(build: Build, layers: list[Path]) -> Path:
    """Write the layer of compiled modules: without it, each start of gitsnap in a read-only root compiles them again.

    Debian's own Python compiles them, in the root of the image. Its version decides the format of the files, which is
    the same on all platforms: for another platform than this machine's, the Python of this platform compiles them.
    """
    root = _extract(layers, build.work / "root")
    python = root
    if build.architecture != ARCHITECTURE:
        native = replace(build, architecture=ARCHITECTURE, work=build.work / "native")
        native.work.mkdir()
        python = _extract([debian_layer(native)], native.work / "root")
    for folder in (f"/{_PYTHON}", "/usr/lib/python3.11"):
        # By their hash: the date of a file in an image says nothing. "unchecked": the layers are never changed.
        options = ("-q", "-j", "1", "--invalidation-mode", "unchecked-hash", "-s", "/target", "-p", "/")
        build.run(
            "bwrap", "--bind", python, "/", "--bind", root, "/target", "--proc", "/proc", "--dev", "/dev",
            "--tmpfs", "/tmp", "--clearenv", "--setenv", "PYTHONHASHSEED", "0", "--",
            "/usr/bin/python3", "-m", "compileall", *options, f"/target{folder}",
        )  # fmt: skip
    entries = [entry for entry in read_folder(root) if "/__pycache__" in entry.name]
    layer = build.work / "bytecode-layer.tar"
    write_tar(layer, entries, build.epoch)
    return layer


def _extract(layers: Sequence[Path], root: Path) -> Path:
    """Extract layers into a new folder, and return the folder."""
    root.mkdir()
    for layer in layers:
        with tarfile.open(layer) as archive:
            archive.extractall(root, filter="tar")
    return root
