"""Series for Prometheus, and the alert rules that use them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import yaml

from gitsnap.capture import CaptureResult
from gitsnap.controller.metrics import Metrics
from gitsnap.controller.run_results import RunResult
from gitsnap.core.changes import Author, AuthorSource
from gitsnap.core.model import ChangeCounts, CommitId, Sample, SampleMetadata, SecretsMode, TagId, Trigger
from gitsnap.core.recording import RecordedChange, RecordedSample

_ROOT = Path(__file__).resolve().parents[2]
_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def _taken() -> RunResult:
    facts = SampleMetadata("hourly", _MOMENT, 1, Trigger.SCHEDULE, "uid", 7, "")
    sample = Sample("hourly/x", TagId("t"), CommitId("c"), facts)
    recorded = RecordedSample(sample, new_commit=True, changes=ChangeCounts(1, 2, 3))
    return RunResult(
        CaptureResult(recorded, (), {}),
        lag=4,
        removed=(),
        retention_error=None,
        clock_problem="",
        mode=SecretsMode.OMIT,
        mode_requested=True,
        recipients=(),
        samples=1,
        repository_bytes=5,
        seconds=0.5,
    )


def _all_series() -> Metrics:
    metrics = Metrics()
    metrics.set_leading(leading=True)
    metrics.count_run("hourly", _taken())
    metrics.set_schedule("hourly", upcoming=_MOMENT, interval=3600)
    metrics.set_ready("hourly", ready=True)
    metrics.set_push_lag("hourly", 4, 2)
    metrics.count_removed("hourly", 2)
    metrics.count_failure("hourly", "StorageError")
    metrics.set_following("hourly", following=True)
    metrics.observe_runner("hourly", lag=lambda: 1.5, watches=lambda: 20)
    metrics.count_missed("hourly", 1)
    metrics.enable_audit()
    metrics.count_audit_request(200)
    metrics.count_audit_events(2, unread=1)
    metrics.count_dropped_audit_events(1)
    metrics.count_late_names("hourly", 1)
    author = Author("kubectl", AuthorSource.MANAGER)
    metrics.count_follow_changes(
        "hourly", [RecordedChange(CommitId("c"), author, _MOMENT, late=False, subject="", changed=())]
    )
    return metrics


def _names(metrics: Metrics) -> set[str]:
    return {re.split(r"[{ ]", line)[0] for line in metrics.text().decode().splitlines() if not line.startswith("#")}


def test_alert_rules_are_about_series_that_exist() -> None:
    """A rule about a series that nothing exposes would never fire."""
    documents = yaml.safe_load_all((_ROOT / "manifests/overlays/alerts/alerts.yaml").read_text())
    rules = next(document for document in documents if document["kind"] == "PrometheusRule")
    expressions = [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]]

    assert len(expressions) >= 5
    for expression in expressions:
        named = set(re.findall(r"gitsnap_\w+", expression))
        assert named
        assert named <= _names(_all_series()), expression


def test_the_manual_names_every_series() -> None:
    """docs/OPERATIONS.md has all series and no other."""
    text = (_ROOT / "docs" / "OPERATIONS.md").read_text()
    table = text.partition("## Metrics and probes")[2].partition("\n## ")[0]
    assert set(re.findall(r"gitsnap_\w+", table)) == _names(_all_series())


def test_a_snapshot_that_is_gone_leaves_no_series() -> None:
    """Otherwise alerts about its last values would never end."""
    metrics = _all_series()

    metrics.forget("hourly")

    assert "hourly" not in metrics.text().decode()


def test_counters_of_follow_mode_begin_at_zero() -> None:
    """`increase` does not see a counter whose first value is 1, and the alert would miss the first missed change."""
    metrics = Metrics()
    metrics.set_following("hourly", following=False)

    values = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in metrics.text().decode().splitlines()}

    assert values['gitsnap_follow_missed_objects_total{policy="hourly"}'] == "0.0"
    assert values['gitsnap_follow_changes_total{policy="hourly",source="unknown"}'] == "0.0"


def test_the_dashboard_shows_every_series() -> None:
    """Each metric is on the dashboard, and the dashboard has no metric that nothing exposes."""
    dashboard = json.loads((_ROOT / "manifests/overlays/dashboard/gitsnap.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]

    assert set(re.findall(r"gitsnap_\w+", " ".join(expressions))) == _names(_all_series())


def test_panels_of_the_dashboard_have_their_place() -> None:
    """Identifiers are unique, no panel covers another, and each query uses the data source of the variable."""
    dashboard = json.loads((_ROOT / "manifests/overlays/dashboard/gitsnap.json").read_text())
    covered: list[tuple[int, int]] = []
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        covered += [
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        ]
        for target in panel.get("targets", ()):
            assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}

    assert len(covered) == len(set(covered))
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_inapplicable_series_are_absent() -> None:
    """Without a schedule there is no interval, without a remote no lag."""
    metrics = _all_series()

    metrics.set_schedule("hourly", upcoming=None, interval=None)
    metrics.remove_push_lag("hourly")

    gone = {
        "gitsnap_expected_interval_seconds",
        "gitsnap_next_schedule_timestamp_seconds",
        "gitsnap_push_lag_samples",
        "gitsnap_push_lag_changes",
    }
    assert _names(_all_series()) - _names(metrics) == gone
