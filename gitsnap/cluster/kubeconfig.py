"""Finds out which API server to talk to, and with which credentials.

This module must not send a request; a credential plugin of the kubeconfig may.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from gitsnap.cluster.kubernetes_api import KubernetesCluster
from gitsnap.errors import InputError
from gitsnap.format import load_documents

IN_CLUSTER = "in-cluster"
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def connect(*, kubeconfig: str, context: str) -> KubernetesCluster:
    """See ``gitsnap.cluster.connect``."""
    settings = client.Configuration()
    settings.retries = False  # a write that is sent twice may be carried out twice; reads are repeated by the adapter
    named = kubeconfig or os.environ.get("KUBECONFIG", "")
    paths = [Path(part).expanduser() for part in named.split(os.pathsep) if part] or [Path.home() / ".kube" / "config"]
    if not named and not context and not paths[0].exists() and _SERVICE_ACCOUNT.exists():
        return _in_this_pod(settings)
    used, user = _load(settings, paths, context)
    return KubernetesCluster(_client(settings), context=used, user=user)


def _in_this_pod(settings: client.Configuration) -> KubernetesCluster:
    try:
        config.load_incluster_config(client_configuration=settings)
    except (ConfigException, OSError) as error:
        raise InputError(
            f"the service account of this pod cannot be used: {error}",
            hint="Name a kubeconfig with --kubeconfig, or let the pod have its token (automountServiceAccountToken).",
        ) from None
    return KubernetesCluster(_client(settings), context=IN_CLUSTER, user="")


def _client(settings: client.Configuration) -> client.ApiClient:
    try:
        return client.ApiClient(settings)
    except ImportError:
        raise InputError(
            f"the proxy {str(settings.proxy).partition('://')[0]}://… needs the Python package PySocks",
            hint="Install it beside gitsnap: pip install PySocks",
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"a certificate, key or proxy of the kubeconfig cannot be used: {error}") from None


def _load(settings: client.Configuration, paths: list[Path], context: str) -> tuple[str, str]:
    """Fill in the settings; the names of the context and of the user. Raises InputError in words."""
    joined = os.pathsep.join(map(str, paths))
    files = [_read(path) for path in paths if path.is_file()]
    if not files:
        raise InputError(
            f"there is no kubeconfig at {joined}",
            hint="Name one with --kubeconfig or KUBECONFIG, or use --from-dir for a folder of YAML files.",
        )
    contexts: dict[str, dict[str, Any]] = {}
    for one in (one for file in files for one in file.get("contexts") or ()):
        if isinstance(one, dict) and isinstance(one.get("context"), dict):
            contexts.setdefault(str(one.get("name")), one["context"])
    # As kubectl does: the first file that names a current context decides.
    chosen = context or next((str(file["current-context"]) for file in files if file.get("current-context")), "")
    if chosen not in contexts:
        what = f"has no context {chosen!r}" if chosen else "names no current context"
        raise InputError(
            f"the kubeconfig {joined} {what}; it has: {', '.join(sorted(contexts)) or 'none'}",
            hint="Choose one with --context.",
        )
    user = str(contexts[chosen].get("user", ""))
    try:
        with _complaints() as complaints:
            config.load_kube_config(
                config_file=joined, context=chosen, client_configuration=settings, persist_config=False
            )
    except ConfigException as error:
        raise InputError(f"the kubeconfig {joined} cannot be used: {error}") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"the kubeconfig {joined} cannot be used: {type(error).__name__}: {error}") from None
    if complaints:
        raise InputError(
            f"the credentials of the user {user} of the kubeconfig cannot be had: {'; '.join(complaints)}",
            hint="The kubeconfig runs a program for them; it must work in this shell. "
            "Does `kubectl get namespaces` work with the same context?",
        )
    return chosen, user


def _read(path: Path) -> dict[str, Any]:
    try:
        documents = load_documents(path.read_bytes(), f"the kubeconfig {path}")
    except OSError as error:
        raise InputError(f"the kubeconfig {path} cannot be read: {error.strerror}") from None
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise InputError(f"{path} is no kubeconfig", hint="Name one with --kubeconfig or KUBECONFIG.")
    return documents[0]


class _Collector(logging.Handler):
    """Keeps the messages of errors."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        self.messages.append(record.getMessage())


@contextlib.contextmanager
def _complaints() -> Iterator[list[str]]:
    """What the client logs as an error while it loads: it goes on without credentials when a plugin fails."""
    collector = _Collector()
    root = logging.getLogger()
    root.addHandler(collector)
    try:
        yield collector.messages
    finally:
        root.removeHandler(collector)
