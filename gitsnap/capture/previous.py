"""The previous sample as a substitute for what cannot be read now.

This module must not decide when a substitute is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gitsnap import format as archive_format
from gitsnap.model import Area, BlobId, JsonObject, Kind, ResourceSelector, Substitute
from gitsnap.ports import Tree


def carries(previous: Tree, kind: Kind, resources: Iterable[ResourceSelector]) -> bool:
    """Whether a tree can stand in for a kind: it asked for the same of the kind, and has not missed it itself.

    ``resources`` are the selectors of the kinds that the policy adds now.
    """
    missed = {one.kind for one in previous.incomplete if one.substitute is Substitute.MISSING}
    wanted, asked = ({one for one in listed if one.kind == kind} for listed in (resources, previous.info.resources))
    return (kind in previous.info.kinds or bool(asked)) and wanted == asked and kind not in missed


def files_of_kind(tree: Tree, kind: Kind) -> Iterator[tuple[Area, str, BlobId]]:
    """Every file that a tree has for a kind, in all areas."""
    folder = archive_format.kind_folder(kind)
    for area in Area:
        for path, blob in tree.files(area).items():
            parts = path.split("/")
            if len(parts) == 3 and parts[1] == folder:
                yield area, path, blob


def carried_documents(tree: Tree, kind: Kind) -> Iterator[JsonObject]:
    """The archived objects of a kind, each with the status and controller labels that its inventory file keeps."""
    inventory = tree.files(Area.INVENTORY)
    for area, path, blob in files_of_kind(tree, kind):
        if area is not Area.CONFIGURATION:
            continue
        document: JsonObject = archive_format.decode(tree.read(blob))
        if path in inventory:
            reported = archive_format.decode(tree.read(inventory[path]))
            labels = {**(document["metadata"].get("labels") or {}), **(reported["metadata"].get("labels") or {})}
            document = {**document, "metadata": {**document["metadata"], "labels": labels}}
            if "status" in reported:
                document["status"] = reported["status"]
        yield document
