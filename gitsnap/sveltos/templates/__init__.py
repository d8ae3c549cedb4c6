"""Evaluates the Go templates in names and namespaces, as Sveltos does for a managed cluster.

Supported are fields of the cluster, pipelines, ``if``, and the functions whose result depends on their arguments only.
A template that uses anything else raises TemplateError, because a name that is rendered wrongly would archive the wrong
object.
"""

from gitsnap.sveltos.templates.errors import TemplateError
from gitsnap.sveltos.templates.renderer import render
from gitsnap.sveltos.templates.values import UNKNOWN, Root

__all__ = ["UNKNOWN", "Root", "TemplateError", "render"]
