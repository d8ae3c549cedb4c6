"""``gitsnap addons``: the add-ons of each managed cluster, now or in a sample.

This module must not compare or change anything.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gitsnap.cli import arguments, options, terminal
from gitsnap.cli.headings import describe_cluster, describe_sample, say_heading
from gitsnap.cli.history_documents import addons_document
from gitsnap.cli.resolve import ArchiveOptions, ClusterOptions
from gitsnap.cli.sample_choice import choose_state
from gitsnap.cluster.lists import list_objects
from gitsnap.core.errors import AccessDeniedError
from gitsnap.core.states import name_state
from gitsnap.history import deployed_addons, filter_check
from gitsnap.render import render_table
from gitsnap.sveltos import inventory, kinds
from gitsnap.sveltos.filters import Filters

if TYPE_CHECKING:
    from gitsnap.core.ports import Cluster

_HEADER = ["cluster", "resource type", "namespace", "name", "version", "time", "cluster profiles"]
_WIDE_HEADER = ["feature", "app version", "repository"]


def addons(
    *,
    words: arguments.OneSample = None,
    archive: ArchiveOptions,
    sample: options.SampleOrLive = "",
    cluster: ClusterOptions,
    namespace: options.Namespaces = None,
    clusters: options.Clusters = None,
    sveltos_cli: options.SveltosCli = False,
    form: options.WideOutput = terminal.Output.TABLE,
) -> None:
    """Show the add-ons of each managed cluster, now or in a sample.

    The columns CLUSTER and RESOURCE TYPE have the form that `gitsnap diff` and `gitsnap log --cluster` have.

    Example: gitsnap addons latest --snapshot hourly
    """
    filters = Filters(tuple(namespace or ()), tuple(clusters or ()))
    sample = arguments.parse(words or (), live=True).sample("--sample", sample)
    if sample and sample != arguments.LIVE:
        description, deployed, failed = _read_sample(archive, sample, filters)
    else:
        description, deployed, failed = _read_cluster(cluster, filters)
    terminal.warn(map(str, failed))
    if sveltos_cli:
        deployed = [
            replace(
                addon,
                cluster=_cluster_of_sveltos_cli(addon.cluster),
                resource_type=_type_of_sveltos_cli(addon.resource_type),
            )
            for addon in deployed
        ]
        failed = [replace(deployment, cluster=_cluster_of_sveltos_cli(deployment.cluster)) for deployment in failed]
    if not form.is_document:
        say_heading(f"add-ons in {description}")
        rows = [
            [
                addon.cluster,
                addon.resource_type,
                addon.namespace,
                addon.name,
                addon.version,
                addon.time,
                addon.profiles,
            ]
            for addon in deployed
        ]
        header = _HEADER
        if form is terminal.Output.WIDE:
            header = [*_HEADER, *_WIDE_HEADER]
            rows = [[*row, *_wide_cells(addon)] for row, addon in zip(rows, deployed, strict=True)]
        terminal.print_result(render_table(header, rows, columns=terminal.width(), group=header[0]))
        return
    terminal.print_document(addons_document(deployed, failed), form)


_Deployed = tuple[str, list[deployed_addons.AddOn], list[deployed_addons.FailedDeployment]]
"""The sample or the cluster for the heading, its add-ons, and its failed deployments."""


def _read_sample(archive: ArchiveOptions, name: str, filters: Filters) -> _Deployed:
    opened = archive.open()
    state = choose_state(opened, name)
    tree = opened.tree(state)
    terminal.warn(filter_check.check_filters(filters, [tree], where=name_state(state)))
    summaries = deployed_addons.inventory_of_sample(tree, kinds.CLUSTER_SUMMARY)
    configurations = deployed_addons.inventory_of_sample(tree, kinds.CLUSTER_CONFIGURATION)
    failed = deployed_addons.failed_deployments(summaries, filters)
    description = f"{describe_sample(state)} of {opened.source}"
    return description, deployed_addons.list_addons(configurations, filters, failed), failed


def _read_cluster(cluster: ClusterOptions, filters: Filters) -> _Deployed:
    connected = cluster.open()
    description = f"{describe_cluster(connected.info())} now"
    configurations = list(list_objects(connected, kinds.CLUSTER_CONFIGURATION))
    terminal.warn(filter_check.check_filters_now(filters, connected, configurations))
    failed = _failed_deployments_now(connected, filters)
    return description, deployed_addons.list_addons(configurations, filters, failed), failed


def _cluster_of_sveltos_cli(cluster: str) -> str:
    """Return ``default/west`` for ``default/sveltos--west``."""
    namespace, _, name = cluster.partition("/")
    return f"{namespace}/{name.partition('--')[2]}"


def _type_of_sveltos_cli(resource_type: str) -> str:
    """Return ``apps:Deployment`` for ``apps/Deployment``, and ``helm chart`` for a release."""
    return "helm chart" if resource_type == inventory.HELM_RELEASE else resource_type.replace("/", ":")


def _wide_cells(addon: deployed_addons.AddOn) -> list[str]:
    """Return the additional cells of -o wide. A resource has no app version and no repository."""
    unknown = deployed_addons.NOT_APPLICABLE
    return [addon.feature, addon.app_version or unknown, addon.repository or unknown]


def _failed_deployments_now(cluster: Cluster, filters: Filters) -> list[deployed_addons.FailedDeployment]:
    """Return the deployments that fail now. Prints a warning if the user may not read ClusterSummaries."""
    try:
        return deployed_addons.failed_deployments(list_objects(cluster, kinds.CLUSTER_SUMMARY), filters)
    except AccessDeniedError as error:
        terminal.warn([f"it is not known whether deployments failed, since ClusterSummaries cannot be read: {error}"])
        return []
