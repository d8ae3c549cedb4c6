"""``gitsnap show`` and ``gitsnap addons``: what one sample holds, or what is deployed now.

This module must not compare or change anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap import history
from gitsnap.cli import completing, options, output
from gitsnap.cli.wiring import ArchiveChoice, ClusterChoice
from gitsnap.errors import AccessDeniedError, UsageError
from gitsnap.format import decode, masking
from gitsnap.model import Area, ObjectKey
from gitsnap.render import render_table, shortened
from gitsnap.sveltos import kinds

if TYPE_CHECKING:
    from gitsnap.compare import Filters
    from gitsnap.ports import Cluster, Tree

_REFERENCES = "references"


def show(
    *,
    objects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[references] [KIND/[NS/]NAME]...",
            help="Objects, or behind the word `references` what these refer to; none for an overview.",
            autocompletion=completing.objects,
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
    chosen = history.find_sample(opened.samples(), sample)
    tree = opened.tree(chosen)
    if not objects and not everything:
        _overview(tree, chosen.tag, namespace or [], form)
        return
    if objects and objects[0] == _REFERENCES:
        _references(tree, objects[1:], form)
        return
    if objects and everything:
        raise UsageError("--all shows every object: leave out the names, or --all")
    found = [history.find_object(tree, name) for name in objects or ()] or list(
        history.objects(tree, namespaces=namespace or ())
    )
    documents = [one.document for one in found]
    if decrypt:
        from gitsnap import keys
        from gitsnap.revealing import reveal

        keeper = keys.for_reading(opened, chosen, identities=identity or [])
        documents = [reveal(tree, document, keeper) for document in documents]
    if form is options.Output.JSON:
        output.structured({"apiVersion": "v1", "kind": "List", "items": documents}, form)
        return
    if not decrypt and any(
        document.get("kind") != "Secret" and masking.shows_fingerprints(document) for document in documents
    ):
        output.say("note: fingerprints stand in place of values here: do not apply this, --decrypt shows the values")
    output.documents(documents)


def _overview(tree: Tree, tag: str, namespaces: list[str], form: options.Output) -> None:
    """One line an object, by namespace and kind; then what the sample lacks."""
    if form is not options.Output.TABLE:
        keys = [one.key for one in history.objects(tree, namespaces=namespaces)]
        listed = [{"kind": str(key.kind), "namespace": key.namespace, "name": key.name} for key in keys]
        output.structured({"kind": "ObjectList", "sample": tag, "objects": listed}, form)
        return
    rows = [
        [one.key.namespace or "-", str(one.key.kind), one.key.name]
        for one in history.objects(tree, namespaces=namespaces)
    ]
    output.result(render_table(["namespace", "kind", "name"], rows, columns=output.columns()))
    counted = "1 object" if len(rows) == 1 else f"{len(rows)} objects"
    output.say(f"{tag}: {counted}, Secrets: {tree.info.secrets.mode}")
    for one in tree.incomplete:
        output.say(f"incomplete: {one} was {one.substitute} ({one.reason})")
    blob = tree.files(Area.INVENTORY).get("unresolved.yaml")
    for entry in decode(tree.read(blob))["unresolved"] if blob else ():
        place = f"{entry['namespace']}/" if entry["namespace"] else ""
        target = f"{entry['kind']} {place}{shortened(entry['name'])}"
        output.say(f"unresolved: {entry['by']['kind']} {entry['by']['name']} refers to {target} ({entry['reason']})")


def _references(tree: Tree, names: list[str], form: options.Output) -> None:
    """What objects refer to: for which clusters, where it stands, and whether the sample has it."""
    from gitsnap.compare.values import short_name
    from gitsnap.referring import referred

    if not names:
        raise UsageError("show references: name an object, such as ClusterProfile/guestbook")
    documents = [history.find_object(tree, name).document for name in names]
    found = [(ObjectKey.of(document), one) for document in documents for one in referred(tree, document)]
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
        output.structured({"kind": "ReferenceList", "references": listed}, form)
        return
    if not found:
        output.result("it refers to nothing" if len(names) == 1 else "they refer to nothing")
        return
    rows = [
        [
            ", ".join(map(str, one.clusters)) or "all",
            one.path.removeprefix("spec."),
            shortened(short_name(one.target)),
            one.state,
        ]
        for _, one in found
    ]
    output.result(render_table(["cluster", "field", "refers to", "state"], rows, columns=output.columns()))


def _failed_now(cluster: Cluster, filters: Filters) -> list[history.FailedDeployment]:
    """The deployments that fail now; the list of add-ons does not need the right to read ClusterSummaries."""
    try:
        return history.failed_deployments(history.inventory_of_cluster(cluster, kinds.CLUSTER_SUMMARY), filters)
    except AccessDeniedError as error:
        output.warn([f"whether deployments failed is not known, since ClusterSummaries cannot be read: {error}"])
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
    from gitsnap import naming  # with all that reads comparisons, which `show` has no use for
    from gitsnap.compare import Filters

    filters = Filters(tuple(namespace or ()), tuple(clusters or ()))
    if sample:
        opened = archive.open()
        chosen = history.find_sample(opened.samples(), sample)
        tree = opened.tree(chosen)
        output.warn(naming.check_filters(filters, [tree], where=chosen.tag))
        summaries = history.inventory_of_sample(tree, kinds.CLUSTER_SUMMARY)
        failed = history.failed_deployments(summaries, filters)
        rows = history.addons_of(history.inventory_of_sample(tree, kinds.CLUSTER_CONFIGURATION), filters, failed)
    else:
        asked = cluster.open()
        configurations = list(history.inventory_of_cluster(asked, kinds.CLUSTER_CONFIGURATION))
        output.warn(naming.check_filters_now(filters, asked, configurations))
        failed = _failed_now(asked, filters)
        rows = history.addons_of(configurations, filters, failed)
    output.warn(map(str, failed))
    header = ["cluster", "resource type", "namespace", "name", "version", "time", "cluster profiles"]
    cells = [
        [row.cluster, row.resource_type, row.namespace, row.name, row.version, row.time, row.profiles] for row in rows
    ]
    if form is options.Output.TABLE:
        output.result(render_table(header, cells, columns=output.columns()))
        return
    fields = ("cluster", "resourceType", "namespace", "name", "version", "time", "profiles")
    addons = [dict(zip(fields, row, strict=True)) for row in cells]
    unknown = [
        {"cluster": deployment.cluster, "profile": deployment.profile, "features": list(deployment.features)}
        for deployment in failed
    ]
    output.structured({"kind": "AddOnList", "addons": addons, "notKnown": unknown}, form)
