"""Lists of live objects: all objects of a kind, and the CustomResourceDefinitions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from gitsnap.core.errors import AccessDeniedError
from gitsnap.core.model import JsonObject, Kind
from gitsnap.core.ports import Cluster
from gitsnap.kube.api_resources import CUSTOM_RESOURCE_DEFINITION


def list_objects(cluster: Cluster, kind: Kind) -> Iterator[JsonObject]:
    """Yield the objects of a kind; none if the kind is not installed. Raises the errors of the cluster."""
    resource = cluster.resource_type(kind)
    if resource is not None:
        for page in cluster.list(resource):
            yield from page.items


def list_definitions(cluster: Cluster) -> Iterator[JsonObject]:
    """Yield the CustomResourceDefinitions of a cluster; none if the user may not list them."""
    with suppress(AccessDeniedError):
        yield from list_objects(cluster, CUSTOM_RESOURCE_DEFINITION)
