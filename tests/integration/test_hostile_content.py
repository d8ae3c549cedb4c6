"""Malicious content in objects and files is archived as it is, compared, and never executed.

The tests use the command line, with each content in a ConfigMap that a profile deploys. Content that would take hours
or fill the memory is small here. A test that ends proves that gitsnap does not expand the content.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from gitsnap.archive import list_archives
from gitsnap.core.errors import InputError
from gitsnap.core.model import Area, JsonObject
from gitsnap.format import decode
from gitsnap.format.yaml.reader import LONGEST_TEXT
from gitsnap.sveltos.kustomize_archives import ARCHIVE_KEY
from tests.support.adapters import open_directory
from tests.support.commands import gitsnap
from tests.support.trees import W, cluster, config_map, deployed_by, inventory_of, policy_ref, profile

_LONG = 10_000
_LETTERS = "abcdefghijkl"
_HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: deployed\n"


def _multiplied(first: str, each: str) -> str:
    """Return twelve lines, each of which refers ten times to the line before."""
    lines = [f"a: &a {first}"]
    for before, name in itertools.pairwise(_LETTERS):
        lines.append(f"{name}: &{name} {each.replace('*', ', '.join([f'*{before}'] * 10))}")
    return "\n".join(lines) + "\n"


def _nested_lists(levels: int) -> str:
    text = "a: 1"
    for _ in range(levels):
        text = "- |\n" + "".join(f" {line}\n" for line in text.splitlines())
    return text


_CONTENTS = {
    "anchors": _multiplied("[x]", "[*]"),
    "merges": _multiplied("{x: 1}", "{<<: [*]}"),
    "itself": "&a {a: *a}\n",
    "python-tag": f"{_HEAD}data: !!python/object/apply:os.system ['touch obeyed']\n",
    "unknown-tag": f"{_HEAD}data: !obey {{}}\n",
    "flow": "[" * _LONG,
    "dashes": "- " * _LONG,
    "questions": "? " * _LONG,
    "indented": "".join(f"{' ' * depth}a:\n" for depth in range(500)),
    "json": '{"a":' * _LONG,
    "json-stream": '{"a":' * _LONG + "\n---\n",
    "lists-in-lists": _nested_lists(60),
    "junk": "".join(map(chr, range(1, 256))),
    "nul": f"{_HEAD}data: {{a: \0}}\n",
    "half-a-pair": f'{_HEAD}data: {{a: "\\ud800"}}\n',
    "number": f"{_HEAD}data: {{a: 0b{'1' * _LONG}}}\n",
    "infinite": '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "deployed"}, "data": {"a": 1e999}}',
    "braces": f"{_HEAD}data: {{a: {'{{' * _LONG}\n",
    "spaces": f"apiVersion: v1{' ' * _LONG}x\nkind: A{' ' * _LONG}x\nmetadata:\n  name: [\n",
    "quoted": '"x\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: deployed\n"',
    "path": "apiVersion: ../../x\nkind: ../../../x\nmetadata: {name: ../../../obeyed, namespace: ../../..}\n",
    "separators": "---\n" * _LONG + "--- text",
    "large": _HEAD + "# " + "x" * (4 * 1024 * 1024),
}
"""Name of a ConfigMap -> its content."""

_CANNOT_BE_READ = {"anchors", "merges", "itself", "flow", "dashes", "json", "separators", "large", "junk"}
"""The contents whose kind and name cannot be read."""

_TEMPLATES = {
    "grows": '{{ "aaaaaaaaaa" ' + '| replace "a" "aaaaaaaaaa" ' * 20 + "}}",
    "wide": f'{{{{ printf "%{10**9}d" 1 }}}}',
    "deep": "{{ " + "(" * 5000 + "}}",
    "unclosed": "{{" * _LONG,
}
"""Templates that serve as names in references of a profile, and as content."""


def _packed(*headers: bytes) -> str:
    return base64.b64encode(gzip.compress(b"".join(headers) + bytes(1024))).decode()


def _header(name: str, sort: bytes = tarfile.REGTYPE, *, link: str = "", size: int = 0) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = sort, link, size
    return member.tobuf(tarfile.USTAR_FORMAT)


_TARBALLS = {
    "outside": _packed(_header("../../../obeyed"), _header("/obeyed"), _header("l", tarfile.SYMTYPE, link="/")),
    "through-a-link": _packed(_header("l", tarfile.SYMTYPE, link="../../.."), _header("l/obeyed")),
    "many": _packed(*(_header(f"{number}") for number in range(2000))),
    "headers": _packed(*(_header("x", tarfile.XHDTYPE) for _ in range(3000))),
    "digits": _packed(_header("x", tarfile.XHDTYPE, size=512 * 400), b"9" * 512 * 400, _header("a")),
}
"""Name of a ConfigMap -> a Kustomize archive."""


def _objects(state: str) -> list[JsonObject]:
    """Return a cluster, and a profile that deploys every content to the cluster."""
    contents = {**_CONTENTS, **{f"template-{name}": text for name, text in _TEMPLATES.items()}}
    maps = [config_map(name, {"k": f"{text}\n# {state}"}) for name, text in contents.items()]
    for document in maps:
        if document["metadata"]["name"].startswith("template-"):
            document["metadata"]["annotations"] = {"projectsveltos.io/template": "ok"}
    tarballs = [config_map(name, {"state": state}) for name in _TARBALLS]
    for tarball in tarballs:
        tarball["binaryData"] = {ARCHIVE_KEY: _TARBALLS[tarball["metadata"]["name"]]}
    named_by_template = [policy_ref(text) for text in _TEMPLATES.values()]
    spec = {
        "policyRefs": [*(policy_ref(name) for name in contents), *named_by_template],
        "kustomizationRefs": [policy_ref(name) for name in _TARBALLS],
        "patches": [{"patch": state, "target": {"name": "(a+)+$", "kind": "(" * 3000}}],
    }
    names = [f"/ConfigMap default/{'a' * 40}b", "/ConfigMap default/deployed"]
    return [cluster(W), profile("p", spec, W), *maps, *tarballs, inventory_of(W, deployed_by("p", *names))]


def _write(file: Path, objects: Iterable[Mapping[str, object]]) -> None:
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def _files(folder: Path) -> set[str]:
    """Return the paths of all files outside the storage."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "storage" not in path.parts}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two samples of such a cluster. Every content differs between the samples."""
    place = tmp_path_factory.mktemp("hostile")
    for folder in ("cluster", "storage"):
        (place / folder).mkdir()
    for state in ("before", "after"):
        _write(place / "cluster" / "all.json", _objects(state))
        command = ("capture", "--from-dir", "cluster", "--storage", "storage", "--snapshot", "hourly")
        gitsnap(place, *command, code=0)
    return place


def test_what_is_archived_is_what_was_there(place: Path) -> None:
    """The archived content is the same byte for byte, and git finds no damage."""
    (archive,) = list_archives(place / "storage")
    tree = archive.tree(archive.samples()[-1])
    archived = [decode(tree.read(blob)) for blob in tree.files(Area.CONFIGURATION).values()]
    config_maps = {document["metadata"]["name"]: document for document in archived if document["kind"] == "ConfigMap"}

    for document in _objects("after"):
        if document["kind"] == "ConfigMap":
            archived_map = config_maps[document["metadata"]["name"]]
            assert (archived_map["data"], archived_map.get("binaryData")) == (
                document["data"],
                document.get("binaryData"),
            )
    assert not [finding for finding in archive.check() if finding.wrong]


@pytest.mark.parametrize("words", ["diff --raw-diff", "diff -o json"])
def test_a_diff(place: Path, words: str) -> None:
    """A diff ends, names every source, and names the sources that cannot be parsed."""
    before = _files(place)

    done = gitsnap(place, *words.split(), "--storage", "storage", code=0)

    assert all(name in done.stdout for name in _CANNOT_BE_READ)
    assert _files(place) == before


def test_a_rollback_plan(place: Path) -> None:
    """The plan restores every ConfigMap. The dry run writes nothing."""
    before = _files(place)

    done = gitsnap(place, "rollback", "--from-dir", "cluster", "--storage", "storage", "--sample", "latest~1",
                   "--dry-run")  # fmt: skip

    assert all(f"default/{name}" in done.stdout for name in _CONTENTS), done.stdout + done.stderr
    assert _files(place) == before


_REFUSED = {name: text for name, text in _CONTENTS.items() if name not in ("python-tag", "large", "path")} | {
    "tag": "apiVersion: v1\nkind: ConfigMap\nmetadata: !!python/object/apply:os.system ['touch obeyed']\n",
    "bytes": "\x00\x01\x02\x80",
    "huge": "# " + "x" * LONGEST_TEXT,
}


@pytest.mark.parametrize("name", _REFUSED)
def test_an_unreadable_file_of_a_folder(tmp_path: Path, name: str) -> None:
    """The file cannot be parsed, or has no object: the error names the file, and no other file appears."""
    (tmp_path / "bad.yaml").write_text(_REFUSED[name])

    with pytest.raises(InputError, match=r"bad\.yaml"):
        open_directory(tmp_path).info()
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def _captured(folder: Path, value: str, code: int) -> str:
    """Capture one profile with this value. Return the error, or the profile as the sample has it."""
    for name in ("cluster", "storage"):
        (folder / name).mkdir()
    text = json.dumps(profile("p", {"by": "VALUE"})).replace('"VALUE"', value)
    (folder / "cluster" / "a.yaml").write_text(text)
    where = ("--storage", "storage", "--snapshot", "hourly")
    done = gitsnap(folder, "capture", "--from-dir", "cluster", *where, code=code)
    return done.stderr if code else gitsnap(folder, "show", "ClusterProfile/p", *where, code=0).stdout


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan"])
def test_a_value_without_a_json_form(tmp_path: Path, value: str) -> None:
    """YAML allows these numbers, JSON and API servers do not: the error names the file, and no sample is taken."""
    error = _captured(tmp_path, value, 3)

    assert "a.yaml: " in error
    assert "no form in JSON" in error


@pytest.mark.parametrize(("value", "read"), [('"\\ud800"', "\ufffd"), ("1e999", "1e999")])
def test_a_value_that_go_reads_as_text(tmp_path: Path, value: str, read: str) -> None:
    """Go reads half of a surrogate pair and a number beyond the floats as text. A capture does the same."""
    assert read in _captured(tmp_path, value, 0)
