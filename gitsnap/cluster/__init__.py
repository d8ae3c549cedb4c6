"""Clusters: the Kubernetes API, and a folder of YAML files that behaves like one. Both pass tests/contract.

Importing this package costs nothing: the client is loaded by ``connect``. The only room that imports ``kubernetes``.
This package must not know what the objects mean.
"""

from __future__ import annotations

from pathlib import Path

from gitsnap.core.ports import Cluster, ControlPlane

__all__ = ["connect", "open_directory"]


def connect(*, kubeconfig: str | None = None, context: str | None = None) -> ControlPlane:
    """The cluster of a kubeconfig (default: ``$KUBECONFIG`` or ``~/.kube/config``), or the one this pod runs in.

    Raises InputError when there is no usable configuration. Nothing is asked of the server yet, but a credential
    plugin of the kubeconfig is run.
    """
    from gitsnap.cluster.api.kubeconfig import connect as connect_to_server  # noqa: PLC0415 - 0.3 s that most commands spare

    return connect_to_server(kubeconfig=kubeconfig or "", context=context or "")


def open_directory(folder: Path, *, read_only: bool = False, uid: str = "") -> Cluster:
    """The folder of YAML files as a cluster; ``read_only`` denies every write.

    ``uid``: the identity of the cluster that the files came from, where they do not tell.
    Raises InputError when it does not exist or a file is no valid YAML, AccessDeniedError when one cannot be read.
    """
    from gitsnap.cluster.directory.cluster import DirectoryCluster  # noqa: PLC0415 - reads YAML, which most commands spare

    return DirectoryCluster(folder, read_only=read_only, uid=uid)
