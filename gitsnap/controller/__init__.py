"""Recurring samples in the cluster: serves Snapshot resources as ``gitsnap controller``.

One loop decides (``loop``); threads take samples (``sampling``), watch (``watching``) and report (``reporting``). What
is due and what a status says are pure functions (``agenda``, ``status``).
This package must not read the environment.
"""

from gitsnap.controller.logs import configure_logging
from gitsnap.controller.loop import Controller, Settings

__all__ = ["Controller", "Settings", "configure_logging"]
