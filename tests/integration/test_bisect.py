"""``gitsnap bisect``: the change that turned a command or a field, with real archives and child processes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import gitsnap
from tests.support.typed import NEW_VALUE, OLD_VALUE, TypedPlace, config_map, secret

_TEXTS = ("a: 1", "a: 2", "a: 3", "b: 4", "b: 5", "b: 6")
_FILE = "$GITSNAP_CONFIGURATION/default/ConfigMap/database.yaml"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> TypedPlace:
    """Six samples. The fourth one turns the text from ``a`` to ``b``; the Secret changes in each."""
    place = TypedPlace(tmp_path_factory.mktemp("story"))
    for number, text in enumerate(_TEXTS[1:]):
        place.write("database", config_map("database", text))
        place.write("password", secret(NEW_VALUE if number % 2 else OLD_VALUE))
        place.run("capture --snapshot hourly")
    return place


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary folders: no command leaves anything there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def _tags(place: TypedPlace) -> list[str]:
    listed = gitsnap(place.folder, "list", "--storage", "storage", "-o", "json", code=0).stdout
    return [sample["tag"] for sample in json.loads(listed)["samples"]]


def _bisect(
    place: TypedPlace, *words: str, good: str = "latest~5", bad: str = "latest", code: int = 0
) -> subprocess.CompletedProcess[str]:
    return gitsnap(place.folder, "bisect", "--storage", "storage", "--good", good, "--bad", bad, *words, code=code)


def _answer(place: TypedPlace, *words: str, good: str = "latest~5", bad: str = "latest", code: int = 0) -> Any:
    return json.loads(_bisect(place, "-o", "json", *words, good=good, bad=bad, code=code).stdout)


def _script(text: str) -> tuple[str, ...]:
    return "--", "sh", "-c", text


def test_a_command_finds_the_change(story: TypedPlace, own_temporary_folder: Path) -> None:
    """The folder is in the variable and replaces the word {}; the answer has the rows and the field managers."""
    tags = _tags(story)
    for script in (_script(f'grep -q "a: " "{_FILE}"'), (*_script('grep -rq "a: " "$1"'), "sh", "{}")):
        answer = _answer(story, *script)
        assert (answer["first"]["sample"], answer["verdict"]) == (tags[3], "bad")
        assert answer["first"]["commit"] == _commit_of(story, tags[3])
        assert [row["name"] for row in answer["management"]] == ["database", "password"]
        assert [suspect["sample"] for suspect in answer["suspects"]] == [tags[3]]
    done = _bisect(story, *_script(f'echo judged; grep -q "a: " "{_FILE}"'))
    assert f"the first bad change is {tags[3]} (manual), commit " in done.stdout
    assert "judged" not in done.stdout, "stdout has the answer alone"
    assert done.stderr.count("judged") == 2 + 2
    assert list(own_temporary_folder.iterdir()) == []


def _commit_of(place: TypedPlace, tag: str) -> str:
    command = ["git", "-C", str(place.folder / "storage/hourly"), "rev-parse", f"{tag}^{{commit}}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_bad_sample_may_be_the_older_one(story: TypedPlace) -> None:
    """Then the answer is the first good change."""
    answer = _answer(story, *_script(f'grep -q "b: " "{_FILE}"'), good="latest", bad="latest~5")
    assert (answer["first"]["sample"], answer["verdict"]) == (_tags(story)[3], "good")


def test_skipped_changes(story: TypedPlace) -> None:
    """Exit code 125 skips a change. If the turn is not certain, all suspects are named, and the exit code is 13."""
    tags = _tags(story)
    script = _script(f'grep -q -e "a: 3" -e "b: 4" "{_FILE}" && exit 125; grep -q "a: " "{_FILE}"')
    answer = _answer(story, *script, code=13)
    assert [suspect["sample"] for suspect in answer["suspects"]] == tags[2:5]
    assert answer["first"] is None
    text = _bisect(story, *script, code=13).stdout
    assert text.startswith("one of these 3 changes is the first bad change; the others were skipped:\n")
    assert all(tag in text for tag in tags[2:5])


@pytest.mark.parametrize(
    ("words", "good", "bad", "code", "message"),
    [
        (("--", "false"), "latest~5", "latest", 2, "--good hourly/"),
        (("--", "true"), "latest~5", "latest", 2, "--bad hourly/"),
        (_script("exit 125"), "latest~5", "latest", 2, "the configuration is skipped"),
        (_script("exit 128"), "latest~5", "latest", 130, "exit code 128"),
        (_script("kill -9 $$"), "latest~5", "latest", 130, "exit code 137"),
        (("--", "no-such-program"), "latest~5", "latest", 2, "no-such-program was not found"),
        (("--", "true"), "latest", "latest", 2, "have the same configuration"),
        ((), "latest~5", "latest", 2, "give a command or --field"),
        (("--field", "cm/database", "data.text=a: 1", "--", "true"), "latest~5", "latest", 2, "either -- COMMAND or"),
        (("--field", "cm/database", "data.text=x"), "latest~5", "latest", 2, "neither sample has data.text=x"),
        (("--field", "cm/frontend", "data.text=b: 1"), "latest~5", "latest", 2, "both samples have"),
        (("--field", "cm/database", "data.txt=x"), "latest~5", "latest", 4, "has no field data.txt"),
        (("--field", "cm/nothing", "data.text=x"), "latest~5", "latest", 4, "nothing"),
        (("--field", "cm/database", "data=x"), "latest~5", "latest", 2, "data has no value of its own"),
        (("--field", "cm/database", "data.text"), "latest~5", "latest", 2, "is not PATH=VALUE"),
        (("--field", "Secret/password", f"data.password={OLD_VALUE}"), "latest~5", "latest", 2, "is hidden"),
    ],
)
def test_what_is_refused(
    story: TypedPlace, own_temporary_folder: Path, words: tuple[str, ...], good: str, bad: str, code: int, message: str
) -> None:
    """The samples must have the verdicts that the options say, and the command must not end by a signal."""
    done = _bisect(story, *words, good=good, bad=bad, code=code)
    assert message in done.stderr
    assert done.stdout == ""
    if code == 4 or "PATH=VALUE" in message:
        assert "searching" not in done.stderr
    assert list(own_temporary_folder.iterdir()) == []


@pytest.mark.parametrize(("value", "samples"), [("a: 1", (0, 1)), ("b: 6", (0, 5))])
def test_a_field_finds_the_change(story: TypedPlace, value: str, samples: tuple[int, int]) -> None:
    """The sample that has the value decides whether the value is good or bad."""
    answer = _answer(story, "--field", "ConfigMap/default/database", f"data.text={value}")
    assert answer["first"]["sample"] == _tags(story)[samples[1]]


def test_a_field_agrees_with_blame(story: TypedPlace) -> None:
    """The value that the newest sample has came with the change that blame names."""
    shown = gitsnap(story.folder, "blame", "cm/database", "data.text", "--storage", "storage", "-o", "json", code=0)
    (origin,) = json.loads(shown.stdout)["fields"]
    answer = _answer(story, "--field", "cm/database", f"data.text={origin['value']}")
    assert answer["first"]["sample"] == origin["sample"]


def test_the_folder_is_a_cluster_without_secret_values(story: TypedPlace, tmp_path: Path) -> None:
    """`capture --from-dir` reads the folder. It is private, and has fingerprints in place of values."""
    script = tmp_path / "judge"
    (tmp_path / "other").mkdir()
    script.write_text(
        "#!/bin/sh\nset -e\n"
        f'test "$(stat -c %a "$GITSNAP_CONFIGURATION")" = 700 || exit 99\n'
        f"{sys.executable} -m gitsnap capture --storage {tmp_path}/other --create --from-dir $GITSNAP_CONFIGURATION\n"
        f'cat "$GITSNAP_CONFIGURATION"/default/Secret/*\n'
        f'if grep -q "b: " "{_FILE}"; then exit 1; fi\n'
    )
    script.chmod(0o755)
    done = _bisect(story, "--", str(script))
    assert "5 objects" in done.stderr
    assert done.stderr.count("password: gitsnap:hmac-sha256:") == 2 + 2
    for value in (OLD_VALUE, NEW_VALUE, "correct-horse", "battery-staple"):
        assert value not in done.stderr + done.stdout


@pytest.mark.parametrize("words", ["--secrets-mode plaintext", "--sensitive-field 'ConfigMap data[\"text\"]'"])
def test_values_that_the_archive_has_in_clear(tmp_path: Path, words: str) -> None:
    """Neither the mode plaintext nor a sample from before a field became sensitive gives the command a value."""
    place = TypedPlace(tmp_path)
    clear = words if "plaintext" in words else ""
    place.write("database", config_map("database", "token: first-token"))
    place.run(f"capture --snapshot clear --create {clear}")
    place.write("database", config_map("database", "token: other-token"))
    place.write("password", secret("Zm9vLWJhcg=="))
    place.run(f"capture --snapshot clear --accept-secrets-change {words}")
    script = 'find "$1" -type f -exec cat {} +; test -e "$2" && exit 1; : >"$2"'
    marker = tmp_path / "marker"
    common = ("bisect", "--storage", "storage", "--snapshot", "clear", "--good", "latest~1", "--bad", "latest", "--")
    done = gitsnap(place.folder, *common, "sh", "-c", script, "sh", "{}", str(marker), code=0)
    assert done.stderr.count("\nkind: Secret\n") == 2
    for value in (OLD_VALUE, "Zm9vLWJhcg==", *(() if clear else ("first-token", "other-token"))):
        assert value not in done.stderr
    lines = {line for line in done.stderr.splitlines() if "password: gitsnap:hmac" in line}
    assert len(lines) == 2, "two values have two fingerprints"


def test_commits_without_samples(tmp_path: Path) -> None:
    """Pruned samples and changes between samples are searched too; their commit and the next sample are named."""
    place = TypedPlace(tmp_path)
    for text in _TEXTS[1:]:
        place.write("database", config_map("database", text))
        place.run("capture --snapshot hourly")
    tags = _tags(place)
    commits = [_commit_of(place, tag) for tag in tags]
    for tag in tags[1:5]:
        subprocess.run(["git", "-C", str(tmp_path / "storage/hourly"), "tag", "-d", tag], check=True)
    answer = _answer(place, *_script(f'grep -q "a: " "{_FILE}"'), good=tags[0], bad=tags[5])
    assert answer["first"]["commit"] == commits[3]
    assert (answer["first"]["sample"], answer["first"]["containedIn"]) == (None, tags[5])
    text = _bisect(place, *_script(f'grep -q "a: " "{_FILE}"'), good=tags[0], bad=tags[5]).stdout
    assert f"the first bad change is commit {commits[3][:12]} of " in text
    assert f"first contained in {tags[5]}" in text


def test_random_histories(tmp_path: Path) -> None:
    """The answer is a change whose own configuration is bad, after a good one."""
    chance = random.Random(4)
    place = TypedPlace(tmp_path)
    states = [False]
    for number in range(12):
        states.append(chance.random() < 0.5)
        place.write("database", config_map("database", f"{'bad' if states[-1] else 'good'}: {number}"))
        place.run("capture --snapshot hourly")
    tags = _tags(place)
    ends = [(first, last) for first in range(13) for last in range(13) if not states[first] and states[last]]
    for first, last in chance.sample(ends, 6):
        answer = _answer(place, *_script(f'! grep -q "bad: " "{_FILE}"'), good=tags[first], bad=tags[last])
        position = tags.index(answer["first"]["sample"])
        newer_is_bad = first < last
        assert min(first, last) < position <= max(first, last)
        assert (states[position - 1], states[position]) == (not newer_is_bad, newer_is_bad)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_interrupted_search_leaves_no_folder(
    story: TypedPlace, own_temporary_folder: Path, number: signal.Signals, code: int
) -> None:
    """The command ends with gitsnap. After SIGKILL the next gitsnap removes the folder."""
    words = ["bisect", "--storage", "storage", "--good", "latest~5", "--bad", "latest", "--", "sleep", "987"]
    process = subprocess.Popen(
        [sys.executable, "-m", "gitsnap", *words],
        cwd=story.folder,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
        start_new_session=True,
    )
    end = time.monotonic() + 30
    while not (children := _sleeping(own_temporary_folder)) and time.monotonic() < end:
        time.sleep(0.05)
    assert children
    process.send_signal(number)
    assert process.wait(timeout=20) == code
    end = time.monotonic() + 30  # the start may have taken long
    while _sleeping(own_temporary_folder) and time.monotonic() < end:
        time.sleep(0.05)
    assert _sleeping(own_temporary_folder) == []
    if number == signal.SIGKILL:
        gitsnap(story.folder, "list", "--storage", "storage", code=0)
    assert list(own_temporary_folder.iterdir()) == []


def _sleeping(folder: Path) -> list[str]:
    """The processes that got a folder below this one in their environment, and run ``sleep``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_ours = f"GITSNAP_CONFIGURATION={folder}".encode() in (process / "environ").read_bytes()
            if is_ours and (process / "comm").read_text() == "sleep\n":
                found.append(process.name)
        except OSError:
            continue
    return found
