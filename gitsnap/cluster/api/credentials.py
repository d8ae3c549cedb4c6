"""Credentials that the client library does not send as kubectl does: impersonation, and tokens from files.

This module must not send requests.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client

from gitsnap.core.errors import AccessDeniedError, InputError

_TOKEN_SECONDS = 50.0
"""For how long the token of a file is used before the file is read again (client-go: a minute less ten seconds)."""

_KEY_BYTES = frozenset(b"!#$&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""What the name of an HTTP header may hold; client-go encodes ``%`` as well."""

_NO_HEADER_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Impersonation:
    """Whom the user of a kubeconfig acts as."""

    user: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, user: Mapping[str, Any], *, name: str) -> Impersonation:
        """From the ``user`` of a kubeconfig. Raises InputError for what kubectl refuses."""
        groups, extra = user.get("as-groups") or [], user.get("as-user-extra") or {}
        lists = (groups, *extra.values()) if isinstance(extra, dict) else (None,)
        if not all(isinstance(values, list) and all(isinstance(value, str) for value in values) for values in lists):
            raise InputError(f"the user {name} of the kubeconfig: as-groups and as-user-extra must be lists of texts")
        found = cls(
            _text(user, "as", name),
            _text(user, "as-uid", name),
            tuple(groups),
            tuple(sorted((str(key), tuple(values)) for key, values in extra.items())),
        )
        if not found.user and (found.uid or found.groups or found.extra):
            raise InputError(
                f"the user {name} of the kubeconfig asks for as-uid, as-groups or as-user-extra without `as`",
                hint="Name the user to act as in `as`. kubectl refuses this as well.",
            )
        return found

    def headers(self) -> list[tuple[str, str]]:
        """The headers that client-go sends, in a stable order; a name may come more than once."""
        if not self.user:
            return []
        found = [("Impersonate-User", self.user)]
        found += [("Impersonate-Uid", self.uid)] if self.uid else []
        found += [("Impersonate-Group", group) for group in self.groups]
        found += [(f"Impersonate-Extra-{_escaped(key)}", value) for key, values in self.extra for value in values]
        return [(name, value.encode().decode("latin-1")) for name, value in found]  # UTF-8 on the wire, as Go sends it

    def described(self, user: str) -> str:
        """``admin as jane (groups devs, ops)``, or the user alone."""
        if not self.user:
            return user
        groups = f" (groups {', '.join(self.groups)})" if self.groups else ""
        return f"{user} as {self.user}{groups}" if user else f"as {self.user}{groups}"


class TokenFile:
    """The token in a file, read again now and then: whoever rotates it writes the file anew."""

    def __init__(self, path: Path, *, fallback: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        """``fallback``: the token to use as long as the file cannot be read, ``""`` for none."""
        self._path = path
        self._token = fallback
        self._clock = clock
        self._read_at = float("-inf")

    def token(self) -> str:
        """The token; the one that was read last while the file cannot be read. Raises OSError, ValueError."""
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

    def install(self, settings: client.Configuration) -> None:
        """Send the token with every request. Raises InputError where the file cannot be read now."""
        try:
            settings.api_key["BearerToken"] = f"Bearer {self.token()}"
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is empty or no text"
            raise InputError(
                f"the token file {self._path} cannot be used: {reason}", hint="The kubeconfig names it as tokenFile."
            ) from None

        def refresh(configuration: client.Configuration) -> None:
            """The client calls this before each request."""
            configuration.api_key["BearerToken"] = f"Bearer {self.token()}"

        settings.refresh_api_key_hook = refresh  # type: ignore[assignment]  # annotated as None only


def check_headers(headers: Mapping[str, str], *, server: str) -> None:
    """Raises AccessDeniedError, without the value, for a header that HTTP cannot carry."""
    for name, value in headers.items():
        if _NO_HEADER_VALUE.search(value) or not value.isascii():
            raise AccessDeniedError(
                f"{server}: the header {name} cannot be sent: it holds a line break or another character that no "
                "header may hold",
                hint="Look at the token of the kubeconfig's user, or at what its credential plugin prints.",
            )


def _text(user: Mapping[str, Any], field: str, name: str) -> str:
    value = user.get(field) or ""
    if not isinstance(value, str) or _NO_HEADER_VALUE.search(value):
        raise InputError(f"the user {name} of the kubeconfig: {field} must be a text of one line")
    return value


def _escaped(key: str) -> str:
    """A key of ``as-user-extra`` as part of a header's name, percent-encoded as client-go has it."""
    return "".join(chr(byte) if byte in _KEY_BYTES else f"%{byte:02X}" for byte in key.encode())
