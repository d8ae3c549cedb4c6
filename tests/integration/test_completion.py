"""What Tab offers: by the protocol that the shells' completion scripts speak."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import gitsnap
from tests.support.trees import W, cluster, config_map, profile


def _offered(folder: Path, line: str, **environment: str) -> list[str]:
    """What bash is told for a line whose last word is being written."""
    words = line.split(" ")
    protocol = {"_GITSNAP_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = gitsnap(folder, code=0, **protocol, **environment)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two archives; the newest sample of one has more ConfigMaps than anybody reads."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "cluster").mkdir()
    objects = [cluster(W), profile("base", {}, W), config_map("shared", {"a": "b"}, "team")]
    objects += [config_map(f"map-{number:03}", {"a": "b"}) for number in range(120)]
    (folder / "cluster" / "all.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    words = ("--from-dir", "cluster", "--secrets-mode", "omit", "--resources", "ConfigMap")
    for policy in ("hourly", "daily"):
        gitsnap(folder, "capture", "--snapshot", policy, *words, code=0)
    return folder


def test_commands_and_policies(place: Path) -> None:
    """The beginning of a word is enough; a storage of the environment counts."""
    assert _offered(place, "gitsnap dr") == ["drift"]
    assert _offered(place, "gitsnap list --snapshot ") == ["daily", "hourly"]
    assert _offered(place.parent, "gitsnap list --snapshot h", GITSNAP_STORAGE=str(place)) == ["hourly"]


def test_samples(place: Path) -> None:
    """The newest, and each by its date: without colons, at which a shell breaks words, unless one was written."""
    offered = _offered(place, "gitsnap diff --snapshot hourly --from-sample ")
    assert offered[0] == "latest"
    assert len(offered) == 2
    assert offered[1].endswith("Z")
    date = offered[1][:10]
    assert _offered(place, f"gitsnap show --snapshot hourly --sample {date}") == [offered[1]]
    with_colon = _offered(place, f"gitsnap show --snapshot hourly --sample {date}:")
    assert [one[:11] for one in with_colon] == [f"{date}:"]


def test_kinds_and_names(place: Path) -> None:
    """Up to the next slash where they are many, whole names else; only names where the option says the kind."""
    line = "gitsnap log --snapshot hourly"
    assert _offered(place, f"{line} ") == ["ClusterProfile/", "ConfigMap/", "SveltosCluster/"]
    assert _offered(place, f"{line} ConfigMap/") == ["ConfigMap/default/", "ConfigMap/team/"]
    assert _offered(place, f"{line} ConfigMap/t") == ["ConfigMap/team/shared"]
    assert _offered(place, "gitsnap rollback --snapshot hourly --clusterprofile ") == ["base"]


def test_where_nothing_can_be_offered(place: Path, tmp_path: Path) -> None:
    """No archive, several of them, one behind a URL, no such sample: silence, and no network."""
    assert _offered(tmp_path, "gitsnap diff --from-sample ") == []
    assert _offered(place, "gitsnap diff --from-sample ") == []
    assert _offered(place, "gitsnap diff --archive ssh://git@127.0.0.1:1/x --from-sample ") == ["latest"]
    assert _offered(place, "gitsnap show --snapshot hourly --sample 1999-01-01 Conf") == []


def test_the_script_for_a_shell(place: Path) -> None:
    """What docs/INSTALL.md tells to put into .bashrc prints bash's completion for gitsnap."""
    script = gitsnap(place, code=0, _GITSNAP_COMPLETE="source_bash").stdout
    assert "complete -o default -F" in script
    assert script.rstrip().endswith(" gitsnap")
