"""Go templates in names and namespaces, as Sveltos renders them for a managed cluster.

A small part of the language: fields of the cluster, pipelines, ``if``, and functions that always give the same result.
All else is an error, never a guess: a name that was rendered wrongly would archive the wrong object.
"""

from gitsnap.sveltos.templates.errors import TemplateError
from gitsnap.sveltos.templates.rendering import render
from gitsnap.sveltos.templates.values import UNKNOWN, Root

__all__ = ["UNKNOWN", "Root", "TemplateError", "render"]
