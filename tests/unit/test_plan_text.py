"""The text of a plan and its report: on 80 columns, and unwrapped in a pipe."""

from __future__ import annotations

from dataclasses import replace

from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.render.plan import plan_text, question, report_text
from gitsnap.render.plan_document import plan_document
from gitsnap.rollback import Report
from gitsnap.rollback.plan import Action, DryRunResult, Outcome, Plan, Step, Withdrawal, WithdrawalCause
from gitsnap.sveltos import kinds
from gitsnap.sveltos.inventory import DeployedResource
from gitsnap.sveltos.matching import ClusterRef
from tests.support.plans import alive, custom, live_state, plan_of

_CLUSTERS = 12
_PROFILES = 14
_WITHDRAWN = "what it deployed is withdrawn"


def _stack(number: int, text: str) -> JsonObject:
    metadata = {"name": f"observability-stack-{number:02}", "namespace": "platform-addons"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"grafana-dashboards.yaml": text}}


def _profile(number: int, env: str) -> JsonObject:
    references = [
        {"kind": "ConfigMap", "name": f"observability-stack-{index % _PROFILES:02}", "namespace": "platform-addons"}
        for index in range(number, number + 5)
    ]
    spec = {"clusterSelector": {"matchLabels": {"env": env}}, "policyRefs": references}
    return custom(kinds.CLUSTER_PROFILE, f"platform-{number:02}", spec)


def _cluster(number: int, env: str) -> JsonObject:
    return custom(kinds.SVELTOS_CLUSTER, f"prod-eu-west-{number:02}", {}, "fleet", labels={"env": env})


def _configuration(text: str, env: str) -> list[JsonObject]:
    objects = [_stack(number, text) for number in range(_PROFILES)]
    objects += [_profile(number, env) for number in range(_PROFILES)]
    return objects + [_cluster(number, env) for number in range(_CLUSTERS)]


def _plan() -> Plan:
    """A rollback of more than forty steps: content, labels, and profiles that are paused during the rollback."""
    live = _configuration("2", "prod")
    live[0] = {**live[0], "immutable": True}
    live.append(custom(kinds.CLUSTER_PROFILE, "late", {"clusterSelector": {"matchLabels": {"env": "prod"}}}))
    return plan_of(_configuration("1", "fv"), live)


def test_a_long_plan_fits_80_columns() -> None:
    """No line is longer, and wrapping loses no text."""
    plan = _plan()
    assert len(plan.writes) > 40
    text, whole = plan_text(plan, columns=80), plan_text(plan, columns=0)
    assert max(map(len, text.splitlines())) <= 80
    assert text.split() == whole.split()


def test_refusals_and_withdrawals_come_last() -> None:
    """The order after the steps is: refusals with reasons, withdrawals, affected clusters, and counts."""
    lines = plan_text(_plan(), columns=0).splitlines()
    last_step = max(place for place, line in enumerate(lines) if line.startswith("  53 "))
    tail = lines[last_step + 3 :]
    assert "CANNOT BE ROLLED BACK" in tail
    assert any("it is immutable" in line for line in tail)
    (lost,) = (line for line in tail if line.startswith("withdraw: ClusterProfile late stops matching 12 clusters "))
    assert lost.endswith(
        "(fleet/sveltos--prod-eu-west-00, fleet/sveltos--prod-eu-west-01, fleet/sveltos--prod-eu-west-02 and 9 more): "
        + _WITHDRAWN
    )
    assert tail[-2].startswith("reaches 12 managed clusters: fleet/sveltos--prod-eu-west-00, ")
    assert tail[-1] == "plan: 39 update, 14 hold, 1 refuse, 1 not in the sample and left alone"


def test_a_step_names_the_effects_in_sveltos() -> None:
    """Effects name the profiles and the number of clusters; the document names every cluster."""
    plan = _plan()
    lines = plan_text(plan, columns=0).splitlines()
    place = next(number for number, line in enumerate(lines) if "stack-05" in line)
    profiles = "ClusterProfile platform-01, platform-02, platform-03 and 2 more"
    assert [line.strip() for line in lines[place + 1 : place + 3]] == [
        "data.grafana-dashboards.yaml",
        f"redeployed on 12 clusters by {profiles}",
    ]
    document = plan_document(plan)
    steps = document["steps"]
    assert isinstance(steps, list)
    step = next(step for step in steps if step["object"]["name"] == "observability-stack-05")
    assert [(effect["does"], effect["by"]["name"], len(effect["clusters"])) for effect in step["effects"]] == [
        ("redeploys", f"platform-{number:02}", 12) for number in range(1, 6)
    ]
    assert document["reaches"] == [f"fleet/sveltos--prod-eu-west-{number:02}" for number in range(_CLUSTERS)]


def test_steps_name_only_exceptions_of_the_dry_run() -> None:
    """A successful dry run has no line at its step; the last lines count."""
    plan = _plan()
    steps = [
        replace(
            step,
            dry_run=DryRunResult(Outcome.NOT_TRIED, "a webhook")
            if step.action is Action.HOLD
            else DryRunResult(Outcome.OK),
        )
        for step in plan.steps
        if step.writes
    ]
    text = plan_text(replace(plan, steps=tuple(steps)), columns=0)
    assert text.count("not tried on the server: a webhook") == 14
    assert "tried on the server: 39 ok, 14 not tried" in text


def test_hundreds_of_withdrawals_are_counted() -> None:
    """Similar withdrawals share a line, few are named one by one, and the JSON has each of them."""
    withdraws = [
        *(_loss("web", number, entries) for number, entries in enumerate([2] * 200 + [0] * 5)),
        *(_loss("base", number, None) for number in range(300)),
        *(_loss("few", number, 1) for number in range(3)),
    ]
    plan = replace(_plan(), withdrawals=tuple(withdraws))
    lines = plan_text(plan, columns=0).splitlines()

    assert [line for line in lines if line.startswith("withdraw: ")] == [
        f"withdraw: ClusterProfile web stops matching 200 clusters ({_few(0)} and 197 more): 400 resources withdrawn",
        f"withdraw: ClusterProfile web stops matching 5 clusters ({_few(200)} and 2 more): nothing is deployed there",
        f"withdraw: ClusterProfile base stops matching 300 clusters ({_few(0)} and 297 more): {_WITHDRAWN}",
        *(f"withdraw: ClusterProfile few stops matching {_ref(number)}: 1 resource withdrawn" for number in range(3)),
    ]
    assert "note: --output json names every cluster of these" in lines
    assert plan_document(plan)["withdraws"] == [str(withdrawal) for withdrawal in withdraws]


def _ref(number: int) -> ClusterRef:
    return ClusterRef(kinds.SVELTOS_CLUSTER, "fleet", f"prod-{number:03}")


def _few(first: int) -> str:
    return ", ".join(str(_ref(number)) for number in range(first, first + 3))


def _loss(profile: str, number: int, resources: int | None) -> Withdrawal:
    by = ObjectKey(kinds.CLUSTER_PROFILE, "", profile)
    entry = DeployedResource(kinds.CONFIG_MAP, "default", "a", "Remote", by, "Resources")
    deployed = None if resources is None else (entry,) * resources
    return Withdrawal(by, _ref(number), WithdrawalCause.ENDED, deployed=deployed)


def test_a_forbidden_kind_is_reported() -> None:
    """The plan says which kinds could not be read."""
    live = replace(live_state([_stack(0, "2")]), unread=frozenset({kinds.CLUSTER_PROFILE}))
    plan = plan_of([_stack(0, "1")], live)
    assert "the plan reaches: you may not read ClusterProfile" in plan_text(plan, columns=0)
    assert plan_document(plan)["unread"] == [str(kinds.CLUSTER_PROFILE)]


def test_escape_sequences_are_escaped() -> None:
    """An escape sequence in a server's message is escaped."""
    plan = _plan()
    failed = replace(plan.writes[0], dry_run=DryRunResult(Outcome.FAILED, "no \x1b[2J"))
    assert "\x1b" not in plan_text(replace(plan, steps=(failed,)), columns=80)


def test_a_long_report_fits_80_columns() -> None:
    """The failed step with its reason, and the counts at the end."""
    steps = _plan().writes
    failure = (
        'ClusterProfile "platform-03" is invalid: spec.tier: Invalid value: 0: should be greater than or equal to 1'
    )
    report = Report(applied=steps[:20], failed=steps[20], failure=failure, not_tried=steps[21:])
    text = report_text(report, columns=80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.endswith("rollback: 20 applied, 1 failed, 32 not tried\n")


def test_a_word_longer_than_the_terminal_is_wrapped() -> None:
    """A name of 253 characters on a narrow terminal."""
    name = "x" * 253
    live = alive(custom(Kind("lib.projectsveltos.io", "EventSource"), name, {"collectResources": False}))
    plan = plan_of([custom(Kind("lib.projectsveltos.io", "EventSource"), name, {"collectResources": True})], [live])
    text = plan_text(plan, columns=40)
    assert max(map(len, text.splitlines())) <= 40
    assert text.count("x") >= 253


def test_the_question_names_deletions_and_withdrawals() -> None:
    """The question names deletions and losing clusters apart from the number of writes."""
    plan = _plan()
    where = f"In {plan.cluster.context} ({plan.cluster.server})"
    key = ObjectKey(kinds.CLUSTER_PROFILE, "", "p")
    lost = Withdrawal(key, ClusterRef(kinds.SVELTOS_CLUSTER, "fleet", "a"), WithdrawalCause.ENDED)
    update, delete = Step(Action.UPDATE, key), Step(Action.DELETE, key)

    def asked(*steps: Step, withdrawals: tuple[Withdrawal, ...] = ()) -> str:
        return question(replace(plan, steps=steps, withdrawals=withdrawals))

    assert asked(update) == f"{where}: write 1 object?"
    assert asked(delete, delete) == f"{where}: delete 2 objects?"
    assert asked(update, delete, replace(delete, dry_run=DryRunResult(Outcome.FAILED)), withdrawals=(lost, lost)) == (
        f"{where}: write 1 object, delete 1 object, take add-ons from 1 managed cluster?"
    )
