"""Objects and files in the tree of an archive."""

from __future__ import annotations

from typing import Any

from gitsnap.core.model import Area, JsonObject, Kind, ObjectKey
from gitsnap.format import encode, path_of
from gitsnap.format.archived import document_at, documents_of_kind, files_of_kind, files_of_object
from gitsnap.sveltos import kinds
from tests.support.trees import MemoryTree, tree_info

CLUSTER = ObjectKey(kinds.SVELTOS_CLUSTER, "default", "west")
CONFIG_MAP = ObjectKey(Kind("", "ConfigMap"), "default", "database")


def _document(key: ObjectKey, **more: Any) -> JsonObject:
    metadata = {"name": key.name, "namespace": key.namespace, **more.pop("metadata", {})}
    group = f"{key.kind.group}/" if key.kind.group else ""
    return {"apiVersion": f"{group}v1", "kind": key.kind.name, "metadata": metadata, **more}


def _tree() -> MemoryTree:
    tree = MemoryTree(tree_info())
    tree.put(Area.CONFIGURATION, path_of(CONFIG_MAP), _document(CONFIG_MAP, data={"a": "1"}))
    tree.put(Area.CONFIGURATION, path_of(CLUSTER), _document(CLUSTER, metadata={"labels": {"env": "prod"}}))
    reported = _document(CLUSTER, metadata={"labels": {"sveltos": "v1.30"}}, status={"ready": True})
    tree.put(Area.INVENTORY, path_of(CLUSTER), reported)
    tree.put(Area.INVENTORY, "unresolved.yaml", {"unresolved": []})
    return tree


def test_an_object_has_its_status_and_labels_from_the_inventory() -> None:
    """A label of a controller is added to those of users."""
    [document] = documents_of_kind(_tree(), kinds.SVELTOS_CLUSTER)

    assert document["metadata"]["labels"] == {"env": "prod", "sveltos": "v1.30"}
    assert document["status"] == {"ready": True}


def test_an_object_without_an_inventory_file() -> None:
    """The document is the archived one; a path without an object gives none."""
    tree = _tree()

    assert document_at(tree, path_of(CONFIG_MAP)) == _document(CONFIG_MAP, data={"a": "1"})
    assert document_at(tree, "default/ConfigMap/other.yaml") is None


def test_the_files_of_a_kind_and_of_an_object() -> None:
    """Files of all areas; other kinds, and files that belong to no object, are left out."""
    tree = _tree()

    assert [(area, path) for area, path, _ in files_of_kind(tree, kinds.SVELTOS_CLUSTER)] == [
        (Area.CONFIGURATION, path_of(CLUSTER)),
        (Area.INVENTORY, path_of(CLUSTER)),
    ]
    assert set(files_of_object(tree, CLUSTER)) == {Area.CONFIGURATION, Area.INVENTORY}
    assert files_of_object(tree, ObjectKey(CLUSTER.kind, "default", "other")) == {}


def test_a_file_that_is_never_read() -> None:
    """Other files of the tree may be damaged: only those of the kind are read."""
    tree = _tree()
    tree.contents[tree.areas[Area.CONFIGURATION][path_of(CONFIG_MAP)]] = encode([])

    assert len(list(documents_of_kind(tree, kinds.SVELTOS_CLUSTER))) == 1
