"""Unusual streams and folders cause no traceback and no misleading exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.commands import gitsnap

_OBJECT = """apiVersion: config.projectsveltos.io/v1beta1
kind: ClusterProfile
metadata: {name: a, annotations: {owner: "M\u00fcller \u2013 \u65e5"}}
spec: {}
"""
_MEANS_SOMETHING_ELSE = (1, 70)

COMMANDS = (
    "list",
    "show ClusterProfile/a",
    "show ClusterProfile/a --output json",
    "log",
    "verify",
    "capture --from-dir cluster",
    "diff --from-sample latest~1 --exit-code",
    "rollback --from-dir cluster --sample latest~1 --yes",
    "prune --keep-last 1 --yes",
    "--help",
    "frobnicate",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cluster and a storage with two different samples of the cluster."""
    tmp_path = tmp_path_factory.mktemp("place")
    (tmp_path / "cluster").mkdir()
    (tmp_path / "s").mkdir()
    for spec in ("{}", "{tier: 7}"):
        (tmp_path / "cluster" / "a.yaml").write_text(_OBJECT.replace("spec: {}", f"spec: {spec}"))
        gitsnap(tmp_path, "capture", "--snapshot", "p", "--storage", "s", "--from-dir", "cluster", code=0)
    return tmp_path


def _samples(place: Path) -> int:
    return len(subprocess.check_output(["git", "-C", place / "s" / "p", "tag"], text=True).split())


def _run(place: Path, words: str, redirection: str, **environment: str) -> tuple[int, str]:
    """Run a command with a redirection of the shell, and return its exit code and stderr."""
    common = "" if words.startswith("-") or words == "frobnicate" else " --snapshot p --storage s"
    line = f"{sys.executable} -m gitsnap {words}{common} {redirection}"
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=place,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stderr.decode("utf-8", "replace")


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize(
    "redirection", [">&-", "2>&-", "<&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>&1", "| true"]
)
def test_closed_and_full_streams(place: Path, words: str, redirection: str) -> None:
    """A closed, full or abandoned stream causes neither exit code 1, which means differences, nor 70, a defect."""
    code, stderr = _run(place, words, redirection)
    assert "Traceback" not in stderr
    assert "defect" not in stderr
    assert "Exception ignored" not in stderr
    if words.startswith("diff") and "/dev/full" not in redirection.replace("2>/dev/full", ""):
        assert code in (0, 1, 141)  # there are differences
    else:
        assert code not in _MEANS_SOMETHING_ELSE
        assert code != 120, "Python could not flush at its end"


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "2>/dev/full", "<&- >&- 2>&-"])
def test_a_capture_ignores_its_streams(place: Path, redirection: str) -> None:
    """A cron job whose output is discarded still takes a sample."""
    before = _samples(place)
    code, _ = _run(place, "capture --from-dir cluster", redirection)
    assert (code, _samples(place)) == (0, before + 1)


def test_a_lost_result_names_the_sample_that_was_taken(place: Path) -> None:
    """If the output cannot be written, the error says that the sample was taken."""
    before = _samples(place)
    code, stderr = _run(place, "capture --from-dir cluster", ">/dev/full")
    assert (code, _samples(place)) == (20, before + 1)
    assert "No space left on device" in stderr
    assert "Done before the error: the sample p/" in stderr


def test_a_reader_that_ends_is_no_success(place: Path) -> None:
    """If the reader ends early, the exit code is that of SIGPIPE, and no error is printed."""
    code, stderr = _run(place, "list", "| true; exit ${PIPESTATUS[0]}")
    assert code in (0, 141)  # 0 where all was written before the reader ended
    assert stderr == "samples of the archive s/p; dates in UTC\n"


def test_no_file_replaces_a_closed_stream(place: Path) -> None:
    """A process opens files with the lowest free descriptor; a file of the archive must not receive the output."""
    _run(place, "capture --from-dir cluster", "<&- >&- 2>&-")
    assert "nothing wrong" in gitsnap(place, "verify", "--snapshot", "p", "--storage", "s", code=0).stdout


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LC_ALL": "POSIX"},
    ],
)
def test_characters_that_the_encoding_lacks(place: Path, environment: dict[str, str]) -> None:
    """Characters are escaped, and JSON and YAML output still has the same values."""
    done = _captured(place, ("show", "ClusterProfile/a", "--output", "json"), environment)
    assert json.loads(done)["items"][0]["metadata"]["annotations"]["owner"] == "M\u00fcller \u2013 \u65e5"
    shown = _captured(place, ("show", "ClusterProfile/a"), environment)
    (place / "back").mkdir(exist_ok=True)
    (place / "back" / "a.yaml").write_bytes(shown)
    gitsnap(place, "capture", "--create", "--snapshot", "back", "--storage", "s", "--from-dir", "back", code=0)
    again = gitsnap(place, "show", "ClusterProfile/a", "--snapshot", "back", "--storage", "s", PYTHONIOENCODING="utf-8")
    assert "M\u00fcller \u2013 \u65e5" in again.stdout


def _captured(place: Path, words: Sequence[str], environment: dict[str, str]) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "gitsnap", *words, "--snapshot", "p", "--storage", "s"],
        cwd=place,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _as_nobody(words: Sequence[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run gitsnap as a user other than root, since root may read every file."""
    prefix = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"] if os.geteuid() == 0 else []
    return subprocess.run(
        [*prefix, sys.executable, "-m", "gitsnap", *words],
        cwd=cwd,
        env={
            **{name: value for name, value in os.environ.items() if name not in ("HOME", "KUBECONFIG")},
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users may read, unlike the temporary folders of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        for below in Path(folder).iterdir():
            below.chmod(0o700)


@pytest.mark.parametrize(
    "words",
    [
        "list --storage {private}/s",
        "show --archive {private}/s/p",
        "capture --from-dir {private}/cluster --storage {open}",
        "capture --from-dir {cluster} --storage {private}/s",
        "capture --from-dir {cluster} --storage {open} -f {private}/policy.yaml",
        "capture --kubeconfig {private}/config --storage {open}",
        "capture --from-dir {cluster} --storage {open} --identity {private}/key",
        "import --from {private}/old --storage {open}",
        "verify --archive {private}/s/p",
    ],
)
def test_a_path_below_a_private_folder(shared: Path, words: str) -> None:
    """The error names the path and the missing permission."""
    for name, mode in (("private", 0o700), ("open", 0o777), ("cluster", 0o755)):
        (shared / name).mkdir()
        (shared / name).chmod(mode if os.geteuid() == 0 or name != "private" else 0)
    (shared / "cluster" / "a.yaml").write_text(_OBJECT)
    (shared / "cluster" / "a.yaml").chmod(0o644)
    named = {name: str(shared / name) for name in ("private", "open", "cluster")}

    done = _as_nobody(words.format(**named).split(), Path("/"), HOME=named["open"])

    assert "Traceback" not in done.stderr
    assert done.returncode not in (0, *_MEANS_SOMETHING_ELSE), done.stderr
    assert named["private"] in done.stderr
    assert "ermission denied" in done.stderr or "not readable" in done.stderr or "cannot be read" in done.stderr


def test_no_home_and_no_current_folder(place: Path, tmp_path: Path) -> None:
    """A pod with a random uid has no home directory, and the current folder of a shell may be deleted."""
    done = _as_nobody(["capture", "--storage", "/nowhere"], Path("/"))
    assert done.returncode == 3, done.stderr
    assert "HOME" in done.stderr

    done = _as_nobody(["capture", "--kubeconfig", "~/config", "--storage", "/nowhere"], Path("/"))
    assert done.returncode == 3, done.stderr

    line = f"mkdir gone && cd gone && rmdir ../gone && exec {sys.executable} -P -m gitsnap"
    for words in ("list", "capture --from-dir x", "show", f"list --storage {place / 's'}"):
        ran = subprocess.run(
            ["bash", "-c", f"{line} {words}"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert "Traceback" not in ran.stderr
        assert ran.returncode not in _MEANS_SOMETHING_ELSE, ran.stderr
