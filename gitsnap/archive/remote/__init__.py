"""Remotes: an archive's branch and tags are pushed, never forced, and fetched, by the git program.

What the remote holds is read back before a push counts. ``comparing``, for ``verify`` alone, is imported from there.
This package must not decide when to push.
"""

from gitsnap.archive.remote.connection import Remote
from gitsnap.archive.remote.credentials import Credentials
from gitsnap.archive.remote.fetch import cache_folder, cached_clone, clone, is_url
from gitsnap.archive.remote.push import Pushed, push, unpushed
from gitsnap.archive.remote.push_samples import forget_unsent, send_samples

__all__ = [
    "Credentials",
    "Pushed",
    "Remote",
    "cache_folder",
    "cached_clone",
    "clone",
    "forget_unsent",
    "is_url",
    "push",
    "send_samples",
    "unpushed",
]
