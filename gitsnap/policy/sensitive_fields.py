"""Fields whose values are stored like the values of Secrets: validation, and the syntax of the command line.

Fields that gitsnap reads to follow references or to match clusters are refused: with fingerprints in their place,
comparisons and rollbacks would be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from gitsnap.core.errors import InputError
from gitsnap.core.model import Kind, SensitiveField
from gitsnap.format.masking import ANY, steps_of
from gitsnap.kube.server_fields import CORE_KINDS, NEVER_CONFIGURATION
from gitsnap.policy.resources import parse_kind
from gitsnap.sveltos import kinds
from gitsnap.sveltos.kind_names import KindNames
from gitsnap.sveltos.matching import SELECTOR_PATHS
from gitsnap.sveltos.references import REFERENCE_PATHS

_RELEASE_NAMES = ("spec.helmCharts[].releaseName", "spec.helmCharts[].releaseNamespace")
_UNQUOTED_KEY = re.compile(r"\[([^\]]+)\]")
_METADATA = "metadata"
_ANNOTATIONS = ("metadata", "annotations")


def problems(field: SensitiveField) -> Iterator[tuple[str, str]]:
    """The problems of a field: pairs of its part, as named in YAML, and the reason."""
    kind = field.kind
    if not kind.name:
        yield "kind", "is required, for example ClusterProfile"
    elif kind in kinds.INVENTORY_KINDS | kinds.GENERATED_KINDS | NEVER_CONFIGURATION:
        yield "kind", f"{kind} is a report of a controller, not configuration"
    elif not kind.group and kind not in CORE_KINDS:  # it would hide nothing, without a warning
        groups = sorted(known.group for known in kinds.BY_KIND if known.name == kind.name)
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
        yield (
            "path",
            'only single annotations of the metadata can be hidden, such as metadata.annotations["example.com/a"]',
        )
    elif kind == kinds.SECRET and steps[0] != _METADATA:
        yield "path", "the values of Secrets are always hidden; only their annotations can be named"
    for read in _read_by_gitsnap(kind):
        if _overlap(steps, steps_of(read)):
            yield "path", f"cannot be hidden, because gitsnap reads {read} to find related objects"
            return


def overlapping(fields: Sequence[SensitiveField]) -> Iterator[tuple[SensitiveField, SensitiveField]]:
    """Pairs of fields in which one field contains the other."""
    for number, field in enumerate(fields):
        for other in fields[number + 1 :]:
            if field.kind == other.kind and _overlap(steps_of(field.path), steps_of(other.path)):
                yield field, other


def _overlap(left: Sequence[str], right: Sequence[str]) -> bool:
    return all(a == b or ANY in (a, b) for a, b in zip(left, right, strict=False))


def _read_by_gitsnap(kind: Kind) -> Iterator[str]:
    for selector in SELECTOR_PATHS.get(kind, ()):
        yield f"spec.{selector}"
    if kind in kinds.PROFILE_KINDS:
        yield from _RELEASE_NAMES
    for row in REFERENCE_PATHS.get(kind, ()):
        yield _UNQUOTED_KEY.sub(r'["\1"]', row.path)


def parse(text: str, names: KindNames) -> SensitiveField:
    """Parse a field of the command line: ``KIND[.GROUP] PATH``. ``names``: the known kinds.

    Raises InputError, and UsageError for an ambiguous kind.
    """
    kind, _, path = text.strip().partition(" ")
    field = SensitiveField(parse_kind(kind, names, f"--sensitive-field {text!r}"), path.strip())
    check([field], f"--sensitive-field {text!r}")
    return field


def check(fields: Iterable[SensitiveField], source: str) -> None:
    """Check fields. Raises InputError for the first problem; ``source`` names the fields in the message."""
    fields = list(fields)
    for field in fields:
        for part, problem in problems(field):
            raise InputError(
                f"{source}: {part}: {problem}",
                hint="For example: 'ClusterProfile.config.projectsveltos.io spec.helmCharts[].values'",
            )
    for field, other in overlapping(fields):
        raise InputError(f"{source}: {field.path} and {other.path} overlap: name only one of them")
