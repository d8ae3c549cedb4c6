"""`gitsnap verify --since ID` finds what was changed from the pinned sample on, and says that it looked no further."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import gitsnap

_SAMPLES = 6
_PIN = 3
"""The number of the pinned sample, from 1 on."""


def _git(archive: Path, *arguments: str, stdin: str = "") -> str:
    settings = ("-c", "user.name=op", "-c", "user.email=op@example.org", "-c", "gc.auto=0")
    command = ["git", "-C", str(archive), *settings, *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout.strip()


class _Archive:
    """An archive of six samples, each of which changes one ConfigMap and adds another one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.path = folder / "storage" / "manual"
        self._number = 0

    def fill(self) -> None:
        """Take the samples."""
        for _ in range(_SAMPLES):
            self.capture()

    def capture(self) -> None:
        """Change the configuration and take a sample."""
        self._number += 1
        cluster = self._folder / "cluster"
        cluster.mkdir(exist_ok=True)
        for name in ("same", f"new-{self._number}"):
            data = f"{{number: '{self._number}'}}"
            text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: default}}\ndata: {data}\n"
            (cluster / f"{name}.yaml").write_text(text)
        words = ("--from-dir", "cluster", "--storage", "storage", "--snapshot", "manual")
        create = ("--create",) if self._number == 1 else ()
        gitsnap(self._folder, "capture", *words, *create, "--secrets-mode", "omit", "--resources", "ConfigMap", code=0)

    def tags(self) -> list[tuple[str, str]]:
        """Name and id of the tag of each sample, oldest first."""
        done = gitsnap(self._folder, "list", "--storage", "storage", "--output", "json", code=0)
        return [(sample["tag"], self.ref(sample["tag"])) for sample in json.loads(done.stdout)["samples"]]

    def ref(self, tag: str) -> str:
        """The object of a tag."""
        return _git(self.path, "rev-parse", f"refs/tags/{tag}")

    def verify(self, *words: str, code: int) -> Any:
        """The document of a verification."""
        done = gitsnap(self._folder, "verify", "--storage", "storage", *words, "--output", "json", code=code)
        (document,) = json.loads(done.stdout)["archives"]
        return document

    def text(self, *words: str, code: int) -> str:
        """The output of a verification."""
        return gitsnap(self._folder, "verify", "--storage", "storage", *words, code=code).stdout

    def rewrite_tag(self, tag: str, old: str, new: str, *, name: str = "") -> str:
        """Replace a text in the object of a tag, and point the ref, or the ref ``name``, at the new object."""
        content = _git(self.path, "cat-file", "tag", self.ref(tag)).replace(old, new)
        written = _git(self.path, "hash-object", "-t", "tag", "-w", "--stdin", stdin=f"{content}\n")
        _git(self.path, "update-ref", f"refs/tags/{name or tag}", written)
        return written

    def damage(self, sample: str, file: str) -> None:
        """Damage the content of a file of a sample."""
        blob = _git(self.path, "rev-parse", f"{sample}:{file}")
        loose = self.path / ".git" / "objects" / blob[:2] / blob[2:]
        loose.chmod(0o600)
        loose.write_bytes(b"\0" + loose.read_bytes()[1:])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an archive that no test changes."""
    folder = tmp_path_factory.mktemp("since")
    _Archive(folder).fill()
    return folder


@pytest.fixture
def archive(filled: Path, tmp_path: Path) -> _Archive:
    """A copy of the archive."""
    folder = tmp_path / "copy"
    shutil.copytree(filled, folder, symlinks=True)
    copied = _Archive(folder)
    copied._number = _SAMPLES
    return copied


def test_an_intact_archive(archive: _Archive) -> None:
    """The pinned sample and the later ones are counted, and the sentence names where the verification began."""
    tags = archive.tags()
    pinned, newest = tags[_PIN - 1], tags[-1]

    document = archive.verify("--since", pinned[1], code=0)
    text = archive.text("--since", pinned[1][:10], code=0)

    assert document["samples"] == _SAMPLES - _PIN + 1
    assert document["since"] == {"tag": pinned[0], "id": pinned[1]}
    assert document["newest"] == {"tag": newest[0], "id": newest[1]}
    assert document["proofs"] == ["chain", "pin"]
    assert document["findings"] == []
    assert f"manual: 4 samples, newest {newest[1]}, nothing wrong since {pinned[0]}" in text
    assert archive.verify(code=0)["since"] is None


def test_the_newest_sample_as_the_pin(archive: _Archive) -> None:
    """A verification without later samples checks the pinned sample. The next sample is checked too."""
    newest = archive.tags()[-1][1]

    assert archive.verify("--since", newest, code=0)["samples"] == 1
    archive.capture()
    assert archive.verify("--since", newest, code=0)["samples"] == 2


def _rewritten_content_digest(archive: _Archive) -> None:
    tag = archive.tags()[_PIN][0]
    content = _git(archive.path, "cat-file", "tag", archive.ref(tag))
    digest = content.partition("Gitsnap-Content-SHA256: ")[2][:64]
    archive.rewrite_tag(tag, digest, "0" * 64)


def _moved_tag(archive: _Archive) -> None:
    first, second = archive.tags()[_PIN : _PIN + 2]
    _git(archive.path, "update-ref", f"refs/tags/{first[0]}", second[1])


def _damaged_content(archive: _Archive) -> None:
    archive.damage(archive.tags()[_PIN + 1][0], f"configuration/default/ConfigMap/new-{_PIN + 2}.yaml")


def _damaged_content_that_the_pinned_sample_shares(archive: _Archive) -> None:
    archive.damage(archive.tags()[_PIN - 1][0], "configuration/default/ConfigMap/new-1.yaml")


def _rewritten_branch(archive: _Archive) -> None:
    tree = _git(archive.path, "rev-parse", "refs/heads/manual^{tree}")
    forged = _git(archive.path, "commit-tree", tree, "-m", "manual: forged\n\nGitsnap-Format: 1")
    _git(archive.path, "update-ref", "refs/heads/manual", forged)


def _forged_sample_with_an_old_name(archive: _Archive) -> None:
    """A tag that commands take for the newest sample, with a name from before the pinned sample."""
    tag, tag_id = archive.tags()[-1]
    old = "manual/2001-01-01T00-00-00Z"
    content = _git(archive.path, "cat-file", "tag", tag_id)
    sequence = f"Gitsnap-Sequence: {_SAMPLES}\n"
    assert sequence in content
    forged = content.replace(sequence, f"Gitsnap-Sequence: {_SAMPLES + 1}\n").replace(f"tag {tag}\n", f"tag {old}\n")
    written = _git(archive.path, "hash-object", "-t", "tag", "-w", "--stdin", stdin=f"{forged}\n")
    _git(archive.path, "update-ref", f"refs/tags/{old}", written)


def _tag_that_cannot_be_read(archive: _Archive) -> None:
    _git(archive.path, "tag", "--annotate", "manual/2999-01-01T00-00-00Z", "-m", "a note", "refs/heads/manual")


_LATER: list[Callable[[_Archive], None]] = [
    _rewritten_content_digest,
    _moved_tag,
    _damaged_content,
    _damaged_content_that_the_pinned_sample_shares,
    _rewritten_branch,
    _forged_sample_with_an_old_name,
    _tag_that_cannot_be_read,
]


@pytest.mark.parametrize("tamper", _LATER)
def test_a_change_after_the_pin_is_found(archive: _Archive, tamper: Callable[[_Archive], None]) -> None:
    """A full and an incremental verification find the change."""
    pin = archive.tags()[_PIN - 1][1]
    tamper(archive)

    incremental = archive.verify("--since", pin, code=5)
    full = archive.verify(code=5)

    assert any(finding["wrong"] for finding in incremental["findings"])
    assert any(finding["wrong"] for finding in full["findings"])


def _moved_old_tag(archive: _Archive) -> None:
    first, second = archive.tags()[:2]
    _git(archive.path, "update-ref", f"refs/tags/{first[0]}", second[1])


def _damaged_old_content(archive: _Archive) -> None:
    archive.damage(archive.tags()[0][0], "configuration/default/ConfigMap/same.yaml")


@pytest.mark.parametrize("tamper", [_moved_old_tag, _damaged_old_content])
def test_a_change_before_the_pin_is_found_by_a_full_verification_only(
    archive: _Archive, tamper: Callable[[_Archive], None]
) -> None:
    """The id proves the earlier samples, not that their tags and objects are still here."""
    pin = archive.tags()[_PIN - 1][1]
    tamper(archive)

    assert archive.verify("--since", pin, code=0)["findings"] == []
    assert any(finding["wrong"] for finding in archive.verify(code=5)["findings"])


def test_a_history_without_the_pinned_sample(archive: _Archive) -> None:
    """An archive without the sample was rewritten, or is another archive."""
    document = archive.verify("--since", "0123456789abcdef", code=5)

    assert [finding["message"] for finding in document["findings"]] == [
        "no sample has the id 0123456789abcdef: the history was rewritten, or the id belongs to another archive"
    ]
    assert document["samples"] == 0
    assert document["since"] is None


@pytest.mark.parametrize("option", ["--since", "--pinned"])
def test_the_id_of_a_commit_is_no_proof_and_no_alarm_about_the_history(archive: _Archive, option: str) -> None:
    """Other commands print ids of commits. Only the id of a tag names the samples before it."""
    tag = archive.tags()[_PIN - 1][0]
    commit = _git(archive.path, "rev-parse", f"{tag}^{{commit}}")
    (finding,) = archive.verify(option, commit[:12], code=5)["findings"]

    assert finding["message"].startswith(f"no sample has the id {commit[:12]}: it is the id of the commit of {tag}, ")


def test_the_chain_must_lead_to_the_pinned_sample(archive: _Archive) -> None:
    """The pinned tag alone proves nothing: the later samples must build on it."""
    tags = archive.tags()
    archive.rewrite_tag(tags[_PIN][0], tags[_PIN - 1][1], tags[_PIN - 2][1])

    document = archive.verify("--since", tags[_PIN - 1][1], code=5)

    assert any("names" in finding["message"] and finding["wrong"] for finding in document["findings"])


def test_samples_that_are_gone(archive: _Archive) -> None:
    """The chain leads through removed tags. Retention may remove the pinned sample, whose whole id is then needed."""
    tags = archive.tags()
    pinned, removed = tags[_PIN - 1], tags[_PIN]
    for name, _ in (pinned, removed):
        _git(archive.path, "update-ref", "-d", f"refs/tags/{name}")

    document = archive.verify("--since", pinned[1], code=0)
    unknown = archive.verify("--since", pinned[1][:12], code=5)

    assert document["since"]["tag"] == pinned[0]
    assert [(finding["wrong"], removed[0] in finding["message"]) for finding in document["findings"]] == [(False, True)]
    assert "no sample has the id" in unknown["findings"][0]["message"]


def test_arguments(archive: _Archive, tmp_path: Path) -> None:
    """The id is that of a tag of one archive, and --pinned asks about samples that --since does not check."""
    folder = archive.path.parent.parent
    pin = archive.tags()[0][1]
    words = ("verify", "--storage", "storage", "--since")

    assert "7 to 40 hexadecimal digits" in gitsnap(folder, *words, "latest", code=2).stderr
    assert "--since and --pinned" in gitsnap(folder, *words, pin, "--pinned", pin, code=2).stderr
    shutil.copytree(archive.path, folder / "storage" / "other", symlinks=True)
    assert "name the archive with --snapshot" in gitsnap(folder, *words, pin, code=2).stderr
    assert tmp_path.is_dir()
