"""What a rollback is about and what it may do, as options of the command line.

This module must not decide which objects are meant; ``gitsnap.rollback.plan`` does.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from gitsnap.cli import options

if TYPE_CHECKING:
    from gitsnap.rollback.plan import Options, Selection


@dataclass(frozen=True, slots=True)
class Selected:
    """The objects that were named; none for the whole sample."""

    namespace: options.Namespaces = None
    clusters: options.Clusters = None
    clusterprofile: options.ClusterProfiles = None
    profile: options.Profiles = None
    classifier: options.Classifiers = None
    rolerequest: options.RoleRequests = None
    resource: options.Resources = None
    excepted: options.Excepted = None
    selector: options.Selector = ""
    with_references: options.WithReferences = False

    def selection(self) -> Selection:
        """The same as a plan takes it."""
        from gitsnap.rollback.plan import Selection

        return Selection(
            namespaces=tuple(self.namespace or ()),
            clusters=tuple(self.clusters or ()),
            clusterprofiles=tuple(self.clusterprofile or ()),
            profiles=tuple(self.profile or ()),
            classifiers=tuple(self.classifier or ()),
            rolerequests=tuple(self.rolerequest or ()),
            resources=tuple(self.resource or ()),
            excepted=tuple(self.excepted or ()),
            labels=self.selector,
            with_references=self.with_references,
        )


@dataclass(frozen=True, slots=True)
class Allowed:
    """What an undo may do; the names are those of ``gitsnap.rollback.plan.Options``."""

    allow_withdraw: options.AllowWithdraw = False
    allow_less: options.AllowLess = False
    force_owned: options.ForceOwned = False
    skip_refused: options.SkipRefused = False

    def options(self) -> Options:
        """The same as a plan takes it."""
        from gitsnap.rollback.plan import Options

        return Options(**asdict(self))


@dataclass(frozen=True, slots=True)
class AllowedToRollBack(Allowed):
    """What a rollback may do."""

    recreate: options.Recreate = False
    create_namespaces: options.CreateNamespaces = False
    prune: options.Prune = False
    max_delete: options.MaxDelete = options.MAX_DELETE


@dataclass(frozen=True, slots=True)
class Requested:
    """What a rollback is to do, from the command line or from a plan file."""

    sample: str
    """As it was named; ``""`` where it was not."""
    selection: Selection
    allowed: Options

    @property
    def nothing(self) -> bool:
        """Whether none of it was said."""
        from gitsnap.rollback.plan import Options, Selection

        return self == Requested("", Selection(), Options())
