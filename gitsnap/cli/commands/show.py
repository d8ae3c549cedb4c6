"""``gitsnap show``: the objects of a sample, as an overview or as YAML.

This module must not compare or change anything.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import completion, options, terminal
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.core.errors import UsageError
from gitsnap.core.model import Area, ObjectKey
from gitsnap.core.text import plural
from gitsnap.format import decode, masking
from gitsnap.history import samples
from gitsnap.render import render_table, shortened

if TYPE_CHECKING:
    from gitsnap.core.ports import Tree

_REFERENCES = "references"


_Objects = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[references] [KIND/[NS/]NAME]...",
        help="Objects to print. After the word `references`: objects whose references are listed. "
        "Default: an overview.",
        autocompletion=completion.complete_object,
    ),
]
_Everything = Annotated[bool, typer.Option("--all", help="Print all objects, as a YAML stream for kubectl apply.")]
_Decrypt = Annotated[bool, typer.Option("--decrypt", help="Show the values of Secrets and of sensitive fields.")]


def show(
    *,
    objects: _Objects = None,
    archive: ArchiveOptions,
    sample: options.Sample = "latest",
    namespace: options.Namespaces = None,
    everything: _Everything = False,
    decrypt: _Decrypt = False,
    identity: options.Identity = None,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Show what a sample holds, or single objects as YAML.

    Without --decrypt, Secrets have fingerprints in place of values, and kubectl apply refuses them.

    Example: gitsnap show ConfigMap/default/database --snapshot hourly --sample latest~1

    Example: gitsnap show references ClusterProfile/guestbook
    """
    opened = archive.open()
    chosen = samples.find_sample(opened.samples(), sample, now=datetime.now(UTC))
    tree = opened.tree(chosen)
    if not objects and not everything:
        _show_overview(tree, chosen.tag, namespace or [], form)
        return
    if objects and objects[0] == _REFERENCES:
        _show_references(tree, objects[1:], form)
        return
    if objects and everything:
        raise UsageError("--all shows every object: omit the names, or --all")
    held = [samples.find_object(tree, name) for name in objects or ()] or list(
        samples.list_objects(tree, namespaces=namespace or ())
    )
    documents = [held_object.document for held_object in held]
    if decrypt:
        from gitsnap.history.decryption import reveal
        from gitsnap.secrets import archive_keys

        keeper = archive_keys.for_reading(opened, chosen, identities=identity or [])
        documents = [reveal(tree, document, keeper) for document in documents]
    if form is terminal.Output.JSON:
        terminal.print_document({"apiVersion": "v1", "kind": "List", "items": documents}, form)
        return
    if not decrypt and any(
        document.get("kind") != "Secret" and masking.shows_fingerprints(document) for document in documents
    ):
        terminal.say("note: some values are fingerprints: do not apply this output; --decrypt shows the values")
    terminal.print_yaml_stream(documents)


def _show_overview(tree: Tree, tag: str, namespaces: list[str], form: terminal.Output) -> None:
    """Print a line for each object, by namespace and kind, then incomplete kinds and unresolved references."""
    keys = [held_object.key for held_object in samples.list_objects(tree, namespaces=namespaces)]
    if form is not terminal.Output.TABLE:
        listed = [{"kind": str(key.kind), "namespace": key.namespace, "name": key.name} for key in keys]
        terminal.print_document({"kind": "ObjectList", "sample": tag, "objects": listed}, form)
        return
    rows = [[key.namespace or "-", str(key.kind), key.name] for key in keys]
    terminal.print_result(render_table(["namespace", "kind", "name"], rows, columns=terminal.width()))
    terminal.say(f"{tag}: {plural(len(rows), 'object')}, Secrets: {tree.info.secrets.mode}")
    for incomplete in tree.incomplete:
        terminal.say(f"incomplete: {incomplete} was {incomplete.substitute} ({incomplete.reason})")
    blob = tree.files(Area.INVENTORY).get("unresolved.yaml")
    for entry in decode(tree.read(blob))["unresolved"] if blob else ():
        namespace = f"{entry['namespace']}/" if entry["namespace"] else ""
        target = f"{entry['kind']} {namespace}{shortened(entry['name'])}"
        terminal.say(f"unresolved: {entry['by']['kind']} {entry['by']['name']} refers to {target} ({entry['reason']})")


def _show_references(tree: Tree, names: list[str], form: terminal.Output) -> None:
    """Print the references of objects: clusters, field, target, and whether the target is in the sample."""
    from gitsnap.core.text import describe
    from gitsnap.history.references import read_references

    if not names:
        raise UsageError("show references: name an object, such as ClusterProfile/guestbook")
    documents = [samples.find_object(tree, name).document for name in names]
    references = [
        (ObjectKey.of(document), reference) for document in documents for reference in read_references(tree, document)
    ]
    if form is not terminal.Output.TABLE:
        listed = [
            {
                "by": str(by),
                "path": reference.path,
                "target": str(reference.target),
                "clusters": [str(cluster) for cluster in reference.clusters],
                "state": reference.state,
                "missing": reference.missing,
            }
            for by, reference in references
        ]
        terminal.print_document({"kind": "ReferenceList", "references": listed}, form)
        return
    if not references:
        terminal.print_result("it refers to nothing" if len(names) == 1 else "they refer to nothing")
        return
    rows = [
        [
            ", ".join(map(str, reference.clusters)) or "all",
            reference.path.removeprefix("spec."),
            shortened(describe(reference.target)),
            reference.state,
        ]
        for _, reference in references
    ]
    terminal.print_result(render_table(["cluster", "field", "refers to", "state"], rows, columns=terminal.width()))
