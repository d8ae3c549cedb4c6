"""Credentials of a user: impersonation, tokens from files, and what a header can hold."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitsnap.core.errors import AccessDeniedError, InputError

_TOKEN_SECONDS = 50.0
"""How long the token of a file is used before the file is read again (client-go: a minute less ten seconds)."""

_KEY_BYTES = frozenset(b"!#$&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""Characters of an HTTP header's name, without ``%``, which client-go encodes as well."""

_NO_HEADER_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class RenewalError(Exception):
    """The credentials expired, and their plugin returns no new ones."""


@dataclass(frozen=True, slots=True)
class Impersonation:
    """The impersonated user: the user of a kubeconfig acts as this user."""

    user: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, user: Mapping[str, Any], *, name: str) -> Impersonation:
        """Read the ``user`` of a kubeconfig. Raises InputError for values that kubectl refuses."""
        groups, extra = user.get("as-groups") or [], user.get("as-user-extra") or {}
        lists = (groups, *extra.values()) if isinstance(extra, dict) else (None,)
        if not all(isinstance(values, list) and all(isinstance(value, str) for value in values) for values in lists):
            raise InputError(f"the user {name} of the kubeconfig: as-groups and as-user-extra must be lists of strings")
        impersonation = cls(
            _text(user, "as", name),
            _text(user, "as-uid", name),
            tuple(groups),
            tuple(sorted((str(key), tuple(values)) for key, values in extra.items())),
        )
        if not impersonation.user and (impersonation.uid or impersonation.groups or impersonation.extra):
            raise InputError(
                f"the user {name} of the kubeconfig asks for as-uid, as-groups or as-user-extra without `as`",
                hint="Name the user to act as in `as`. kubectl refuses this as well.",
            )
        return impersonation

    def headers(self) -> list[tuple[str, str]]:
        """The headers that client-go sends, in a stable order; names may repeat."""
        if not self.user:
            return []
        headers = [("Impersonate-User", self.user)]
        headers += [("Impersonate-Uid", self.uid)] if self.uid else []
        headers += [("Impersonate-Group", group) for group in self.groups]
        headers += [(f"Impersonate-Extra-{_escaped(key)}", value) for key, values in self.extra for value in values]
        # UTF-8 on the wire, as Go sends it.
        return [(name, value.encode().decode("latin-1")) for name, value in headers]

    def describe(self, user: str) -> str:
        """``admin as jane (groups devs, ops)``, or the user alone."""
        if not self.user:
            return user
        groups = f" (groups {', '.join(self.groups)})" if self.groups else ""
        return f"{user} as {self.user}{groups}" if user else f"as {self.user}{groups}"


class TokenFile:
    """The token in a file. The file is read again regularly, because tokens are rotated."""

    def __init__(self, path: Path, *, fallback: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        """``fallback``: the token to use while the file cannot be read, ``""`` for none. ``clock``: in seconds."""
        self._path = path
        self._token = fallback
        self._clock = clock
        self._read_at = float("-inf")

    def token(self) -> str:
        """The token, or the last one while the file cannot be read. Raises OSError, ValueError without any token."""
        if self._clock() - self._read_at < _TOKEN_SECONDS:
            return self._token
        try:
            self._token = self._read()
        except (OSError, ValueError):
            if not self._token:
                raise
        else:
            self._read_at = self._clock()
        return self._token

    def _read(self) -> str:
        text = self._path.read_text("utf-8").strip()
        if not text:
            raise ValueError("the file is empty")
        return text

    def authorization(self) -> str:
        """Return the header Authorization with the token. Raises OSError, ValueError without any token."""
        return f"Bearer {self.token()}"

    def check(self) -> None:
        """Raise InputError if the token cannot be read now."""
        try:
            self.token()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is empty or not text"
            raise InputError(
                f"the token file {self._path} cannot be used: {reason}", hint="The kubeconfig names it as tokenFile."
            ) from None


def check_headers(headers: Mapping[str, str], *, server: str) -> None:
    """Check that HTTP can carry the headers. Raises AccessDeniedError, without the value."""
    for name, value in headers.items():
        if _NO_HEADER_VALUE.search(value) or not value.isascii():
            raise AccessDeniedError(
                f"{server}: the header {name} cannot be sent: its value has a line break or another character "
                "that a header cannot have",
                hint="Check the token of the kubeconfig's user, or the output of its credential plugin.",
            )


def _text(user: Mapping[str, Any], field: str, name: str) -> str:
    value = user.get(field) or ""
    if not isinstance(value, str) or _NO_HEADER_VALUE.search(value):
        raise InputError(f"the user {name} of the kubeconfig: {field} must be a string of one line")
    return value


def _escaped(key: str) -> str:
    """A key of ``as-user-extra`` in a header's name, percent-encoded as by client-go."""
    return "".join(chr(byte) if byte in _KEY_BYTES else f"%{byte:02X}" for byte in key.encode())
