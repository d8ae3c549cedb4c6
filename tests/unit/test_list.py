"""The options of `gitsnap list`, names as output, and moments on the command line, with a clock of the test."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitsnap import archive
from gitsnap.archive import reader
from gitsnap.cli import _run
from gitsnap.cli import commands as _commands
from gitsnap.core.model import Area, Kind, ObjectKey, Sample, SecretsInfo, SecretsMode, TreeInfo, Trigger
from gitsnap.core.recording import SampleDraft
from gitsnap.diff.rows import Action, ManagementRow
from gitsnap.format import encode
from gitsnap.history.samples import find_object

_START = datetime(2026, 1, 1, 20, tzinfo=UTC)
_NOW = _START + timedelta(days=1)
_INFO = TreeInfo("hourly", "hourly", (Kind("", "ConfigMap"),), SecretsInfo(SecretsMode.OMIT))
_COUNT = 9
_TAGS = [f"hourly/{_START + timedelta(hours=number):%Y-%m-%dT%H-%M-%SZ}" for number in range(_COUNT)]
"""Four samples of 2026-01-01, five of 2026-01-02."""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with an archive of nine samples, an hour apart. The ConfigMap `a` changes each time, `b` never."""
    folder = tmp_path_factory.mktemp("storage")
    made = archive.create_archive(folder, "hourly")
    for number in range(_COUNT):
        with made.writer() as writer:
            blobs = {
                name: writer.store(encode(_config_map(name, str(number) if name == "a" else ""))) for name in ("a", "b")
            }
            files = {Area.CONFIGURATION: {f"default/ConfigMap/{name}.yaml": blob for name, blob in blobs.items()}}
            time = _START + timedelta(hours=number)
            writer.record(SampleDraft(_INFO, files, time, Trigger.MANUAL, "cluster-1"))
    return folder


def _config_map(name: str, value: str) -> dict[str, object]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}


@pytest.fixture
def run(storage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command a day after the first sample. Returns the exit code, stdout and stderr."""
    monkeypatch.setattr("gitsnap.cli.clock.now", lambda: _NOW)
    monkeypatch.setenv("COLUMNS", "0")
    monkeypatch.setenv("GITSNAP_STORAGE", str(storage))

    def run_words(words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = _run(words.split(" "))
        return code, *capsys.readouterr()

    return run_words


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", _TAGS),
        ("--last 3", _TAGS[-3:]),
        ("--last 99", _TAGS),
        ("--last 0", _TAGS),
        ("--reverse", _TAGS[::-1]),
        ("--last 2 --reverse", [_TAGS[-1], _TAGS[-2]]),
        ("--since 2026-01-02", _TAGS[4:]),
        ("--until 2026-01-01", _TAGS[:4]),
        ("--since yesterday --until yesterday", _TAGS[:4]),
        ("--since 2026-01-01 --until 2026-01-02T01 --last 2", _TAGS[4:6]),
        ("--since 2026-01-02T01:00+01:00 --until 01:00", _TAGS[4:6]),
        ("--since 17h", _TAGS[7:]),
    ],
)
def test_samples_are_chosen_and_ordered(options: str, expected: list[str], run: Run) -> None:
    """--last takes the newest samples of the period. The order is oldest first unless --reverse is given."""
    code, out, _ = run(f"list {options} -o name".replace("  ", " "))

    assert code == 0
    assert out.splitlines() == expected
    listed = json.loads(run(f"list {options} -o json".replace("  ", " "))[1])["samples"]
    assert [sample["tag"] for sample in listed] == expected
    rows = run(f"list {options}".strip())[1].splitlines()[3:-1]
    assert [_moment(row) for row in rows] == [_moment(tag) for tag in expected]


def _moment(text: str) -> list[str]:
    match = re.search(r"(\d{4}-\d\d-\d\d)[T:](\d\d)[-:](\d\d)", text)
    assert match is not None, text
    return list(match.groups())


def test_the_last_samples_are_listed_without_reading_other_tags(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive of 20,000 samples has as many tags, and a page shows ten of them."""
    monkeypatch.setattr(reader, "_MOST_UNINDEXED", 1)
    run("list")  # writes the index
    read: list[str] = []
    original = reader._read_sample

    def noted(repository: object, name: str, target: str) -> Sample:
        read.append(name)
        return original(repository, name, target)  # type: ignore[arg-type]

    monkeypatch.setattr(reader, "_read_sample", noted)
    for options in ("--last 2", "--last 2 -o name", "--since 2026-01-02 --last 2", "--last 2 --wide"):
        read.clear()
        run(f"list {options}")

        assert set(read) <= set(_TAGS[-2:]), options


def test_wide_is_an_option_and_an_output_format(run: Run) -> None:
    """Both print the same table. A column without any value, such as the user of a rollback, is left out."""
    wide = run("list --wide")[1]

    assert run("list -o wide")[1] == wide
    assert run("list -w")[1] == wide
    assert all(heading in wide for heading in ("CHANGES", "OBJECTS", "COMPLETE", "COMMIT", "TRIGGER", "KEPT"))
    assert " BY " not in wide


def test_an_empty_answer_names_the_period_and_the_nearest_samples(run: Run) -> None:
    """The period is printed on stderr, so that stdout has only the result of -o json or -o name."""
    for command in ("list", "log"):
        code, out, err = run(f"{command} --since 14:00 --until now -o name")

        assert (code, out) == (0, "")
        assert "from 2026-01-02 14:00:00 UTC to 2026-01-02 20:00:00 UTC: no sample" in err
        assert "the last one before is 2026-01-02:04:00:00" in err


@pytest.mark.parametrize("command", ["list", "log"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--since soon", "soon is not a time"),
        ("--since 2026-02-30", "2026-02-30 is not a valid date or time"),
        ("--since today --until yesterday", "--until yesterday (2026-01-01 23:59:59 UTC) is before --since today"),
    ],
)
def test_a_moment_that_is_not_understood_is_named(command: str, options: str, message: str, run: Run) -> None:
    """The hint has the accepted forms, or an example of a period."""
    code, out, err = run(f"{command} {options}")

    assert (code, out) == (2, "")
    assert message in err


def test_a_day_is_its_beginning_for_the_older_side_and_its_end_otherwise(run: Run) -> None:
    """The answer names the moment in UTC, and the sample that was taken."""
    _, out, err = run("diff --from-sample @2026-01-02 --to-sample @2026-01-02 -o json")
    document = json.loads(out)

    assert document["from"]["tag"] == _TAGS[4]  # the sample at midnight
    assert document["to"]["tag"] == _TAGS[-1]
    assert f"@2026-01-02 is 2026-01-02 00:00:00 UTC. The newest sample at that time: {_TAGS[4]}." in err
    assert f"@2026-01-02 is 2026-01-02 23:59:59 UTC. The newest sample at that time: {_TAGS[-1]}." in err
    assert "The archive has no later sample." in err

    for words in ("show --sample @yesterday", "show --sample yesterday", "addons --sample @yesterday"):
        assert f"yesterday is 2026-01-01 23:59:59 UTC. The newest sample at that time: {_TAGS[3]}." in run(words)[2]


def test_every_command_reads_a_name_of_a_sample_in_the_same_way() -> None:
    """`choose_sample` knows the clock and prints the moment. Only `latest` needs neither."""
    for file in Path(_commands.__path__[0]).glob("*.py"):
        for arguments in re.findall(r"\bfind_sample\(([^)]*)", file.read_text()):
            assert arguments.endswith('"latest"'), file.name


def test_a_moment_before_the_first_sample_names_the_first_samples(run: Run) -> None:
    """The exit code is that of a sample that does not exist."""
    for words in ("show --sample @2d", "diff --from-sample @2025-12-31", "keep @2025-12-31"):
        code, _, err = run(words)

        assert code == 4
        assert "there is no sample at or before" in err
        assert " UTC (@2" in err
        assert "2026-01-01:20:00:00" in err


def test_names_are_read_back(storage: Path, run: Run) -> None:
    """Each line of -o name is an argument of the commands that take a sample or an object."""
    tree = archive.open_archive_at(storage / "hourly").tree_at
    for tag in run("list -o name")[1].splitlines():
        names = run(f"show --sample {tag} -o name")[1].splitlines()

        assert names == ["ConfigMap/default/a", "ConfigMap/default/b"]
        commit = json.loads(run("list -o json")[1])["samples"][0]["commit"]
        assert [find_object(tree(commit), name).key.path for name in names] == names
    assert run("log -o name")[1].splitlines() == ["ConfigMap/default/a", "ConfigMap/default/b"]
    assert run("log --since 2026-01-02 -o name")[1] == "ConfigMap/default/a\n"
    assert run("diff -o name")[1] == "ConfigMap/default/a\n"
    assert run("show ConfigMap/b -o name")[1] == "ConfigMap/default/b\n"


def test_no_change_has_no_name(run: Run) -> None:
    """stdout is empty, and stderr says that nothing changed."""
    code, out, err = run(f"diff --from-sample {_TAGS[0]} --to-sample {_TAGS[0]} -o name")

    assert (code, out) == (0, "")
    assert "no changes detected" in err


@pytest.mark.parametrize(
    ("words", "formats"),
    [
        ("list -o xml", "table, wide, name, json and yaml"),
        ("show -o wide", "table, name, json and yaml"),
        ("diff --output=", "table, name, json and yaml"),
        ("log -o JSON", "table, name, json and yaml"),
        ("addons -o name", "table, wide, json and yaml"),
        ("capture -o name", "table, json and yaml"),
        ("verify -o wide", "table, json and yaml"),
    ],
)
def test_an_unknown_format_names_those_of_the_command(words: str, formats: str, run: Run) -> None:
    """The formats are parsed in one place for all commands."""
    code, out, err = run(words)

    assert (code, out) == (2, "")
    assert f"Its formats are {formats}." in err


def test_a_log_of_a_cluster_and_references_have_no_names(run: Run) -> None:
    """Neither a resource of a managed cluster nor a reference is an object of the archive."""
    for words in ("log --cluster prod -o name", "show references ConfigMap/a -o name"):
        assert run(words)[0] == 2


@pytest.mark.parametrize("kind", [Kind("", "ConfigMap"), Kind("apps", "Deployment"), Kind("a.b.c", "X")], ids=str)
def test_the_type_of_a_row_names_its_kind(kind: Kind) -> None:
    """`diff -o name` reads the kind of an object from the row of the table."""
    row = ManagementRow(kind.resource_type, "default", "web", Action.ADDED)

    assert row.key == ObjectKey(kind, "default", "web")
