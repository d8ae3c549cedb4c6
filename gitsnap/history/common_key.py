"""Secrets of two archives made comparable, for a user who holds the keys of both.

Each archive has its own fingerprint key, so equal values have different fingerprints. The values of one tree are
decrypted in memory and get fingerprints by the key of the other tree. This module must not read keys or print.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gitsnap.core.errors import SecretsError
from gitsnap.core.model import Area, Kind, SecretsMode, TreeInfo
from gitsnap.core.ports import SecretsKeeper, Tree
from gitsnap.format import decode_object, encode, masking
from gitsnap.history.decryption import KeyedTree, reveal
from gitsnap.history.expectations import AdoptedTree

_WITH_FINGERPRINTS = (SecretsMode.ENCRYPT, SecretsMode.REDACT)


def with_common_key(before: KeyedTree, after: KeyedTree) -> tuple[Tree, Tree] | None:
    """Return both trees, one of them with fingerprints by the key of the other.

    The result must only be compared: its fingerprints must not be shown. None if the keys do not suffice: one side
    needs a fingerprint key, and the other side needs values. Raises SecretsError if a value does not match its
    fingerprint, NotFoundError if a value is missing, and ArchiveError.
    """
    for base, other in ((before, after), (after, before)):
        if base[1] is not None and base[0].info.secrets.mode in _WITH_FINGERPRINTS and _has_values(*other):
            rekeyed = _rekeyed(other, base[0].info, base[1].fingerprint_key)
            return (base[0], rekeyed) if base is before else (rekeyed, base[0])
    return None


def _has_values(tree: Tree, keeper: SecretsKeeper | None) -> bool:
    if tree.info.secrets.mode is SecretsMode.PLAINTEXT:
        return True
    if tree.info.secrets.mode is not SecretsMode.ENCRYPT or keeper is None:
        return False
    try:
        for blob in list(tree.files(Area.SEALED).values())[:1]:
            keeper.unseal(tree.read(blob))
    except SecretsError:  # no identity fits; if the file is damaged, nothing is known about the values either
        return False
    return True


class _RekeyedTree(AdoptedTree):
    """A tree whose fingerprints are made with the key of another tree."""

    def __init__(self, tree: Tree, files: dict[str, bytes], info: TreeInfo) -> None:
        super().__init__(tree, tree, files)
        self._info = info

    @property
    def info(self) -> TreeInfo:
        """The settings of the tree, with the key of the other tree."""
        return self._info


def _rekeyed(side: KeyedTree, base: TreeInfo, key: bytes) -> Tree:
    """A tree with fingerprints by the key of the tree with the settings ``base``."""
    tree = side[0]
    secrets = replace(
        tree.info.secrets, mode=SecretsMode.REDACT, recipients=(), fingerprint_key=base.secrets.fingerprint_key
    )
    info = replace(tree.info, secrets=secrets)
    return _RekeyedTree(tree, dict(_rekeyed_files(side, info, key)), info)


def _rekeyed_files(side: KeyedTree, info: TreeInfo, key: bytes) -> Iterator[tuple[str, bytes]]:
    """The path below ``configuration/`` and the new content of each object with values."""
    tree, keeper = side
    for path, blob in tree.files(Area.CONFIGURATION).items():
        document = decode_object(tree.read(blob), f"{Area.CONFIGURATION}/{path}")
        if masking.masks(Kind.of(document), info.secrets):
            plain = document
            if tree.info.secrets.mode is not SecretsMode.PLAINTEXT:
                plain = reveal(tree, document, keeper)
            yield path, encode(masking.mask(plain, info.secrets, key))
