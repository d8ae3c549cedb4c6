"""The trailers ``Gitsnap-Key: value`` of tags and commits, with the lines about incomplete kinds and objects.

Text from outside is percent-encoded, so that it cannot start a line of its own (docs/FORMAT.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote

from gitsnap.core.model import IncompleteKind, IncompleteReason, Kind, Substitute

_KEPT = "!\"#$&'()*+,-.:;<=>?@[\\]^_`{|}~"
"""The punctuation that is never encoded: all of printable ASCII but ``%`` and ``/``."""


def incomplete_lines(incomplete: Iterable[IncompleteKind]) -> list[tuple[str, str]]:
    """The keys and values for incomplete kinds, and for incomplete objects.

    The kind of an incomplete object gets a line too. A reader that does not know ``Incomplete-Object`` then treats the
    whole kind as incomplete, which is safe.
    """
    entries = sorted(incomplete)
    objects = [entry for entry in entries if entry.name]
    missing = {entry.kind for entry in objects if entry.substitute is Substitute.MISSING}
    kinds = {entry for entry in entries if not entry.name} | {
        IncompleteKind(kind, Substitute.MISSING if kind in missing else Substitute.CARRIED, IncompleteReason.BAD_ANSWER)
        for kind in {entry.kind for entry in objects}
    }
    return [("Incomplete", _entry_text(entry)) for entry in sorted(kinds)] + [
        ("Incomplete-Object", f"{_entry_text(entry)} {_encoded_name(entry)}") for entry in objects
    ]


def _entry_text(entry: IncompleteKind) -> str:
    return f"{percent_encode(str(entry.kind))} {entry.substitute} {entry.reason}"


def _encoded_name(entry: IncompleteKind) -> str:
    """``namespace/name``, or ``name``. A slash inside a part is encoded."""
    return "/".join(percent_encode(part).replace("/", "%2F") for part in (entry.namespace, entry.name) if part)


def parse_incomplete(lines: Iterable[tuple[str, str]]) -> tuple[IncompleteKind, ...]:
    """The inverse of ``incomplete_lines``, sorted. The line of a kind counts only if no object of it has a line."""
    objects = [_incomplete_object(value) for key, value in lines if key == "Incomplete-Object"]
    kinds_with_objects = {entry.kind for entry in objects}
    kinds = [_incomplete_kind(value) for key, value in lines if key == "Incomplete"]
    return tuple(sorted([*objects, *(entry for entry in kinds if entry.kind not in kinds_with_objects)]))


def _incomplete_kind(line: str) -> IncompleteKind:
    kind, substitute, reason = line.split(" ")
    return IncompleteKind(Kind.parse(kind), Substitute(substitute), IncompleteReason(reason))


def _incomplete_object(line: str) -> IncompleteKind:
    kind, substitute, reason, encoded_name = line.split(" ")
    namespace, _, name = encoded_name.rpartition("/")
    names = (unquote(part, errors="surrogatepass") for part in (namespace, name))
    return IncompleteKind(Kind.parse(kind), Substitute(substitute), IncompleteReason(reason), *names)


def format_trailers(lines: Iterable[tuple[str, str]]) -> str:
    """The paragraph with one line for each key."""
    return "".join(f"Gitsnap-{key}: {_escape_signature(value)}\n" for key, value in lines)


def _escape_signature(value: str) -> str:
    """Encode the first line of a signature in a value, because readers end the message of a tag at that line."""
    return value.replace("-----BEGIN", "%2D----BEGIN")


def encode_text(text: str) -> str:
    """Percent-encode a text: everything but printable ASCII, and ``%``.

    Spaces are kept, unless the text begins or ends with white space.
    """
    return quote(text, safe=_KEPT + ("/ " if text == text.strip() else "/"), errors="surrogatepass")


def decode_text(encoded: str) -> str:
    """The inverse of ``encode_text``. Bytes that are not text are replaced."""
    try:
        return unquote(encoded, errors="surrogatepass")
    except UnicodeDecodeError:
        return unquote(encoded, errors="replace")


def percent_encode(text: str) -> str:
    """Percent-encode text from outside: everything but printable ASCII, and also the space and ``%``."""
    return quote(text, safe=_KEPT + "/", errors="surrogatepass")


def encode_unknown(text: str) -> str:
    """Encode everything but printable ASCII in the value of an unknown key, whose text is encoded already."""
    return quote(text, safe=_KEPT + "/% ", errors="surrogatepass")
