"""Why a template has no value here.

This module must not import its siblings.
"""

from __future__ import annotations


class TemplateError(Exception):
    """A template that gitsnap does not evaluate, or that Sveltos itself cannot; the text says which."""
