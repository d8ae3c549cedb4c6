"""Clusters: the Kubernetes API, and a folder of YAML files that behaves like an API server.

Both adapters implement ``core.ports`` and pass tests/contract. Importing this package is cheap: ``connect`` loads the
Kubernetes client.
"""

from __future__ import annotations

from pathlib import Path

from gitsnap.cluster.known_kinds import KnownKinds
from gitsnap.core.ports import Cluster, ControlPlane

__all__ = ["KnownKinds", "connect", "open_directory", "state_of_files"]


def connect(*, known_kinds: KnownKinds, kubeconfig: str | None = None, context: str | None = None) -> ControlPlane:
    """Open the cluster of a kubeconfig (default: ``$KUBECONFIG`` or ``~/.kube/config``), or of the pod of this process.

    ``known_kinds`` decides between the API versions that the server offers. No request is sent yet, but a credential
    plugin of the kubeconfig runs. Raises InputError without a usable configuration.
    """
    from gitsnap.cluster.api.kubeconfig import connect as connect_to_server  # noqa: PLC0415 - takes 0.3 s

    return connect_to_server(known_kinds=known_kinds, kubeconfig=kubeconfig or "", context=context or "")


def open_directory(folder: Path, *, known_kinds: KnownKinds, read_only: bool = False, uid: str = "") -> Cluster:
    """Open a folder of YAML files as a cluster.

    ``known_kinds`` are served even where the folder holds no object of them. ``read_only`` denies every write. ``uid``
    identifies the cluster that the files came from, for a folder without a kube-system namespace. Raises InputError for
    a folder that does not exist or a file that is not valid YAML, AccessDeniedError for a file that cannot be read.
    """
    from gitsnap.cluster.directory.cluster import DirectoryCluster  # noqa: PLC0415 - loads the YAML reader

    return DirectoryCluster(folder, known_kinds=known_kinds, read_only=read_only, uid=uid)


def state_of_files(folder: Path) -> object:
    """A value that differs after each change of a YAML file in a folder. Raises InputError, AccessDeniedError."""
    from gitsnap.cluster.directory.object_files import find_files, stamp  # noqa: PLC0415 - loads the YAML reader

    return [(path, stamp(path)) for path in find_files(folder)]
