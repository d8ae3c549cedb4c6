"""``gitsnap show`` and ``gitsnap addons``: what one sample holds, or what is deployed now.

This module must not compare or change anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import completion, options, terminal
from gitsnap.cli.resolve import ArchiveChoice, ClusterChoice
from gitsnap.core.errors import AccessDeniedError, UsageError
from gitsnap.core.model import Area, ObjectKey
from gitsnap.format import decode, masking
from gitsnap.history import deployed_addons, samples
from gitsnap.render import render_table, shortened
from gitsnap.sveltos import kinds

if TYPE_CHECKING:
    from gitsnap.core.ports import Cluster, Tree
    from gitsnap.sveltos.filters import Filters

_REFERENCES = "references"


def show(
    *,
    objects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[references] [KIND/[NS/]NAME]...",
            help="Objects, or behind the word `references` what these refer to; none for an overview.",
            autocompletion=completion.objects,
        ),
    ] = None,
    archive: ArchiveChoice,
    sample: options.Sample = "latest",
    namespace: options.Namespaces = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All objects, as a YAML stream that kubectl apply takes.")
    ] = False,
    decrypt: Annotated[bool, typer.Option("--decrypt", help="Show Secrets with their values.")] = False,
    identity: options.Identity = None,
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """Show what a sample holds, or single objects of it as YAML.

    A Secret shows fingerprints in place of its values, which kubectl apply refuses, unless --decrypt is given.

    Example: gitsnap show ConfigMap/default/database --snapshot hourly --sample latest~1

    Example: gitsnap show references ClusterProfile/guestbook
    """
    opened = archive.open()
    chosen = samples.find_sample(opened.samples(), sample)
    tree = opened.tree(chosen)
    if not objects and not everything:
        _overview(tree, chosen.tag, namespace or [], form)
        return
    if objects and objects[0] == _REFERENCES:
        _references(tree, objects[1:], form)
        return
    if objects and everything:
        raise UsageError("--all shows every object: leave out the names, or --all")
    found = [samples.find_object(tree, name) for name in objects or ()] or list(
        samples.list_objects(tree, namespaces=namespace or ())
    )
    documents = [one.document for one in found]
    if decrypt:
        from gitsnap.history.decryption import reveal
        from gitsnap.secrets import archive_keys

        keeper = archive_keys.for_reading(opened, chosen, identities=identity or [])
        documents = [reveal(tree, document, keeper) for document in documents]
    if form is options.Output.JSON:
        terminal.structured({"apiVersion": "v1", "kind": "List", "items": documents}, form)
        return
    if not decrypt and any(
        document.get("kind") != "Secret" and masking.shows_fingerprints(document) for document in documents
    ):
        terminal.say("note: fingerprints stand in place of values here: do not apply this, --decrypt shows the values")
    terminal.documents(documents)


def _overview(tree: Tree, tag: str, namespaces: list[str], form: options.Output) -> None:
    """One line an object, by namespace and kind; then what the sample lacks."""
    if form is not options.Output.TABLE:
        archive_keys = [one.key for one in samples.list_objects(tree, namespaces=namespaces)]
        listed = [{"kind": str(key.kind), "namespace": key.namespace, "name": key.name} for key in archive_keys]
        terminal.structured({"kind": "ObjectList", "sample": tag, "objects": listed}, form)
        return
    rows = [
        [one.key.namespace or "-", str(one.key.kind), one.key.name]
        for one in samples.list_objects(tree, namespaces=namespaces)
    ]
    terminal.result(render_table(["namespace", "kind", "name"], rows, columns=terminal.columns()))
    counted = "1 object" if len(rows) == 1 else f"{len(rows)} objects"
    terminal.say(f"{tag}: {counted}, Secrets: {tree.info.secrets.mode}")
    for one in tree.incomplete:
        terminal.say(f"incomplete: {one} was {one.substitute} ({one.reason})")
    blob = tree.files(Area.INVENTORY).get("unresolved.yaml")
    for entry in decode(tree.read(blob))["unresolved"] if blob else ():
        place = f"{entry['namespace']}/" if entry["namespace"] else ""
        target = f"{entry['kind']} {place}{shortened(entry['name'])}"
        terminal.say(f"unresolved: {entry['by']['kind']} {entry['by']['name']} refers to {target} ({entry['reason']})")


def _references(tree: Tree, names: list[str], form: options.Output) -> None:
    """What objects refer to: for which clusters, where it stands, and whether the sample has it."""
    from gitsnap.core.text import in_words
    from gitsnap.history.references import read_references

    if not names:
        raise UsageError("show references: name an object, such as ClusterProfile/guestbook")
    documents = [samples.find_object(tree, name).document for name in names]
    found = [(ObjectKey.of(document), one) for document in documents for one in read_references(tree, document)]
    if form is not options.Output.TABLE:
        listed = [
            {
                "by": str(by),
                "path": one.path,
                "target": str(one.target),
                "clusters": [str(cluster) for cluster in one.clusters],
                "state": one.state,
                "missing": one.missing,
            }
            for by, one in found
        ]
        terminal.structured({"kind": "ReferenceList", "references": listed}, form)
        return
    if not found:
        terminal.result("it refers to nothing" if len(names) == 1 else "they refer to nothing")
        return
    rows = [
        [
            ", ".join(map(str, one.clusters)) or "all",
            one.path.removeprefix("spec."),
            shortened(in_words(one.target)),
            one.state,
        ]
        for _, one in found
    ]
    terminal.result(render_table(["cluster", "field", "refers to", "state"], rows, columns=terminal.columns()))


def _failed_now(cluster: Cluster, filters: Filters) -> list[deployed_addons.FailedDeployment]:
    """The deployments that fail now; the list of add-ons does not need the right to read ClusterSummaries."""
    try:
        return deployed_addons.failed_deployments(
            deployed_addons.inventory_of_cluster(cluster, kinds.CLUSTER_SUMMARY), filters
        )
    except AccessDeniedError as error:
        terminal.warn([f"whether deployments failed is not known, since ClusterSummaries cannot be read: {error}"])
        return []


def addons(
    *,
    archive: ArchiveChoice,
    sample: options.SampleOrNow = "",
    cluster: ClusterChoice,
    namespace: options.Namespaces = None,
    clusters: options.Clusters = None,
    form: options.OutputForm = options.Output.TABLE,
) -> None:
    """Show the add-ons in each managed cluster, now or by a sample.

    Example: gitsnap addons --sample latest --snapshot hourly
    """
    from gitsnap.history import filter_check  # with all that reads comparisons, which `show` has no use for
    from gitsnap.sveltos.filters import Filters

    filters = Filters(tuple(namespace or ()), tuple(clusters or ()))
    if sample:
        opened = archive.open()
        chosen = samples.find_sample(opened.samples(), sample)
        tree = opened.tree(chosen)
        terminal.warn(filter_check.check_filters(filters, [tree], where=chosen.tag))
        summaries = deployed_addons.inventory_of_sample(tree, kinds.CLUSTER_SUMMARY)
        failed = deployed_addons.failed_deployments(summaries, filters)
        rows = deployed_addons.list_addons(
            deployed_addons.inventory_of_sample(tree, kinds.CLUSTER_CONFIGURATION), filters, failed
        )
    else:
        asked = cluster.open()
        configurations = list(deployed_addons.inventory_of_cluster(asked, kinds.CLUSTER_CONFIGURATION))
        terminal.warn(filter_check.check_filters_now(filters, asked, configurations))
        failed = _failed_now(asked, filters)
        rows = deployed_addons.list_addons(configurations, filters, failed)
    terminal.warn(map(str, failed))
    header = ["cluster", "resource type", "namespace", "name", "version", "time", "cluster profiles"]
    cells = [
        [row.cluster, row.resource_type, row.namespace, row.name, row.version, row.time, row.profiles] for row in rows
    ]
    if form is options.Output.TABLE:
        terminal.result(render_table(header, cells, columns=terminal.columns()))
        return
    fields = ("cluster", "resourceType", "namespace", "name", "version", "time", "profiles")
    addons = [dict(zip(fields, row, strict=True)) for row in cells]
    unknown = [
        {"cluster": deployment.cluster, "profile": deployment.profile, "features": list(deployment.features)}
        for deployment in failed
    ]
    terminal.structured({"kind": "AddOnList", "addons": addons, "notKnown": unknown}, form)
