"""The options that select the objects of a rollback, and the options that permit its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from gitsnap.cli import options

if TYPE_CHECKING:
    from gitsnap.rollback.plan import Options, Selection


@dataclass(frozen=True, slots=True)
class SelectionOptions:
    """The options that select objects. Without any of them the whole sample is selected."""

    namespace: options.Namespaces = None
    clusters: options.ClustersToRestore = None
    clusterprofile: options.ClusterProfiles = None
    profile: options.Profiles = None
    classifier: options.Classifiers = None
    rolerequest: options.RoleRequests = None
    resource: options.Resources = None
    excepted: options.Excepted = None
    selector: options.Selector = ""
    with_references: options.WithReferences = False

    def selection(self, objects: Sequence[str] = ()) -> Selection:
        """Return the selection for a plan. ``objects`` are additional values of --resource."""
        from gitsnap.rollback.plan import Selection

        return Selection(
            namespaces=tuple(self.namespace or ()),
            clusters=tuple(self.clusters or ()),
            clusterprofiles=tuple(self.clusterprofile or ()),
            profiles=tuple(self.profile or ()),
            classifiers=tuple(self.classifier or ()),
            rolerequests=tuple(self.rolerequest or ()),
            resources=(*(self.resource or ()), *objects),
            excepted=tuple(self.excepted or ()),
            labels=self.selector,
            with_references=self.with_references,
        )


@dataclass(frozen=True, slots=True)
class UndoOptions:
    """The options that permit steps of an undo. Field names are those of ``gitsnap.rollback.plan.Options``."""

    allow_withdraw: options.AllowWithdraw = False
    allow_less: options.AllowLess = False
    force_owned: options.ForceOwned = False
    skip_refused: options.SkipRefused = False

    def plan_options(self) -> Options:
        """Return the options for a plan."""
        from gitsnap.rollback.plan import Options

        return Options(**asdict(self))


@dataclass(frozen=True, slots=True)
class RollbackOptions(UndoOptions):
    """The options that permit steps of a rollback."""

    recreate: options.Recreate = False
    create_namespaces: options.CreateNamespaces = False
    prune: options.Prune = False
    max_delete: options.MaxDelete = options.MAX_DELETE


@dataclass(frozen=True, slots=True)
class RollbackRequest:
    """The sample, the selection and the permissions of a rollback, from the command line or from a plan file."""

    sample: str
    """The sample as the user named it; ``""`` if the user named no sample."""
    selection: Selection
    options: Options

    @property
    def is_empty(self) -> bool:
        """Whether the user gave no sample and no option."""
        from gitsnap.rollback.plan import Options, Selection

        return self == RollbackRequest("", Selection(), Options())
