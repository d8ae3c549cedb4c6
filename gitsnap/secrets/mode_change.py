"""Describes how samples keep Secrets, and changes of mode, recipients or hidden fields between two samples."""

from __future__ import annotations

from gitsnap.core.model import SecretsInfo
from gitsnap.format import recipients


def changes(before: SecretsInfo, after: SecretsInfo) -> tuple[str, ...]:
    """The differences, one phrase each, such as ``mode redact instead of encrypt``.

    Fingerprint keys are not compared: a sample with another key is refused, and a rekey reports itself.
    """
    phrases = []
    if before.mode is not after.mode:
        phrases.append(f"mode {after.mode} instead of {before.mode}")
    added, dropped = recipients.difference(before.recipients, after.recipients)
    phrases += [f"recipient added: {name}" for name in added]
    phrases += [f"recipient dropped: {name}" for name in dropped]
    old, new = set(before.sensitive_fields), set(after.sensitive_fields)
    phrases += [f"field hidden: {field}" for field in sorted(new - old)]
    phrases += [f"field no longer hidden: {field}" for field in sorted(old - new)]
    return tuple(phrases)


def describe(info: SecretsInfo) -> str:
    """``mode encrypt, 2 recipients (age1qyqszqgp…, age1zg9t8v9q…), hidden fields: ConfigMap data.*``."""
    parts = [f"mode {info.mode}"]
    parts += [recipients.listed(info.recipients)] if info.recipients else []
    parts += [f"hidden fields: {', '.join(map(str, info.sensitive_fields))}"] if info.sensitive_fields else []
    return ", ".join(parts)
