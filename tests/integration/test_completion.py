"""The words that Tab completion offers, in the protocols of the shells and in the shells themselves."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.commands import gitsnap
from tests.support.trees import W, cluster, config_map, profile

_BINARIES = Path(sys.executable).parent
_PATIENCE_SECONDS = 30.0


def _offered(folder: Path, line: str, **environment: str) -> list[str]:
    """Return the words that bash gets for a line whose last word is incomplete."""
    words = line.split(" ")
    protocol = {"_GITSNAP_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = gitsnap(folder, code=0, **protocol, **environment)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two archives; their newest samples have more ConfigMaps than completion offers."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "cluster").mkdir()
    objects = [cluster(W), profile("base", {}, W), config_map("shared", {"a": "b"}, "team")]
    objects += [config_map(f"map-{number:03}", {"a": "b"}) for number in range(120)]
    (folder / "cluster" / "all.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    words = ("--from-dir", "cluster", "--secrets-mode", "omit", "--resources", "ConfigMap")
    for policy in ("hourly", "daily"):
        gitsnap(folder, "capture", "--create", "--snapshot", policy, *words, code=0)
    return folder


def test_commands_and_policies(place: Path) -> None:
    """Commands and policies are offered by their beginning; the storage may come from the environment."""
    assert _offered(place, "gitsnap dr") == ["drift"]
    assert _offered(place, "gitsnap list --snapshot ") == ["daily", "hourly"]
    assert _offered(place.parent, "gitsnap list --snapshot h", GITSNAP_STORAGE=str(place)) == ["hourly"]


def test_samples(place: Path) -> None:
    """`latest` and dates are offered, without colons, at which bash splits words, unless the word has a colon."""
    offered = _offered(place, "gitsnap diff --snapshot hourly --from-sample ")
    assert offered[0] == "latest"
    assert len(offered) == 2
    assert offered[1].endswith("Z")
    date = offered[1][:10]
    assert _offered(place, f"gitsnap show --snapshot hourly --sample {date}") == [offered[1]]
    with_colon = _offered(place, f"gitsnap show --snapshot hourly --sample {date}:")
    assert [date_word[:11] for date_word in with_colon] == [f"{date}:"]


def test_kinds_and_names(place: Path) -> None:
    """Many objects are offered up to the next slash, few with whole names; `--clusterprofile` offers names only."""
    line = "gitsnap log --snapshot hourly"
    assert _offered(place, f"{line} ") == ["ClusterProfile/", "ConfigMap/", "SveltosCluster/"]
    assert _offered(place, f"{line} ConfigMap/") == ["ConfigMap/default/", "ConfigMap/team/"]
    assert _offered(place, f"{line} ConfigMap/t") == ["ConfigMap/team/shared"]
    assert _offered(place, "gitsnap rollback --snapshot hourly --clusterprofile ") == ["base"]


def test_arguments(place: Path) -> None:
    """Samples are offered until the command has enough, and objects with the kind as the user writes it."""
    name = _offered(place, "gitsnap diff --snapshot hourly --from-sample ")[1]

    assert _offered(place, "gitsnap diff --snapshot hourly ") == ["latest", name]
    assert _offered(place, "gitsnap diff --snapshot hourly latest ") == ["latest", name, "live"]
    assert _offered(place, "gitsnap diff --snapshot hourly latest latest ") == []
    assert _offered(place, "gitsnap diff --snapshot hourly latest..l") == ["latest..latest", "latest..live"]
    assert _offered(place, "gitsnap snapshot diff --snapshot hourly la") == ["latest"]
    objects = ["ClusterProfile/", "ConfigMap/", "SveltosCluster/"]
    for command in ("show", "rollback"):
        assert _offered(place, f"gitsnap {command} --snapshot hourly ") == ["latest", name, *objects]
        assert _offered(place, f"gitsnap {command} --snapshot hourly {name} ") == objects
        assert _offered(place, f"gitsnap {command} --snapshot hourly latest ConfigMap/t") == ["ConfigMap/team/shared"]
        assert _offered(place, f"gitsnap {command} --snapshot hourly cm/t") == ["cm/team/shared"]
        assert _offered(place, f"gitsnap {command} --snapshot hourly clusterp") == ["clusterprofile/base"]
    for command in ("drift", "addons", "undo"):
        assert _offered(place, f"gitsnap {command} --snapshot hourly l") == ["latest"]
        assert _offered(place, f"gitsnap {command} --snapshot hourly latest l") == []
    assert _offered(place, "gitsnap keep --snapshot hourly latest l") == ["latest"]
    assert _offered(place, "gitsnap log --snapshot hourly l") == []
    assert _offered(place, "gitsnap log --snapshot hourly cm ConfigMap/t") == ["ConfigMap/team/shared"]
    assert _offered(place, "gitsnap show --snapshot hourly 1999-01-01 Conf") == []


def test_no_words_to_offer(place: Path, tmp_path: Path) -> None:
    """Without an archive, with several, with a URL or without the sample nothing is offered, and no network is used."""
    assert _offered(tmp_path, "gitsnap diff --from-sample ") == []
    assert _offered(place, "gitsnap diff --from-sample ") == []
    assert _offered(place, "gitsnap diff --archive ssh://git@127.0.0.1:1/x --from-sample ") == ["latest"]
    assert _offered(place, "gitsnap show --snapshot hourly --sample 1999-01-01 Conf") == []


def _protocol(folder: Path, shell: str, line: str, *, action: str = "", code: int = 0) -> list[str]:
    """Return the lines that zsh or fish gets for a line."""
    protocol = {"_GITSNAP_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line}
    done = gitsnap(folder, code=code, COLUMNS="60", _TYPER_COMPLETE_FISH_ACTION=action, **protocol)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_protocol_of_zsh(place: Path) -> None:
    """zsh gets one call with all words, in which colons are escaped; without words it offers files."""
    line = "gitsnap log --snapshot hourly "
    assert _protocol(place, "zsh", f"{line}ConfigMap/t") == ["""_arguments '*: :(("ConfigMap/team/shared"))'"""]
    date = _offered(place, f"gitsnap show --snapshot hourly --sample {_today(place)}:")[0]
    escaped = date.replace(":", r"\\:")
    offered = _protocol(place, "zsh", f"gitsnap show --snapshot hourly --sample {date[:12]}")
    assert offered == [f"""_arguments '*: :(("{escaped}"))'"""]
    assert _protocol(place, "zsh", "gitsnap show --snapshot hourly latest cm/t") == [
        """_arguments '*: :(("cm/team/shared"))'"""
    ]
    assert _protocol(place, "zsh", "gitsnap diff --snapshot hourly latest li") == ["""_arguments '*: :(("live"))'"""]
    assert _protocol(place, "zsh", "gitsnap list --storage h") == ["_files"]
    assert "[in NAMESPACES]" in _protocol(place, "zsh", "gitsnap capture --resource")[0]


def test_protocol_of_fish(place: Path) -> None:
    """fish asks whether there are words, and gets a line for each word, with the description after a tab."""
    line = "gitsnap log --snapshot hourly ConfigMap/"
    assert _protocol(place, "fish", line, action="get-args") == ["ConfigMap/default/", "ConfigMap/team/"]
    assert _protocol(place, "fish", line, action="is-args") == []
    shown = _protocol(place, "fish", "gitsnap rollback --snapshot hourly latest cm/", action="get-args")
    assert shown == ["cm/default/", "cm/team/"]
    assert _protocol(place, "fish", "gitsnap list --storage h", code=1, action="is-args") == []
    for name in ("rollback --sample", "capture --resources"):
        (described,) = _protocol(place, "fish", f"gitsnap {name}", action="get-args")
        assert described.startswith(f"{name.partition(' ')[2]}\t")
        assert described.endswith(".")


def test_protocol_of_kubectl(place: Path) -> None:
    """kubectl passes the words after the name of the plugin, the last may be empty, and gets lines for cobra."""
    program = _BINARIES / "kubectl_complete-gitsnap"

    def offered(*words: str) -> list[str]:
        environment = {"HOME": str(place), "PATH": os.environ["PATH"]}
        done = subprocess.run([program, *words], cwd=place, env=environment, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout.splitlines()

    log = ("log", "--snapshot", "hourly")
    assert offered(*log, "") == ["ClusterProfile/", "ConfigMap/", "SveltosCluster/", ":0"]
    assert offered(*log, "ConfigMap/t") == ["ConfigMap/team/shared", ":0"]
    assert offered("list", "--storage", "h") == [":0"]
    (described, directive) = offered("dri")
    assert described.startswith("drift\tShow how the live cluster differs")
    assert directive == ":0"


def test_kubectl_itself(place: Path) -> None:
    """kubectl finds the program by its name and reads its output."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl here")
    environment = {"HOME": str(place), "PATH": f"{_BINARIES}:{os.environ['PATH']}"}
    words = ["__complete", "gitsnap", "log", "--snapshot", "hourly", "ConfigMap/"]
    done = subprocess.run([kubectl, *words], cwd=place, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["ConfigMap/default/", "ConfigMap/team/", ":0"]


def test_folders_with_blanks(place: Path, tmp_path: Path) -> None:
    """The name of a folder may have quotes or backslashes."""
    (tmp_path / "a place").symlink_to(place)
    for written in ("'a place'", '"a place"', r"a\ place"):
        line = f"gitsnap show --storage {written} --snapshot hourly ConfigMap/t"
        assert _protocol(tmp_path, "zsh", line) == ["""_arguments '*: :(("ConfigMap/team/shared"))'"""]


def _today(place: Path) -> str:
    return _offered(place, "gitsnap diff --snapshot hourly --from-sample ")[1][:10]


_SHELLS = {shell: shutil.which(shell) for shell in ("bash", "zsh", "fish")}


def _installed(shell: str, home: Path) -> dict[str, str]:
    """Return the environment of a shell with the completion installed for both names of gitsnap."""
    if _SHELLS[shell] is None:
        pytest.skip(f"there is no {shell} here")
    environment = {"HOME": str(home), "ZDOTDIR": str(home), "TERM": "dumb", "PATH": f"{_BINARIES}:{os.environ['PATH']}"}
    script = "gitsnap --install-completion; kubectl-gitsnap --install-completion; true"
    subprocess.run([shell, "-c", script], env=environment, check=True, capture_output=True)
    return environment


@pytest.mark.parametrize("name", ["gitsnap", "kubectl-gitsnap"])
def test_fish_itself(place: Path, tmp_path: Path, name: str) -> None:
    """The installed completion offers words, options with one description each, and files otherwise."""
    environment = _installed("fish", tmp_path)

    def offered(line: str) -> list[str]:
        words = ["fish", "-c", 'complete -C "$argv[1]"', line]
        done = subprocess.run(words, cwd=place, env=environment, check=True, capture_output=True, text=True)
        assert done.stderr == ""
        return done.stdout.splitlines()

    assert offered(f"{name} show --snapshot hourly ConfigMap/t") == ["ConfigMap/team/shared"]
    assert [word.partition("\t")[0] for word in offered(f"{name} rollback --sampl")] == ["--sample"]
    assert offered(f"{name} list --storage h") == ["hourly/"]
    date = _today(place)
    assert [word[:11] for word in offered(f"{name} show --snapshot hourly --sample {date}:")] == [f"{date}:"]


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("gitsnap show --snapshot hourly ConfigMap/t", "ConfigMap/team/shared "),
        ("kubectl-gitsnap rollback --snapshot hourly --into", "--into-cluster "),
        ("gitsnap show --snapshot hourly latest cm/t", "cm/team/shared "),
        ("gitsnap diff --snapshot hourly latest li", "live "),
        ("gitsnap list --storage cl", "cluster/"),
    ],
)
def test_zsh_itself(place: Path, tmp_path: Path, line: str, completed: str) -> None:
    """With the installed completion the first Tab of a session completes the word."""
    environment = _installed("zsh", tmp_path)
    terminal, theirs = pty.openpty()
    with subprocess.Popen(
        ["zsh", "-i"],
        cwd=place,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as shell:
        os.write(terminal, f"{line}\t".encode())
        shown = ""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not shown.endswith(completed) and time.monotonic() < deadline:
            if select.select([terminal], [], [], 1)[0]:
                shown = re.sub(r"[\x07\r\n]|.\x08", "", shown + os.read(terminal, 4096).decode())
        shell.kill()
    os.close(terminal)
    os.close(theirs)

    assert shown.endswith(completed), shown


def test_the_script_for_a_shell(place: Path) -> None:
    """The command for .bashrc in docs/INSTALL.md prints the completion script of bash."""
    script = gitsnap(place, code=0, _GITSNAP_COMPLETE="source_bash").stdout
    assert "complete -o default -F" in script
    assert script.rstrip().endswith(" gitsnap")
