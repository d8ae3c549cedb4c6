"""Whether Sveltos has evaluated the live configuration: whether the status of profiles and sets shows it.

The package must not import this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback.plan.match_states import SET_KINDS, State, mode_of
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import max_replicas, observed_clusters, selects
from gitsnap.sveltos.pausing import is_paused
from tests.support.sveltos import summaries

_COPIED = ("policyRefs", "helmCharts")
"""The fields of a profile that are compared with the copy in its ClusterSummaries."""


def unevaluated(documents: Iterable[JsonObject], cluster_summaries: Iterable[JsonObject]) -> list[ObjectKey]:
    """The profiles and sets that Sveltos has not evaluated since the last write, sorted.

    ``documents`` are the live clusters, sets and profiles. Profiles that are paused, and their prerequisites, count as
    evaluated: Sveltos does not update their status.
    """
    live = {ObjectKey.of(document): document for document in documents}
    copies = {
        (summaries.profile_of(summary), summaries.cluster_of(summary)): summaries.spec_of(summary)
        for summary in cluster_summaries
    }
    state = State.of(live.values())
    return sorted(
        key
        for key, document in live.items()
        if (key.kind in SET_KINDS and not _set_shows(document, state))
        or (key.kind in kinds.PROFILE_KINDS and not _profile_shows(document, state, copies))
    )


def _set_shows(document: JsonObject, state: State) -> bool:
    matching, selected = selects(document, state.labels).clusters, observed_clusters(document)
    return selected <= matching and len(selected) == min(len(matching), max_replicas(document))


def _profile_shows(
    document: JsonObject, state: State, copies: Mapping[tuple[ObjectKey, ObjectKey], JsonObject]
) -> bool:
    key = ObjectKey.of(document)
    if any(is_paused(state.selecting[profile]) for profile in (key, *state.dependents.of(key))):
        return True
    matches = state.matches(key)
    if "deletionTimestamp" in document["metadata"] or observed_clusters(document) != matches:
        return False
    if mode_of(document) == "OneTime":
        return True  # Sveltos does not update the copy
    spec = document.get("spec") or {}
    return all(
        (copy := copies.get((key, cluster.key))) is not None
        and all((copy.get(name) or []) == (spec.get(name) or []) for name in _COPIED)
        for cluster in matches
    )
