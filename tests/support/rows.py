"""Building blocks of tests of rows: documents, stages of a small fleet, and the rows between two stages.

This module must not be imported by the package.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gitsnap.core.model import JsonObject
from gitsnap.diff.comparison import compare
from gitsnap.diff.rows import DiffRow
from tests.support.trees import W, build, cluster, config_map, deployed_by, inventory_of, policy_ref, profile, secret

SEE = "use --raw-diff option to see diff"
NOT_APPLIED = " (not applied yet)"
FAILED = "not in the inventory, since its deployment failed"
HAD_FAILED = "was not in the inventory, since its deployment had failed"

REPOSITORY = "https://charts.example.com"


# Rows -----------------------------------------------------------------------------------------------------------------


def rows(before: list[JsonObject], after: list[JsonObject], **more: Any) -> list[tuple[str, str, str, str]]:
    """Return resource type, name with namespace, action and message of each row. ``more`` is passed to ``compare``."""
    diff_rows = _of_add_ons(compare(build(before), build(after), **more).rows)
    return [(row.resource_type, f"{row.namespace}/{row.name}", str(row.action), row.message) for row in diff_rows]


def rows_by_name(before: list[JsonObject], after: list[JsonObject]) -> list[tuple[str, str, str]]:
    """Return name, action and message of each row."""
    diff_rows = _of_add_ons(compare(build(before), build(after)).rows)
    return [(row.name, str(row.action), row.message) for row in diff_rows]


def rows_by_cluster(before: list[JsonObject], after: list[JsonObject]) -> list[tuple[str, str, str, str]]:
    """Return cluster, name, action and message of each row."""
    diff_rows = _of_add_ons(compare(build(before), build(after)).rows)
    return [(row.cluster, row.name, str(row.action), row.message) for row in diff_rows]


def deployments(before: list[JsonObject], after: list[JsonObject]) -> list[tuple[str, str, str]]:
    """Return cluster, name and message of each row for a deployment."""
    diff_rows = compare(build(before), build(after)).rows
    assert {str(row.action) for row in diff_rows if _is_deployment(row)} <= {"modified"}
    return [(row.cluster, row.name, row.message) for row in diff_rows if _is_deployment(row)]


def _of_add_ons(diff_rows: Iterable[DiffRow]) -> list[DiffRow]:
    """Return the rows of resources and releases."""
    return [row for row in diff_rows if not _is_deployment(row)]


def _is_deployment(row: DiffRow) -> bool:
    return row.resource_type.startswith("config.projectsveltos.io/")


# Stages ---------------------------------------------------------------------------------------------------------------


def service(name: str, port: int | str = 1, *, namespace: str = "test", comment: str = "") -> str:
    """Return the document of a Service."""
    first = f"# {comment}\n" if comment else ""
    place = f"\n  namespace: {namespace}" if namespace else ""
    return f"{first}apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}{place}\nspec:\n  port: {port}\n"


def services(names: str, port: int = 1) -> str:
    """Return a text with a Service for each name."""
    return joined(*(service(name, port) for name in names))


def joined(*documents: str) -> str:
    """Return a text with several documents."""
    return "---\n".join(documents)


def listed(*names: str) -> list[str]:
    """Return the names of Services as ``deployed_by`` takes them."""
    return [f"/Service test/{name}" for name in names]


def content(text: str, name: str = "content", kind: str = "ConfigMap", **metadata: Any) -> JsonObject:
    """Return a ConfigMap or Secret with a text."""
    return (secret if kind == "Secret" else config_map)(name, {"all.yaml": text}, **metadata)


def referring(*sources: JsonObject, name: str = "p", **spec: Any) -> JsonObject:
    """Return a ClusterProfile that deploys sources to the cluster W."""
    references = [policy_ref(source["metadata"]["name"], source["kind"]) for source in sources]
    return profile(name, {"policyRefs": references, **spec}, W)


def stage(source: JsonObject, *deployed: str, **spec: Any) -> list[JsonObject]:
    """Return the cluster W, a source, the profile ``p`` that deploys the source, and the inventory; in this order.

    ``deployed`` are the resources in the inventory, ``spec`` further fields of the profile.
    """
    return [cluster(W), source, referring(source, **spec), inventory_of(W, deployed_by("p", *deployed))]


# Releases -------------------------------------------------------------------------------------------------------------


def chart(version: str = "1.0.0", **more: Any) -> JsonObject:
    """Return the chart of the release ``web`` in a profile."""
    asked = {"repositoryURL": REPOSITORY, "releaseName": "web", "releaseNamespace": "shop", "chartVersion": version}
    return {**asked, **more}


def installed(version: str = "1.0.0", **more: Any) -> JsonObject:
    """Return the inventory entry of the release ``web``."""
    return {"repoURL": REPOSITORY, "releaseName": "web", "namespace": "shop", "chartVersion": version, **more}
