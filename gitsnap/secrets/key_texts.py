"""Keys as texts, as a Secret of the cluster holds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class KeyTexts:
    """Keys as texts instead of files. The representation does not show the keys."""

    source: str
    """The source of the keys, for messages: ``the Secret gitsnap/keys``."""
    fingerprint_key: str = ""
    """The content of fingerprint.key, ``""`` without a key."""
    identity: str = ""
    """The content of identity.txt, ``""`` without an identity."""


KeySource = Callable[[], KeyTexts | None]
"""Reads keys from another place than the key files; returns None without keys there."""
