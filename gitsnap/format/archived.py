"""Objects and their files in a tree of the archive: by kind, by key and by path."""

from __future__ import annotations

from collections.abc import Iterator

from gitsnap.core.model import Area, BlobId, JsonObject, Kind, ObjectKey
from gitsnap.core.ports import Tree
from gitsnap.format.paths import kind_folder, path_of
from gitsnap.format.yaml.reader import decode_object


def files_of_kind(tree: Tree, kind: Kind) -> Iterator[tuple[Area, str, BlobId]]:
    """The files of a kind in all areas: area, path below the area, blob."""
    folder = kind_folder(kind)
    for area in Area:
        for path, blob in tree.files(area).items():
            parts = path.split("/")
            if len(parts) == 3 and parts[1] == folder:
                yield area, path, blob


def files_of_object(tree: Tree, key: ObjectKey) -> dict[Area, BlobId]:
    """The files of an object, by area; empty if the tree does not have the object."""
    try:
        path = path_of(key)
    except ValueError:  # the name is not valid Unicode, so the object has no path
        return {}
    return {area: blob for area in Area if (blob := tree.files(area).get(path)) is not None}


def documents_of_kind(tree: Tree, kind: Kind) -> Iterator[JsonObject]:
    """The objects of a kind below ``configuration/``, each as ``document_at`` returns it."""
    for area, path, _ in files_of_kind(tree, kind):
        if area is Area.CONFIGURATION and (document := document_at(tree, path)) is not None:
            yield document


def document_at(tree: Tree, path: str) -> JsonObject | None:
    """The object at a path below ``configuration/``, with its status and controller labels from ``inventory/``.

    None if the tree does not have the path. Raises ArchiveError for a file that contains no object.
    """
    configuration, inventory = tree.files(Area.CONFIGURATION), tree.files(Area.INVENTORY)
    if path not in configuration:
        return None
    document: JsonObject = decode_object(tree.read(configuration[path]), f"{Area.CONFIGURATION}/{path}")
    if path not in inventory:
        return document
    return with_report(document, decode_object(tree.read(inventory[path]), f"{Area.INVENTORY}/{path}"))


def with_report(document: JsonObject, reported: JsonObject) -> JsonObject:
    """An object with the status and the controller labels of its file below ``inventory/``."""
    labels = {**(document["metadata"].get("labels") or {}), **(reported["metadata"].get("labels") or {})}
    whole = {**document, "metadata": {**document["metadata"], "labels": labels}}
    if "status" in reported:
        whole["status"] = reported["status"]
    return whole
