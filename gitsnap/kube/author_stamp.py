"""The annotation in which the admission policy of ``manifests/overlays/stamp`` records who wrote an object."""

from __future__ import annotations

from gitsnap.core.objects import KubeObject
from gitsnap.kube.user_names import author_name

AUTHOR_ANNOTATION = "gitsnap.io/author"

_NEW = "-"


def stamped_author(obj: KubeObject, *, replaced: str) -> str:
    """The author of the write that made an object, as the policy recorded it.

    Args:
        obj: The object after the write.
        replaced: The resource version that the write replaced; ``""`` for a new object.

    Returns:
        The name of the author. ``""`` if the object has no stamp, or the stamp of another write: the policy was not in
        force, or the version before is not the one that the write replaced.
    """
    stamp = (obj.metadata.get("annotations") or {}).get(AUTHOR_ANNOTATION)
    version, _, user = stamp.partition(" ") if isinstance(stamp, str) else ("", "", "")
    return author_name(user) if version and version == (replaced or _NEW) else ""
