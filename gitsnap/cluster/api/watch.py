"""Reads the stream of a watch: one JSON event per line.

Rules: Kubernetes API concepts, "Efficient detection of changes" and "Watch bookmarks".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gitsnap.cluster.api.responses import Request, error_of
from gitsnap.cluster.api.shapes import api_object, bad_answer, mapping, text
from gitsnap.cluster.api.transport_errors import connection_errors
from gitsnap.core.model import ResourceType
from gitsnap.core.ports import WatchEvent

_LARGEST_PIECE = 65536
"""Bytes to read at a time, at most."""


def watch_events(stream: Any, resource: ResourceType, request: Request) -> Iterator[WatchEvent]:
    """Read the events of a response until the server ends it; ``stream`` is its body, which is closed at the end.

    Raises GoneError for an event with status 410, ClusterUnreachableError when the connection breaks, ClusterError for
    an invalid event.
    """
    try:
        for line in _lines(stream, request):
            yield _event(line, resource, request)
    finally:
        stream.close()  # a connection with unread data cannot serve another request


def _lines(stream: Any, request: Request) -> Iterator[bytes]:
    rest = b""
    while True:
        with connection_errors(request, is_write=False):
            piece = stream.read1(_LARGEST_PIECE)  # read() would wait for the whole piece where a proxy sends no chunks
        if not piece:
            return  # the rest is an incomplete line: the server ended the watch
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line for line in lines if line.strip())


def _event(line: bytes, resource: ResourceType, request: Request) -> WatchEvent:
    try:
        event = json.loads(line)
        change, document = str(event["type"]), event["object"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise bad_answer(request, "the answer is not an event") from None
    if not isinstance(document, dict):
        raise bad_answer(request, "the object of an event is not a mapping")
    if change == "ERROR":
        code = document.get("code")
        raise error_of(code if isinstance(code, int) else 500, json.dumps(document).encode(), request)
    if change == "BOOKMARK":
        metadata = mapping(document.get("metadata"), request, "metadata of an event")
        text(metadata.get("resourceVersion"), request, "metadata.resourceVersion of an event")
    else:
        api_object(document, request)
        text(document["metadata"].get("resourceVersion"), request, "metadata.resourceVersion of an event")
    document.setdefault("apiVersion", resource.api_version)
    document.setdefault("kind", resource.kind.name)
    return WatchEvent(change, document)
