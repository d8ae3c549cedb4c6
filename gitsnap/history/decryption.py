"""Hidden values of a sample, decrypted on request: objects with their values, and the objects that differ in them.

Every decrypted value is checked against its fingerprint. This module must not read keys or print.
"""

from __future__ import annotations

from collections.abc import Iterator

from gitsnap.core.errors import NotFoundError, UsageError
from gitsnap.core.model import Area, JsonObject, Kind, ObjectKey, SecretsMode
from gitsnap.core.ports import SecretsKeeper, Tree
from gitsnap.format import decode, decode_object, masking, path_of
from gitsnap.format.tree_files import differing_paths
from gitsnap.sveltos import kinds
from gitsnap.sveltos.filters import Filters

KeyedTree = tuple[Tree, SecretsKeeper | None]
"""A tree with the keeper of its keys, None if there is no identity for it."""


def reveal(tree: Tree, document: JsonObject, keeper: SecretsKeeper | None) -> JsonObject:
    """Return an object of a sample with its hidden values.

    Raises UsageError if the sample contains no encrypted values, NotFoundError if those of the object are missing, and
    SecretsError if they cannot be decrypted or do not match their fingerprints.
    """
    info, key = tree.info.secrets, ObjectKey.of(document)
    if not masking.hides(document, info):
        return document
    if keeper is None or info.mode is not SecretsMode.ENCRYPT:
        raise UsageError(f"{key}: the sample keeps no values of Secrets (mode {info.mode})")
    blob = tree.files(Area.SEALED).get(path_of(key))
    if blob is None:
        raise NotFoundError(f"the sample contains no encrypted values of {key}")
    return masking.restore(document, decode(keeper.unseal(tree.read(blob))), info, keeper.fingerprint_key)


def revealed_changes(
    before: KeyedTree, after: KeyedTree, filters: Filters
) -> Iterator[tuple[ObjectKey, JsonObject | None, JsonObject | None]]:
    """Yield the objects with hidden values that differ, by path: key and both versions, with their values.

    Values of Secrets that are text are decoded from base64. Raises the errors of ``reveal``.
    """
    for path in differing_paths(before[0].files(Area.CONFIGURATION), after[0].files(Area.CONFIGURATION)):
        old, new = (_read(tree, path) for tree, _ in (before, after))
        key = ObjectKey.of(old or new or {})
        if filters.wants_object(key) and any(masking.masks(key.kind, tree.info.secrets) for tree, _ in (before, after)):
            yield key, old and _reveal_text(old, before), new and _reveal_text(new, after)


def _read(tree: Tree, path: str) -> JsonObject | None:
    blob = tree.files(Area.CONFIGURATION).get(path)
    return decode_object(tree.read(blob), f"{Area.CONFIGURATION}/{path}") if blob else None


def _reveal_text(document: JsonObject, side: KeyedTree) -> JsonObject:
    revealed = reveal(side[0], document, side[1])
    return masking.decode_secret(revealed) if Kind.of(revealed) == kinds.SECRET else revealed
