"""Splits texts that have audit events, such as the body of a request, into JSON documents."""

from __future__ import annotations

import msgspec

_decode = msgspec.json.Decoder(msgspec.Raw).decode


def split_documents(content: bytes) -> list[bytes]:
    """The JSON documents of a text: the whole text, or each of its lines. Blank lines are left out.

    Returns an empty list if neither the text nor its first line is a JSON object or a list.
    """
    documents = [content] if _is_json(content) else [line for line in content.splitlines() if line.strip()]
    if not documents or documents[0].lstrip()[:1] not in (b"{", b"[") or not _is_json(documents[0]):
        return []
    return documents


def _is_json(content: bytes) -> bool:
    try:
        _decode(content)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    return True
