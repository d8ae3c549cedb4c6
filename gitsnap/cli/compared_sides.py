"""The two sides of ``gitsnap diff``: samples, changes, or the live cluster, of one archive or of two."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gitsnap.cli import terminal
from gitsnap.cli.arguments import LIVE
from gitsnap.cli.documents import change_document, sample_document
from gitsnap.cli.headings import describe_cluster, describe_sample
from gitsnap.cli.resolve import ArchiveOptions, ClusterOptions
from gitsnap.cli.sample_choice import choose_state
from gitsnap.core.errors import NotFoundError, UsageError
from gitsnap.core.model import Sample, SecretsMode, TreeInfo
from gitsnap.core.states import SHORT_ID, ChangeState, State
from gitsnap.core.text import plural
from gitsnap.history import samples as history
from gitsnap.history.change_finder import Changes
from gitsnap.history.hidden_fields import hidden_fields

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.core.ports import SecretsKeeper, Tree
    from gitsnap.history.decryption import KeyedTree


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the comparison: a sample, or the live cluster."""

    tree: Tree
    description: str
    """The side in the heading: sample, trigger and archive, or the cluster."""
    archive: GitArchive
    """The archive of the sample, or the archive that the cluster is compared with."""
    sample: State | None = None
    """The sample or the change. None for the live cluster."""
    live_keeper: SecretsKeeper | None = None
    """The keys of the tree of a live cluster."""

    @property
    def label(self) -> str:
        """The side in the headings of a raw diff: a tag, the commit of a change, or ``live``."""
        if isinstance(self.sample, ChangeState):
            return self.sample.moment
        return self.sample.tag if self.sample else LIVE

    @property
    def name(self) -> str:
        """The side in messages."""
        if isinstance(self.sample, ChangeState):
            return f"the change {self.sample.moment}"
        return self.sample.tag if self.sample else "the management cluster now"

    @property
    def document(self) -> object:
        """The side in JSON."""
        if isinstance(self.sample, ChangeState):
            return change_document(self.sample)
        return sample_document(self.sample) if self.sample else LIVE

    def with_keys(self, identities: list[Path]) -> KeyedTree:
        """Return the tree and the keys that decrypt its values. Raises SecretsError."""
        from gitsnap.secrets import archive_keys

        if self.sample is None:
            return self.tree, self.live_keeper
        return self.tree, archive_keys.for_reading(self.archive, self.sample, identities=identities)


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How the live cluster is read."""

    cluster: ClusterOptions
    identities: list[Path]
    decrypt: bool
    """Whether the tree also has the values of Secrets."""
    shows_lines: bool
    """Whether lines of the live objects are shown. Then fields are hidden that only a later sample hides."""


def open_archives(storage: Path | None, snapshot: str, paths: list[str]) -> tuple[GitArchive, GitArchive]:
    """Open the archives of the older and the newer sample: one archive, unless the user named two.

    Raises UsageError for more than two archives.
    """
    if len(paths) > 2:
        raise UsageError("--archive: two archives can be compared, not more")
    opened = [ArchiveOptions(snapshot, storage, path).open() for path in paths or [""]]
    return opened[0], opened[-1]


def open_sides(
    opened: GitArchive, other: GitArchive, from_sample: str, to_sample: str, choice: LiveOptions
) -> tuple[Side, Side]:
    """Return both sides, in the order of the options: two samples, or a sample and the live cluster."""
    if LIVE in (from_sample, to_sample):
        return _compared_with_live(opened, other, from_sample, to_sample, choice)
    return _compared_samples(opened, other, from_sample, to_sample)


def _compared_samples(opened: GitArchive, other: GitArchive, from_sample: str, to_sample: str) -> tuple[Side, Side]:
    """Return the two samples.

    The default of ``from_sample`` is the sample before the other one; for two archives, the newest sample. The default
    of ``to_sample`` is the newest sample; the newest change, if ``from_sample`` is newer than that sample.
    """
    after = choose_state(other, to_sample or "latest")
    if from_sample or other is not opened:
        before = choose_state(opened, from_sample or "latest", end=False)
        if other is opened and not to_sample and before.order > after.order:
            after = next(Changes(other).newest_first(other.samples()))
    else:
        before = _state_before(opened, after)
    location = "" if other is opened else f" of {other.source}"
    return (
        Side(opened.tree(before), f"{describe_sample(before)} of {opened.source}", opened, before),
        Side(other.tree(after), f"{describe_sample(after)}{location}", other, after),
    )


def _state_before(archive: GitArchive, state: State) -> State:
    """Return the sample before a sample, or the state before a change. Raises NotFoundError if there is none."""
    if isinstance(state, Sample):
        try:
            return history.sample_before(archive.samples(), state)
        except NotFoundError as error:
            newer = archive.changes(state, None)
            if not newer:
                raise
            counted = plural(len(newer), "change")
            hint = f"`gitsnap diff {state.tag} {newer[-1].commit[:SHORT_ID]}` shows the {counted} since this sample."
            raise NotFoundError(error.message, hint=hint) from None
    before = Changes(archive).state_before(state)
    if before is None:
        raise NotFoundError(
            f"there is no sample and no change before the {state}",
            hint="`gitsnap list --changes` lists the samples and the changes. `gitsnap diff FROM TO` compares two.",
        )
    return before


def _compared_with_live(
    opened: GitArchive, other: GitArchive, from_sample: str, to_sample: str, choice: LiveOptions
) -> tuple[Side, Side]:
    """Return a sample and the live cluster, in the order of the options. Raises UsageError, WrongClusterError."""
    from_live = from_sample == LIVE
    to_sample = to_sample or "latest"
    if from_live and to_sample == LIVE:
        raise UsageError("both sides are live: name a sample for one of them")
    if other is not opened:
        raise UsageError("live compares with a cluster: give --archive once")
    name = to_sample if from_live else from_sample or "latest"
    sample = choose_state(opened, name, end=from_live)
    live = _live_side(opened, sample, choice)
    side = Side(opened.tree(sample), f"{describe_sample(sample)} of {opened.source}", opened, sample)
    return (live, side) if from_live else (side, live)


def _live_side(archive: GitArchive, sample: State, choice: LiveOptions) -> Side:
    """Read the configuration of the live cluster.

    The scope and the secrets mode are those of the sample that the cluster is compared with. Raises WrongClusterError.
    """
    from gitsnap.capture import check_cluster, live_tree
    from gitsnap.capture.live_tree import MemoryKeeper
    from gitsnap.secrets import archive_keys

    cluster = choice.cluster.open()
    info = cluster.info()
    check_cluster(archive, info)
    keeper: SecretsKeeper | None = archive_keys.for_reading(
        archive, sample, identities=choice.identities, cluster=cluster
    )
    if choice.decrypt and keeper is not None and archive.tree(sample).info.secrets.mode is SecretsMode.ENCRYPT:
        keeper = MemoryKeeper(keeper.fingerprint_key)
    progress = terminal.ProgressLine()
    try:
        tree = live_tree(cluster, _live_info(archive, sample, choice), keeper=keeper, progress=progress)
    finally:
        progress.clear()
    return Side(tree, f"{describe_cluster(info)} now", archive, live_keeper=keeper)


def _live_info(archive: GitArchive, sample: State, choice: LiveOptions) -> TreeInfo:
    """Return the settings of the live tree: those of the sample, and the fields that have become sensitive since."""
    info = archive.tree(sample).info
    if not choice.shows_lines or choice.decrypt:
        return info
    fields = tuple(sorted({*info.secrets.sensitive_fields, *hidden_fields([archive])}, key=str))
    return replace(info, secrets=replace(info.secrets, sensitive_fields=fields))
