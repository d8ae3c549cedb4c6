"""Refuses a sample without objects, which would record that everything was deleted.

The usual cause is the wrong folder, a volume that is not mounted, or the wrong cluster. A known cluster whose objects
are all gone is recorded.
"""

from __future__ import annotations

from collections.abc import Sequence

from gitsnap.capture.collector import Collected
from gitsnap.core.errors import EmptyError
from gitsnap.core.model import Area, Sample
from gitsnap.core.ports import ClusterInfo
from gitsnap.core.text import plural

_ALLOW = "To record a sample without objects, give --allow-empty."


def check_folder(cluster: ClusterInfo) -> None:
    """Raise EmptyError for a folder without any object, before an archive or a key is created for the folder."""
    if cluster.objects == 0:
        raise EmptyError(
            f"there is no object to record: no .yaml, .yml or .json file in {cluster.server} holds one. No sample was "
            "taken",
            hint=f"Is it the right folder, and is its volume mounted? {_ALLOW}",
        )


def check_not_empty(collected: Collected, cluster: ClusterInfo, samples: Sequence[Sample]) -> None:
    """Raise EmptyError if no object was collected, unless the archive knows the cluster.

    If an API server has the uid of the newest sample, the cluster is the right one and its objects were deleted: the
    sample is recorded. A folder of files proves nothing. ``samples``: the samples of the archive, oldest first.
    """
    if collected.files.get(Area.CONFIGURATION):
        return
    newest = samples[-1].metadata if samples else None
    if newest is not None and newest.cluster == cluster.uid and not cluster.is_folder:
        return
    before = f" The newest sample {samples[-1].tag} has {plural(newest.objects, 'object')}." if newest else ""
    raise EmptyError(
        f"there is no object to record: {_reason(collected, cluster)}. No sample was taken",
        hint=f"Is it the right {'folder' if cluster.is_folder else '--context'}?{before} `--resources KIND` adds a "
        f"kind. {_ALLOW}",
    )


def _reason(collected: Collected, cluster: ClusterInfo) -> str:
    """Name the cluster or the folder, and the reason why no object was collected."""
    subject = cluster.description
    if collected.incomplete:
        unread = ", ".join(str(entry) for entry in collected.incomplete)
        reason = f"these kinds of {subject} cannot be read: {unread}; no other kind has an object"
    elif cluster.is_folder:
        reason = f"{subject} holds {plural(cluster.objects or 0, 'object')}, and none is captured"
    elif not collected.serves_any:
        reason = f"{subject} serves no kind of Sveltos, so it may not be the management cluster"
    else:
        reason = f"{subject} has no object of the kinds that are captured"
    unmatched = [f"no object matches the entry '{entry}'" for entry in collected.not_matched]
    unserved = [f"the kind {kind} is not served" for kind in collected.not_served]
    return "; ".join([reason, *unserved, *unmatched])
