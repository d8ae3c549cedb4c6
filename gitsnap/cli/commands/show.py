"""``gitsnap show``: the objects of a sample, as an overview or as YAML.

This module must not compare or change anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import arguments, options, terminal
from gitsnap.cli.headings import describe_sample, say_heading
from gitsnap.cli.history_documents import objects_document
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.cli.sample_choice import choose_state, say_newer_changes
from gitsnap.core.errors import UsageError
from gitsnap.core.model import Area, JsonObject, ObjectKey, Sample
from gitsnap.core.states import State, name_state
from gitsnap.core.text import plural
from gitsnap.format import decode, masking
from gitsnap.history import samples
from gitsnap.history.purpose import purpose
from gitsnap.render import render_table, shortened

if TYPE_CHECKING:
    from gitsnap.core.ports import Tree

_REFERENCES = "references"


_Everything = Annotated[bool, typer.Option("--all", help="Print all objects, as a YAML stream for kubectl apply.")]
_Decrypt = Annotated[bool, typer.Option("--decrypt", help="Show the values of Secrets and of sensitive fields.")]


def show(
    *,
    words: arguments.SampleAndObjects = None,
    archive: ArchiveOptions,
    sample: options.SampleOrNewest = "",
    namespace: options.Namespaces = None,
    everything: _Everything = False,
    decrypt: _Decrypt = False,
    identity: options.Identity = None,
    form: options.NameOutput = terminal.Output.TABLE,
) -> None:
    """Show what a sample holds, or single objects as YAML.

    Without --decrypt, Secrets and sensitive fields have fingerprints in place of values. An annotation of such objects
    makes an API server refuse them.

    Example: gitsnap show latest~1 cm/default/database

    Example: gitsnap show ConfigMap/default/database --snapshot hourly --sample latest~1

    Example: gitsnap show references ClusterProfile/guestbook
    """
    words, references = _split_references(words or [])
    named = arguments.parse(words, objects=True)
    sample, objects = named.sample("--sample", sample), named.objects
    opened = archive.open()
    chosen = choose_state(opened, sample or "latest")
    if not sample:
        say_newer_changes(opened, ["show"], [*([_REFERENCES] if references else []), *words])
    tree = opened.tree(chosen)
    _warn_of_empty_namespaces(tree, chosen, namespace, objects)
    if references:
        if form is terminal.Output.NAME:
            raise UsageError("show references has no format 'name': --output table, json or yaml")
        _show_references(tree, (chosen, opened.source), objects, namespace or [], form)
        return
    if not objects and not everything:
        _show_overview(tree, chosen, opened.source, namespace or [], form)
        return
    if objects and everything:
        raise UsageError("--all shows every object: omit the names, or --all")
    selected = [samples.find_object(tree, name, namespaces=namespace or ()) for name in objects] or list(
        samples.list_objects(tree, namespaces=namespace or ())
    )
    if form is terminal.Output.NAME:
        terminal.print_names(obj.key.path for obj in selected)
        return
    documents = [obj.document for obj in selected]
    if decrypt:
        from gitsnap.history.decryption import reveal
        from gitsnap.secrets import archive_keys

        keeper = archive_keys.for_reading(opened, chosen, identities=identity or [])
        documents = [reveal(tree, document, keeper) for document in documents]
    if not decrypt:
        documents = _refusable(documents)
    if form is terminal.Output.JSON:
        terminal.print_document({"apiVersion": "v1", "kind": "List", "items": documents}, form)
        return
    terminal.print_yaml_stream(documents)


def _refusable(documents: list[JsonObject]) -> list[JsonObject]:
    """Add an annotation to the objects with fingerprints in place of values, so that no API server accepts them.

    Prints a note.
    """
    marked = {
        number: masking.with_refusal(document)
        for number, document in enumerate(documents)
        if masking.shows_fingerprints(document)
    }
    if marked:
        terminal.say(
            f"note: {plural(len(marked), 'object', 'has')} fingerprints in place of values, and an annotation that "
            "makes an API server refuse the object; --decrypt shows the values"
        )
    return [marked.get(number, document) for number, document in enumerate(documents)]


def _split_references(words: list[str]) -> tuple[list[str], bool]:
    """Return the words without the word `references` at the start or after a sample, and whether it was there."""
    for position in (0, 1):
        if words[position : position + 1] == [_REFERENCES] and all(map(arguments.is_sample, words[:position])):
            return words[:position] + words[position + 1 :], True
    return words, False


def _warn_of_empty_namespaces(
    tree: Tree, state: State, namespaces: Sequence[str] | None, objects: Sequence[str]
) -> None:
    """Print a warning for each namespace without an object, unless single objects are named: they must exist."""
    if not namespaces or objects:
        return
    from gitsnap.history.filter_check import check_filters
    from gitsnap.sveltos.filters import Filters

    terminal.warn(check_filters(Filters(tuple(namespaces)), [tree], where=name_state(state)))


def _show_overview(tree: Tree, state: State, location: str, namespaces: list[str], form: terminal.Output) -> None:
    """Print a line for each object, by namespace and kind, then incomplete kinds and unresolved references."""
    keys = [obj.key for obj in samples.list_objects(tree, namespaces=namespaces)]
    if form is terminal.Output.NAME:
        terminal.print_names(key.path for key in keys)
        return
    if form is not terminal.Output.TABLE:
        terminal.print_document(objects_document(state, keys), form)
        return
    rows = [[key.namespace or "-", str(key.kind), key.name] for key in keys]
    where = f" in the namespace {' or '.join(namespaces)}" if namespaces else ""
    content = f"{plural(len(rows), 'object')}{where}, Secrets: {tree.info.secrets.mode}"
    say_heading(f"{describe_sample(state)} of {location}: {content}")
    terminal.print_result(render_table(["namespace", "kind", "name"], rows, columns=terminal.width()))
    if isinstance(state, Sample):
        if taken_for := purpose(state):
            terminal.say(f"taken {taken_for}")
        if state.metadata.message:
            terminal.say(f"message: {state.metadata.message}")
    for incomplete in tree.incomplete:
        terminal.say(f"incomplete: {incomplete} was {incomplete.substitute} ({incomplete.reason})")
    blob = tree.files(Area.INVENTORY).get("unresolved.yaml")
    for entry in decode(tree.read(blob))["unresolved"] if blob else ():
        namespace = f"{entry['namespace']}/" if entry["namespace"] else ""
        target = f"{entry['kind']} {namespace}{shortened(entry['name'])}"
        terminal.say(f"unresolved: {entry['by']['kind']} {entry['by']['name']} refers to {target} ({entry['reason']})")


def _show_references(
    tree: Tree,
    origin: tuple[State, str],
    names: Sequence[str],
    namespaces: Sequence[str],
    form: terminal.Output,
) -> None:
    """Print the references of objects: clusters, field, target, and whether the target is in the sample."""
    from gitsnap.core.text import describe
    from gitsnap.history.resolved_references import read_references

    if not names:
        raise UsageError("show references: name an object, such as ClusterProfile/guestbook")
    documents = [samples.find_object(tree, name, namespaces=namespaces).document for name in names]
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
    say_heading(f"references of {', '.join(names)} in {describe_sample(origin[0])} of {origin[1]}")
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
