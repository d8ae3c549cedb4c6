"""What Sveltos must report before a step is written or a held profile is released."""

from __future__ import annotations

from collections.abc import Mapping

from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.rollback.plan.cluster_effects import Wait
from gitsnap.rollback.plan.match_states import Matches, State
from gitsnap.rollback.plan.simulation import Simulation
from gitsnap.sveltos import kinds
from gitsnap.sveltos.matching import ClusterRef, observed_clusters

_NOTHING: Matches = frozenset()


def release_waits(simulation: Simulation, start: State, key: ObjectKey, lasting: Matches) -> list[Wait]:
    """The waits before a profile is released: Sveltos must report the clusters on which the profile has add-ons.

    ``start`` is the state before the plan, ``lasting`` are the matches that exist before and after the plan.
    """
    document = start.selecting.get(key) or {}
    known = observed_clusters(document) if (document.get("status") or {}).get("matchingClusters") else lasting
    shown: dict[ObjectKey, set[ClusterRef]] = {}
    for cluster in simulation.unsettled(key, lasting & known):
        provider = next(simulation.providers(key, cluster), None)
        if provider is not None:
            shown.setdefault(provider, set()).add(cluster)
    waits = [Wait(provider, shows=tuple(sorted(shown[provider]))) for provider in sorted(shown)]
    if any(provider.kind in kinds.PROFILE_KINDS for provider in shown) and not start.dependents.of(key):
        # The dependents may have matched before. Only this profile's own status shows that they need it now.
        waits.append(Wait(key, former_hash=str((document.get("status") or {}).get("dependenciesHash") or "")))
    return waits


def readded_waits(
    dropped: dict[ObjectKey, Matches],
    moved: Mapping[ObjectKey, tuple[Matches, Matches]],
    sets: Mapping[ObjectKey, JsonObject],
) -> list[Wait]:
    """The waits before a step that adds clusters to a set from which an earlier step removed them.

    Without these waits, the status before the rollback cannot be told from the status after it: both name the cluster.
    ``moved`` are the clusters that left and joined each set; ``dropped`` is updated.
    """
    waits = []
    for key, (left, joined) in sorted(moved.items()):
        removed = dropped.get(key, _NOTHING)
        if removed & joined:
            waits.append(Wait(key, lacks=tuple(sorted(removed))))
            removed = _NOTHING
        reported = observed_clusters(sets[key]) if key in sets else _NOTHING
        dropped[key] = removed | (left & reported)
    return waits
