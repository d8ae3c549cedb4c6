"""Pseudonyms in place of the names of persons (docs/FORMAT.md, "Changes"). The key is the archive's fingerprint key.

A reader with the key can compute the pseudonym of any name. A reader without the key cannot find the name behind a
pseudonym, and cannot test a guess.
"""

from __future__ import annotations

import hmac

from gitsnap.core.changes import Author, AuthorSource
from gitsnap.core.errors import SecretsError
from gitsnap.format.fingerprint import KEY_BYTES
from gitsnap.kube.user_names import IMPERSONATES, is_person

PREFIX = "person-"

_DOMAIN = b"gitsnap author 1"
_DIGITS = 20


def pseudonym(key: bytes, name: str) -> str:
    """The pseudonym of a name: ``person-`` and 20 hexadecimal digits.

    Raises SecretsError for a key that does not have 32 bytes.
    """
    if len(key) != KEY_BYTES:
        raise SecretsError(f"a fingerprint key has {KEY_BYTES} bytes, this one has {len(key)}")
    text = name.encode("utf-8", "surrogatepass")
    message = b"".join(len(part).to_bytes(8, "big") + part for part in (_DOMAIN, text))
    return PREFIX + hmac.digest(key, message, "sha256").hex()[:_DIGITS]


def pseudonymous_name(key: bytes, name: str) -> str:
    """The name of an author from an audit event, without the names of persons."""
    return pseudonymous(key, Author(name, AuthorSource.AUDIT)).name


def pseudonymous(key: bytes, author: Author) -> Author:
    """An author without the names of persons. Names of programs are kept: field managers, and accounts of the cluster.

    In ``alice as admin``, each name has its own pseudonym.
    """
    if author.source in (AuthorSource.MANAGER, AuthorSource.UNKNOWN):
        return author
    names = author.name.split(IMPERSONATES)
    return Author(IMPERSONATES.join(pseudonym(key, name) if is_person(name) else name for name in names), author.source)
