"""Captures: reads a cluster and records a sample in an archive, or builds a tree in memory for a comparison.

This package must not parse command lines, print, or read the clock: the time of a sample is an argument.
"""

from gitsnap.capture.collector import READING_SECONDS, Progress
from gitsnap.capture.empty_sample import check_folder
from gitsnap.capture.live_tree import live_tree
from gitsnap.capture.sample import CaptureResult, ChangeRecorder, Request, capture, check_cluster, tree_info

__all__ = [
    "READING_SECONDS",
    "CaptureResult",
    "ChangeRecorder",
    "Progress",
    "Request",
    "capture",
    "check_cluster",
    "check_folder",
    "live_tree",
    "tree_info",
]
