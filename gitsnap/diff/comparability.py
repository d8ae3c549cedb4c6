"""The parts of two trees that can be compared: kinds that both trees cover and could read, and values stored alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitsnap.core.model import IncompleteKind, Kind, ObjectKey, ResourceSelector, SecretsMode, SensitiveField, TreeInfo
from gitsnap.diff.rows import NotComparable
from gitsnap.sveltos import kinds

if TYPE_CHECKING:
    from gitsnap.core.ports import Tree

NOT_COVERED = "not covered"
NOT_COMPARABLE = "not comparable"
CANNOT_TELL = "cannot tell"

Scope = Mapping[Kind, tuple[ResourceSelector, ...]]
"""Each captured kind with the selectors that narrow it, none if the whole kind is captured."""


@dataclass(frozen=True, slots=True)
class Comparability:
    """What a comparison of two trees must leave out."""

    entries: tuple[NotComparable, ...]
    """The kinds and single objects that cannot be compared, or not fully; sorted."""
    incomplete_objects: frozenset[ObjectKey]
    """Single objects that one side could not capture."""
    blanked_fields: tuple[SensitiveField, ...]
    """The fields whose values must be ignored, because the sides hide them in different ways; sorted."""
    same_secrets: bool
    """Whether values of Secrets can be compared: fingerprints with one key on both sides, or plain text."""

    @property
    def excluded_kinds(self) -> frozenset[Kind]:
        """Kinds whose changes are not known, because one side does not cover them or could not read them."""
        return frozenset(entry.kind for entry in self.entries if entry.reason != CANNOT_TELL and not entry.name)


def find_comparability(before: Tree, after: Tree) -> Comparability:
    """Return what a comparison of two trees must leave out, and why."""
    infos = before.info, after.info
    scopes = scope_of(infos[0]), scope_of(infos[1])
    incomplete = frozenset(before.incomplete), frozenset(after.incomplete)
    old, new = (info.secrets for info in infos)
    is_plain = [secrets.mode is SecretsMode.PLAINTEXT for secrets in (old, new)]
    same_key = old.fingerprint_key == new.fingerprint_key
    same_secrets = same_key and is_plain[0] == is_plain[1]
    fields = set(old.sensitive_fields), set(new.sensitive_fields)
    blanked_fields = tuple(sorted(fields[0] ^ fields[1] if same_key else fields[0] | fields[1]))
    entries = [*_other_scopes(*scopes), *_incomplete(*incomplete)]
    in_both = scopes[0].keys() & scopes[1].keys()
    if kinds.SECRET in in_both and not same_secrets:
        entries.append(NotComparable(kinds.SECRET, CANNOT_TELL, "values are kept in different ways"))
    entries += [
        NotComparable(kind, CANNOT_TELL, "some fields are kept in different ways")
        for kind in in_both & {field.kind for field in blanked_fields} - {kinds.SECRET}
    ]
    return Comparability(
        tuple(sorted(entries)),
        frozenset(entry.key for entry in incomplete[0] | incomplete[1] if entry.key is not None),
        blanked_fields,
        same_secrets,
    )


def scope_of(info: TreeInfo) -> Scope:
    """Return the scope of a tree."""
    scope: dict[Kind, tuple[ResourceSelector, ...]] = dict.fromkeys(info.kinds, ())
    for selector in info.resources:
        scope[selector.kind] = (*scope.get(selector.kind, ()), selector)
    return scope


def _other_scopes(before: Scope, after: Scope) -> Iterator[NotComparable]:
    """Yield the kinds that one side captures, or of which the sides capture different objects."""
    for kind in before.keys() | after.keys():
        if before.get(kind) != after.get(kind):
            detail = "captured only after" if kind in after else "captured only before"
            if kind in before and kind in after:
                detail = "other namespaces or labels are captured"
            yield NotComparable(kind, NOT_COVERED, detail)


def _incomplete(before: frozenset[IncompleteKind], after: frozenset[IncompleteKind]) -> Iterator[NotComparable]:
    """Yield the kinds that one side could not read, and the objects that one side could not capture."""
    lacking: dict[tuple[Kind, ObjectKey | None], set[str]] = {}
    for name, side in (("before", before), ("after", after)):
        for entry in side:
            lacking.setdefault((entry.kind, entry.key), set()).add(name)
    for (kind, key), names in lacking.items():
        sides = " and ".join(sorted(names, reverse=True))  # before and after
        if key is None:
            yield NotComparable(kind, NOT_COMPARABLE, f"could not be read {sides}")
        else:
            yield NotComparable(key.kind, NOT_COMPARABLE, f"could not be captured {sides}", key.namespace, key.name)
