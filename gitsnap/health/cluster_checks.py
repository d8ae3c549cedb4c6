"""The checks that need the cluster: its identity, the rights of the user, and the reports of the controller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gitsnap.core.errors import AccessDeniedError, GitsnapError, KindNotInstalledError, NotFoundError
from gitsnap.core.model import JsonObject, Kind, ObjectKey, Sample
from gitsnap.core.ports import Cluster, ClusterInfo
from gitsnap.core.text import age, join_names, parse_time, plural
from gitsnap.health import Check, State
from gitsnap.policy.snapshot import SNAPSHOT
from gitsnap.sveltos.kinds import LISTED_KINDS

_MOST_NAMED = 3
_LATE = timedelta(minutes=10)
"""How long after its time a scheduled sample may be missing before the controller counts as stopped."""


@dataclass(frozen=True, slots=True)
class PolicyResource:
    """The Snapshot resource of an archive."""

    document: JsonObject | None
    """None if the cluster has no such Snapshot."""

    @property
    def push_url(self) -> str:
        """``spec.push.url``, or ``""``."""
        spec = (self.document or {}).get("spec") or {}
        return str((spec.get("push") or {}).get("url") or "")


def check_identity(info: ClusterInfo, newest: Sample | None) -> Check:
    """Whether the cluster is the cluster of the archive."""
    described = f"{info.description}, uid {info.uid}"
    if newest is None or newest.metadata.cluster == info.uid:
        return Check("cluster", State.OK, described if newest is None else f"{described}: the cluster of this archive")
    message = f"{described}: the archive belongs to the cluster {newest.metadata.cluster}"
    return Check("cluster", State.WRONG, message, "Choose the right --context, or another archive with --snapshot.")


def check_rights(cluster: Cluster, kinds: Sequence[Kind] = ()) -> Check:
    """Whether the user may list the kinds of a sample; without ``kinds``, the kinds of Sveltos.

    Reads the first page of each kind, except ConfigMaps and Secrets: a capture reads these by name and namespace.
    """
    listed = sorted(LISTED_KINDS & set(kinds) or LISTED_KINDS)
    denied, absent = list[str](), list[str]()
    for kind in listed:
        resource = cluster.resource_type(kind)
        if resource is None:
            absent.append(kind.name)
            continue
        try:
            next(iter(cluster.list(resource, metadata_only=True)), None)
        except AccessDeniedError:
            denied.append(kind.name)
    if len(absent) == len(listed):
        hint = "Choose the context of the management cluster with --context."
        return Check("rights", State.WRONG, "the cluster serves no kind of Sveltos", hint)
    if denied:
        hint = (
            "A sample would be incomplete. The ClusterRole in manifests/base/rbac.yaml has the rights that are needed."
        )
        return Check("rights", State.WRONG, f"this user may not list {join_names(denied, most=_MOST_NAMED)}", hint)
    served = len(listed) - len(absent)
    return Check("rights", State.OK, f"this user may list all {plural(served, 'kind')} of Sveltos that are installed")


def find_policy(cluster: Cluster, name: str) -> PolicyResource:
    """The Snapshot of an archive. Raises the errors of the cluster, but not for a missing Snapshot or kind."""
    try:
        return PolicyResource(cluster.get(ObjectKey(SNAPSHOT, "", name)))
    except (KindNotInstalledError, NotFoundError):
        return PolicyResource(None)


def check_policy(name: str, policy: PolicyResource, now: datetime) -> Iterator[Check]:
    """Whether the controller takes the samples that the Snapshot asks for."""
    if policy.document is None:
        message = f"the cluster has no Snapshot {name}: samples are taken by command only"
        yield Check("Snapshot", State.OK, message)
        return
    spec, status = policy.document.get("spec") or {}, policy.document.get("status") or {}
    schedule = f"Snapshot {name}, schedule {spec.get('schedule')}"
    wrong = [_describe(condition) for condition in status.get("conditions") or () if _is_wrong(condition)]
    due = parse_time(status.get("nextScheduleTime"))
    if not status:
        hint = "Check that the controller runs: `kubectl -n gitsnap get pods`."
        yield Check("Snapshot", State.WRONG, f"{schedule}: no controller has reported a status", hint)
    elif wrong:
        yield Check("Snapshot", State.WRONG, f"{schedule}: {'; '.join(wrong)}", _EVENTS.format(name=name))
    elif due is not None and now - due > _LATE and not spec.get("suspend"):
        hint = "Check that the controller runs: `kubectl -n gitsnap get pods`."
        yield Check("Snapshot", State.WRONG, f"{schedule}: a sample was due {age(now - due)}, at {due:%H:%M} UTC", hint)
    else:
        state = "suspended" if spec.get("suspend") else "ready"
        following = f", next sample at {due:%Y-%m-%d %H:%M} UTC" if due is not None else ""
        yield Check("Snapshot", State.OK, f"{schedule}: {state}{following}")


def not_reached(error: GitsnapError, *, is_named: bool) -> Check:
    """The check of a cluster that does not answer. ``is_named``: whether the user or the environment names it."""
    return Check(
        "cluster", State.WRONG if is_named else State.NOT_CHECKED, error.message, error.hint if is_named else ""
    )


_EVENTS = "`kubectl describe gsnap {name}` shows the events; docs/OPERATIONS.md lists the reasons."
_CONDITIONS = frozenset({"Ready", "Complete", "Pushed"})


def _is_wrong(condition: Mapping[str, Any]) -> bool:
    return condition.get("type") in _CONDITIONS and condition.get("status") != "True"


def _describe(condition: Mapping[str, Any]) -> str:
    return f"not {condition.get('type')} ({condition.get('reason')}): {condition.get('message')}"
