"""Hidden values, when a person with an identity asks for them: objects with their values, and diffs of these.

Every value is held against its fingerprint. This module must not read keys, print, or be used unless asked for.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping

from gitsnap.core.errors import NotFoundError, UsageError
from gitsnap.core.model import Area, JsonObject, Kind, ObjectKey, SecretsMode
from gitsnap.core.ports import SecretsKeeper, Tree
from gitsnap.diff import Filters
from gitsnap.diff.raw_text import text_pair
from gitsnap.diff.rows import Comparison, RawDiff, TextPair, object_title
from gitsnap.diff.tree_files import differing
from gitsnap.format import decode, decode_object, masking, path_of
from gitsnap.sveltos import kinds


def reveal(tree: Tree, document: JsonObject, keeper: SecretsKeeper | None) -> JsonObject:
    """An object of a sample with its values.

    Raises UsageError where the sample keeps none, NotFoundError where they are missing, SecretsError where they cannot
    be decrypted or do not fit their fingerprints.
    """
    info, key = tree.info.secrets, ObjectKey.of(document)
    if not masking.masks(key.kind, info) or not masking.hides(document, info):
        return document
    if keeper is None or info.mode is not SecretsMode.ENCRYPT:
        raise UsageError(f"{key}: the sample keeps no values of Secrets (mode {info.mode})")
    blob = tree.files(Area.SEALED).get(path_of(key))
    if blob is None:
        raise NotFoundError(f"the sample holds no encrypted values of {key}")
    return masking.restore(document, decode(keeper.unseal(tree.read(blob))), info, keeper.fingerprint_key)


def revealed_diffs(
    sides: tuple[tuple[Tree, SecretsKeeper | None], tuple[Tree, SecretsKeeper | None]],
    *,
    filters: Filters,
    labels: tuple[str, str],
) -> Mapping[str, RawDiff]:
    """Title -> unified diff with values of each object with hidden values that differs, sorted; see ``reveal``."""
    pairs = tuple(_pairs(sides, filters))
    return {raw.title: raw for raw in Comparison(make_texts=lambda: pairs).raw_diffs(*labels)}


def _pairs(
    sides: tuple[tuple[Tree, SecretsKeeper | None], tuple[Tree, SecretsKeeper | None]], filters: Filters
) -> Iterator[TextPair]:
    before, after = (tree.files(Area.CONFIGURATION) for tree, _ in sides)
    for path in differing(before, after):
        documents = [
            decode_object(tree.read(blob), f"{Area.CONFIGURATION}/{path}")
            if (blob := tree.files(Area.CONFIGURATION).get(path))
            else None
            for tree, _ in sides
        ]
        key = ObjectKey.of(next(document for document in documents if document is not None))
        if filters.wants_object(key) and any(masking.masks(key.kind, tree.info.secrets) for tree, _ in sides):
            before_document, after_document = (
                document and _readable(reveal(tree, document, keeper))
                for document, (tree, keeper) in zip(documents, sides, strict=True)
            )
            yield text_pair(object_title(key), before_document, after_document)


def _readable(document: JsonObject) -> JsonObject:
    """The values of a Secret as text, where they are text."""
    if Kind.of(document) != kinds.SECRET:
        return document
    return {**document, "data": {name: _text(value) for name, value in (document.get("data") or {}).items()}}


def _text(value: object) -> object:
    try:
        return base64.b64decode(str(value), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return value
