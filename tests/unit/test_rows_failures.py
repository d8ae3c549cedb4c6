"""Rows around a failed deployment, where the inventory does not say what runs: nothing invented, nothing lost."""

from __future__ import annotations

from typing import Any

from gitsnap.compare import compare
from gitsnap.model import JsonObject
from tests.support.trees import (
    W,
    build,
    cluster,
    config_map,
    deployed_by,
    inventory_of,
    policy_ref,
    profile,
    secret,
    summary,
)

_FAILED = "not in the inventory, since its deployment failed"
_HAD_FAILED = "was not in the inventory, since its deployment had failed"


def _service(name: str, port: int = 1) -> str:
    return f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: test\nspec:\n  port: {port}\n"


def _stage(
    names: str, listed: str, *, failed: bool = False, port: int = 1, kind: str = "ConfigMap"
) -> list[JsonObject]:
    """A profile with one Service for each letter of ``names``, of which the inventory lists some."""
    text = "---\n".join(_service(name, port) for name in names) or "# nothing\n"
    make = secret if kind == "Secret" else config_map
    state = "Failed bbbb" if failed else "Provisioned aaaa"
    return [
        cluster(W),
        make("content", {"all.yaml": text}),
        profile("p", {"policyRefs": [policy_ref("content", kind)]}, W),
        summary(W, "p", Resources=state),
        inventory_of(W, deployed_by("p", *(f"/Service test/{name}" for name in listed))),
    ]


def _rows(before: list[JsonObject], after: list[JsonObject]) -> list[tuple[str, str, str]]:
    return [(row.name, str(row.action), row.message) for row in compare(build(before), build(after)).rows]


def test_what_was_lost_and_came_back_is_no_row() -> None:
    """It ran all the time: no row when the inventory shrinks, none when it grows again."""
    whole, shrunk = _stage("ab", "ab"), _stage("ab", "a", failed=True)

    assert _rows(whole, shrunk) == []
    assert _rows(shrunk, whole) == []


def test_a_new_resource_whose_deployment_fails_is_a_row_once() -> None:
    """When it is configured; not again when it is deployed at last, and from before to after it is simply added."""
    before, failing, after = _stage("a", "a"), _stage("ab", "a", failed=True), _stage("ab", "ab")

    assert _rows(before, failing) == [("b", "added", _FAILED)]
    assert _rows(failing, after) == []
    assert _rows(before, after) == [("b", "added", "")]


def test_a_resource_that_is_taken_back_after_a_failure_is_deleted() -> None:
    """No inventory lists it any more, but it was configured and may have run."""
    before, failing, after = _stage("ab", "ab"), _stage("ab", "a", failed=True), _stage("a", "a")

    assert _rows(before, failing) == []
    assert _rows(failing, after) == [("b", "deleted", _HAD_FAILED)]


def test_a_profile_whose_first_deployment_fails() -> None:
    """Profile and pair are new: what is listed and what is not are added, each once."""
    nothing = [cluster(W)]
    failing = _stage("ab", "a", failed=True)

    assert _rows(nothing, failing) == [("a", "added", ""), ("b", "added", _FAILED)]
    assert _rows(failing, nothing) == [("a", "deleted", ""), ("b", "deleted", _HAD_FAILED)]


def test_the_raw_diff_shows_what_failed_whole() -> None:
    """An added document is an added document, whether or not it could be deployed."""
    found = compare(build(_stage("a", "a")), build(_stage("ab", "a", failed=True)))

    (raw,) = [raw.text for raw in found.raw_diffs("x", "y") if raw.title == "/Service test/b"]
    assert "+  name: b" in raw


def test_a_resource_of_a_secret_that_appears_after_a_failure() -> None:
    """Its document cannot be read, so whether it ran is not known: the row says that."""
    failing, after = _stage("a", "", failed=True, kind="Secret"), _stage("a", "a", kind="Secret")

    assert _rows(_stage("a", "a", kind="Secret"), failing) == []
    assert _rows(failing, after) == [("a", "added", _HAD_FAILED)]


def test_a_document_that_changed_before_it_was_first_deployed_is_added() -> None:
    """The inventory can be believed where nothing failed: what only one side lists came or went."""
    configured, deployed = _stage("ab", "a"), _stage("ab", "ab", port=2)

    assert [row[:2] for row in _rows(configured, deployed)] == [("a", "modified"), ("b", "added")]
    assert [row[:2] for row in _rows(deployed, configured)] == [("a", "modified"), ("b", "deleted")]


def test_a_text_that_sveltos_refuses_deletes_nothing() -> None:
    """The whole ConfigMap fails, so that what came from it is not in the inventory, and runs on."""
    refused = _stage("ab", "", failed=True)
    refused[1]["data"]["all.yaml"] += "--- text\n"

    assert _rows(_stage("ab", "ab"), refused) == []


# Releases -----------------------------------------------------------------------------------------------------------


def _helm(asked: str, listed: str, *, failed: bool = False, **more: Any) -> list[JsonObject]:
    """A profile that asks for a version of a chart, of which the inventory lists another or none."""
    chart = {
        "repositoryURL": "https://charts.example.com",
        "releaseName": "web",
        "releaseNamespace": "shop",
        "chartVersion": asked,
        **more,
    }
    entry = {"repoURL": "https://charts.example.com", "releaseName": "web", "namespace": "shop", "chartVersion": listed}
    return [
        cluster(W),
        profile("p", {"helmCharts": [chart] if asked else []}, W),
        summary(W, "p", Helm="Failed bbbb" if failed else "Provisioned aaaa"),
        inventory_of(W, deployed_by("p", charts=[entry] if listed else [])),
    ]


def test_a_release_that_a_failed_upgrade_took_out_of_the_inventory() -> None:
    """Sveltos lists deployed releases only: the upgrade is a change, the release is neither deleted nor added."""
    before, failing, after = _helm("1.0.0", "1.0.0"), _helm("2.0.0", "", failed=True), _helm("2.0.0", "2.0.0")

    assert _rows(before, failing) == [("web", "modified", "To version: 2.0.0 From version 1.0.0 (deployment failed)")]
    assert _rows(failing, after) == []
    assert _rows(before, after) == [("web", "modified", "To version: 2.0.0 From version 1.0.0")]
    assert _rows(before, _helm("1.0.0", "", failed=True)) == []


def test_a_new_release_that_fails_is_a_row_once() -> None:
    """As for resources: added when it is configured, and deleted when it is taken back."""
    before, failing, after = _helm("", ""), _helm("1.0.0", "", failed=True), _helm("1.0.0", "1.0.0")

    assert _rows(before, failing) == [("web", "added", _FAILED)]
    assert _rows(failing, after) == []
    assert _rows(failing, before) == [("web", "deleted", _HAD_FAILED)]


def test_another_version_after_a_failure() -> None:
    """The failed version was never listed: the change is between what was asked for."""
    assert _rows(_helm("2.0.0", "", failed=True), _helm("3.0.0", "3.0.0")) == [
        ("web", "modified", "To version: 3.0.0 From version 2.0.0")
    ]


def test_a_release_that_is_to_be_uninstalled() -> None:
    """`helmChartAction: Uninstall` asks for its absence, also while something else of the profile fails."""
    before, after = _helm("1.0.0", "1.0.0"), _helm("1.0.0", "", failed=True, helmChartAction="Uninstall")

    assert _rows(before, after) == [("web", "deleted", "")]
