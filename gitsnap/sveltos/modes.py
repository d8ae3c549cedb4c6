"""The modes of a profile: ``syncMode`` and ``stopMatchingBehavior``. docs/SVELTOS.md describes their effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitsnap.core.json_paths import values_at
from gitsnap.core.model import Kind
from gitsnap.sveltos.reference_paths import ADD_ONS_AT

ONE_TIME = "OneTime"
DRY_RUN = "DryRun"
_CONTINUOUS = "Continuous"
_LEAVE = "LeavePolicies"


def sync_mode(document: Mapping[str, Any]) -> str:
    """The ``syncMode`` of a profile, ClusterPromotion or EventTrigger; ``Continuous`` by default."""
    return _field(document, "syncMode") or _CONTINUOUS


def leaves_policies(document: Mapping[str, Any]) -> bool:
    """Whether Sveltos leaves the deployed resources on a cluster that stops matching."""
    return _field(document, "stopMatchingBehavior") == _LEAVE


def _field(document: Mapping[str, Any], name: str) -> str:
    path = ADD_ONS_AT.get(Kind.of(document))
    return str(next(values_at(document, f"{path}.{name}"), "")) if path else ""
