"""The CustomResourceDefinitions of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from gitsnap.core.errors import AccessDeniedError
from gitsnap.core.model import JsonObject
from gitsnap.core.ports import Cluster
from gitsnap.kube.api_resources import CUSTOM_RESOURCE_DEFINITION


def list_definitions(cluster: Cluster) -> Iterator[JsonObject]:
    """Yield the CustomResourceDefinitions of a cluster; none if the user may not list them."""
    resource = cluster.resource_type(CUSTOM_RESOURCE_DEFINITION)
    if resource is not None:
        with suppress(AccessDeniedError):
            for page in cluster.list(resource):
                yield from page.items
