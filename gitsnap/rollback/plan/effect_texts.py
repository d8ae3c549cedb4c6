"""The table of effects: the sentence of a plan and the row of docs/ROLLBACK.md for each ``EffectType``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gitsnap.rollback.plan.cluster_effects import EffectType

NOTHING = "nothing"
ASKS = "add-ons; a `withdraw` line, `--allow-withdraw`"
ASKS_LESS = "add-ons; a `withdraw` line, `--allow-withdraw` or `--allow-withdraw-resources`"


@dataclass(frozen=True, slots=True)
class EffectRule:
    """One row of the table."""

    sentence: str
    """What the plan shows. ``{where}`` stands for the clusters, ``{who}`` for the profiles."""
    when: str
    takes: str = NOTHING
    """What the effect removes from the clusters, and which option allows it."""


EFFECTS: Mapping[EffectType, EffectRule] = {
    EffectType.DEPLOYS: EffectRule(
        "deployed {where}{who}", "a cluster starts to match: directly, through a set or through a dependent profile"
    ),
    EffectType.REDEPLOYS: EffectRule(
        "redeployed {where}{who}", "a profile, or an object that it refers to, changes on clusters that match"
    ),
    EffectType.WITHDRAWS: EffectRule(
        "WITHDRAWN {where}{who}", "a cluster stops matching, or the profile has nothing left to deploy", ASKS
    ),
    EffectType.LEAVES: EffectRule(
        "no longer matched, and left in place, {where}{who}",
        "a cluster stops matching while `stopMatchingBehavior: LeavePolicies` is in force",
    ),
    EffectType.APPLIES: EffectRule(
        "takes effect {where}{who}", "an object that is not a profile: Classifier, RoleRequest, health checks"
    ),
    EffectType.REDUCES: EffectRule(
        "part of it WITHDRAWN {where}{who}",
        "fewer references, charts or documents; the target of an optional reference does not exist",
        ASKS_LESS,
    ),
    EffectType.FAILS: EffectRule(
        "deployment will fail {where}{who}; what runs there stays",
        "the target of a required reference does not exist; or a resource belongs to another source: a `conflict` line",
    ),
    EffectType.STANDS: EffectRule(
        "left in place {where}{who} until it leaves syncMode DryRun", "a cluster stops matching a profile in DryRun"
    ),
    EffectType.LAST: EffectRule(
        "deployed one last time {where}{who}: syncMode OneTime", "a profile changes to `syncMode: OneTime`"
    ),
    EffectType.MAY_CHANGE: EffectRule(
        "may change {where}{who}: a template reads it",
        "a label changes, and a template of the profile reads the cluster",
    ),
    EffectType.REPORTS: EffectRule(
        "only reported {where}{who}: syncMode DryRun", "a profile in `syncMode: DryRun` changes"
    ),
    EffectType.ONCE: EffectRule(
        "not deployed again {where}{who}: syncMode OneTime", "the content of a profile in `syncMode: OneTime` changes"
    ),
    EffectType.WAITS: EffectRule(
        "not deployed {where}{who} as long as it is paused", "the profile is paused after the rollback"
    ),
}
"""Every effect, in the order in which a plan shows them."""
