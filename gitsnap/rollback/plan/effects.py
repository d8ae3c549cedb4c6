"""What Sveltos does after a step, as the plan says it: one row for each effect, and the table of docs/ROLLBACK.md.

This module must not work out which effect a step has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gitsnap.rollback.plan.consequences import Doing

NOTHING = "nothing"
ASKS = "add-ons; a `withdraw` line, `--allow-withdraw`"
ASKS_LESS = "add-ons; a `withdraw` line, `--allow-withdraw` or `--allow-withdraw-resources`"


@dataclass(frozen=True, slots=True)
class EffectRule:
    """One row."""

    sentence: str
    """What the plan says; ``{where}`` are the clusters, ``{who}`` the profiles."""
    when: str
    takes: str = NOTHING
    """What it takes from the clusters, and what agrees to that."""


EFFECTS: Mapping[Doing, EffectRule] = {
    Doing.DEPLOYS: EffectRule(
        "deployed {where}{who}", "a cluster comes to match, by itself, a set or a dependent profile"
    ),
    Doing.REDEPLOYS: EffectRule(
        "redeployed {where}{who}", "a profile, or what it refers to, changes on clusters that match"
    ),
    Doing.WITHDRAWS: EffectRule(
        "WITHDRAWN {where}{who}", "a cluster stops matching, or nothing is left that the profile deploys", ASKS
    ),
    Doing.LEAVES: EffectRule(
        "no longer matched, and left in place, {where}{who}",
        "a cluster stops matching, and `stopMatchingBehavior: LeavePolicies` is in force at that moment",
    ),
    Doing.APPLIES: EffectRule(
        "takes effect {where}{who}", "a kind that is no profile: Classifier, RoleRequest, health checks"
    ),
    Doing.REDUCES: EffectRule(
        "part of it WITHDRAWN {where}{who}",
        "fewer references, charts or documents; an optional reference leads nowhere",
        ASKS_LESS,
    ),
    Doing.FAILS: EffectRule(
        "deployment will fail {where}{who}; what runs there stays",
        "a required reference leads nowhere; or a resource belongs to another source: a `conflict` line",
    ),
    Doing.STANDS: EffectRule(
        "left in place {where}{who} until it leaves syncMode DryRun", "a cluster stops matching a profile in DryRun"
    ),
    Doing.LAST: EffectRule(
        "deployed once more {where}{who}, and not again: syncMode OneTime", "a profile changes to `syncMode: OneTime`"
    ),
    Doing.MAY_CHANGE: EffectRule(
        "may change {where}{who}: a template reads it",
        "a label changes, and a template of the profile reads the cluster",
    ),
    Doing.REPORTS: EffectRule("only reported {where}{who}: syncMode DryRun", "a profile in `syncMode: DryRun` changes"),
    Doing.ONCE: EffectRule(
        "not deployed again {where}{who}: syncMode OneTime", "content of a profile in `syncMode: OneTime` changes"
    ),
    Doing.WAITS: EffectRule("not deployed {where}{who} as long as it is paused", "the profile is paused in the end"),
}
"""Every effect, in the order in which a plan has them."""
