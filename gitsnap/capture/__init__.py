"""Takes samples: reads a cluster and records what it finds, or keeps it in memory to compare with.

This package must not parse command lines, print, or ask what time it is: the moment of a sample is an argument.
"""

from gitsnap.capture.collector import READING_SECONDS, Progress
from gitsnap.capture.live_tree import live_tree
from gitsnap.capture.sample import CaptureResult, Request, capture, check_cluster, tree_info

__all__ = [
    "READING_SECONDS",
    "CaptureResult",
    "Progress",
    "Request",
    "capture",
    "check_cluster",
    "live_tree",
    "tree_info",
]
