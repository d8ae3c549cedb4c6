"""Public keys that Secrets are encrypted to, as texts: what one is, which are examples, and short names for messages.

A key that nobody has the private half of would be found out at the first restore, so known examples are refused.
This module must not encrypt, and must not show a text that may be a private key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence

from gitsnap.core.errors import SecretsError

FORMS = "age1…, ssh-ed25519 … or ssh-rsa …"

_KEY = re.compile(r"age1[0-9a-z]+|ssh-(?:ed25519|rsa) [A-Za-z0-9+/=]+(?: [^\x00-\x1f\x7f]*)?")
_SURELY_PUBLIC = re.compile(r"(?:age1|ssh-|ecdsa-|sk-)[^\x00-\x1f\x7f]{0,500}")
_BETWEEN = re.compile(r"[,;\n]\s*(?=age1|ssh-|ecdsa-|sk-)")
"""Between two keys of one text. Only what begins like a key follows, since a comment may hold commas."""
_ANOTHER = re.compile(r"(?:^|[^A-Za-z0-9])(?:age1[0-9a-z]{20}|(?:ssh-|ecdsa-|sk-)\S+ +AAAA)")
"""A second key inside the comment of a first one."""

_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_AGE_LETTERS = 58
"""Behind ``age1``: 32 bytes in letters of five bits, and six letters of checksum."""

EXAMPLES = {
    "age180gjflhp8h5ntvgkvmh8gahs7xms4q88a0ug0nerzlatd7kwhy7qhhqlvz": "the manifests of gitsnap",
    "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p": "the README of age",
    "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg": "the README of age",
    "age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z": "the manual of age",
    "age1helqcqsh9464r8chnwc2fzj8uv7vr5ntnsft0tn45v2xtz0hpfwq98cmsg": "the documentation of Flux",
    "age1yt3tfqlfrwdwx0z0ynwplcr6qxcxfaqycuprpmy89nr83ltx74tqdpszlw": "the documentation of SOPS",
    "age1s3cqcks5genc6ru8chl0hkkd04zmxvczsvdxq99ekffe4gmvjpzsedk23c": "the documentation of SOPS",
}
"""Published keys, and where they are published."""


def split(text: str) -> list[str]:
    """The keys of one text, in which commas, semicolons or lines separate them."""
    return [part.strip().rstrip(",;") for part in _BETWEEN.split(text.strip())]


def split_all(texts: Iterable[str]) -> list[str]:
    """The keys of several texts, each key once, in their order."""
    return list(dict.fromkeys(key for text in texts for key in split(text)))


def problem(text: str) -> str:
    """Why a text is no public key that Secrets may be encrypted to, ``""`` where it is one."""
    if not _KEY.fullmatch(text):
        return f"is no public key ({FORMS})"
    key, _, comment = _parts(text)
    if _ANOTHER.search(comment):
        return "holds more than one key: give each key by itself"
    if key in EXAMPLES:
        return (
            f"is the example key {key} of {EXAMPLES[key]}: its private half is not yours, so nothing could be "
            "restored. Put your own public key in its place (`age-keygen -o identity.txt` prints one)"
        )
    if key.startswith("age1") and not _has_checksum(key):
        return (
            "is no public key: it is a placeholder, or misspelt (wrong checksum). Put your own public key in its "
            "place (`age-keygen -o identity.txt` prints one)"
        )
    return ""


def is_key(text: str) -> bool:
    """Whether a text has the form of a public key. Its bytes may be wrong all the same."""
    return bool(_KEY.fullmatch(text))


def check(text: str, number: int) -> None:
    """Raises SecretsError for a text that nothing may be encrypted to; ``number`` is its place in the list."""
    if reason := problem(text):
        raise not_a_recipient(text, number, reason)


def not_a_recipient(text: str, number: int, reason: str = "") -> SecretsError:
    """The error about a text that is no recipient.

    A text that does not begin like a public key is not shown: somebody may have mistaken the private key for it.
    """
    shown = repr(text) if _SURELY_PUBLIC.fullmatch(text) else f"number {number} of the recipients"
    return SecretsError(
        f"{shown} is no recipient{f': it {reason}' if reason else ''}",
        hint="A recipient is an age public key (age1…) or an SSH public key (ssh-ed25519 …, ssh-rsa …).",
    )


def same_keys(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether two lists name the same keys; comments of SSH keys do not count."""
    return {_without_comment(key) for key in some} == {_without_comment(key) for key in others}


def difference(before: Iterable[str], after: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The short names of the keys that were added and of those that were dropped, sorted."""
    old, new = ({_without_comment(key): key for key in keys} for keys in (before, after))
    added = sorted(short(new[key]) for key in new.keys() - old.keys())
    dropped = sorted(short(old[key]) for key in old.keys() - new.keys())
    return tuple(added), tuple(dropped)


def short(text: str) -> str:
    """A short name of a key: ``age1qyqszqgp…``, or ``ssh-ed25519 SHA256:AbCdEf12…`` as ``ssh-keygen -l`` has it."""
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
    """How many recipients there are, and which: ``2 recipients (age1qyqszqgp…, age1zg9t8v9q…)``."""
    count = "1 recipient" if len(recipients) == 1 else f"{len(recipients)} recipients"
    return f"{count} ({', '.join(sorted(map(short, recipients)))})" if recipients else "no recipient"


def _parts(text: str) -> tuple[str, str, str]:
    """The key without its comment, its base64 (of an SSH key), and the comment."""
    if not text.startswith("ssh-"):
        return text, "", ""
    kind, _, rest = text.partition(" ")
    blob, _, comment = rest.partition(" ")
    return f"{kind} {blob}", blob, comment


def _without_comment(text: str) -> str:
    return _parts(text.strip())[0]


def _has_checksum(key: str) -> bool:
    """Whether an age public key is whole: Bech32 (BIP 173), which finds a letter that is wrong or missing."""
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
