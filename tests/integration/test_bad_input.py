"""Errors are reported in a message, with the exit code of their class, and nothing is written."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import gitsnap
from tests.support.recording_server import write_kubeconfig
from tests.testbed.apiserver import ApiServer, User

_PROFILE = "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: a\nspec: {}\n"


_REFERRING = (
    "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: b\nspec:\n"
    "  policyRefs:\n  - kind: Secret\n    namespace: default\n    name: s\n"
)
_SEALED = (
    "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  namespace: default\n"
    "type: addons.projectsveltos.io/cluster-profile\ndata:\n  k: aGVsbG8=\n"
)

_CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n  namespace: default\ndata:\n"
_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}}


def _git(folder: Path, *words: str, stdin: str | None = None) -> str:
    done = subprocess.run(["git", "-C", folder, *words], input=stdin, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a cluster, and a storage with one sample of the cluster."""
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "a.yaml").write_text(_PROFILE)
    (tmp_path / "storage").mkdir()
    done = gitsnap(tmp_path, "capture", "--snapshot", "hourly", "--storage", "storage", "--from-dir", "cluster")
    assert done.returncode == 0, done.stderr
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("list --snapshot daily --storage storage", 4, "no snapshot policy daily"),
        ("list --storage missing", 6, "does not exist"),
        ("list --storage cluster/a.yaml", 6, "is a file"),
        ("show --sample 2001-01-01 --storage storage", 4, "The nearest samples: 2"),
        ("show --sample 2001-13-45 --storage storage", 2, "is not a valid date"),
        ("show Foo/x --storage storage", 4, "Its kinds: ClusterProfile"),
        ("show nonsense --storage storage", 2, "write KIND/NAME"),
        ("diff --from-sample latest~9 --storage storage", 4, "goes back beyond the first sample"),
        ("capture --kubeconfig missing --storage storage", 3, "no kubeconfig at missing"),
        ("capture --from-dir missing --storage storage", 3, "is not a folder"),
        ("capture --from-dir cluster --storage storage --snapshot BAD_NAME", 3, "BAD_NAME"),
        ("capture --from-dir cluster --storage storage -f missing.yaml", 3, "missing.yaml"),
        ("rollback --from-dir cluster --storage storage --sample latest --profile x", 4, "--profile x"),
        ("frobnicate", 2, "frobnicate"),
        ("list --frobnicate", 2, "--frobnicate"),
    ],
)
def test_messages_and_exit_codes(place: Path, arguments: str, code: int, message: str) -> None:
    """The message names the error. There is no traceback, and stdout stays empty."""
    done = gitsnap(place, *arguments.split())

    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("kind: [", "line"),
        (_PROFILE + "spec: {}\n", "spec"),
        ("a: 1\n", "apiVersion and kind are needed"),
        (f"{_PROFILE}---\n{_CONFIG_MAP}  on: 5\n", "bad.yaml, line 13: ConfigMap default/c: data.true is a number"),
        (f"{_CONFIG_MAP}  a: b\n  mode: 0400\n", "bad.yaml, line 8: ConfigMap default/c: data.mode is a number"),
        (f"{_CONFIG_MAP}  debug: off\n", "bad.yaml, line 7: ConfigMap default/c: data.debug is a boolean"),
        (f"{_CONFIG_MAP}  a: [b]\n", "bad.yaml, line 7: ConfigMap default/c: data.a is a list"),
        (_PROFILE.replace("name: a", "name: c\n  labels: {a: 1}"), "line 5: ClusterProfile.config.projectsveltos.io c"),
        (_SEALED.replace("aGVsbG8=", "12"), "line 9: Secret default/s: data.k is a number"),
        (
            json.dumps({"apiVersion": "v1", "kind": "List", "items": [{**_MAP, "data": {"a": True}}]}, indent=1),
            "bad.yaml, line 13: ConfigMap default/c: data.a is a boolean",
        ),
    ],
)
def test_a_cluster_folder_that_cannot_be_read(place: Path, content: str, message: str) -> None:
    """The error names the file, and no sample is taken."""
    (place / "cluster" / "bad.yaml").write_text(content)

    done = gitsnap(place, "capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "hourly")

    assert done.returncode == 3
    assert "bad.yaml" in done.stderr
    assert message in done.stderr
    assert gitsnap(place, "list", "--storage", "storage").stdout.count("hourly") == 1


def test_odd_values_of_a_dump_are_read_as_go_reads_them(place: Path) -> None:
    """kubectl leaves these strings unquoted, because Go reads them as text. None of them stops a capture."""
    odd = {
        "a": "=",
        "b": "123e4567",
        "c": "1e400",
        "d": "0x123456789abcdef01",
        "e": "<<",
        "f": "12:30",
        "g": "2020-01-01",
    }
    lines = "".join(f"  {name}: {value}\n" for name, value in odd.items())
    (place / "cluster" / "odd.yaml").write_text(f"{_CONFIG_MAP}{lines}")
    where = ("--storage", "storage", "--snapshot", "hourly")

    done = gitsnap(place, "capture", "--from-dir", "cluster", "--resources", "ConfigMap", *where)

    assert done.returncode == 0, done.stderr
    shown = gitsnap(place, "show", "ConfigMap/default/c", "-o", "json", *where)
    assert all(f'"{name}": "{value}"' in shown.stdout for name, value in odd.items()), shown.stdout


@pytest.mark.parametrize(
    "spec", ["spec: text", "spec:\n  policyRefs: text", "spec:\n  clusterSelector: [1]", "spec: [1]"]
)
def test_an_invalid_object_of_a_folder(place: Path, spec: str) -> None:
    """A folder may have invalid objects: the object is named or archived as it is, without a traceback."""
    (place / "cluster" / "b.yaml").write_text(_PROFILE.replace("name: a", "name: b").replace("spec: {}", spec))

    done = gitsnap(place, "capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "hourly")

    assert done.returncode in (0, 3)
    assert done.returncode == 0 or "ClusterProfile" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("selector", ["[1]", "{matchLabels: text}", "env in prod", "7"])
def test_an_invalid_selector_stops_no_capture(place: Path, selector: str) -> None:
    """The object is archived as it is. The selector matches no cluster, as in Sveltos."""
    odd = _PROFILE.replace("name: a", "name: b").replace("spec: {}", f"spec:\n  clusterSelector: {selector}")
    (place / "cluster" / "b.yaml").write_text(odd)
    for command in (("capture", "--from-dir", "cluster", "--snapshot", "hourly"), ("diff",), ("show", "--all")):
        done = gitsnap(place, *command, "--storage", "storage")
        assert done.returncode == 0, done.stderr

    assert "clusterSelector:" in done.stdout


def test_selectors_in_text_form(place: Path) -> None:
    """Folders may be older than v1beta1, where a selector is a string. References depend on the selector."""
    profile = (
        "apiVersion: config.projectsveltos.io/v1alpha1\nkind: ClusterProfile\nmetadata:\n  name: old\nspec:\n"
        "  clusterSelector: env=fv,zone in (a)\n  policyRefs:\n  - kind: ConfigMap\n    namespace: ''\n"
        "    name: content\n"
    )
    cluster = (
        "apiVersion: lib.projectsveltos.io/v1alpha1\nkind: SveltosCluster\nmetadata:\n  name: {0}\n  namespace: {0}\n"
        "  labels: {{env: fv, zone: {1}}}\nspec: {{}}\n"
    )
    content = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: content\n  namespace: {}\ndata: {{}}\n"
    texts = [profile]
    for name, zone in (("one", "a"), ("two", "b")):
        texts += [cluster.format(name, zone), content.format(name)]
    (place / "cluster" / "old.yaml").write_text("---\n".join(texts))

    captured = gitsnap(place, "capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "hourly")
    shown = gitsnap(place, "show", "references", "ClusterProfile/old", "--storage", "storage", "-o", "json")

    assert (captured.returncode, shown.returncode) == (0, 0), captured.stderr + shown.stderr
    (reference,) = json.loads(shown.stdout)["references"]
    assert (reference["target"], reference["clusters"], reference["missing"]) == (
        "ConfigMap one/content",
        ["one/sveltos--one"],
        False,
    )


def test_an_invalid_schedule(place: Path) -> None:
    """The error names the field of the policy file."""
    (place / "policy.yaml").write_text(
        "apiVersion: utils.projectsveltos.io/v1beta1\nkind: Snapshot\nmetadata:\n  name: hourly\n"
        "spec:\n  schedule: every hour\n  storage: /collection\n"
    )

    done = gitsnap(place, "capture", "--from-dir", "cluster", "--storage", "storage", "-f", "policy.yaml")

    assert done.returncode == 3
    assert "spec.schedule" in done.stderr


def test_another_cluster_is_refused_until_adopted(place: Path) -> None:
    """An archive takes samples of another cluster only with --adopt."""
    (place / "cluster" / "namespace.yaml").write_text(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: kube-system\n  uid: another\n"
    )
    command = ["capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "hourly"]

    refused = gitsnap(place, *command)
    adopted = gitsnap(place, *command, "--adopt")

    assert refused.returncode == 11
    assert "--adopt" in refused.stderr
    assert adopted.returncode == 0, adopted.stderr


def test_a_missing_or_wrong_fingerprint_key_is_refused(place: Path) -> None:
    """A new key would show every Secret as changed. The archive's encrypted copy of the key is not used instead."""
    key = place / "storage" / ".keys" / "hourly" / "fingerprint.key"
    command = ["capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "hourly"]
    key.write_text("00" * 32 + "\n")
    wrong = gitsnap(place, *command)
    key.unlink()
    (key.parent / "identity.txt").unlink()
    missing = gitsnap(place, *command)

    assert (wrong.returncode, missing.returncode) == (7, 7)
    assert "fingerprint" in wrong.stderr
    assert "identity" in missing.stderr


def test_a_foreign_repository_is_no_archive(place: Path) -> None:
    """A capture writes neither to an empty repository nor to another project's repository."""
    for name, prepare in (("empty", []), ("own", ["commit", "--allow-empty", "-m", "mine"])):
        folder = place / "storage" / name
        subprocess.run(["git", "init", "--quiet", folder], check=True)
        if prepare:
            identity = ["-c", "user.name=a", "-c", "user.email=a@localhost"]
            subprocess.run(["git", "-C", folder, *identity, *prepare], check=True, capture_output=True)
        done = gitsnap(place, "capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", name)
        assert (done.returncode, name in done.stderr) == (5, True), done.stderr
        assert sorted(path.name for path in folder.iterdir()) == [".git"]


def test_a_sample_of_a_newer_format_is_reported(place: Path) -> None:
    """The other samples can still be read. The message names the format of the newer sample."""
    archive = place / "storage" / "hourly"
    tag = _git(archive, "tag").split()[0]
    text = _git(archive, "cat-file", "tag", tag).replace("Gitsnap-Format: 1", "Gitsnap-Format: 9")
    newer = text.replace(tag, "hourly/2099-01-01T00-00-00Z").replace("Sequence: 1", "Sequence: 2")
    made = _git(archive, "mktag", stdin=newer).strip()
    _git(archive, "update-ref", "refs/tags/hourly/2099-01-01T00-00-00Z", made)

    done = gitsnap(place, "list", "--storage", "storage")

    assert done.returncode == 0
    assert done.stdout.count("hourly") == 1
    assert "format 9" in done.stderr


def test_a_wrong_identity_cannot_decrypt(place: Path) -> None:
    """The error names the identity, and no value is printed."""
    (place / "cluster" / "b.yaml").write_text(_REFERRING + _SEALED)
    taken = gitsnap(place, "capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "hourly")
    assert taken.returncode == 0, taken.stderr
    own = place / "storage" / ".keys" / "hourly" / "identity.txt"
    other = place / "storage" / ".keys" / "other" / "identity.txt"
    gitsnap(place, "capture", "--create", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "other")
    own.write_bytes(other.read_bytes())

    done = gitsnap(place, "show", "Secret/default/s", "--decrypt", "--storage", "storage", "--snapshot", "hourly")

    assert done.returncode == 7
    assert "identit" in done.stderr
    assert "aGVsbG8" not in done.stdout + done.stderr


def test_a_storage_that_cannot_be_written(place: Path) -> None:
    """A read-only archive is reported, and nothing in the archive changes."""
    archive = place / "storage" / "hourly"
    mounted = subprocess.run(["mount", "--bind", archive, archive], capture_output=True, check=False).returncode == 0
    if not mounted:
        pytest.skip("mounting read-only needs root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", archive], check=True)
        done = gitsnap(place, "capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "hourly")
    finally:
        subprocess.run(["umount", archive], check=True)

    assert done.returncode == 6, done.stderr
    assert "Traceback" not in done.stderr
    assert gitsnap(place, "list", "--storage", "storage").stdout.count("hourly") == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "name.invalid"])
def test_a_server_that_cannot_be_reached(place: Path, host: str) -> None:
    """No archive is created for a cluster that was never reached."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    write_kubeconfig(place / "kubeconfig", f"https://{host}:{port}", {"token": "t"})

    done = gitsnap(
        place, "capture", "--create", "--kubeconfig", "kubeconfig", "--storage", "storage", "--snapshot", "new"
    )

    assert done.returncode == 8
    assert f"https://{host}:{port}" in done.stderr
    assert "refused" in done.stderr or "resolved" in done.stderr
    assert not (place / "storage" / "new").exists()


def test_credentials_that_are_not_accepted(place: Path, api: ApiServer) -> None:
    """The error names the status 401, and no archive is created."""
    config = api.kubeconfig(User("nobody", "not-a-token"))

    done = gitsnap(
        place, "capture", "--create", "--kubeconfig", str(config), "--storage", "storage", "--snapshot", "new"
    )

    assert (done.returncode, "401" in done.stderr) == (9, True), done.stderr
    assert not (place / "storage" / "new").exists()


def test_a_large_document(place: Path) -> None:
    """A referenced ConfigMap of ten megabytes is archived, and shown again."""
    large = "x: " + "y" * 1000 + "\n"
    text = _REFERRING.replace("Secret", "ConfigMap") + (
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: s\n  namespace: default\ndata:\n  k: |\n"
        + ("    " + large) * 10_000
    )
    (place / "cluster" / "b.yaml").write_text(text)

    done = gitsnap(place, "capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "hourly")
    shown = gitsnap(place, "show", "ConfigMap/default/s", "--storage", "storage")

    assert done.returncode == 0, done.stderr
    assert len(shown.stdout) > 10_000_000


def test_documents_that_do_not_parse_are_compared_as_a_whole(place: Path) -> None:
    """Sveltos cannot parse the ConfigMap either. The diff compares the value of its key."""
    manifest = _REFERRING.replace("Secret", "ConfigMap") + (
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: s\n  namespace: default\n"
        "data:\n  k: |\n    {VALUE: [\n"
    )
    for value in ("before", "after"):
        (place / "cluster" / "b.yaml").write_text(manifest.replace("VALUE", value))
        gitsnap(place, "capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "hourly")

    done = gitsnap(place, "diff", "--storage", "storage")
    raw = gitsnap(place, "diff", "--raw-diff", "--storage", "storage")

    assert done.returncode == 0, done.stderr
    assert "ConfigMap" in done.stdout
    assert "-    {before: [" in raw.stdout
    assert "+    {after: [" in raw.stdout


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_at_the_prompt_changes_nothing(place: Path) -> None:
    """Ctrl-C at the prompt of a rollback: exit code 130, and the file is unchanged."""
    profile = place / "cluster" / "a.yaml"
    changed = _PROFILE.replace("spec: {}", "spec:\n  tier: 5")
    profile.write_text(changed)
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "gitsnap", "rollback", "--from-dir", "cluster", "--storage", "storage"]
    process = subprocess.Popen(
        [*command, "--sample", "latest"],
        cwd=place, env=dict(os.environ), stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    output = b""
    while b"[y/N]" not in output:
        output += os.read(controller, 4096)
    assert b"In the folder cluster: write 1 object? [y/N]" in output
    try:
        # A signal that arrives just before the process waits for a key takes effect only with the next signal.
        for _ in range(10):
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
                break
        assert process.returncode == 130
    finally:
        process.kill()
        process.wait()
        os.close(controller)
    assert profile.read_text() == changed


def test_the_old_features_folder_is_left_alone(place: Path) -> None:
    """gitsnap never creates an archive over the folders of the old Sveltos Snapshot feature."""
    (place / "storage" / "snapshot" / "hourly" / "2023-08-26:05:00:00").mkdir(parents=True)

    done = gitsnap(place, "capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "snapshot")

    assert done.returncode == 3
    assert "old Sveltos Snapshot feature" in done.stderr
