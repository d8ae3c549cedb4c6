"""Addresses of pages. The address of a sample, an object or a cluster never changes."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from gitsnap.core.model import ObjectKey, Sample
from gitsnap.core.states import State


def address(*segments: str, **query: str) -> str:
    """Return the path of segments, with each segment quoted. Empty values of the query are left out."""
    words = urlencode({name: value for name, value in query.items() if value})
    path = "/" + "/".join(quote(segment, safe="") for segment in segments)
    return f"{path}?{words}" if words else path


def state_name(state: State) -> str:
    """Return the name of a sample or a change in an address: the last part of the tag, or the commit id."""
    return state.tag.rpartition("/")[2] if isinstance(state, Sample) else state.commit


def state_address(archive: str, state: State, page: str = "sample") -> str:
    """Return the address of a page about a sample or a change."""
    return address(archive, page, state_name(state))


def diff_address(archive: str, before: State, after: State) -> str:
    """Return the address of a diff."""
    return address(archive, "diff", state_name(before), state_name(after))


def object_address(archive: str, key: ObjectKey, page: str = "object", at: str = "") -> str:
    """Return the address of a page about an object. ``at``: the name of a sample or a change, ``""`` for the newest."""
    names = (key.namespace, key.name) if key.namespace else (key.name,)
    return address(archive, page, str(key.kind), *names, at=at)


def cluster_address(archive: str, cluster: str, page: str = "cluster") -> str:
    """Return the address of a page about a managed cluster: ``default/sveltos--west``."""
    return address(archive, page, *cluster.split("/"))
