"""Fields whose values are kept like those of Secrets: checked, and in the words of the command line.

Refused are fields that gitsnap itself reads to follow references or to match clusters: with fingerprints in them,
comparisons and rollbacks would be wrong. This module must not look at objects.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from gitsnap.core.errors import InputError
from gitsnap.core.model import Kind, SensitiveField
from gitsnap.format.masking import ANY, steps_of
from gitsnap.kube.server_fields import CORE_KINDS, NEVER_CONFIGURATION
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import SELECTOR_PATHS
from gitsnap.sveltos.references import REFERENCE_PATHS

_RELEASE_NAMES = ("spec.helmCharts[].releaseName", "spec.helmCharts[].releaseNamespace")
_UNQUOTED_KEY = re.compile(r"\[([^\]]+)\]")
_METADATA = "metadata"
_ANNOTATIONS = ("metadata", "annotations")


def problems(field: SensitiveField) -> Iterator[tuple[str, str]]:
    """What is wrong with a field: its part, as it is called in YAML, and the reason."""
    kind = field.kind
    if not kind.name:
        yield "kind", "is needed, a kind such as ClusterProfile"
    elif kind in kinds.INVENTORY_KINDS | kinds.GENERATED_KINDS | NEVER_CONFIGURATION:
        yield "kind", f"{kind} is a report of a controller: it is no configuration"
    elif not kind.group and kind not in CORE_KINDS:  # it would hide nothing, and nobody would notice
        groups = sorted(one.group for one in kinds.BY_KIND if one.name == kind.name)
        yield (
            "kind",
            f"{kind.name} needs its group" + (f": {' or '.join(groups)}" if groups else ", as in Deployment.apps"),
        )
    try:
        steps = steps_of(field.path)
    except InputError as error:
        yield "path", error.message
        return
    if steps[0] in ("apiVersion", "kind", "status"):
        yield "path", f"{steps[0]} cannot be hidden"
    elif steps[0] == _METADATA and (steps[:2] != _ANNOTATIONS or len(steps) != 3):
        yield "path", 'of the metadata, single annotations can be hidden, such as metadata.annotations["example.com/a"]'
    elif kind == kinds.SECRET and steps[0] != _METADATA:
        yield "path", "the values of Secrets are hidden in any case; only their annotations can be named"
    for read in _read_by_gitsnap(kind):
        if _overlap(steps, steps_of(read)):
            yield "path", f"gitsnap reads {read} to know what belongs together, so that it cannot be hidden"
            return


def overlapping(fields: Sequence[SensitiveField]) -> Iterator[tuple[SensitiveField, SensitiveField]]:
    """Pairs of fields of which one holds the other."""
    for number, one in enumerate(fields):
        for other in fields[number + 1 :]:
            if one.kind == other.kind and _overlap(steps_of(one.path), steps_of(other.path)):
                yield one, other


def _overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    return all(a == b or ANY in (a, b) for a, b in zip(one, other, strict=False))


def _read_by_gitsnap(kind: Kind) -> Iterator[str]:
    for selector in SELECTOR_PATHS.get(kind, ()):
        yield f"spec.{selector}"
    if kind in kinds.PROFILE_KINDS:
        yield from _RELEASE_NAMES
    for row in REFERENCE_PATHS.get(kind, ()):
        yield _UNQUOTED_KEY.sub(r'["\1"]', row.path)


def parse(text: str) -> SensitiveField:
    """A field from words: ``KIND[.GROUP] PATH``. Raises InputError."""
    kind, _, path = text.strip().partition(" ")
    field = SensitiveField(Kind.parse(kind), path.strip())
    check([field], f"--sensitive-field {text!r}")
    return field


def check(fields: Iterable[SensitiveField], source: str) -> None:
    """Raises InputError for the first thing that is wrong."""
    fields = list(fields)
    for field in fields:
        for part, problem in problems(field):
            raise InputError(
                f"{source}: {part}: {problem}",
                hint="For example: 'ClusterProfile.config.projectsveltos.io spec.helmCharts[].values'",
            )
    for one, other in overlapping(fields):
        raise InputError(f"{source}: {one.path} and {other.path} overlap: give one")
