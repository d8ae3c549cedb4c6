"""Streams and places that are not as a program expects: no traceback, and no exit code that means something else."""

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
    """A folder with a cluster, and storage with two samples of it that differ."""
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
    """Exit status and what stderr has, of a command behind a redirection of the shell."""
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
def test_no_stream_makes_a_command_trip(place: Path, words: str, redirection: str) -> None:
    """Neither closed nor full nor abandoned ones: status 1 would mean differences, 70 a defect."""
    code, said = _run(place, words, redirection)
    assert "Traceback" not in said
    assert "defect" not in said
    assert "Exception ignored" not in said
    if words.startswith("diff") and "/dev/full" not in redirection.replace("2>/dev/full", ""):
        assert code in (0, 1, 141)  # there are differences
    else:
        assert code not in _MEANS_SOMETHING_ELSE
        assert code != 120, "Python could not flush at its end"


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "2>/dev/full", "<&- >&- 2>&-"])
def test_a_capture_is_taken_whatever_the_streams_are(place: Path, redirection: str) -> None:
    """A cron job whose output nobody wants is no reason to take no sample."""
    before = _samples(place)
    code, _ = _run(place, "capture --from-dir cluster", redirection)
    assert (code, _samples(place)) == (0, before + 1)


def test_what_was_done_is_said_where_the_output_is_lost(place: Path) -> None:
    """The sample is there: who tries again takes another one."""
    before = _samples(place)
    code, said = _run(place, "capture --from-dir cluster", ">/dev/full")
    assert (code, _samples(place)) == (20, before + 1)
    assert "No space left on device" in said
    assert "Done before the error: the sample p/" in said


def test_a_reader_that_ends_is_no_success(place: Path) -> None:
    """As for a program that SIGPIPE ends, and silently."""
    code, said = _run(place, "list", "| true; exit ${PIPESTATUS[0]}")
    assert code in (0, 141)  # 0 where all was written before the reader ended
    assert said == ""


def test_no_file_gets_into_the_place_of_a_closed_stream(place: Path) -> None:
    """The next file that a process opens gets the lowest free number: an archive's file must not get the output."""
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
def test_characters_that_the_stream_does_not_have(place: Path, environment: dict[str, str]) -> None:
    """People get escapes, programs get JSON and YAML that read back to the same values."""
    done = _captured(place, ("show", "ClusterProfile/a", "--output", "json"), environment)
    assert json.loads(done)["items"][0]["metadata"]["annotations"]["owner"] == "M\u00fcller \u2013 \u65e5"
    shown = _captured(place, ("show", "ClusterProfile/a"), environment)
    (place / "back").mkdir(exist_ok=True)
    (place / "back" / "a.yaml").write_bytes(shown)
    gitsnap(place, "capture", "--snapshot", "back", "--storage", "s", "--from-dir", "back", code=0)
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
    """Under another user than root, who may read everything."""
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
    """A folder that other users may look into, unlike those that pytest makes."""
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
    """The path is named, and that it is a matter of rights."""
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
    """A pod with a random user has no home; somebody deletes the folder in which a shell stands."""
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
