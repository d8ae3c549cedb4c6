"""The report of a period as one HTML file. The same report gives the same bytes: nothing here reads a clock."""

from gitsnap.render.report.page import render_report
from gitsnap.render.report.values import ArchiveProof, Report

__all__ = ["ArchiveProof", "Report", "render_report"]
