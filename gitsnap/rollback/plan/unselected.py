"""Objects that differ from the sample and that the selection of a plan leaves out.

A plan without a write does not prove that the cluster is as the user wants: the user may mean these objects as well.
"""

from __future__ import annotations

import enum
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from gitsnap.core.model import ObjectKey
from gitsnap.core.text import describe, join_names, plural, verb_form
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef

_MOST_NAMES = 3

_FLAGS = {
    kinds.CLUSTER_PROFILE: "--clusterprofile",
    kinds.PROFILE: "--profile",
    kinds.CLASSIFIER: "--classifier",
    kinds.ROLE_REQUEST: "--rolerequest",
    **dict.fromkeys(kinds.CLUSTER_KINDS, "--cluster"),
}


class Relation(enum.StrEnum):
    """How objects that a plan leaves out are related to its selection. The values are part of the JSON document."""

    REFERENCED = "referenced"
    """Selected objects refer to them."""
    NAMED = "named"
    """Sets and prerequisites that a selected profile names. --with-references does not select them."""
    MATCHED = "matched"
    """Clusters that a selected profile matched in the sample and does not match after the plan."""
    DEPLOYED = "deployed"
    """Profiles that are deployed on a selected cluster, and the objects that the profiles refer to."""
    CREATED = "created"
    """Profiles that are deployed on a selected cluster and are not in the sample."""
    NAMESPACE = "namespace"
    """Objects in a selected namespace, of a kind that --namespace alone does not select."""
    LABELS = "labels"
    """Objects that --selector leaves out."""
    EXCEPTED = "excepted"
    """Objects that --except leaves out."""


@dataclass(frozen=True, slots=True)
class Unselected:
    """Objects that have the same relation to the selection, and that the selection leaves out."""

    relation: Relation
    subject: ObjectKey | None = None
    """The object that the others are related to; None for several objects."""
    clusters: tuple[ClusterRef, ...] = ()
    """For DEPLOYED and CREATED: the selected clusters."""
    differing: tuple[ObjectKey, ...] = ()
    """The objects that differ from the sample, sorted."""
    is_separate: bool = False
    """Whether the options need a command of their own: with the other options of the user they select other objects."""
    not_compared: tuple[ObjectKey, ...] = ()
    """The objects that were not compared: there are too many, or the rights or the keys of the archive are missing."""

    @property
    def options(self) -> tuple[str, ...]:
        """The options that select the objects; empty if an option of the user leaves them out."""
        match self.relation:
            case Relation.REFERENCED:
                return ("--with-references",)
            case Relation.LABELS | Relation.EXCEPTED:
                return ()
            case Relation.DEPLOYED if self.subject is not None:
                others = {*self.differing, *self.not_compared} - {self.subject}
                return (*_option(self.subject), *(["--with-references"] if others else []))
            case Relation.CREATED:
                return (*self._options_by_name, "--prune")
        return self._options_by_name

    @property
    def _options_by_name(self) -> tuple[str, ...]:
        return tuple(word for key in self.differing or self.not_compared for word in _option(key))

    def __str__(self) -> str:
        """``1 object that ClusterProfile x refers to differs: ConfigMap/default/database; add --with-references``."""
        keys = self.differing or self.not_compared
        verb = verb_form(len(keys), "differs") if self.differing else f"{verb_form(len(keys), 'was')} not compared"
        text = f"{self._described(keys)} {verb}: {join_names([resource_name(key) for key in keys], most=_MOST_NAMES)}"
        if self.relation is Relation.CREATED:
            text = self._described(keys)
        if self.differing and self.not_compared:
            text += f", and {len(self.not_compared)} more not compared"
        options = self.options
        most = 2 * _MOST_NAMES
        shown = shlex.join(options[:most]) + (" ..." if len(options) > most else "")
        return f"{text}; {'in a rollback of its own:' if self.is_separate else 'add'} {shown}" if shown else text

    def _described(self, keys: Sequence[ObjectKey]) -> str:
        """The objects as the subject of the sentence."""
        objects = plural(len(keys), "object")
        subject = describe(self.subject) if self.subject else ""
        where = str(self.clusters[0]) if len(self.clusters) == 1 else f"{len(self.clusters)} of the selected clusters"
        match self.relation:
            case Relation.REFERENCED:
                return f"{objects} that {f'{subject} refers' if subject else 'the selected objects refer'} to"
            case Relation.NAMED:
                return f"{objects} that {f'{subject} names' if subject else 'the selected profiles name'}"
            case Relation.MATCHED:
                clusters = plural(len(keys), "cluster")
                return f"{clusters} that {subject or 'the selected profiles'} matched in the sample"
            case Relation.DEPLOYED:
                return f"{objects} of {subject}, which is deployed on {where},"
            case Relation.CREATED:
                profiles = join_names([describe(key) for key in keys], most=_MOST_NAMES)
                return f"{profiles} {verb_form(len(keys), 'is')} deployed on {where} and not in the sample"
            case Relation.NAMESPACE:
                return f"{objects} of other kinds in the namespace"
            case Relation.LABELS:
                return f"{objects} that --selector leaves out"
            case Relation.EXCEPTED:
                return f"{objects} that --except leaves out"


def resource_name(key: ObjectKey) -> str:
    """An object as --resource accepts it: ``ConfigMap/default/database``, with a group unless Sveltos uses the kind."""
    kind = key.kind.name if key.kind in kinds.BY_KIND else str(key.kind)
    return "/".join(part for part in (kind, key.namespace, key.name) if part)


def _option(key: ObjectKey) -> tuple[str, str]:
    """The option that selects an object by its name."""
    flag = _FLAGS.get(key.kind)
    if flag is None:
        return "--resource", resource_name(key)
    return flag, f"{key.namespace}/{key.name}" if key.namespace else key.name
