"""Puts objects back as a sample holds them: prepare a plan, try it on the server, carry it out, report.

Written against ports.Cluster and ports.Tree. This package must not print, ask, or read a clock.
"""

from gitsnap.rollback.carrying_out import Report, StoppedError, TakeSample, apply, try_on_server
from gitsnap.rollback.preparing import prepare

__all__ = ["Report", "StoppedError", "TakeSample", "apply", "prepare", "try_on_server"]
