"""The previous sample as a substitute for what cannot be read now.

This module must not decide when a substitute is needed.
"""

from __future__ import annotations

from collections.abc import Iterator

from gitsnap import format as archive_format
from gitsnap.core.model import Area, BlobId, JsonObject, Kind, ObjectKey, Substitute, TreeInfo
from gitsnap.core.ports import Tree
from gitsnap.format.masking import fields_of


def carries(previous: Tree, kind: Kind, info: TreeInfo) -> bool:
    """Whether a tree can stand in for a kind: it asked for the same of the kind, and has not missed it itself.

    ``info`` is of the sample that is being taken. What hides other fields of the kind is no substitute either.
    """
    if not hides_the_same(previous, kind, info):
        return False
    missed = {one.kind for one in previous.incomplete if one.substitute is Substitute.MISSING and one.key is None}
    selectors = (info.resources, previous.info.resources)
    wanted, asked = ({one for one in listed if one.kind == kind} for listed in selectors)
    return (kind in previous.info.kinds or bool(asked)) and wanted == asked and kind not in missed


def hides_the_same(previous: Tree, kind: Kind, info: TreeInfo) -> bool:
    """Whether a tree has fingerprints in the same fields of a kind."""
    return fields_of(kind, previous.info.secrets) == fields_of(kind, info.secrets)


def files_of_kind(tree: Tree, kind: Kind) -> Iterator[tuple[Area, str, BlobId]]:
    """Every file that a tree has for a kind, in all areas."""
    folder = archive_format.kind_folder(kind)
    for area in Area:
        for path, blob in tree.files(area).items():
            parts = path.split("/")
            if len(parts) == 3 and parts[1] == folder:
                yield area, path, blob


def files_of_object(tree: Tree, key: ObjectKey) -> dict[Area, BlobId]:
    """The files that a tree has for an object, by area; none where it is not part of the configuration or inventory."""
    try:
        path = archive_format.path_of(key)
    except ValueError:  # a name that no path can hold
        return {}
    return {area: blob for area in Area if (blob := tree.files(area).get(path)) is not None}


def carried_documents(tree: Tree, kind: Kind) -> Iterator[JsonObject]:
    """The archived objects of a kind, as ``carried_document`` gives them."""
    for area, path, _ in files_of_kind(tree, kind):
        if area is Area.CONFIGURATION:
            yield from carried_document(tree, path)


def carried_document(tree: Tree, path: str) -> Iterator[JsonObject]:
    """The archived object at a path, with the status and controller labels that its inventory file keeps, if any."""
    configuration, inventory = tree.files(Area.CONFIGURATION), tree.files(Area.INVENTORY)
    if path not in configuration:
        return
    document: JsonObject = archive_format.decode_object(tree.read(configuration[path]), f"{Area.CONFIGURATION}/{path}")
    if path in inventory:
        reported = archive_format.decode_object(tree.read(inventory[path]), f"{Area.INVENTORY}/{path}")
        labels = {**(document["metadata"].get("labels") or {}), **(reported["metadata"].get("labels") or {})}
        document = {**document, "metadata": {**document["metadata"], "labels": labels}}
        if "status" in reported:
            document["status"] = reported["status"]
    yield document
