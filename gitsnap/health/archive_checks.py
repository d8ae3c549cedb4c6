"""The checks of an archive and its keys. They need no cluster."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from gitsnap.archive import GitArchive
from gitsnap.archive.completeness import FETCH_TAGS, is_clone_at
from gitsnap.archive.remote import configured_remote
from gitsnap.archive.remote.push import count_unpushed_changes, pushed_tags
from gitsnap.core.errors import GitsnapError, UsageError
from gitsnap.core.files import why_not_writable
from gitsnap.core.model import Area, Consistency, Sample, SecretsMode
from gitsnap.core.ports import Cluster
from gitsnap.core.text import age, byte_size, join_names, plural
from gitsnap.health import Check, State
from gitsnap.rollback import unfinished
from gitsnap.secrets import archive_keys

_LITTLE_SPACE = 100 * 1024 * 1024
"""Bytes. With less free space than this, a capture may soon fail."""

_MOST_NAMED = 3


def check_archive(
    archive: GitArchive, now: datetime, *, identities: Sequence[Path] = (), cluster: Cluster | None = None
) -> Iterator[Check]:
    """The checks of samples, keys, rollbacks and disk.

    ``identities``: files of private keys to decrypt with. ``cluster``: a cluster that answers; its Snapshot may name a
    Secret with the fingerprint key.
    """
    samples = archive.samples()
    newest = samples[-1] if samples else None
    yield _samples(archive, samples)
    if newest is not None:
        yield _newest(newest, now)
        yield from _changes(archive, newest, now)
        yield _secrets(archive, newest, identities, cluster)
    yield _rollback(samples)
    yield _storage(archive)


def check_pushed(archive: GitArchive, samples: Sequence[Sample], url: str) -> Check:
    """Whether the remote has the samples and changes, by the record of the last push. Does not connect to the remote.

    ``url`` is the remote without credentials, ``""`` if neither the archive nor its Snapshot names a remote.
    """
    if is_clone_at(archive.git_folder):
        hint = f"`{FETCH_TAGS}` in this folder fetches newer samples. `gitsnap verify --remote URL` compares."
        return Check("remote", State.NOT_CHECKED, f"this folder is a clone{f' of {url}' if url else ''}", hint)
    pushed = pushed_tags(archive.git_folder)
    hint = f"`gitsnap push --snapshot {archive.policy}` pushes the samples and changes."
    waiting = sum(sample.tag_id not in pushed for sample in samples)
    where = f" to {url}" if url else ""
    if not pushed:
        never = f"no sample was pushed{where} from this folder"
        if url:
            return Check("remote", State.WRONG, never, hint)
        return Check("remote", State.OK, f"{never}: this disk has the only copy")
    changes = count_unpushed_changes(archive.git_folder, archive.branch)
    if waiting or changes:
        of_all = f"{plural(waiting, 'sample')} of {len(samples)}" if waiting else ""
        named = " and ".join(filter(None, (of_all, plural(changes, "change") if changes else "")))
        return Check("remote", State.WRONG, f"{named} not pushed{where}", hint)
    message = f"all samples and changes were pushed{where}; `gitsnap verify --remote URL` checks the remote"
    return Check("remote", State.OK, message)


def find_remote(archive: GitArchive) -> str:
    """The URL without credentials that `gitsnap push` would use; ``""`` if the archive has no such remote."""
    try:
        remote = configured_remote(archive.git_folder)
    except UsageError:
        return ""
    return remote.shown if remote is not None else ""


def _samples(archive: GitArchive, samples: Sequence[Sample]) -> Check:
    missing = archive.missing_parts()
    problems = archive.listing()[1]
    hint = f"`gitsnap verify --snapshot {archive.policy}` says more."
    wrong = [part.message for part in missing]
    if missing and missing[0].command:
        hint = f"Run `{missing[0].command}`."
    elif problems:
        wrong.append(
            f"these tags cannot be read: {join_names([problem.tag for problem in problems], most=_MOST_NAMED)}"
        )
    if not samples:
        if wrong:
            return Check("samples", State.WRONG, "; ".join(wrong), hint)
        return Check("samples", State.WRONG, "the archive has no sample", "`gitsnap capture` takes the first sample.")
    message = (
        f"{plural(len(samples), 'sample')} since {samples[0].time:%Y-%m-%d}, {byte_size(archive.repository_bytes())}"
    )
    if wrong:
        return Check("samples", State.WRONG, f"{message}, but {'; '.join(wrong)}", hint)
    return Check("samples", State.OK, message)


def _newest(sample: Sample, now: datetime) -> Check:
    metadata = sample.metadata
    message = (
        f"{metadata.time:%Y-%m-%d %H:%M:%S} UTC ({age(now - metadata.time)}), {metadata.trigger}, "
        f"{plural(metadata.objects, 'object')}"
    )
    if metadata.incomplete:
        kinds = join_names(sorted({entry.kind.name for entry in metadata.incomplete}), most=_MOST_NAMED)
        hint = f"`gitsnap list --wide` shows the reason. Check the rights of the user who captures for {kinds}."
        return Check("newest", State.WRONG, f"{message}, incomplete: {kinds} could not be read", hint)
    if not metadata.objects:
        hint = (
            "Check that the capture reads the right cluster or folder; `gitsnap diff` shows what the sample before had."
        )
        return Check("newest", State.WRONG, f"{message}: the sample is empty", hint)
    if metadata.consistency is Consistency.PER_KIND:
        message += ", not read at one instant"
    return Check("newest", State.OK, message)


def _changes(archive: GitArchive, newest: Sample, now: datetime) -> Iterator[Check]:
    """The changes that follow mode recorded after the newest sample. Nothing if there are none."""
    changes = archive.changes(newest, None)
    if changes:
        last = f"the last at {changes[-1].time:%Y-%m-%d %H:%M:%S} UTC ({age(now - changes[-1].time)})"
        yield Check("changes", State.OK, f"{plural(len(changes), 'change')} since the newest sample, {last}")


def _secrets(archive: GitArchive, newest: Sample, identities: Sequence[Path], cluster: Cluster | None) -> Check:
    tree = archive.tree(newest)
    info, sealed = tree.info.secrets, tree.files(Area.SEALED)
    described = f"mode {info.mode}"
    if info.mode is SecretsMode.ENCRYPT:
        described += f" to {plural(len(info.recipients), 'recipient')}"
    if info.mode not in (SecretsMode.ENCRYPT, SecretsMode.REDACT):
        return Check("Secrets", State.OK, described)
    try:
        keeper = archive_keys.for_reading(archive, newest, identities=identities, cluster=cluster)
        if keeper is None or info.mode is SecretsMode.REDACT:
            return Check("Secrets", State.OK, f"{described}: fingerprints only, their values cannot be restored")
        if not keeper.can_unseal:
            hint = "To test the decryption, give the private key with --identity."
            return Check(
                "Secrets", State.NOT_CHECKED, f"{described}; there is no private key here to decrypt with", hint
            )
        for path in sorted(sealed)[:1]:
            keeper.unseal(tree.read(sealed[path]))
    except GitsnapError as error:
        return Check("Secrets", State.WRONG, f"{described}: {error.message}", error.hint)
    return Check("Secrets", State.OK, f"{described}; the private key here decrypts them")


def _rollback(samples: Sequence[Sample]) -> Check:
    past = unfinished(samples)
    if past is None:
        return Check("rollback", State.OK, "no rollback is unfinished")
    message = f"a rollback to {past.record.goal}, begun after {past.before.tag}, was not finished"
    hint = f"`gitsnap undo --of {past.before.tag}` reverts it; the same rollback again finishes it."
    return Check("rollback", State.WRONG, message, hint)


def _storage(archive: GitArchive) -> Check:
    folder = archive.git_folder
    if reason := why_not_writable(folder):
        hint = "Samples can be read. Capture as the user who owns the folder, on a file system that can be written."
        return Check("storage", State.NOT_CHECKED, f"{folder} {reason}", hint)
    free = shutil.disk_usage(folder).free
    if free < _LITTLE_SPACE:
        hint = "Free space, or remove samples with `gitsnap prune`."
        return Check("storage", State.WRONG, f"only {byte_size(free)} free on the disk of the archive", hint)
    return Check("storage", State.OK, f"writable, {byte_size(free)} free")
