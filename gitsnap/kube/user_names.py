"""The names of users of an API server, as gitsnap records them: whole, without groups, and unambiguous."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_SERVICE_ACCOUNT = "system:serviceaccount:"
_LIKE_SERVICE_ACCOUNT = re.compile(r"[a-z0-9-]+/[a-z0-9.-]+\Z")
"""The form of the short name of a service account."""

_PRINCIPAL_KEYS = ("arn",)
"""The keys of ``user.extra`` with the person behind a shared user name: EKS maps AWS roles to users of Kubernetes."""

IMPERSONATES = " as "


def author_name(
    username: str, *, impersonated: str = "", extra: Mapping[str, Sequence[str] | None] | None = None
) -> str:
    """The name of the author of a request.

    ``alice``; ``kube-system/generic-garbage-collector`` for a service account; ``alice as admin`` for a user who
    impersonates another user (`kubectl --as`); ``arn:aws:sts::1:assumed-role/Dev/alice as admin`` where EKS maps a role
    to a user.

    Args:
        username: ``user.username`` of an audit event or of an admission request.
        impersonated: ``impersonatedUser.username``.
        extra: ``user.extra``.

    Returns:
        The name; ``""`` if ``username`` is empty.
    """
    if not username:
        return ""
    name = _short(username)
    principal = next((values[0] for key in _PRINCIPAL_KEYS if (values := (extra or {}).get(key))), "")
    if principal and principal != username:
        name = f"{principal}{IMPERSONATES}{name}"
    return f"{name}{IMPERSONATES}{_short(impersonated)}" if impersonated else name


def is_person(name: str) -> bool:
    """Whether a name may be the name of a person. The names of programs are ``namespace/name`` and ``system:…``.

    ``name``: as ``author_name`` returns it, without an impersonated user.
    """
    return not name.startswith("system:") and not _LIKE_SERVICE_ACCOUNT.match(name)


def _short(username: str) -> str:
    """The user name, with the short form of a service account: ``namespace/name``.

    Any other user name of this form, or of the form of an impersonation, gets the prefix ``user:``. No user can then
    pass for a service account, or for a user who impersonates another user.
    """
    if username.startswith(_SERVICE_ACCOUNT):
        namespace, colon, name = username.removeprefix(_SERVICE_ACCOUNT).partition(":")
        short = f"{namespace}/{name}"
        return short if colon and _LIKE_SERVICE_ACCOUNT.match(short) else username
    is_mistakable = _LIKE_SERVICE_ACCOUNT.match(username) or IMPERSONATES in username
    return f"user:{username}" if is_mistakable else username
