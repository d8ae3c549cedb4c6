"""Remotes: an archive's branch and tags are pushed, never forced, and fetched, by the git program.

What the remote holds is read back before a push counts. ``comparing``, for ``verify`` alone, is imported from there.
This package must not decide when to push.
"""

from gitsnap.remote.credentials import Credentials
from gitsnap.remote.fetching import cache_folder, cached_clone, clone, is_url
from gitsnap.remote.pushing import Pushed, push, unpushed
from gitsnap.remote.sending import forget_unsent, send_samples
from gitsnap.remote.talking import Remote

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
