"""Access to the audit receiver: TLS, bearer tokens and client certificates. Changed files are read again."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

from gitsnap.core.errors import InputError

_LOOK_SECONDS = 1.0
"""The shortest time between two checks of the files."""

_SHORTEST_TOKEN = 16
"""The smallest number of characters of a token. A shorter token could be guessed."""

_LARGEST_FILE = 1 << 20

_log = logging.getLogger(__name__)

_Stamp = tuple[tuple[int, int, int], ...]
"""Inode, time and size of each file. An update of a Secret that is mounted as a volume gives the file another inode."""


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """The options of the audit receiver."""

    listen: tuple[str, int]
    """Address and port."""
    certificate: Path | None = None
    """The certificate of the server with its chain, PEM."""
    key: Path | None = None
    """The private key of the certificate, PEM."""
    client_ca: Path | None = None
    """PEM certificates of the authorities that sign client certificates. None: client certificates are not required."""
    token_file: Path | None = None
    """Bearer tokens, one per line. None: tokens are not required."""

    @property
    def is_loopback(self) -> bool:
        """Whether only processes of this machine, or of this pod, can connect."""
        host = self.listen[0]
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False


class Access:
    """Decides which clients may send events. For use by one thread."""

    def __init__(self, settings: AuditSettings) -> None:
        """Read the files. Raises InputError if a file cannot be used, or if the settings admit every client."""
        _check(settings)
        self._settings = settings
        self._tls_files = [path for path in (settings.certificate, settings.key, settings.client_ca) if path]
        self._token_files = [settings.token_file] if settings.token_file else []
        self._stamp = _stamp([*self._tls_files, *self._token_files])
        self._looked = 0.0
        self._context = _make_context(settings)
        self._tokens = _read_tokens(settings.token_file)

    @property
    def tls_context(self) -> ssl.SSLContext | None:
        """The settings of TLS for the next connection. None: connections are not encrypted."""
        return self._context

    def reload(self, monotonic: float) -> None:
        """Read the files again if they changed. A problem is logged, and the earlier content stays in use."""
        if monotonic - self._looked < _LOOK_SECONDS:
            return
        self._looked = monotonic
        try:
            stamp = _stamp([*self._tls_files, *self._token_files])
            if stamp == self._stamp:
                return
            context, tokens = _make_context(self._settings), _read_tokens(self._settings.token_file)
        except InputError as error:
            _log.warning("the audit receiver keeps its earlier certificate and tokens: %s", error)
            return
        self._context, self._tokens, self._stamp = context, tokens, stamp
        _log.info("the audit receiver has read its changed certificate and tokens")

    def admits(self, authorization: bytes) -> bool:
        """Whether a request may send events, after TLS has checked certificates. ``authorization``: its header."""
        if not self._token_files:
            return True
        scheme, _, token = authorization.strip().partition(b" ")
        matches = [hmac.compare_digest(token.strip(), known) for known in self._tokens]  # all, in constant time
        return scheme.lower() == b"bearer" and any(matches)


def _check(settings: AuditSettings) -> None:
    if (settings.certificate is None) != (settings.key is None):
        raise InputError("--audit-cert and --audit-key: one of them is missing", hint="Give both files.")
    if settings.client_ca is not None and settings.certificate is None:
        raise InputError("--audit-client-ca needs --audit-cert and --audit-key: client certificates are part of TLS")
    if settings.is_loopback:
        return
    if settings.certificate is None:
        raise InputError(
            f"--audit-listen {settings.listen[0]}:{settings.listen[1]}: audit events need TLS on this address",
            hint="Give --audit-cert and --audit-key, or listen on 127.0.0.1.",
        )
    if settings.token_file is None and settings.client_ca is None:
        raise InputError(
            f"--audit-listen {settings.listen[0]}:{settings.listen[1]}: everybody could send audit events to it",
            hint="Give --audit-token-file or --audit-client-ca, or listen on 127.0.0.1.",
        )


def _make_context(settings: AuditSettings) -> ssl.SSLContext | None:
    if settings.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.certificate, settings.key, password=_refuse_password)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise InputError(f"--audit-cert {settings.certificate}, --audit-key {settings.key}: {_reason(error)}") from None
    if settings.client_ca is not None:
        try:
            context.load_verify_locations(settings.client_ca)
        except (OSError, ValueError) as error:
            raise InputError(f"--audit-client-ca {settings.client_ca}: {_reason(error)}") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _refuse_password() -> str:
    """Refuse: without this function, OpenSSL would ask on the terminal."""
    raise ValueError("the private key is encrypted, and nobody can be asked for its passphrase")


def _read_tokens(path: Path | None) -> tuple[bytes, ...]:
    if path is None:
        return ()
    try:
        with path.open("rb") as file:
            lines = file.read(_LARGEST_FILE).splitlines()
    except OSError as error:
        raise InputError(f"--audit-token-file {path}: {_reason(error)}") from None
    tokens = tuple(line.strip() for line in lines if line.strip())
    if not tokens or min(map(len, tokens)) < _SHORTEST_TOKEN:
        raise InputError(
            f"--audit-token-file {path}: it must have tokens of at least {_SHORTEST_TOKEN} characters, one per line",
            hint=f"Make one: `openssl rand -hex 32 > {path}`.",
        )
    return tokens


def _stamp(paths: list[Path]) -> _Stamp:
    stamps = []
    for path in paths:
        try:
            status = path.stat()
        except OSError as error:
            raise InputError(f"the audit receiver needs the file {path}: {_reason(error)}") from None
        stamps.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(stamps)


def _reason(error: Exception) -> str:
    """Why a file cannot be used. The texts of OpenSSL quote no content."""
    text = getattr(error, "strerror", None) or str(error)
    return "it is not a valid PEM file, or the key is that of another certificate" if "SSL" in text else str(text)
