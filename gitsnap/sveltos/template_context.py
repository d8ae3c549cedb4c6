"""The context of templates in ConfigMaps and Secrets: their cluster, and the objects that they may read.

A label of a cluster, or an object in ``templateResourceRefs``, can change the deployed content while every source stays
the same. gitsnap evaluates a template if it can. For other templates, it knows the objects that they may read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from gitsnap.core.model import ObjectKey
from gitsnap.sveltos.clusters import ClusterObjects, no_objects
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.references import render

CLUSTER = ".Cluster"
"""The text by which a template refers to the object of its cluster."""


@dataclass(frozen=True, slots=True, order=True)
class TemplateInput:
    """An object that templates may read."""

    word: str
    """The text by which a template refers to the object: ``.Cluster``, or an identifier in the profile."""
    key: ObjectKey
    state: tuple[str, ...]
    """The content ids of the object in the configuration and in the inventory."""

    def is_read_by(self, template: str) -> bool:
        """Return whether a template may read the object. ``.ClusterName`` does not refer to ``.Cluster``."""
        return re.search(rf"{re.escape(self.word)}(?![A-Za-z0-9_])", template) is not None


@dataclass(frozen=True, slots=True)
class TemplateContext:
    """The cluster for which the templates of a profile are evaluated, and the objects that they may read."""

    cluster: ClusterRef | None = None
    inputs: frozenset[TemplateInput] = frozenset()
    objects: ClusterObjects = field(default=no_objects, compare=False)

    def evaluate(self, template: str) -> str | None:
        """Return the text that Sveltos deploys, None if gitsnap cannot evaluate the template."""
        if self.cluster is None:
            return None
        return render(template, self.cluster, self.objects, escape=False)

    def inputs_of(self, template: str) -> frozenset[TemplateInput]:
        """Return the objects that a template may read."""
        return frozenset(template_input for template_input in self.inputs if template_input.is_read_by(template))


NO_CONTEXT = TemplateContext()
"""Leaves every template as it is written."""
