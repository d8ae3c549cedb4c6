"""Recurring samples in a cluster: serves Snapshot resources as ``gitsnap controller``.

``loop`` decides in one thread; other threads take samples (``run``), watch Snapshots (``snapshot_watch``) and write
reports (``reporter``). ``due`` and ``status`` are pure functions. ``permissions`` separates the rights of people who
write Snapshots from the rights of those who run the controller.
"""

from gitsnap.controller.audit import AuditSettings
from gitsnap.controller.logs import configure_logging
from gitsnap.controller.loop import Controller, Settings
from gitsnap.controller.permissions import Permissions

__all__ = ["AuditSettings", "Controller", "Permissions", "Settings", "configure_logging"]
