"""Follow mode: every change of the configuration becomes a commit with its author (docs/FOLLOW.md).

This package must not parse command lines or print.
"""

from gitsnap.capture.follow.authors import AuditNames, AuthorFinder, ManagerAuthors, SeenWrite, StampAuthors, Write
from gitsnap.capture.follow.folder import FolderRunner
from gitsnap.capture.follow.follower import Follower
from gitsnap.capture.follow.runner import Runner
from gitsnap.capture.follow.settings import DEFAULT_MOST_SECONDS, DEFAULT_QUIET_SECONDS, FollowSettings
from gitsnap.capture.follow.stopped import StoppedFollower
from gitsnap.capture.follow.watches import WatchedCluster

__all__ = [
    "DEFAULT_MOST_SECONDS",
    "DEFAULT_QUIET_SECONDS",
    "AuditNames",
    "AuthorFinder",
    "FolderRunner",
    "FollowSettings",
    "Follower",
    "ManagerAuthors",
    "Runner",
    "SeenWrite",
    "StampAuthors",
    "StoppedFollower",
    "WatchedCluster",
    "Write",
]
