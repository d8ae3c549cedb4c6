"""How Secrets are kept from one sample to the next: the words for a change of mode, recipients or hidden fields.

This module must not decide whether a change is accepted.
"""

from __future__ import annotations

from gitsnap.core.model import SecretsInfo
from gitsnap.format import recipients


def changes(before: SecretsInfo, after: SecretsInfo) -> tuple[str, ...]:
    """What differs, one phrase each, such as ``mode redact instead of encrypt``; nothing where nothing does.

    Fingerprint keys are not compared: a sample with another key is refused, and a rekey says so itself.
    """
    found = []
    if before.mode is not after.mode:
        found.append(f"mode {after.mode} instead of {before.mode}")
    added, dropped = recipients.difference(before.recipients, after.recipients)
    found += [f"recipient added: {name}" for name in added]
    found += [f"recipient dropped: {name}" for name in dropped]
    old, new = set(before.sensitive_fields), set(after.sensitive_fields)
    found += [f"field hidden: {field}" for field in sorted(new - old)]
    found += [f"field no longer hidden: {field}" for field in sorted(old - new)]
    return tuple(found)


def in_words(info: SecretsInfo) -> str:
    """``mode encrypt, 2 recipients (age1qyqszqgp…, age1zg9t8v9q…), hidden fields: ConfigMap data.*``."""
    parts = [f"mode {info.mode}"]
    parts += [recipients.listed(info.recipients)] if info.recipients else []
    parts += [f"hidden fields: {', '.join(map(str, info.sensitive_fields))}"] if info.sensitive_fields else []
    return ", ".join(parts)
