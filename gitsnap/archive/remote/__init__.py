"""Remotes: push the branch and the tags of an archive, never forced, and fetch them, with the git program.

After a push the refs of the remote are read back. The push succeeds only if they are the refs that were pushed.
Import ``verify``, which compares an archive with its remote, from its own module.
"""

from gitsnap.archive.remote.connection import Remote
from gitsnap.archive.remote.credentials import Credentials
from gitsnap.archive.remote.fetch import cache_folder, cached_clone, clone, is_url
from gitsnap.archive.remote.git_config import configured_remote
from gitsnap.archive.remote.push import Pushed, count_unpushed, count_unpushed_changes, describe_unpushed, push
from gitsnap.archive.remote.push_samples import forget_pending, push_pending

__all__ = [
    "Credentials",
    "Pushed",
    "Remote",
    "cache_folder",
    "cached_clone",
    "clone",
    "configured_remote",
    "count_unpushed",
    "count_unpushed_changes",
    "describe_unpushed",
    "forget_pending",
    "is_url",
    "push",
    "push_pending",
]
