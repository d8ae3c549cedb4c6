"""Names that no API server accepts, in folders and in references: archived under safe paths, and read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitsnap.archive import list_archives
from gitsnap.core.model import Area, JsonObject, ObjectKey
from gitsnap.format import decode
from tests.support.beds import profile as profile_of_server
from tests.support.commands import gitsnap
from tests.support.trees import config_map, policy_ref, profile
from tests.testbed.apiserver import ApiServer

_NAMES = (
    "..",
    ".",
    "../../outside",
    "/outside",
    "a/../../b",
    ".git",
    ".git/config",
    "line\nbreak",
    "Gitsnap-Sequence: 1\n\nx",
    "tab\tnul\0escape\x1b[2J",
    "100%",
    "%2e%2e%2f",
    "%s%n",
    "con",
    "ünïcode-名前-🙂",
    "right\u202eleft",
    "UPPER",
    "upper",
    "trailing.",
    "-option",
    "a" * 253,
    "%" * 253,
    "名" * 253,
    "a,metadata.name!=b",
)
"""Names of objects and of their namespaces."""


def _profiles() -> Iterator[JsonObject]:
    yield profile("refers", {"policyRefs": [policy_ref(name, namespace=name) for name in _NAMES]})
    for name in _NAMES:
        yield profile(name, {"tier": 1})
        yield profile(name, {"tier": 1}, namespace=name)


def _config_maps() -> Iterator[JsonObject]:
    for name in _NAMES:
        yield config_map(name, {name if name.isascii() else "k": name}, namespace=name)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Storage with a sample of a folder that has such names. Four levels of folders make writes outside visible."""
    place = tmp_path / "a" / "b" / "c" / "d"
    for folder in ("cluster", "storage"):
        (place / folder).mkdir(parents=True)
    everything = {"apiVersion": "v1", "kind": "List", "items": [*_profiles(), *_config_maps()]}
    (place / "cluster" / "all.json").write_text(json.dumps(everything))
    gitsnap(place, "capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "hourly", code=0)
    return place


def _archived(place: Path) -> dict[ObjectKey, JsonObject]:
    (archive,) = list_archives(place / "storage")
    tree = archive.tree(archive.samples()[-1])
    documents = [decode(tree.read(blob)) for blob in tree.files(Area.CONFIGURATION).values()]
    assert not [finding for finding in archive.check() if finding.wrong]
    return {ObjectKey.of(document): document for document in documents}


def _unresolved(place: Path) -> list[JsonObject]:
    (archive,) = list_archives(place / "storage")
    tree = archive.tree(archive.samples()[-1])
    references: list[JsonObject] = decode(tree.read(tree.files(Area.INVENTORY)["unresolved.yaml"]))["unresolved"]
    return references


def _outside(place: Path) -> set[str]:
    """Return the names of all files outside the folder and the storage."""
    root = place.parents[3]
    names = {path.relative_to(root).as_posix() for path in root.rglob("*")}
    return {name for name in names if not name.startswith(("a/b/c/d/storage/", "a/b/c/d/cluster/"))}


_FOLDERS = {"a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/storage", "a/b/c/d/cluster"}


def test_names_in_a_folder(place: Path) -> None:
    """Each object is archived once, complete, under its own name. Its path is safe and inside the archive.

    References to valid names are followed. The other references are recorded as they are written.
    """
    archived = _archived(place)

    for document in _profiles():
        assert archived.pop(ObjectKey.of(document))["spec"] == document["spec"]
    referred = {key.name for key in archived}
    assert referred == {".git", "con", "UPPER", "upper", "trailing.", "-option", "a" * 253}
    assert {reference["name"] for reference in _unresolved(place)} == set(_NAMES) - referred
    files = [path.relative_to(place / "storage" / "hourly") for path in (place / "storage" / "hourly").rglob("*")]
    mine = [path.as_posix() for path in files if path.parts[0] == "configuration"]
    assert all(name.isascii() and name.isprintable() and len(part) <= 255 for name in mine for part in name.split("/"))
    assert _outside(place) == _FOLDERS


def test_names_are_escaped_on_output(place: Path) -> None:
    """No control character and no forged line reaches the terminal."""
    (place / "cluster" / "all.json").write_text('{"apiVersion": "v1", "kind": "List", "items": []}')
    where = ("--from-dir", "cluster", "--storage", "storage", "--snapshot", "hourly")
    gitsnap(place, "capture", "--allow-empty", *where, code=0)

    for command in (["diff", "--raw-diff"], ["show", "--sample", "latest~1"]):
        done = gitsnap(place, *command, "--storage", "storage", code=0)
        assert not {"\x1b", "\0", "\u202e"} & set(done.stdout + done.stderr)
        assert "\nGitsnap-Sequence" not in done.stdout


def test_overlong_names_are_shortened_in_messages(tmp_path: Path) -> None:
    """Messages and tables shorten the name. JSON has the full name. The longest valid name is never shortened."""
    longest, longer = "n" * 253, f"begin-{'x' * 5000}-end"
    refers = profile("refers", {"policyRefs": [policy_ref(longest), policy_ref(longer)]})
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "all.json").write_text(json.dumps(refers))
    capture = ("capture", "--from-dir", "cluster", "--snapshot", "hourly")

    warnings = gitsnap(tmp_path, *capture, code=0).stderr
    whole = json.loads(gitsnap(tmp_path, *capture, "-o", "json", code=0).stdout)
    shown = gitsnap(tmp_path, "show", code=0).stderr
    table = gitsnap(tmp_path, "show", "references", "ClusterProfile/refers", code=0, COLUMNS="0").stdout
    listed = json.loads(gitsnap(tmp_path, "show", "references", "ClusterProfile/refers", "-o", "json", code=0).stdout)

    for text in (warnings, shown, table):
        assert longest in text
        assert "begin-xxx" in text
        assert "xxx…xxx" in text
        assert "xxx-end" in text
        assert max(map(len, text.splitlines())) < 1000
    for references in (whole["unresolved"], listed["references"]):
        assert any(reference["target"].endswith(longer) for reference in references)


def test_a_rollback_writes_inside_the_folder(place: Path) -> None:
    """A rollback restores deleted objects into files of the folder, unchanged."""
    before = _archived(place)
    (place / "cluster" / "all.json").write_text('{"apiVersion": "v1", "kind": "List", "items": []}')

    gitsnap(place, "rollback", "--from-dir", "cluster", "--storage", "storage", "--sample", "latest", "--yes",
            "--create-namespaces", "--allow-withdraw")  # fmt: skip
    gitsnap(place, "capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "hourly", code=0)

    after = _archived(place)
    assert {key: document for key, document in after.items() if key in before} == before
    assert _outside(place) == _FOLDERS


def test_names_in_references_of_a_server(api: ApiServer, tmp_path: Path) -> None:
    """A profile may refer to any name. Invalid names are not requested, and are recorded as they are written."""
    api.ask("POST", "/apis/config.projectsveltos.io/v1beta1/clusterprofiles",
            profile_of_server("refers", policyRefs=[policy_ref(name, namespace=name) for name in _NAMES]))  # fmt: skip
    (tmp_path / "storage").mkdir()

    done = gitsnap(tmp_path, "capture", "--kubeconfig", str(api.kubeconfig()), "--storage", "storage",
                   "--snapshot", "hourly", code=0)  # fmt: skip

    assert {reference["name"] for reference in _unresolved(tmp_path)} == set(_NAMES)
    assert not {"\x1b", "\0", "\u202e"} & set(done.stderr)
