"""Rows around a failed deployment, for which the inventory does not tell what runs: no false row, no missing row."""

from __future__ import annotations

from typing import Any

from gitsnap.core.model import JsonObject
from gitsnap.diff.comparison import compare
from tests.support.rows import FAILED, HAD_FAILED, chart, content, installed, listed, rows_by_name, services, stage
from tests.support.trees import W, build, cluster, deployed_by, inventory_of, profile, summary


def _stage(
    names: str, deployed: str, *, failed: bool = False, port: int = 1, kind: str = "ConfigMap"
) -> list[JsonObject]:
    """A profile with one Service for each letter of ``names``, of which the inventory lists some."""
    text = services(names, port) or "# nothing\n"
    state = "Failed bbbb" if failed else "Provisioned aaaa"
    return [*stage(content(text, kind=kind), *listed(*deployed)), summary(W, "p", Resources=state)]


def test_a_resource_that_leaves_and_returns_to_the_inventory() -> None:
    """The resource runs all the time: no row when the inventory shrinks, and none when it grows again."""
    whole, shrunk = _stage("ab", "ab"), _stage("ab", "a", failed=True)

    assert rows_by_name(whole, shrunk) == []
    assert rows_by_name(shrunk, whole) == []


def test_a_new_resource_whose_deployment_fails_is_a_row_once() -> None:
    """The row appears when the resource is configured, and not again when it is deployed; over both it is added."""
    before, failing, after = _stage("a", "a"), _stage("ab", "a", failed=True), _stage("ab", "ab")

    assert rows_by_name(before, failing) == [("b", "added", FAILED)]
    assert rows_by_name(failing, after) == []
    assert rows_by_name(before, after) == [("b", "added", "")]


def test_a_resource_that_is_taken_back_after_a_failure_is_deleted() -> None:
    """Neither inventory lists the resource, but it was configured and may have run."""
    before, failing, after = _stage("ab", "ab"), _stage("ab", "a", failed=True), _stage("a", "a")

    assert rows_by_name(before, failing) == []
    assert rows_by_name(failing, after) == [("b", "deleted", HAD_FAILED)]


def test_a_profile_whose_first_deployment_fails() -> None:
    """The profile is new: listed and unlisted resources are added, each once."""
    nothing = [cluster(W)]
    failing = _stage("ab", "a", failed=True)

    assert rows_by_name(nothing, failing) == [("a", "added", ""), ("b", "added", FAILED)]
    assert rows_by_name(failing, nothing) == [("a", "deleted", ""), ("b", "deleted", HAD_FAILED)]


def test_the_raw_diff_shows_failed_documents() -> None:
    """The raw diff shows an added document, deployed or not."""
    comparison = compare(build(_stage("a", "a")), build(_stage("ab", "a", failed=True)))

    (raw,) = [raw.text for raw in comparison.raw_diffs("x", "y") if raw.title == "/Service test/b"]
    assert "+  name: b" in raw


def test_a_resource_of_a_secret_that_appears_after_a_failure() -> None:
    """Its document cannot be read, so the row says that it may have run."""
    failing, after = _stage("a", "", failed=True, kind="Secret"), _stage("a", "a", kind="Secret")

    assert rows_by_name(_stage("a", "a", kind="Secret"), failing) == []
    assert rows_by_name(failing, after) == [("a", "added", HAD_FAILED)]


def test_a_document_that_changed_before_it_was_first_deployed_is_added() -> None:
    """Without a failure the inventory is complete: entries of one side only were added or deleted."""
    configured, deployed = _stage("ab", "a"), _stage("ab", "ab", port=2)

    assert [row[:2] for row in rows_by_name(configured, deployed)] == [("a", "modified"), ("b", "added")]
    assert [row[:2] for row in rows_by_name(deployed, configured)] == [("a", "modified"), ("b", "deleted")]


def test_a_text_that_sveltos_refuses_deletes_nothing() -> None:
    """The whole ConfigMap fails: its resources are not in the inventory, but still run."""
    refused = _stage("ab", "", failed=True)
    refused[1]["data"]["all.yaml"] += "--- text\n"

    assert rows_by_name(_stage("ab", "ab"), refused) == []


# Releases -----------------------------------------------------------------------------------------------------------


def _helm(asked: str, deployed: str, *, failed: bool = False, **more: Any) -> list[JsonObject]:
    """Return a profile with a version of a chart, and an inventory with another version or none."""
    return [
        cluster(W),
        profile("p", {"helmCharts": [chart(asked, **more)] if asked else []}, W),
        summary(W, "p", Helm="Failed bbbb" if failed else "Provisioned aaaa"),
        inventory_of(W, deployed_by("p", charts=[installed(deployed)] if deployed else [])),
    ]


def test_a_failed_upgrade_removes_a_release_from_the_inventory() -> None:
    """Sveltos lists deployed releases only: the upgrade is a change, the release is neither deleted nor added."""
    before, failing, after = _helm("1.0.0", "1.0.0"), _helm("2.0.0", "", failed=True), _helm("2.0.0", "2.0.0")

    assert rows_by_name(before, failing) == [
        ("web", "modified", "To version: 2.0.0 From version 1.0.0 (deployment failed)")
    ]
    assert rows_by_name(failing, after) == []
    assert rows_by_name(before, after) == [("web", "modified", "To version: 2.0.0 From version 1.0.0")]
    assert rows_by_name(before, _helm("1.0.0", "", failed=True)) == []


def test_a_new_release_that_fails_is_a_row_once() -> None:
    """As for resources: added when it is configured, deleted when it is removed from the profile."""
    before, failing, after = _helm("", ""), _helm("1.0.0", "", failed=True), _helm("1.0.0", "1.0.0")

    assert rows_by_name(before, failing) == [("web", "added", FAILED)]
    assert rows_by_name(failing, after) == []
    assert rows_by_name(failing, before) == [("web", "deleted", HAD_FAILED)]


def test_another_version_after_a_failure() -> None:
    """The failed version was never listed, so the configured versions are compared."""
    assert rows_by_name(_helm("2.0.0", "", failed=True), _helm("3.0.0", "3.0.0")) == [
        ("web", "modified", "To version: 3.0.0 From version 2.0.0")
    ]


def test_a_release_that_is_to_be_uninstalled() -> None:
    """`helmChartAction: Uninstall` removes the release, also while another part of the profile fails."""
    before, after = _helm("1.0.0", "1.0.0"), _helm("1.0.0", "", failed=True, helmChartAction="Uninstall")

    assert rows_by_name(before, after) == [("web", "deleted", "")]
