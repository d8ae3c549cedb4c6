"""Retention of random histories by random rules: protected samples stay, and a second prune removes nothing."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from gitsnap.core.model import Sample, Trigger
from gitsnap.policy.retention import Decision, Rules, decide
from gitsnap.policy.snapshot import Retention
from tests.support.samples import NOON, sample, tags

_COUNTS = [field.name for field in fields(Retention) if field.name != "keep_within"]
_WITHIN = st.sampled_from(["", "0d", "3h", "2d", "1m", "1y2m3d4h"])
_ZONES = st.sampled_from(["UTC", "Europe/Rome", "Asia/Kolkata", "America/Los_Angeles"])
_RETENTIONS = st.builds(Retention, *(st.integers(min_value=0, max_value=6) for _ in _COUNTS), _WITHIN)
_RULES = st.builds(Rules, _RETENTIONS, _ZONES)
_TRIGGERS = st.sampled_from([Trigger.SCHEDULE] * 6 + list(Trigger))
_STEPS = st.integers(min_value=-90_000, max_value=200_000)
"""Seconds between two samples. A clock may be set back."""


@st.composite
def _histories(draw: st.DrawFn) -> list[Sample]:
    samples: list[Sample] = []
    moment = NOON
    for number, (step, trigger) in enumerate(draw(st.lists(st.tuples(_STEPS, _TRIGGERS), max_size=40)), 1):
        moment += timedelta(seconds=step)
        before = trigger is Trigger.BEFORE_ROLLBACK and samples
        target = draw(st.sampled_from(samples)).tag_id if before else None
        samples.append(sample(number, moment, trigger, target=target))
    return samples


def _kept(decisions: tuple[Decision, ...]) -> list[Sample]:
    return [decision.sample for decision in decisions if decision.keep]


@given(samples=_histories(), rules=_RULES)
def test_newest_and_unscheduled_samples_stay_and_decisions_have_reasons(samples: list[Sample], rules: Rules) -> None:
    """For all rules, each sample has one decision, in the order of sequences."""
    decisions = decide(samples, rules)

    assert [decision.sample for decision in decisions] == samples
    assert all(decision.reasons and all(decision.reasons) for decision in decisions)
    assert not samples or decisions[-1].keep
    assert all(decision.keep for decision in decisions if decision.sample.metadata.trigger is not Trigger.SCHEDULE)
    scheduled = [decision for decision in decisions if decision.sample.metadata.trigger is Trigger.SCHEDULE]
    assert not scheduled or scheduled[-1].keep


@given(samples=_histories(), rules=_RULES, data=st.data())
@settings(max_examples=200)
def test_pruning_twice_removes_nothing_more(samples: list[Sample], rules: Rules, data: st.DataObject) -> None:
    """A second run keeps every kept sample, for the same reasons."""
    marked = tags(data.draw(st.lists(st.sampled_from(samples), max_size=3))) if samples else set()
    first = decide(samples, rules, marked=marked)

    again = decide(_kept(first), rules, marked=marked)

    assert again == tuple(decision for decision in first if decision.keep)


@given(samples=_histories(), rules=_RULES, name=st.sampled_from(_COUNTS), more=st.integers(1, 5))
def test_more_rules_never_keep_less(samples: list[Sample], rules: Rules, name: str, more: int) -> None:
    """Another rule or a higher number only adds kept samples. Empty rules keep all samples, so they are left out."""
    higher = replace(rules, retention=replace(rules.retention, **{name: getattr(rules.retention, name) + more}))

    assert not rules or tags(_kept(decide(samples, rules))) <= tags(_kept(decide(samples, higher)))


@given(samples=_histories(), rules=_RULES, data=st.data())
def test_a_mark_only_adds_its_own_sample(samples: list[Sample], rules: Rules, data: st.DataObject) -> None:
    """Marks do not change the decision about any other sample."""
    marked = tags(data.draw(st.lists(st.sampled_from(samples), max_size=5))) if samples else set()

    kept = tags(_kept(decide(samples, rules, marked=marked)))

    assert kept == tags(_kept(decide(samples, rules))) | marked


@given(samples=_histories(), count=st.integers(1, 10))
def test_a_limit_keeps_the_newest_samples(samples: list[Sample], count: int) -> None:
    """The newest scheduled samples are kept, as many as the limit allows."""
    plain = [
        Sample(sample.tag, sample.tag_id, sample.commit, replace(sample.metadata, target=None)) for sample in samples
    ]
    scheduled = [sample for sample in plain if sample.metadata.trigger is Trigger.SCHEDULE]

    kept = _kept(decide(plain, Rules(Retention(keep_last=count))))

    assert [sample for sample in kept if sample.metadata.trigger is Trigger.SCHEDULE] == scheduled[-count:]
