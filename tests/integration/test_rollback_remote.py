"""Rollback and undo through `--archive URL`, on a laptop, while the controller goes on capturing and pushing."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gitsnap.archive.remote import Remote, cached_clone, clone, push
from gitsnap.core.model import JsonObject, ObjectKey, SecretsMode, Trigger
from gitsnap.sveltos import kinds
from tests.support.adapters import open_directory
from tests.support.commands import gitsnap
from tests.support.plans import changed, custom
from tests.support.remotes import bare_repository, refs_of
from tests.support.rollbacks import Story, put

DATABASE: JsonObject = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "database", "namespace": "default"},
    "data": {"text": "1"},
}
_REFERENCES = [{"kind": "ConfigMap", "name": "database", "namespace": "default"}]
_PROFILE = custom(kinds.CLUSTER_PROFILE, "guestbook", {"policyRefs": _REFERENCES})


class _Place:
    """A cluster; the controller's archive of it; its remote; and a laptop that has only the URL."""

    def __init__(self, folder: Path, mode: SecretsMode = SecretsMode.ENCRYPT) -> None:
        self.folder = folder
        (folder / "cluster").mkdir()
        (folder / "storage").mkdir()
        self.story = Story(folder / "storage", open_directory(folder / "cluster"), mode)
        self.target = bare_repository(folder / "record.git")
        for document in (DATABASE, _PROFILE):
            put(self.story.cluster, document)
        self.first = self.capture()
        self.write("2")

    @property
    def url(self) -> str:
        return f"file://{self.target}"

    def write(self, text: str) -> None:
        """Somebody changes the ConfigMap."""
        put(self.story.cluster, changed(DATABASE, data={"text": text}))

    def text(self) -> str:
        """What the ConfigMap says."""
        return str(self.story.cluster.get(ObjectKey.of(DATABASE))["data"]["text"])

    def capture(self) -> str:
        """The controller takes a sample, and pushes it."""
        sample = self.story.capture(Trigger.SCHEDULE)
        self.push()
        return sample.tag

    def push(self) -> None:
        """The controller pushes."""
        push(self.story.archive.git_folder, "hourly", Remote(str(self.target)))

    def run(self, words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """A command of the laptop's, which has the identity, but no key of the archive's."""
        identity = self.folder / "storage" / ".keys" / "hourly" / "identity.txt"
        places = ["--archive", self.url, "--from-dir", "cluster", "--identity", str(identity)]
        return gitsnap(self.folder, *words.split(), *places, code=code, XDG_CACHE_HOME=str(self.folder / "cache"))

    def refs(self) -> dict[str, str]:
        """What the remote has."""
        return refs_of(self.target)

    def hook(self, name: str, script: str) -> Path:
        """A hook of the remote's."""
        hook = self.target / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{script}\n")
        hook.chmod(0o755)
        return hook


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    """See _Place."""
    return _Place(tmp_path)


def test_the_controller_and_a_laptop_never_diverge(place: _Place) -> None:
    """Captures and pushes before, between and after a rollback and its undo; both histories are complete in the end."""
    done = place.run(f"rollback --sample {place.first} --yes")
    assert "rollback: 1 applied" in done.stdout
    assert place.text() == "1"
    place.capture()
    assert place.run("undo --yes").stderr.startswith("undoing the rollback to hourly/")
    assert place.text() == "2"
    place.capture()

    own = {f"refs/tags/{one.tag}": one.tag_id for one in place.story.archive.samples()}
    there = place.refs()
    assert there["refs/heads/hourly"] == place.story.archive.samples()[-1].commit
    assert own.items() <= there.items()
    laptops = {name.removeprefix("refs/tags/") for name in there.keys() - own.keys() if name.startswith("refs/tags/")}
    copy = cached_clone(Remote(place.url), place.folder / "another", "hourly")
    samples = copy.samples()
    assert len(laptops) == 4
    assert {one.tag for one in samples if one.metadata.detached_from} == laptops
    assert [one.metadata.trigger for one in samples if one.metadata.detached_from] == [
        Trigger.BEFORE_ROLLBACK,
        Trigger.AFTER_ROLLBACK,
    ] * 2
    assert [one for one in (*place.story.archive.check(), *copy.check()) if one.wrong] == []


def test_a_lost_volume_goes_on_from_what_a_laptop_added(place: _Place) -> None:
    """The remote is cloned with the laptop's samples; the branch goes on, every copy is in order, and undo works."""
    place.run(f"rollback --sample {place.first} --yes")
    (place.folder / "new").mkdir()
    assert clone(Remote(str(place.target)), place.folder / "new", "hourly")
    restored = Story(place.folder / "new", place.story.cluster, keys=place.folder / "storage" / ".keys" / "hourly")
    restored.time = restored.archive.samples()[-1].metadata.time

    after = restored.capture(Trigger.SCHEDULE)
    push(restored.archive.git_folder, "hourly", Remote(str(place.target)))

    assert restored.archive.samples()[-1] == after
    assert restored.archive.check() == []
    assert place.refs()["refs/heads/hourly"] == after.commit
    restored.undo()
    assert place.text() == "2"


def test_nothing_is_written_before_the_remote_has_the_sample(place: _Place) -> None:
    """The remote refuses the tag: exit 18, the cluster is as it was, and no rollback is taken for begun."""
    hook = place.hook("update", "exit 1")
    before = place.refs()

    refused = place.run(f"rollback --sample {place.first} --yes", 18)

    assert "nothing was changed" in refused.stderr
    assert place.text() == "2"
    assert place.refs() == before
    hook.unlink()
    assert "not finished" not in place.run(f"rollback --sample {place.first} --yes").stderr


def test_a_sample_after_that_cannot_be_sent_is_sent_later(place: _Place) -> None:
    """It survives that the copy is brought up to date, and the next rollback or undo brings it to the remote."""
    hook = place.hook("update", "test -e sent && exit 1; touch sent")
    done = place.run(f"rollback --sample {place.first} --yes")
    assert "there is no sample after the rollback" in done.stdout
    assert place.text() == "1"
    hook.unlink()

    undone = place.run("undo --yes")

    assert "not finished" not in undone.stderr
    assert place.text() == "2"
    assert sum(name.startswith("refs/tags/") for name in place.refs()) == 1 + 4


def test_the_identity_is_what_a_laptop_needs(place: _Place) -> None:
    """Without it nothing is written, in words."""
    refused = gitsnap(
        place.folder,
        *f"rollback --sample {place.first} --yes --archive {place.url} --from-dir cluster".split(),
        code=7,
        XDG_CACHE_HOME=str(place.folder / "cache"),
    )
    assert "--identity" in refused.stderr
    assert place.text() == "2"


def test_an_archive_of_redacted_secrets_needs_a_copy_of_its_key(tmp_path: Path) -> None:
    """It keeps none of its own, so the error says where the file goes; with it there, all but Secrets goes back."""
    place = _Place(tmp_path, SecretsMode.REDACT)
    words = (*f"rollback --sample {place.first} --yes --archive {place.url} --from-dir cluster".split(),)

    refused = gitsnap(tmp_path, *words, code=7, XDG_CACHE_HOME=str(tmp_path / "cache"))

    assert "--identity" not in refused.stderr
    assert place.text() == "2"
    (file,) = re.findall(r"there is no (\S+/fingerprint\.key)", refused.stderr)
    Path(file).parent.mkdir(parents=True, mode=0o700)
    key = shutil.copy(tmp_path / "storage" / ".keys" / "hourly" / "fingerprint.key", file)
    Path(key).chmod(0o600)
    gitsnap(tmp_path, *words, code=0, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert place.text() == "1"
