"""Finds out which API server to talk to, and with which credentials.

This module must not send a request; a credential plugin of the kubeconfig may.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from gitsnap.cluster.kubernetes_api import KubernetesCluster
from gitsnap.errors import InputError

IN_CLUSTER = "in-cluster"
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def connect(*, kubeconfig: str, context: str) -> KubernetesCluster:
    """See ``gitsnap.cluster.connect``."""
    settings = client.Configuration()
    file = kubeconfig or os.environ.get("KUBECONFIG", "")
    if not file and not context and _SERVICE_ACCOUNT.exists():
        try:
            config.load_incluster_config(client_configuration=settings)
        except ConfigException as error:
            raise InputError(f"the service account of this pod cannot be used: {error}") from None
        return KubernetesCluster(client.ApiClient(settings), context=IN_CLUSTER, user="")
    used = _load(settings, file, context)
    settings.retries = False
    name = str(used.get("name", ""))
    return KubernetesCluster(
        client.ApiClient(settings), context=name, user=str(used.get("context", {}).get("user", ""))
    )


def _load(settings: Any, file: str, context: str) -> dict[str, Any]:
    """Fill in the settings; the context that is used. Raises InputError in words."""
    paths = [path for path in file.split(os.pathsep) if path] or [str(Path("~/.kube/config").expanduser())]
    if not any(Path(path).expanduser().is_file() for path in paths):
        raise InputError(
            f"there is no kubeconfig at {os.pathsep.join(paths)}",
            hint="Name one with --kubeconfig or KUBECONFIG, or use --from-dir for a folder of YAML files.",
        )
    joined = os.pathsep.join(paths)
    try:
        contexts, active = config.list_kube_config_contexts(config_file=joined)
        by_name = {str(one.get("name")): one for one in contexts or ()}
        if context and context not in by_name:
            raise InputError(
                f"the kubeconfig has no context {context!r}; it has: {', '.join(sorted(by_name)) or 'none'}"
            )
        config.load_kube_config(
            config_file=joined, context=context or None, client_configuration=settings, persist_config=False
        )
    except ConfigException as error:
        raise InputError(f"the kubeconfig {joined} cannot be used: {error}") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"the kubeconfig {joined} cannot be read: {type(error).__name__}: {error}") from None
    used: dict[str, Any] = by_name[context] if context else active
    return used
