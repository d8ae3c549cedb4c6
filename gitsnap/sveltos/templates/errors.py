"""The error of the template package."""

from __future__ import annotations


class TemplateError(Exception):
    """gitsnap does not support the template, or Sveltos itself fails on it. The message says why."""
