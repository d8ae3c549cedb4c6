"""The snapshot policy: a ``Snapshot`` resource, checked field by field.

All that is wrong is reported at once, each with the path of its field. The resource is that of the old Sveltos feature
(``utils.projectsveltos.io/v1beta1``) with more fields; the same file serves the controller and the command line.
This module must not act on a policy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gitsnap.errors import GitsnapError, InputError
from gitsnap.format import check_branch
from gitsnap.model import JsonObject, Kind, ResourceSelector, SecretsMode
from gitsnap.schedule import Schedule

GROUP = "utils.projectsveltos.io"
SNAPSHOT = Kind(GROUP, "Snapshot")
API_VERSION = f"{GROUP}/v1beta1"

_RECIPIENT = re.compile(r"age1[0-9a-z]{20,}\Z|ssh-(?:ed25519|rsa) \S+")
_WITHIN = re.compile(r"(?=\d)(?:(\d+)y)?(?:(\d+)m)?(?:(\d+)d)?(?:(\d+)h)?\Z")
_URL = re.compile(r"(?:https?|ssh|git|file)://\S+\Z|[\w.-]+@[\w.-]+:\S+\Z|/\S*\Z")
_KEEPS = ("keepLast", "keepHourly", "keepDaily", "keepWeekly", "keepMonthly")


@dataclass(frozen=True, slots=True)
class Retention:
    """How many scheduled samples are kept; 0 means that the rule does not apply."""

    keep_last: int = 0
    keep_hourly: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_within: str = ""
    """A duration such as ``1y5m7d2h``."""


@dataclass(frozen=True, slots=True)
class Push:
    """Where samples are pushed to."""

    url: str
    prefix: str = ""
    secret: str = ""
    """``<namespace>/<name>`` of the Secret with credentials."""
    prune: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """One snapshot policy."""

    name: str
    schedule: Schedule | None = None
    """None: samples are only taken on demand."""
    storage: str = ""
    """Folder that holds the archive's folder, as the controller sees it."""
    starting_deadline_seconds: int | None = None
    successful_snapshot_limit: int | None = None
    suspend: bool = False
    resources: tuple[ResourceSelector, ...] = ()
    secrets_mode: SecretsMode = SecretsMode.ENCRYPT
    secrets_given: bool = False
    """Whether the policy names a mode: an archive otherwise goes on in the mode it has."""
    recipients: tuple[str, ...] = ()
    secrets_secret: str = ""
    """``<namespace>/<name>`` of the Secret that holds the fingerprint key."""
    retention: Retention = field(default_factory=Retention)
    push: Push | None = None
    signing_secret: str = ""
    require_complete: bool = False


def default(name: str) -> Policy:
    """The policy of a capture on demand that has no Snapshot resource. Raises InputError for a bad name."""
    check_branch(name)
    return Policy(name)


def from_resource(document: JsonObject, *, source: str = "Snapshot") -> Policy:
    """The policy that a Snapshot resource describes.

    ``source`` names the document in messages. Raises InputError that lists every field which is not valid.
    """
    reader = _Reader(source)
    policy = reader.policy(document)
    if reader.problems:
        listed = "\n".join(f"  {problem}" for problem in reader.problems)
        raise InputError(f"{source} is not valid:\n{listed}")
    return policy


class _Reader:
    """Reads fields and collects what is wrong with them, so that a person mends a file once."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.problems: list[str] = []

    def policy(self, document: JsonObject) -> Policy:
        if Kind.of(document) != SNAPSHOT:
            raise InputError(f"{self._source}: expected a Snapshot of {API_VERSION}, found {Kind.of(document)}")
        self._only(document, "", ("apiVersion", "kind", "metadata", "spec", "status"))
        name = str((document.get("metadata") or {}).get("name") or "")
        self._try("metadata.name", lambda: check_branch(name))
        spec = self._map(document, "spec", "spec")
        known = (
            "schedule", "storage", "startingDeadlineSeconds", "successfulSnapshotLimit", "timeZone", "suspend",
            "resources", "secrets", "retention", "push", "signing", "requireComplete",
        )  # fmt: skip
        self._only(spec, "spec", known)
        secrets = self._map(spec, "secrets", "spec.secrets")
        self._only(secrets, "spec.secrets", ("mode", "recipients", "secretRef"))
        return Policy(
            name=name,
            schedule=self._schedule(spec),
            storage=self._text(spec, "storage", "spec"),
            starting_deadline_seconds=self._count(spec, "startingDeadlineSeconds", "spec"),
            successful_snapshot_limit=self._count(spec, "successfulSnapshotLimit", "spec"),
            suspend=self._flag(spec, "suspend", "spec"),
            resources=self._resources(spec),
            secrets_mode=self._mode(secrets),
            secrets_given="mode" in secrets,
            recipients=self._recipients(secrets),
            secrets_secret=self._secret(secrets, "spec.secrets"),
            retention=self._retention(self._map(spec, "retention", "spec.retention")),
            push=self._push(spec),
            signing_secret=self._secret(self._map(spec, "signing", "spec.signing"), "spec.signing"),
            require_complete=self._flag(spec, "requireComplete", "spec"),
        )

    def _schedule(self, spec: JsonObject) -> Schedule | None:
        text, zone = self._text(spec, "schedule", "spec"), self._text(spec, "timeZone", "spec")
        if not text:
            return None
        found: list[Schedule] = []
        self._try("spec.schedule", lambda: found.append(Schedule.parse(text, time_zone=zone)))
        return found[0] if found else None

    def _resources(self, spec: JsonObject) -> tuple[ResourceSelector, ...]:
        selectors = []
        for position, entry in enumerate(self._list(spec, "resources", "spec")):
            path = f"spec.resources[{position}]"
            if not isinstance(entry, dict):
                self.problems.append(f"{path}: an object with kind, group, namespaces and labelSelector is needed")
                continue
            self._only(entry, path, ("group", "kind", "namespaces", "labelSelector"))
            kind = Kind(self._text(entry, "group", path), self._text(entry, "kind", path))
            if not kind.name:
                self.problems.append(f"{path}.kind: is needed")
            namespaces = tuple(str(one) for one in self._list(entry, "namespaces", path))
            selectors.append(ResourceSelector(kind, namespaces, self._text(entry, "labelSelector", path)))
        return tuple(selectors)

    def _mode(self, secrets: JsonObject) -> SecretsMode:
        text = self._text(secrets, "mode", "spec.secrets") or SecretsMode.ENCRYPT
        try:
            return SecretsMode(text)
        except ValueError:
            self.problems.append(f"spec.secrets.mode: {text!r} is none of {', '.join(SecretsMode)}")
            return SecretsMode.ENCRYPT

    def _recipients(self, secrets: JsonObject) -> tuple[str, ...]:
        recipients = [str(one) for one in self._list(secrets, "recipients", "spec.secrets")]
        for position, recipient in enumerate(recipients):
            if not _RECIPIENT.match(recipient):
                self.problems.append(
                    f"spec.secrets.recipients[{position}]: {recipient!r} is no age or SSH public key (age1…, ssh-…)"
                )
        return tuple(sorted(recipients))

    def _retention(self, retention: JsonObject) -> Retention:
        self._only(retention, "spec.retention", (*_KEEPS, "keepWithin"))
        counts = {keep: self._count(retention, keep, "spec.retention") or 0 for keep in _KEEPS}
        within = self._text(retention, "keepWithin", "spec.retention")
        if within and not _WITHIN.match(within):
            self.problems.append(f"spec.retention.keepWithin: {within!r} is no duration such as 30d, 1y6m or 2h")
        return Retention(
            keep_last=counts["keepLast"],
            keep_hourly=counts["keepHourly"],
            keep_daily=counts["keepDaily"],
            keep_weekly=counts["keepWeekly"],
            keep_monthly=counts["keepMonthly"],
            keep_within=within,
        )

    def _push(self, spec: JsonObject) -> Push | None:
        if "push" not in spec:
            return None
        push = self._map(spec, "push", "spec.push")
        self._only(push, "spec.push", ("url", "prefix", "secretRef", "prune"))
        url = self._text(push, "url", "spec.push")
        if not _URL.match(url):
            self.problems.append("spec.push.url: a git URL is needed (https://…, ssh://… or user@host:path)")
        return Push(
            url,
            prefix=self._text(push, "prefix", "spec.push"),
            secret=self._secret(push, "spec.push"),
            prune=self._flag(push, "prune", "spec.push"),
        )

    # Fields of one type each ------------------------------------------------------------------------------------------

    def _only(self, entry: Mapping[str, Any], path: str, known: tuple[str, ...]) -> None:
        for name in sorted(set(entry) - set(known)):
            place = f"{path}.{name}" if path else name
            self.problems.append(f"{place}: is unknown; known here: {', '.join(sorted(known))}")

    def _map(self, entry: Mapping[str, Any], name: str, path: str) -> JsonObject:
        value = entry.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.problems.append(f"{path}: an object is needed, not {_type(value)}")
            return {}
        return value

    def _list(self, entry: Mapping[str, Any], name: str, path: str) -> list[Any]:
        value = entry.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.problems.append(f"{path}.{name}: a list is needed, not {_type(value)}")
            return []
        return value

    def _text(self, entry: Mapping[str, Any], name: str, path: str) -> str:
        value = entry.get(name)
        if value is None or isinstance(value, str):
            return value or ""
        self.problems.append(f"{path}.{name}: text is needed, not {_type(value)}")
        return ""

    def _flag(self, entry: Mapping[str, Any], name: str, path: str) -> bool:
        value = entry.get(name, False)
        if not isinstance(value, bool):
            self.problems.append(f"{path}.{name}: true or false is needed, not {_type(value)}")
        return value is True

    def _count(self, entry: Mapping[str, Any], name: str, path: str) -> int | None:
        value = entry.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            self.problems.append(f"{path}.{name}: a whole number of 0 or more is needed")
            return None
        return value

    def _secret(self, entry: JsonObject, path: str) -> str:
        reference = self._map(entry, "secretRef", f"{path}.secretRef")
        if not reference:
            return ""
        self._only(reference, f"{path}.secretRef", ("namespace", "name"))
        names = [self._text(reference, part, f"{path}.secretRef") for part in ("namespace", "name")]
        if not all(names):
            self.problems.append(f"{path}.secretRef: namespace and name are needed")
        return "/".join(names)

    def _try(self, path: str, check: Callable[[], object]) -> None:
        try:
            check()
        except GitsnapError as error:
            self.problems.append(f"{path}: {error.message}")


def _type(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "nothing")
