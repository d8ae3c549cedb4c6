"""The snapshot policy: reads a ``Snapshot`` resource and validates each field.

All problems are reported at once, each with the path of its field. The resource is that of the old Sveltos feature
(``utils.projectsveltos.io/v1beta1``) with more fields. The controller and the command line use the same resource.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gitsnap.core.changes import Who
from gitsnap.core.errors import InputError
from gitsnap.core.model import JsonObject, Kind, ResourceSelector, SecretsMode, SensitiveField
from gitsnap.core.time_zones import check_zone
from gitsnap.format import check_branch
from gitsnap.format import recipients as public_keys
from gitsnap.policy import resources as scope
from gitsnap.policy import sensitive_fields as sensitive
from gitsnap.policy.field_reader import FieldReader, type_name
from gitsnap.policy.schedule import Schedule

GROUP = "utils.projectsveltos.io"
SNAPSHOT = Kind(GROUP, "Snapshot")
API_VERSION = f"{GROUP}/v1beta1"

_INT64 = 2**63 - 1
_KEEPS = ("keepLast", "keepHourly", "keepDaily", "keepWeekly", "keepMonthly")
WITHIN = re.compile(r"(?=[0-9])(?:[0-9]{1,5}y)?(?:[0-9]{1,5}m)?(?:[0-9]{1,5}d)?(?:[0-9]{1,5}h)?")
"""A duration of ``keepWithin``: years, months, days, hours."""
_HOST = r"[A-Za-z0-9\[][A-Za-z0-9.:\]-]*"
_URL = re.compile(
    rf"(?![^\0]*[\x00-\x1f\x7f-\x9f\ud800-\udfff])(?:(?:https?|git)://{_HOST}/\S*|ssh://(?:\w[\w.-]*@)?{_HOST}/\S*"
    rf"|\w[\w.-]*@{_HOST}:\S+|file:///\S+|/\S+)"
)
_URL_WITH_PASSWORD = re.compile(r"\w+://[^/@\s]*:[^/@\s]*@|(?:https?|git)://[^/@\s]+@")
_STORAGE = re.compile(r"(?!.*/\.\.(?:/|\Z))/[^\x00-\x1f\x7f\ud800-\udfff]*")


@dataclass(frozen=True, slots=True)
class Retention:
    """Numbers of scheduled samples to keep; 0 means that the rule does not apply."""

    keep_last: int = 0
    keep_hourly: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_within: str = ""
    """A duration such as ``1y5m7d2h``."""


@dataclass(frozen=True, slots=True)
class Push:
    """The remote that samples are pushed to."""

    url: str
    prefix: str = ""
    secret: str = ""
    """``<namespace>/<name>`` of the Secret with credentials."""
    prune: bool = False


@dataclass(frozen=True, slots=True)
class Follow:
    """Follow mode: each change becomes a commit between the samples."""

    quiet_seconds: int = 2
    """A change is recorded after this time without another change."""
    max_seconds: int = 10
    """The longest time that a change waits."""
    who: Who = Who.FULL
    """The authors that are recorded."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A snapshot policy. The fields are those of the spec of a Snapshot."""

    name: str
    schedule: Schedule | None = None
    """None: samples are taken on request only."""
    storage: str = ""
    """The parent folder of the archive, in the controller's file system; ``""`` for the default."""
    starting_deadline_seconds: int | None = None
    successful_snapshot_limit: int | None = None
    suspend: bool = False
    resources: tuple[ResourceSelector, ...] = ()
    resources_set: bool = True
    """Whether the policy sets ``resources``; otherwise the archive keeps its own."""
    secrets_mode: SecretsMode = SecretsMode.ENCRYPT
    secrets_set: bool = False
    """Whether the policy sets a mode or recipients; otherwise the archive keeps its own."""
    secrets_source: str = field(default="", compare=False)
    """The source of mode and recipients, for messages: ``Snapshot hourly``, a file or a flag."""
    recipients: tuple[str, ...] = ()
    sensitive_fields: tuple[SensitiveField, ...] = ()
    sensitive_fields_set: bool = False
    """Whether the policy sets ``sensitive_fields``; otherwise the archive keeps its own."""
    secrets_secret: str = ""
    """``<namespace>/<name>`` of the Secret with the fingerprint key."""
    retention: Retention = field(default_factory=Retention)
    push: Push | None = None
    signing_secret: str = ""
    require_complete: bool = False
    follow: Follow | None = None
    """None: only samples record changes."""


def default(name: str) -> Policy:
    """The policy of a capture without a Snapshot resource. Raises InputError for an invalid name."""
    check_branch(name)
    return Policy(name, resources_set=False)


def from_resource(document: object, *, source: str = "Snapshot") -> Policy:
    """Read the policy of a Snapshot resource; ``source`` names the document in messages.

    The CRD of a server refuses most invalid fields; a file on the command line is validated only here. Raises
    InputError that lists every invalid field.
    """
    reader = _Reader(source)
    policy = reader.policy(document)
    if reader.problems:
        listed = "\n".join(f"  {problem}" for problem in reader.problems)
        raise InputError(f"{source} is not valid:\n{listed}")
    return policy


class _Reader(FieldReader):
    """Reads the fields of a Snapshot."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source

    def policy(self, document: object) -> Policy:
        """Read the policy and add invalid fields to ``problems``. Raises InputError for any other object."""
        if not isinstance(document, dict) or Kind.of(document) != SNAPSHOT:
            actual = Kind.of(document) if isinstance(document, dict) else type_name(document)
            raise InputError(f"{self._source}: expected a Snapshot of {API_VERSION}, found {actual}")
        if document["apiVersion"] != API_VERSION:
            self.problems.append(f"apiVersion: {document['apiVersion']!r} is unknown; use {API_VERSION}")
        self._only(document, "", ("apiVersion", "kind", "metadata", "spec", "status"))
        name = self._text(self._map(document, "metadata", "metadata"), "name", "metadata")
        self._try("metadata.name", lambda: check_branch(name))
        spec = self._map(document, "spec", "spec")
        known = (
            "schedule", "storage", "startingDeadlineSeconds", "successfulSnapshotLimit", "timeZone", "suspend",
            "resources", "secrets", "retention", "push", "signing", "requireComplete", "follow",
        )  # fmt: skip
        self._only(spec, "spec", known)
        secrets = self._map(spec, "secrets", "spec.secrets")
        self._only(secrets, "spec.secrets", ("mode", "recipients", "sensitiveFields", "secretRef"))
        limit = self._count(spec, "successfulSnapshotLimit", "spec", lowest=1)
        return Policy(
            name=name,
            schedule=self._schedule(spec),
            storage=self._matching(spec, "storage", "spec", _STORAGE, "an absolute path such as /collection"),
            starting_deadline_seconds=self._count(spec, "startingDeadlineSeconds", "spec", highest=_INT64),
            successful_snapshot_limit=limit,
            suspend=self._flag(spec, "suspend", "spec"),
            resources=self._resources(spec),
            secrets_mode=(mode := self._mode(secrets)),
            secrets_set=bool(secrets.get("mode") or secrets.get("recipients")),
            secrets_source=self._source,
            recipients=self._recipients(secrets),
            sensitive_fields=self._sensitive_fields(secrets),
            sensitive_fields_set=secrets.get("sensitiveFields") is not None,
            secrets_secret=self._secret(secrets, "spec.secrets"),
            retention=self._retention(self._map(spec, "retention", "spec.retention"), limit),
            push=self._push(spec),
            signing_secret=self._signing(spec),
            require_complete=self._flag(spec, "requireComplete", "spec"),
            follow=self._follow(spec, mode),
        )

    def _follow(self, spec: JsonObject, mode: SecretsMode) -> Follow | None:
        if spec.get("follow") is None:
            return None
        entry = self._map(spec, "follow", "spec.follow")
        self._only(entry, "spec.follow", ("quietSeconds", "maxSeconds", "who"))
        quiet = self._count(entry, "quietSeconds", "spec.follow")
        longest = self._count(entry, "maxSeconds", "spec.follow")
        default = Follow()
        return Follow(
            default.quiet_seconds if quiet is None else quiet,
            default.max_seconds if longest is None else longest,
            self._who(entry, mode),
        )

    def _who(self, entry: JsonObject, mode: SecretsMode) -> Who:
        text = self._text(entry, "who", "spec.follow")
        if text and text not in set(Who):
            self._bad("spec.follow.who", text, f"one of {', '.join(Who)}")
            return Who.NONE
        if text == Who.PSEUDONYM and mode in (SecretsMode.OMIT, SecretsMode.PLAINTEXT):
            self.problems.append(f"spec.follow.who: pseudonym needs a fingerprint key, and the mode {mode} has none")
        return Who(text) if text else Follow().who

    def _schedule(self, spec: JsonObject) -> Schedule | None:
        zone = self._text(spec, "timeZone", "spec")
        if zone and not self._try("spec.timeZone", lambda: check_zone(zone)):
            zone = ""
        text = self._text(spec, "schedule", "spec")
        if not text and spec.get("schedule") is None:
            return None
        schedules: list[Schedule] = []
        self._try("spec.schedule", lambda: schedules.append(Schedule.parse(text, time_zone=zone)))
        return schedules[0] if schedules else None

    def _resources(self, spec: JsonObject) -> tuple[ResourceSelector, ...]:
        selectors = []
        for position, entry in enumerate(self._list(spec, "resources", "spec")):
            path = f"spec.resources[{position}]"
            if not isinstance(entry, dict):
                self.problems.append(f"{path}: must be an object with kind, group, namespaces and labelSelector")
                continue
            self._only(
                entry, path, ("group", "kind", "namespaces", "labelSelector", "excludeNamespaces", "excludeNames")
            )
            selector = ResourceSelector(
                Kind(self._text(entry, "group", path), self._text(entry, "kind", path)),
                self._globs(entry, "namespaces", path),
                self._text(entry, "labelSelector", path),
                self._globs(entry, "excludeNamespaces", path),
                self._globs(entry, "excludeNames", path),
            )
            self.problems += [f"{path}.{field}: {problem}" for field, problem in scope.problems(selector)]
            selectors.append(scope.canonical(selector))
        return tuple(sorted(set(selectors)))

    def _globs(self, entry: Mapping[str, Any], name: str, path: str) -> tuple[str, ...]:
        return tuple(self._texts(entry, name, path))

    def _mode(self, secrets: JsonObject) -> SecretsMode:
        text = self._text(secrets, "mode", "spec.secrets") or SecretsMode.ENCRYPT
        if text not in set(SecretsMode):
            self._bad("spec.secrets.mode", text, f"one of {', '.join(SecretsMode)}")
            return SecretsMode.ENCRYPT
        if text != SecretsMode.ENCRYPT and secrets.get("recipients"):
            self.problems.append(f"spec.secrets.recipients: have no effect in the mode {text}, only in encrypt")
        return SecretsMode(text)

    def _recipients(self, secrets: JsonObject) -> tuple[str, ...]:
        recipients = self._texts(secrets, "recipients", "spec.secrets")
        for position, recipient in enumerate(recipients):  # not shown: it may be a private key by mistake
            if problem := public_keys.problem(recipient):
                self.problems.append(f"spec.secrets.recipients[{position}]: {problem}")
        return tuple(sorted(set(recipients)))

    def _sensitive_fields(self, secrets: JsonObject) -> tuple[SensitiveField, ...]:
        fields = []
        for position, entry in enumerate(self._list(secrets, "sensitiveFields", "spec.secrets")):
            path = f"spec.secrets.sensitiveFields[{position}]"
            if not isinstance(entry, dict):
                self.problems.append(f"{path}: must be an object with kind, group and path")
                continue
            self._only(entry, path, ("group", "kind", "path"))
            kind = Kind(self._text(entry, "group", path), self._text(entry, "kind", path))
            field = SensitiveField(kind, self._text(entry, "path", path))
            problems = [f"{path}.{part}: {problem}" for part, problem in sensitive.problems(field)]
            self.problems += problems
            fields += [] if problems else [field]
        for field, other in sensitive.overlapping(sorted(set(fields))):
            overlap = f"{field.path} and {other.path} overlap: name only one of them"
            self.problems.append(f"spec.secrets.sensitiveFields: {overlap}")
        if fields and secrets.get("mode") in (SecretsMode.OMIT, SecretsMode.PLAINTEXT):
            self.problems.append(f"spec.secrets.sensitiveFields: have no effect in the mode {secrets['mode']}")
        return tuple(sorted(set(fields)))

    def _retention(self, retention: JsonObject, limit: int | None) -> Retention:
        self._only(retention, "spec.retention", (*_KEEPS, "keepWithin"))
        counts = {keep: self._count(retention, keep, "spec.retention") or 0 for keep in _KEEPS}
        if limit is not None and retention.get("keepLast") is not None:
            self.problems.append(
                "spec.retention.keepLast: means the same as spec.successfulSnapshotLimit; set only one of them"
            )
        allowed = "a duration such as 30d, 1y6m or 2h"
        return Retention(
            keep_last=counts["keepLast"],
            keep_hourly=counts["keepHourly"],
            keep_daily=counts["keepDaily"],
            keep_weekly=counts["keepWeekly"],
            keep_monthly=counts["keepMonthly"],
            keep_within=self._matching(retention, "keepWithin", "spec.retention", WITHIN, allowed),
        )

    def _push(self, spec: JsonObject) -> Push | None:
        if spec.get("push") is None:
            return None
        push = self._map(spec, "push", "spec.push")
        self._only(push, "spec.push", ("url", "prefix", "secretRef", "prune"))
        url = self._text(push, "url", "spec.push")
        if _URL_WITH_PASSWORD.match(url):
            self.problems.append("spec.push.url: must not contain a user name or password; put them into secretRef")
        elif not _URL.fullmatch(url):  # not shown: it may contain a password in an unexpected place
            self.problems.append("spec.push.url: a git URL is required (https://…, ssh://… or user@host:path)")
        prefix = self._text(push, "prefix", "spec.push")
        if prefix:
            self._try("spec.push.prefix", lambda: check_branch("any", prefix))
        return Push(
            url,
            prefix=prefix,
            secret=self._secret(push, "spec.push"),
            prune=self._flag(push, "prune", "spec.push"),
        )

    def _signing(self, spec: JsonObject) -> str:
        if spec.get("signing") is None:
            return ""
        signing = self._map(spec, "signing", "spec.signing")
        self._only(signing, "spec.signing", ("secretRef",))
        if not signing.get("secretRef"):
            self.problems.append("spec.signing.secretRef: is required: the Secret with the signing key")
        return self._secret(signing, "spec.signing")
