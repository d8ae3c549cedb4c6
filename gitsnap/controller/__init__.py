"""Recurring samples in the cluster: serves Snapshot resources as ``gitsnap controller``.

One loop decides (``loop``); threads take samples (``sampling``), watch (``watching``) and report (``reporting``). What
is due and what a status says are pure functions (``agenda``, ``status``). ``permissions`` draws the line between who
writes Snapshots and who runs the controller.
This package must not read the environment.
"""

from gitsnap.controller.logs import configure_logging
from gitsnap.controller.loop import Controller, Settings
from gitsnap.controller.permissions import Permissions

__all__ = ["Controller", "Permissions", "Settings", "configure_logging"]
