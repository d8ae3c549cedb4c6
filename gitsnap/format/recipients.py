"""Recipients: public keys to which Secrets are encrypted. Checks their text and gives them short names for messages.

Known example keys are refused: the user does not have the private key, and would notice that only at a restore.
This module must not encrypt, and must not show a text that may be a private key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence

from gitsnap.core.errors import SecretsError
from gitsnap.core.text import plural

FORMS = "age1…, ssh-ed25519 … or ssh-rsa …"

_KEY = re.compile(r"age1[0-9a-z]+|ssh-(?:ed25519|rsa) [A-Za-z0-9+/=]+(?: [^\x00-\x1f\x7f]*)?")
_SURELY_PUBLIC = re.compile(r"(?:age1|ssh-|ecdsa-|sk-)[^\x00-\x1f\x7f]{0,500}")
_BETWEEN = re.compile(r"[,;\n]\s*(?=age1|ssh-|ecdsa-|sk-)")
"""The separator of two keys. It counts only before the start of a key, because a comment may contain commas."""
_ANOTHER = re.compile(r"(?:^|[^A-Za-z0-9])(?:age1[0-9a-z]{20}|(?:ssh-|ecdsa-|sk-)\S+ +AAAA)")
"""A second key inside the comment of a key."""

_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_AGE_LETTERS = 58
"""After ``age1``: 52 letters of five bits for 32 bytes, and a checksum of six letters."""

EXAMPLES = {
    "age180gjflhp8h5ntvgkvmh8gahs7xms4q88a0ug0nerzlatd7kwhy7qhhqlvz": "the manifests of gitsnap",
    "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p": "the README of age",
    "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg": "the README of age",
    "age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z": "the manual of age",
    "age1helqcqsh9464r8chnwc2fzj8uv7vr5ntnsft0tn45v2xtz0hpfwq98cmsg": "the documentation of Flux",
    "age1yt3tfqlfrwdwx0z0ynwplcr6qxcxfaqycuprpmy89nr83ltx74tqdpszlw": "the documentation of SOPS",
    "age1s3cqcks5genc6ru8chl0hkkd04zmxvczsvdxq99ekffe4gmvjpzsedk23c": "the documentation of SOPS",
}
"""Published example keys -> the document that has them."""


def split(text: str) -> list[str]:
    """The keys of one text, separated by commas, semicolons or line breaks."""
    return [part.strip().rstrip(",;") for part in _BETWEEN.split(text.strip())]


def split_all(texts: Iterable[str]) -> list[str]:
    """The keys of several texts in their order, without duplicates."""
    return list(dict.fromkeys(key for text in texts for key in split(text)))


def problem(text: str) -> str:
    """Why Secrets must not be encrypted to a text, as the end of a sentence; ``""`` for a usable key."""
    if not _KEY.fullmatch(text):
        return f"is not a public key ({FORMS})"
    key, _, comment = _parts(text)
    if _ANOTHER.search(comment):
        return "contains more than one key: give each key separately"
    if key in EXAMPLES:
        return (
            f"is the example key {key} of {EXAMPLES[key]}: its private half is not yours, so nothing could be "
            "restored. Put your own public key in its place (`age-keygen -o identity.txt` prints one)"
        )
    if key.startswith("age1") and not _has_checksum(key):
        return (
            "is not a public key: it is a placeholder, or misspelt (wrong checksum). Put your own public key in its "
            "place (`age-keygen -o identity.txt` prints one)"
        )
    return ""


def is_key(text: str) -> bool:
    """Whether a text has the form of a public key. The checksum is not checked."""
    return bool(_KEY.fullmatch(text))


def check(text: str, number: int) -> None:
    """Raises SecretsError for a text that is not a usable key. ``number`` is its position in the list, from 1."""
    if reason := problem(text):
        raise not_a_recipient(text, number, reason)


def not_a_recipient(text: str, number: int, reason: str = "") -> SecretsError:
    """The error for a text that is not a recipient.

    A text that does not begin like a public key is not shown: it may be a private key.
    """
    shown = repr(text) if _SURELY_PUBLIC.fullmatch(text) else f"number {number} of the recipients"
    return SecretsError(
        f"{shown} is not a recipient{f': it {reason}' if reason else ''}",
        hint="A recipient is an age public key (age1…) or an SSH public key (ssh-ed25519 …, ssh-rsa …).",
    )


def same_keys(first: Iterable[str], second: Iterable[str]) -> bool:
    """Whether two lists have the same keys. The comments of SSH keys do not count."""
    return {_without_comment(key) for key in first} == {_without_comment(key) for key in second}


def difference(before: Iterable[str], after: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The short names of the added keys and of the dropped keys, both sorted."""
    old, new = ({_without_comment(key): key for key in keys} for keys in (before, after))
    added = sorted(short(new[key]) for key in new.keys() - old.keys())
    dropped = sorted(short(old[key]) for key in old.keys() - new.keys())
    return tuple(added), tuple(dropped)


def short(text: str) -> str:
    """A short name of a key: ``age1qyqszqgp…``, or ``ssh-ed25519 SHA256:AbCdEf12…`` as ``ssh-keygen -l`` prints it."""
    key, blob, _ = _parts(text)
    if not blob:
        return f"{key[:12]}…" if len(key) > 13 else key
    try:
        content = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        return f"{key[:20]}…"
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    return f"{key.partition(' ')[0]} SHA256:{digest[:10]}…"


def listed(recipients: Sequence[str]) -> str:
    """``2 recipients (age1qyqszqgp…, age1zg9t8v9q…)``, or ``no recipient``."""
    count = plural(len(recipients), "recipient")
    return f"{count} ({', '.join(sorted(map(short, recipients)))})" if recipients else "no recipient"


def _parts(text: str) -> tuple[str, str, str]:
    """The key without its comment, the base64 part of an SSH key, and the comment."""
    if not text.startswith("ssh-"):
        return text, "", ""
    kind, _, rest = text.partition(" ")
    blob, _, comment = rest.partition(" ")
    return f"{kind} {blob}", blob, comment


def _without_comment(text: str) -> str:
    return _parts(text.strip())[0]


def _has_checksum(key: str) -> bool:
    """Whether the checksum of an age public key is right (Bech32, BIP 173): it detects a wrong or missing letter."""
    letters = key.removeprefix("age1")
    if len(letters) != _AGE_LETTERS or not set(letters) <= set(_BECH32):
        return False
    values = [ord(letter) >> 5 for letter in "age"] + [0] + [ord(letter) & 31 for letter in "age"]
    checksum = 1
    for value in [*values, *(_BECH32.index(letter) for letter in letters)]:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_BECH32_GENERATOR):
            checksum ^= generator if top >> bit & 1 else 0
    return checksum == 1
