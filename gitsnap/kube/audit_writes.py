"""The writes of an audit log, and the rules that tell which writes can change the configuration of an object."""

from __future__ import annotations

from datetime import datetime

import msgspec

WRITING_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})

_HARMLESS_SUBRESOURCES = frozenset({"attach", "exec", "log", "portforward", "proxy", "token"})
"""Subresources whose requests leave the object as it is."""

_BUILT_IN_GROUPS = frozenset({"", "apps", "autoscaling", "batch", "policy"})
_SYSTEM = ("kube-system/", "system:")


class AuditWrite(msgspec.Struct, frozen=True, kw_only=True):
    """One request that wrote, or may have written, an object.

    A struct of msgspec takes a fifth of the time of a frozen dataclass. A log has millions of writes.
    """

    group: str
    resource: str
    """The plural: ``configmaps``."""
    namespace: str
    name: str
    """``""`` for a collection, that is, every object of the namespace, and for a generated name that the log does not
    have."""
    subresource: str
    verb: str
    """One of ``WRITING_VERBS``."""
    author: str
    received: datetime
    completed: datetime
    """The object was written between the two times, UTC."""
    kind: str = ""
    """``""`` if the log does not have the response."""
    uid: str = ""
    """``""`` if the log does not have it."""
    version: str = ""
    """The resource version of the object after the request. ``""`` if the log does not have it."""
    created: bool = False
    """Whether the request created the object."""
    certain: bool = True
    """False for a request that may have failed: a time-out, an error of the server, or no response in the log."""
    content: str = ""
    """A digest of the configuration after the request. ``""`` if the log does not have it."""

    @property
    def deletes(self) -> bool:
        """Whether the request deletes the object, or begins its deletion."""
        return self.verb in ("delete", "deletecollection") or self.subresource == "eviction"

    @property
    def changes_configuration(self) -> bool:
        """Whether the request can change more than the status of the object.

        A write of the status of a custom resource changes only the status. For some built-in kinds it can also change
        labels. For these kinds, only the controllers of Kubernetes are trusted to write nothing but the status.
        """
        if self.subresource in _HARMLESS_SUBRESOURCES:
            return False
        if self.subresource != "status":
            return True
        built_in = self.group in _BUILT_IN_GROUPS or self.group.endswith(".k8s.io")
        return built_in and not self.author.startswith(_SYSTEM)

    @property
    def covers_collection(self) -> bool:
        """Whether the request wrote objects of a namespace that the log does not name."""
        return not self.name

    def precedes(self, other: AuditWrite) -> bool:
        """Whether the request was answered before the other one was received."""
        return self.completed < other.received
