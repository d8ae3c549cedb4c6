"""An archive with samples and the changes between them, and the cluster that the changes led to.

The package must not import this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gitsnap import archive
from gitsnap.archive import GitArchive
from gitsnap.core.changes import UNKNOWN_AUTHOR, Author, AuthorSource
from gitsnap.core.model import (
    Area,
    BlobId,
    CommitId,
    JsonObject,
    ObjectKey,
    SecretsInfo,
    SecretsMode,
    TreeInfo,
    Trigger,
)
from gitsnap.core.recording import SampleDraft
from gitsnap.format import encode, path_of
from gitsnap.sveltos.kinds import CLUSTER_PROFILE
from tests.support.changes import write_change

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ALICE = Author("alice@example.com", AuthorSource.AUDIT)
BOB = Author("bob", AuthorSource.STAMP)
DIRECTORY = "directory"
"""The uid that gitsnap gives to a folder with manifests in place of a cluster."""

GUESTBOOK, OTHER = (ObjectKey(CLUSTER_PROFILE, "", name) for name in ("guestbook", "other"))

_MANIFEST = (
    "apiVersion: config.projectsveltos.io/v1beta1\nkind: ClusterProfile\nmetadata:\n  name: {}\nspec:\n  tier: {}\n"
)


@dataclass
class Followed:
    """An archive ``s/hourly`` that grows, and the folder ``cluster`` with the same configuration."""

    folder: Path
    prefix: str = ""
    tiers: dict[str, int] = field(default_factory=dict, init=False)
    """The profiles of the cluster now."""

    def __post_init__(self) -> None:
        """Make the archive. It has no sample yet."""
        (self.folder / "cluster").mkdir(parents=True)
        (self.folder / "s").mkdir()
        archive.create_archive(self.folder / "s", "hourly", prefix=self.prefix)

    @property
    def archive(self) -> GitArchive:
        """The archive, opened again."""
        return archive.open_archive(self.folder / "s", "hourly")

    @property
    def git_folder(self) -> Path:
        """The git directory of the archive."""
        return self.folder / "s" / "hourly" / ".git"

    def sample(self, minutes: int, **tiers: int) -> str:
        """Take a sample of a configuration that differs in some profiles; returns its tag."""
        self._put(tiers)
        opened = self.archive
        info = TreeInfo("hourly", opened.branch, (CLUSTER_PROFILE,), SecretsInfo(SecretsMode.OMIT))
        with opened.writer() as writer:
            files: dict[str, BlobId] = {
                path_of(ObjectKey(CLUSTER_PROFILE, "", name)): writer.store(encode(_profile(name, tier)))
                for name, tier in self.tiers.items()
            }
            time = NOON + timedelta(minutes=minutes)
            draft = SampleDraft(info, {Area.CONFIGURATION: files}, time, Trigger.SCHEDULE, DIRECTORY)
            return writer.record(draft).sample.tag

    def change(
        self, minutes: int, name: str, tier: int | None, *, author: Author = UNKNOWN_AUTHOR, late: bool = False
    ) -> CommitId:
        """Record a change of one profile, None to delete it; returns its commit."""
        self._put({name: tier})
        document = None if tier is None else _profile(name, tier)
        key = ObjectKey(CLUSTER_PROFILE, "", name)
        time = NOON + timedelta(minutes=minutes)
        manager = author.name if author.source is AuthorSource.MANAGER else ""
        made = write_change(
            self.archive, {key: document}, author=author, time=time, version=minutes, late=late,
            manager=manager, cluster=DIRECTORY,
        )  # fmt: skip
        return made.commit

    def _put(self, tiers: dict[str, int] | dict[str, int | None]) -> None:
        for name, tier in tiers.items():
            file = self.folder / "cluster" / f"{name}.yaml"
            if tier is None:
                del self.tiers[name]
                file.unlink()
            else:
                self.tiers[name] = tier
                file.write_text(_MANIFEST.format(name, tier))


def _profile(name: str, tier: int) -> JsonObject:
    return {
        "apiVersion": "config.projectsveltos.io/v1beta1",
        "kind": "ClusterProfile",
        "metadata": {"name": name},
        "spec": {"tier": tier},
    }


@dataclass(frozen=True)
class Story:
    """An archive with two samples and three changes."""

    followed: Followed
    first: str
    """The sample of 12:00: both profiles have tier 1."""
    alice: CommitId
    """The change of 12:05: guestbook has tier 2."""
    late: CommitId
    """The change of 12:10, by kubectl-edit, seen late: other has tier 3."""
    second: str
    """The sample of 12:20, which has the commit of ``late``."""
    bob: CommitId
    """The change of 12:25: guestbook has tier 9."""

    @property
    def folder(self) -> Path:
        """The folder for commands: the storage is ``s``, the cluster ``cluster``."""
        return self.followed.folder


def story(folder: Path) -> Story:
    """Make the archive of a story."""
    followed = Followed(folder)
    return Story(
        followed,
        followed.sample(0, guestbook=1, other=1),
        followed.change(5, "guestbook", 2, author=ALICE),
        followed.change(10, "other", 3, author=Author("kubectl-edit", AuthorSource.MANAGER), late=True),
        followed.sample(20),
        followed.change(25, "guestbook", 9, author=BOB),
    )
