"""Finds the API server and the credentials, from a kubeconfig or from the service account of a pod.

No request is sent, except by a credential plugin of the kubeconfig.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from gitsnap.cluster.api.client import Identity, KubernetesCluster
from gitsnap.cluster.api.connection import Connection, ConnectionSettings
from gitsnap.cluster.api.credentials import Impersonation, TokenFile
from gitsnap.cluster.api.pem_files import pem_file
from gitsnap.cluster.api.proxies import proxy_for, without_credentials
from gitsnap.cluster.known_kinds import KnownKinds
from gitsnap.core.errors import InputError
from gitsnap.core.model import JsonObject
from gitsnap.format import load_documents

IN_CLUSTER = "in-cluster"
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_DEFAULT_SERVER = "http://localhost"
_CLUSTER_FILES = ("certificate-authority",)
_USER_FILES = ("client-certificate", "client-key", "tokenFile")
_PLUGIN_FIELDS = ("auth-provider", "exec")
"""The fields of a user whose credentials ``credential_plugins`` obtains."""


class _Entry(NamedTuple):
    """A cluster, context or user of a kubeconfig, and the file that contains it."""

    value: JsonObject
    path: Path


class _Chosen(NamedTuple):
    """The chosen context of a kubeconfig, with its cluster and user."""

    context: str
    user_name: str
    cluster: JsonObject
    user: JsonObject


def connect(*, known_kinds: KnownKinds, kubeconfig: str, context: str) -> KubernetesCluster:
    """See ``gitsnap.cluster.connect``."""
    named = kubeconfig or os.environ.get("KUBECONFIG", "")
    paths = [_expanded(part) for part in named.split(os.pathsep) if part] or _default_paths()
    if not named and not context and not any(map(_exists, paths)) and _exists(_SERVICE_ACCOUNT / "token"):
        return _cluster(_settings_in_pod(os.environ), Identity(IN_CLUSTER), known_kinds)
    chosen = _choose(paths, context)
    _check_certificates(chosen)
    impersonation = Impersonation.of(chosen.user, name=chosen.user_name)
    settings = _settings(chosen, os.pathsep.join(map(str, paths)))
    identity = Identity(chosen.context, impersonation.describe(chosen.user_name), tuple(impersonation.headers()))
    return _cluster(settings, identity, known_kinds)


def _default_paths() -> list[Path]:
    try:
        return [Path.home() / ".kube" / "config"]
    except RuntimeError:
        return []  # neither HOME nor an entry in the user database


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"the kubeconfig {text} cannot be found: there is no home directory (HOME)") from None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise InputError(f"the kubeconfig {path} cannot be read: {error.strerror}") from None


def _settings_in_pod(environment: Mapping[str, str]) -> ConnectionSettings:
    """The settings for the service account of this pod. Raises InputError."""
    host, port = (environment.get(f"KUBERNETES_SERVICE_{name}") for name in ("HOST", "PORT"))
    authority = _SERVICE_ACCOUNT / "ca.crt"
    problem = "" if host and port else "KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT is not set"
    try:
        problem = problem or ("" if authority.read_bytes() else f"{authority} is empty")
    except OSError as error:
        problem = f"{authority} cannot be read: {error.strerror}"
    if not host or problem:
        raise InputError(
            f"the service account of this pod cannot be used: {problem}",
            hint="Name a kubeconfig with --kubeconfig, or let the pod have its token (automountServiceAccountToken).",
        )
    settings = ConnectionSettings(f"https://{f'[{host}]' if ':' in host else host}:{port}", str(authority))
    _use_token_file(settings, TokenFile(_SERVICE_ACCOUNT / "token"))
    return settings


def _cluster(settings: ConnectionSettings, identity: Identity, known_kinds: KnownKinds) -> KubernetesCluster:
    """The cluster. A proxy of the kubeconfig takes precedence over the environment, including NO_PROXY."""
    owner = "the proxy-url" if settings.proxy else "the server, or the proxy of the environment,"
    try:
        settings.proxy = settings.proxy or proxy_for(settings.server, os.environ)
        connection = Connection(settings)
    except ImportError:
        raise InputError(
            f"the proxy {settings.proxy.partition('://')[0]}://… needs the Python package PySocks",
            hint="Install it together with gitsnap: pip install PySocks",
        ) from None
    except ValueError:  # its message is left out: it may contain the password of a proxy
        raise InputError(f"{owner} of the context {identity.context} is not a valid URL") from None
    return KubernetesCluster(
        connection, known_kinds=known_kinds, identity=identity, proxy=without_credentials(settings.proxy)
    )


# Choice of the context ------------------------------------------------------------------------------------------------


def _choose(paths: Sequence[Path], context: str) -> _Chosen:
    """The chosen context with its cluster and user. Raises InputError."""
    joined = os.pathsep.join(map(str, paths))
    files = [(path, _read(path)) for path in paths if _exists(path)]
    if not files:
        raise InputError(
            f"there is no kubeconfig at {joined or '~/.kube/config: HOME is not set'}",
            hint="Name one with --kubeconfig or KUBECONFIG, or use --from-dir for a folder of YAML files.",
        )
    contexts, clusters, users = (
        _entries(files, listed, field)
        for listed, field in (("contexts", "context"), ("clusters", "cluster"), ("users", "user"))
    )
    # As in kubectl, the first file with a current context decides.
    name = context or next((str(file["current-context"]) for _, file in files if file.get("current-context")), "")
    if name not in contexts:
        problem = f"has no context {name!r}" if name else "names no current context"
        raise InputError(
            f"the kubeconfig {joined} {problem}; its contexts: {', '.join(sorted(contexts)) or 'none'}",
            hint="Choose one with --context.",
        )
    chosen = contexts[name].value
    cluster_name, user_name = str(chosen.get("cluster") or ""), str(chosen.get("user") or "")
    for noun, entry_name, known in (("cluster", cluster_name, clusters), ("user", user_name, users)):
        if entry_name not in known and (entry_name or noun == "cluster"):
            raise InputError(
                f"the context {name!r} of the kubeconfig {joined} names the {noun} {entry_name!r}, which does not "
                f"exist; existing {noun}s: {', '.join(sorted(known)) or 'none'}",
                hint="Correct the kubeconfig, or choose another context with --context.",
            )
    cluster = _with_paths(clusters[cluster_name], _CLUSTER_FILES)
    user = _with_paths(users[user_name], _USER_FILES) if user_name else {}
    return _Chosen(name, user_name, cluster, user)


def _check_certificates(chosen: _Chosen) -> None:
    """Raise InputError for an empty certificate or key: the connection would fail, and the error would not say why."""
    owners = (
        (chosen.cluster, "certificate-authority", f"the cluster of the context {chosen.context}"),
        (chosen.user, "client-certificate", f"the user {chosen.user_name}"),
        (chosen.user, "client-key", f"the user {chosen.user_name}"),
    )
    for entry, field, owner in owners:
        name = f"{field}-data" if entry.get(f"{field}-data") else field
        content = _pem_content(entry, field)
        if content is not None and b"-----BEGIN" not in content:
            state = "has no PEM block" if content.strip() else "is empty"
            file = f" ({entry[field]})" if name == field else ""
            raise InputError(
                f"{name} of {owner} of the kubeconfig {state}{file}",
                hint="Get a new kubeconfig, or remove this field if another credential is used. "
                "Does `kubectl get namespaces` work with the same context?",
            )


def _pem_content(entry: JsonObject, field: str) -> bytes | None:
    """The content of a certificate or key. None without the field or for an unreadable file."""
    try:
        if entry.get(f"{field}-data"):  # takes precedence, as in kubectl
            return base64.b64decode(str(entry[f"{field}-data"]))
        return Path(entry[field]).read_bytes() if entry.get(field) else None
    except (OSError, ValueError, TypeError):
        return None


def _entries(files: Sequence[tuple[Path, JsonObject]], listed: str, field: str) -> dict[str, _Entry]:
    """Entries by name; as in kubectl, the first file with a name decides."""
    by_name: dict[str, _Entry] = {}
    for path, file in files:
        entries = file.get(listed) or ()
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and isinstance(entry.get(field) or {}, dict):
                by_name.setdefault(str(entry.get("name")), _Entry(entry.get(field) or {}, path))
    return by_name


def _with_paths(entry: _Entry, fields: Sequence[str]) -> JsonObject:
    """The entry with absolute paths in place of paths relative to its file. A command without a slash stays."""
    folder = entry.path.absolute().parent
    value = dict(entry.value)
    for field in fields:
        if value.get(field) == "":
            del value[field]  # as kubectl does; the path would be that of the current folder
        elif isinstance(value.get(field), str):
            value[field] = str(folder / value[field])
    plugin = value.get("exec")
    if isinstance(plugin, dict) and os.sep in str(plugin.get("command", "")):
        value["exec"] = {**plugin, "command": str(folder / str(plugin["command"]))}
    return value


def _read(path: Path) -> dict[str, Any]:
    """The content of a kubeconfig; as in kubectl, an empty file has no entries."""
    try:
        documents = load_documents(path.read_bytes(), f"the kubeconfig {path}")
    except OSError as error:
        raise InputError(f"the kubeconfig {path} cannot be read: {error.strerror}") from None
    if not documents:
        return {}
    if len(documents) != 1 or not isinstance(documents[0] or {}, dict):
        raise InputError(f"{path} is not a kubeconfig", hint="Name one with --kubeconfig or KUBECONFIG.")
    return documents[0] or {}


# Settings of the connection -------------------------------------------------------------------------------------------


def _settings(chosen: _Chosen, kubeconfig: str) -> ConnectionSettings:
    """The settings for a context. ``kubeconfig`` is for messages. Raises InputError."""
    cluster, user = chosen.cluster, dict(chosen.user)
    token_file = str(user.pop("tokenFile", "") or "")
    settings = ConnectionSettings(
        server=str(cluster.get("server") or _DEFAULT_SERVER).rstrip("/"),
        verifies_server=not cluster.get("insecure-skip-tls-verify"),
        tls_server_name=str(cluster.get("tls-server-name") or ""),
        proxy=str(cluster.get("proxy-url") or ""),
    )
    try:
        if any(field in user for field in _PLUGIN_FIELDS):
            from gitsnap.cluster.api import credential_plugins  # noqa: PLC0415 - takes 0.2 s

            credential_plugins.load(settings, cluster, user, name=chosen.user_name, kubeconfig=kubeconfig)
        elif user.get("token"):
            settings.authorization = partial(str, f"Bearer {user['token']}")
        elif "username" in user and "password" in user:
            login = f"{user['username']}:{user['password']}".encode()
            settings.authorization = partial(str, f"Basic {base64.b64encode(login).decode()}")
        if settings.server.startswith("https"):
            settings.authority_file = pem_file(cluster, "certificate-authority")
            if not settings.certificate_file:  # a plugin may have returned one
                settings.certificate_file = pem_file(user, "client-certificate")
                settings.key_file = pem_file(user, "client-key")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"the kubeconfig {kubeconfig} cannot be used: {type(error).__name__}: {error}") from None
    if token_file:  # as in client-go, the file takes precedence over a token in the kubeconfig
        _use_token_file(settings, TokenFile(Path(token_file), fallback=str(user.get("token") or "")))
    return settings


def _use_token_file(settings: ConnectionSettings, token_file: TokenFile) -> None:
    token_file.check()
    settings.authorization = token_file.authorization
