"""Templates inside ConfigMaps and Secrets: carried out for a cluster where that is possible, else what they may read.

A label of a cluster, or an object that a profile hands to its templates, changes what is deployed while every source
stays the same. This module must not compare.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from gitsnap.core.model import ObjectKey
from gitsnap.sveltos.clusters import ClusterObjects, no_objects
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.references import render

CLUSTER = ".Cluster"
"""How templates call the object of their cluster."""


@dataclass(frozen=True, slots=True, order=True)
class Input:
    """An object that templates may read."""

    word: str
    """What a template that reads it has in its text: ``.Cluster``, or the identifier that the profile gives it."""
    key: ObjectKey
    state: tuple[str, ...]
    """The ids of what is archived of it."""

    def is_read_by(self, text: str) -> bool:
        """Whether a template may read it; ``.ClusterName`` is no word of ``.Cluster``."""
        return re.search(rf"{re.escape(self.word)}(?![A-Za-z0-9_])", text) is not None


@dataclass(frozen=True, slots=True)
class Filling:
    """What the templates of one profile are filled in with for one cluster, on one side."""

    cluster: ClusterRef | None = None
    inputs: frozenset[Input] = frozenset()
    objects: ClusterObjects = field(default=no_objects, compare=False)

    def carry_out(self, template: str) -> str | None:
        """The text that Sveltos deploys, None where only Sveltos can tell."""
        if self.cluster is None:
            return None
        return render(template, self.cluster, self.objects, escape=False)

    def read_by(self, template: str) -> frozenset[Input]:
        """What a template that cannot be carried out here may read."""
        return frozenset(one for one in self.inputs if one.is_read_by(template))


NOTHING = Filling()
"""For texts that are compared as they are written."""
