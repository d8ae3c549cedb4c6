"""Rollback and undo with `--archive URL` on a laptop, while the controller captures and pushes."""

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
    """A cluster, the controller's archive, the remote of the archive, and a laptop that has only the URL."""

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
        """Change the ConfigMap."""
        put(self.story.cluster, changed(DATABASE, data={"text": text}))

    def text(self) -> str:
        """The content of the ConfigMap."""
        return str(self.story.cluster.get(ObjectKey.of(DATABASE))["data"]["text"])

    def capture(self) -> str:
        """Take a sample as the controller, and push it."""
        sample = self.story.capture(Trigger.SCHEDULE)
        self.push()
        return sample.tag

    def push(self) -> None:
        """Push as the controller."""
        push(self.story.archive.git_folder, "hourly", Remote(str(self.target)))

    def run(self, words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command on the laptop, which has the identity but no fingerprint key of the archive."""
        identity = self.folder / "storage" / ".keys" / "hourly" / "identity.txt"
        places = ["--archive", self.url, "--from-dir", "cluster", "--identity", str(identity)]
        return gitsnap(self.folder, *words.split(), *places, code=code, XDG_CACHE_HOME=str(self.folder / "cache"))

    def refs(self) -> dict[str, str]:
        """The refs of the remote."""
        return refs_of(self.target)

    def hook(self, name: str, script: str) -> Path:
        """Install a hook in the remote."""
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
    """After captures and pushes before, between and after a rollback and its undo, both histories are complete."""
    done = place.run(f"rollback --sample {place.first} --yes")
    assert "rollback: 1 applied" in done.stdout
    assert place.text() == "1"
    place.capture()
    assert place.run("undo --yes").stderr.startswith("undoing the rollback to hourly/")
    assert place.text() == "2"
    place.capture()

    own = {f"refs/tags/{sample.tag}": sample.tag_id for sample in place.story.archive.samples()}
    remote_refs = place.refs()
    assert remote_refs["refs/heads/hourly"] == place.story.archive.samples()[-1].commit
    assert own.items() <= remote_refs.items()
    laptops = {
        name.removeprefix("refs/tags/") for name in remote_refs.keys() - own.keys() if name.startswith("refs/tags/")
    }
    copy = cached_clone(Remote(place.url), place.folder / "another", "hourly")
    samples = copy.samples()
    assert len(laptops) == 4
    assert {sample.tag for sample in samples if sample.metadata.detached_from} == laptops
    assert [sample.metadata.trigger for sample in samples if sample.metadata.detached_from] == [
        Trigger.BEFORE_ROLLBACK,
        Trigger.AFTER_ROLLBACK,
    ] * 2
    assert [finding for finding in (*place.story.archive.check(), *copy.check()) if finding.wrong] == []


def test_a_lost_volume_is_restored_with_the_samples_of_a_laptop(place: _Place) -> None:
    """The clone has the laptop's samples. The branch continues, verification finds nothing, and undo works."""
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
    """The remote refuses the tag: exit code 18, the cluster is unchanged, and no unfinished rollback is reported."""
    hook = place.hook("update", "exit 1")
    before = place.refs()

    refused = place.run(f"rollback --sample {place.first} --yes", 18)

    assert "nothing was changed" in refused.stderr
    assert place.text() == "2"
    assert place.refs() == before
    hook.unlink()
    assert "not finished" not in place.run(f"rollback --sample {place.first} --yes").stderr


def test_a_sample_after_the_rollback_that_cannot_be_pushed_is_pushed_later(place: _Place) -> None:
    """The sample survives an update of the copy, and the next rollback or undo pushes it."""
    hook = place.hook("update", "test -e sent && exit 1; touch sent")
    done = place.run(f"rollback --sample {place.first} --yes")
    assert "there is no sample after the rollback" in done.stdout
    assert place.text() == "1"
    hook.unlink()

    undone = place.run("undo --yes")

    assert "not finished" not in undone.stderr
    assert place.text() == "2"
    assert sum(name.startswith("refs/tags/") for name in place.refs()) == 1 + 4


def test_a_laptop_needs_the_identity(place: _Place) -> None:
    """Without the identity nothing is written, and the error names --identity."""
    refused = gitsnap(
        place.folder,
        *f"rollback --sample {place.first} --yes --archive {place.url} --from-dir cluster".split(),
        code=7,
        XDG_CACHE_HOME=str(place.folder / "cache"),
    )
    assert "--identity" in refused.stderr
    assert place.text() == "2"


def test_an_archive_of_redacted_secrets_needs_a_copy_of_its_key(tmp_path: Path) -> None:
    """The error names the path for the key. With the key, all objects but Secrets are rolled back."""
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
