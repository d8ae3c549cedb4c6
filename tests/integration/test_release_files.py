"""The files of a release that need no tools beyond those of the tests: install.yaml, checksums, the krew manifest."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from scripts.packaging.build import Build, BuildError, Entry, source_version, write_tar
from scripts.packaging.checksums import NAMESPACE, release_files, write_checksums
from scripts.packaging.krew import write_krew_manifest
from scripts.packaging.manifests import build_manifests, install_yaml
from tests.support.controllers import SNAPSHOTS, Installation, kubectl, wait_for
from tests.testbed.apiserver import ApiServer


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """A build into an empty folder."""
    (tmp_path / "work").mkdir()
    return Build(source_version(), 1_700_000_000, tmp_path / "dist", tmp_path / "work")


def test_install_yaml_installs_on_a_fresh_server(build: Build, api: ApiServer, tmp_path: Path) -> None:
    """One `kubectl apply` works the first time and the second time, and names the image of this version."""
    installation = Installation(api, tmp_path)
    text = install_yaml(build)
    try:
        for _ in range(2):
            kubectl("apply", "--server-side", "--validate=strict", "-f", "-", kubeconfig=api.kubeconfig(), stdin=text)
        wait_for(lambda: api.request("GET", SNAPSHOTS)[0] == 200, "the kind Snapshot to be served")
        workload = api.ask("GET", "/apis/apps/v1/namespaces/gitsnap/statefulsets/gitsnap")
    finally:
        installation.remove()

    images = [container["image"] for container in workload["spec"]["template"]["spec"]["containers"]]
    assert images == [f"gitsnap:{source_version()}"]


def test_install_yaml_is_what_kustomize_makes_of_the_archive(build: Build, api: ApiServer, tmp_path: Path) -> None:
    """The command of docs/VERIFY.md finds no difference between the two files."""
    archive, install = build_manifests(build)
    with tarfile.open(archive) as files:
        files.extractall(tmp_path, filter="data")

    made = kubectl("kustomize", str(tmp_path / "manifests/base"), kubeconfig=api.kubeconfig())

    assert made == install.read_text()


def test_the_krew_manifest_follows_the_rules_of_krew(build: Build) -> None:
    """The description is short, the checksum is the archive's, and the archive must have an https address."""
    archive = build.file("gitsnap-linux-amd64.tar.gz")
    archive.write_bytes(b"archive")

    manifest = yaml.safe_load(write_krew_manifest(build, archive, "https://example.com/releases/").read_text())

    platform = manifest["spec"]["platforms"][0]
    assert len(manifest["spec"]["shortDescription"]) <= 50
    assert manifest["spec"]["version"] == f"v{source_version()}"
    assert platform["sha256"] == hashlib.sha256(b"archive").hexdigest()
    assert platform["uri"] == "https://example.com/releases/gitsnap-linux-amd64.tar.gz"
    with pytest.raises(BuildError, match="https"):
        write_krew_manifest(build, archive, "http://example.com")


def test_checksums_and_their_signature(build: Build, tmp_path: Path) -> None:
    """`sha256sum --check` and `ssh-keygen -Y verify` accept the files as docs/VERIFY.md says, and notice a change."""
    if shutil.which("ssh-keygen") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no ssh-keygen: install openssh-client")
    file = build.file("file")
    file.write_bytes(b"content")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
    public = key.with_name("key.pub").read_text()
    (tmp_path / "allowed_signers").write_text(f'RELEASES namespaces="{NAMESPACE}" {public}')

    sums, signature = write_checksums(build, [file], str(key))

    signers = tmp_path / "allowed_signers"
    verify: list[str | Path] = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-f",
        signers,
        "-I",
        "RELEASES",
        "-n",
        NAMESPACE,
        "-s",
        signature,
    ]
    assert subprocess.run(verify, input=sums.read_bytes(), capture_output=True, check=False).returncode == 0
    assert subprocess.run(["sha256sum", "--check", sums.name], cwd=build.output, check=False).returncode == 0
    file.write_bytes(b"other")
    assert subprocess.run(["sha256sum", "--check", sums.name], cwd=build.output, check=False).returncode == 1
    sums.write_text(f"{'0' * 64}  file\n")
    assert subprocess.run(verify, input=sums.read_bytes(), capture_output=True, check=False).returncode != 0


def test_cosign_signs_the_checksums_without_a_network(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cosign verify-blob` accepts the bundle as docs/VERIFY.md says, and notices a change."""
    if shutil.which("cosign") is None:
        pytest.skip("no cosign on the PATH; its build takes several minutes")
    file = build.file("file")
    file.write_bytes(b"content")
    monkeypatch.setenv("COSIGN_PASSWORD", "")
    subprocess.run(["cosign", "generate-key-pair"], cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing listens there

    sums, bundle = write_checksums(build, [file], str(tmp_path / "cosign.key"))

    verify: list[str | Path] = ["cosign", "verify-blob", "--key", tmp_path / "cosign.pub", "--bundle", bundle]
    verify += ["--insecure-ignore-tlog", sums]
    assert subprocess.run(verify, capture_output=True, check=False).returncode == 0
    sums.write_text(f"{'0' * 64}  file\n")
    assert subprocess.run(verify, capture_output=True, check=False).returncode != 0


def test_a_missing_password_and_a_missing_cosign_are_named(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cosign would ask for the password on a terminal that nobody sees."""
    key = tmp_path / "cosign.key"
    key.write_text("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----")
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.delenv("COSIGN_PASSWORD", raising=False)

    with pytest.raises(BuildError, match="not installed: cosign"):
        write_checksums(build, [], str(key))
    (programs / "cosign").write_text("")
    (programs / "cosign").chmod(0o755)
    with pytest.raises(BuildError, match="COSIGN_PASSWORD is not set"):
        write_checksums(build, [], str(key))


def test_a_new_list_of_checksums_removes_the_old_signature(build: Build) -> None:
    """A signature over other sums would look like a forgery."""
    for name in ("SHA256SUMS.sig", "SHA256SUMS.sigstore.json"):
        build.file(name).write_text("signature")

    write_checksums(build, [], "")

    assert [path.name for path in build.output.iterdir()] == ["SHA256SUMS"]


def test_the_checksums_cover_parts_that_were_built_before(build: Build) -> None:
    """A release that is built part by part has one SHA256SUMS for all its files, and for none of another version."""
    version = build.version
    names = [f"gitsnap-{version}-install.yaml", f"gitsnap-{version}.tar.gz", f"gitsnap-chart-{version}.tgz"]
    for name in (*names, "gitsnap-9.9.9-install.yaml", "SHA256SUMS"):
        build.file(name).write_bytes(b"content")

    (sums,) = write_checksums(build, release_files(build), "")

    assert [line.split()[1] for line in sums.read_text().splitlines()] == names


def test_archives_do_not_depend_on_order_or_machine(tmp_path: Path) -> None:
    """The same entries in another order give the same bytes; only the date of the release is in them."""
    entries = [
        Entry("b/file", b"2", 0o755),
        Entry("a", is_folder=True, mode=0o755),
        Entry("b/link", link="file", mode=0o777),
    ]

    write_tar(tmp_path / "one.tar", entries, 1_700_000_000)
    write_tar(tmp_path / "two.tar", reversed(entries), 1_700_000_000)

    command: list[str | Path] = ["tar", "-tvf", tmp_path / "one.tar"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "TZ": "UTC"})
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert listed.stdout.count("2023-11-14") == 3
