"""Translates HTTP responses of an API server to typed errors.

Errors include the message of the server, except about confidential kinds: a rejection may quote a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitsnap.core.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    BehindError,
    BusyError,
    ClusterError,
    ClusterUnreachableError,
    ConflictError,
    GitsnapError,
    GoneError,
    KindNotInstalledError,
    NotFoundError,
    RejectedError,
)

_LONGEST_MESSAGE = 2000
_NAMES_ONLY = frozenset({"NotFound", "AlreadyExists"})
"""Reasons of answers whose message has only kinds and names."""

_BY_RBAC = re.compile(r'[a-z.]+(?: "[^"]*")? is forbidden: User "[^"]*" cannot \w+ resource "[^"]*"[^:]*')
"""The message of the authorizer. Admission uses the same status and may quote the object."""

NO_DRY_RUN = "does not support dry run"
"""Part of the message with which a server refuses a dry run because an admission webhook has side effects."""

_TOO_LARGE = "ResourceVersionTooLarge"


@dataclass(frozen=True, slots=True)
class Request:
    """A request, for messages."""

    action: str
    """``list configmaps``, ``update ClusterProfile.config.projectsveltos.io guestbook``."""
    server: str
    confidential: bool = False
    """Whether the response may quote a value of a Secret."""
    proxy: str = ""
    """The proxy that the connection goes through, without credentials; ``""`` for none."""


def error_of(status: int, body: bytes, request: Request) -> GitsnapError:
    """The error for a response with this HTTP status, which is not 2xx."""
    answer = _status_object(body)
    reason = str(answer.get("reason") or "")
    message = _message(answer, request)
    text = f"{request.server}: cannot {request.action}: {message or f'HTTP {status}'}"
    if status == 401:
        return AccessDeniedError(
            f"{request.server} does not accept the credentials (401)",
            hint="They may have expired. Does `kubectl get namespaces` work with the same context?",
        )
    if status == 403:
        return AccessDeniedError(text, hint="The user of this context lacks a role (RBAC) for this request.")
    if status == 404:
        # Without a Status, or without a name in it, the path itself does not exist: its kind is not served.
        named = _details(answer).get("name")
        return NotFoundError(text) if named else KindNotInstalledError(text)
    if status == 409:
        return AlreadyExistsError(text) if reason == "AlreadyExists" else ConflictError(text)
    if status == 410 or (status == 504 and _is_too_large(answer)):
        return GoneError(text) if status == 410 else BehindError(text)
    if status == 422 and "metadata.uid" in _fields(answer):
        return ConflictError(f"{request.server}: cannot {request.action}: it was deleted and recreated meanwhile")
    if status in (400, 405, 413, 415, 422):
        return RejectedError(text)
    if status == 429:
        return BusyError(text, hint="The API server is overloaded. Try again later.")
    if status >= 500:
        return ClusterUnreachableError(text, hint="The API server is overloaded or broken. Try again later.")
    return ClusterError(text)


def _is_too_large(answer: Mapping[str, Any]) -> bool:
    return any(cause.get("reason") == _TOO_LARGE for cause in _causes(answer)) or "Too large resource version" in str(
        answer.get("message")
    )


def _fields(answer: Mapping[str, Any]) -> list[str]:
    """The fields that the server rejects."""
    return sorted({str(cause["field"]) for cause in _causes(answer) if cause.get("field")})


def _details(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    details = answer.get("details")
    return details if isinstance(details, dict) else {}


def _causes(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    causes = _details(answer).get("causes")
    return [cause for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []


def _message(answer: Mapping[str, Any], request: Request) -> str:
    reason = str(answer.get("reason") or "")
    message = str(answer.get("message") or "")
    if request.confidential and reason not in _NAMES_ONLY:
        by_rbac = _BY_RBAC.match(message) if reason == "Forbidden" else None
        if by_rbac:
            return by_rbac[0]
        if NO_DRY_RUN in message:
            return f"{reason}: an admission webhook {NO_DRY_RUN}"
        fields = ", ".join(_fields(answer))
        return f"{reason}{f' ({fields})' if fields else ''}"
    return message if len(message) <= _LONGEST_MESSAGE else message[:_LONGEST_MESSAGE] + "…"


def _status_object(body: bytes) -> dict[str, Any]:
    """The Status object of a response; empty for anything else, such as the page of a proxy."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


# Deeply nested JSON ---------------------------------------------------------------------------------------------------

_KEPT_LEVELS = 400
"""More than an archived object may have, so that a truncated object is still recognised as too deep; few enough for
every JSON parser."""

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]', re.DOTALL)


def truncate_depth(content: bytes) -> bytes:
    """A JSON text with null in place of values that are nested more than 400 levels deep."""
    parts: list[bytes] = []
    depth = start = 0
    for token in _TOKEN.finditer(content):
        mark = token[0]
        if mark in b"[{":
            depth += 1
            if depth == _KEPT_LEVELS + 1:
                parts.append(content[start : token.start()])
        elif mark in b"]}":
            if depth == _KEPT_LEVELS + 1:
                parts.append(b"null")
                start = token.end()
            depth -= 1
    return b"".join([*parts, content[start:]])
