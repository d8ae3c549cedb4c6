"""Lines ``Gitsnap-Key: value`` of tags and commits, and what they say of kinds and objects that could not be taken.

Text from outside is percent-encoded, so that it cannot begin a line (docs/FORMAT.md). This module must not know git.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote

from gitsnap.core.model import IncompleteKind, IncompleteReason, Kind, Substitute


def incomplete_lines(incomplete: Iterable[IncompleteKind]) -> list[tuple[str, str]]:
    """A line for each kind, and one for each single object.

    A reader that does not know the latter takes the whole kind for incomplete, which is safe.
    """
    listed = sorted(incomplete)
    objects = [one for one in listed if one.name]
    missing = {one.kind for one in objects if one.substitute is Substitute.MISSING}
    kinds = {one for one in listed if not one.name} | {
        IncompleteKind(kind, Substitute.MISSING if kind in missing else Substitute.CARRIED, IncompleteReason.BAD_ANSWER)
        for kind in {one.kind for one in objects}
    }
    lines = [("Incomplete", f"{safe(str(one.kind))} {one.substitute} {one.reason}") for one in sorted(kinds)]
    return lines + [
        ("Incomplete-Object", f"{safe(str(one.kind))} {one.substitute} {one.reason} {_place(one)}") for one in objects
    ]


def _place(one: IncompleteKind) -> str:
    """``namespace/name``, or ``name``; a slash within is encoded."""
    return "/".join(safe(part).replace("/", "%2F") for part in (one.namespace, one.name) if part)


def incomplete_of(lines: Iterable[tuple[str, str]]) -> tuple[IncompleteKind, ...]:
    """Kinds and single objects; of a kind that has lines for objects, only these count."""
    objects = [_incomplete_object(value) for key, value in lines if key == "Incomplete-Object"]
    named = {one.kind for one in objects}
    kinds = [_incomplete_kind(value) for key, value in lines if key == "Incomplete"]
    return tuple(sorted([*objects, *(one for one in kinds if one.kind not in named)]))


def _incomplete_kind(line: str) -> IncompleteKind:
    kind, substitute, reason = line.split(" ")
    return IncompleteKind(Kind.parse(kind), Substitute(substitute), IncompleteReason(reason))


def _incomplete_object(line: str) -> IncompleteKind:
    kind, substitute, reason, place = line.split(" ")
    namespace, _, name = place.rpartition("/")
    names = (unquote(part, errors="surrogatepass") for part in (namespace, name))
    return IncompleteKind(Kind.parse(kind), Substitute(substitute), IncompleteReason(reason), *names)


def trailers(lines: Iterable[tuple[str, str]]) -> str:
    """The paragraph of these lines."""
    return "".join(f"Gitsnap-{key}: {value}\n" for key, value in lines)


def safe(text: str) -> str:
    """Text from outside on one ASCII line: everything but printable ASCII is percent-encoded."""
    return quote(text, safe="!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~", errors="surrogatepass")


def kept(text: str) -> str:
    """The value of a key that this module does not know, which is encoded already; still it cannot begin a line."""
    return quote(text, safe="!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ", errors="surrogatepass")
