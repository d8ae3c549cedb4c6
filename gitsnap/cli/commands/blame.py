"""``gitsnap blame``: when each field of an object last changed.

This module must not open a cluster.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gitsnap.cli import arguments, options, terminal
from gitsnap.cli.field_texts import origin_author, value_text, version_date
from gitsnap.cli.headings import describe_sample, say_heading
from gitsnap.cli.history_documents import blame_document
from gitsnap.cli.resolve import ArchiveOptions
from gitsnap.cli.sample_choice import choose_state, say_newer_changes
from gitsnap.core.errors import NotFoundError
from gitsnap.core.text import describe
from gitsnap.history import samples
from gitsnap.render import render_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitsnap.history.blame import FieldOrigin

_LONGEST = 40
"""Columns of a value in the table; JSON has the whole value."""

_Deleted = Annotated[bool, typer.Option("--deleted", help="Also show fields that the object no longer has.")]


def blame(
    *,
    words: arguments.ObjectAndField,
    archive: ArchiveOptions,
    sample: options.SampleOrNewest = "",
    deleted: _Deleted = False,
    form: options.Output = terminal.Output.TABLE,
) -> None:
    """Show when each field of an object last changed, who wrote it, and its value before.

    SINCE is the first sample with the value, or the time of a change that follow mode recorded. BY is the field manager
    that wrote the object in this sample, or the author of the change with the source of the name. BEFORE is the value
    before the change. Elements of lists are recognized by name, not by position; the argument may name them by their
    positions, as `log` does. Documents and JSON in a ConfigMap, and the values of charts, are shown field by field.
    Values of Secrets and of sensitive fields are never shown.

    Example: gitsnap blame ClusterProfile/guestbook

    Example: gitsnap blame latest~1 cm/default/database data --deleted
    """
    from gitsnap.history.blame import blame as find_origins
    from gitsnap.history.blame import read_versions
    from gitsnap.history.field_names import propose_fields
    from gitsnap.history.fields import has_position, positional_paths

    named, field = arguments.parse_field(words)
    opened = archive.open()
    wanted = named.sample("--sample", sample)
    chosen = choose_state(opened, wanted or "latest")
    if not wanted:
        say_newer_changes(opened, ["blame"], words)
    trees = opened.tree(chosen), opened.tree(opened.samples()[-1])
    obj = samples.find_object(trees[0], named.objects[0])
    sensitive = {sensitive_field for tree in trees for sensitive_field in tree.info.secrets.sensitive_fields}
    origins = find_origins(read_versions(opened, obj.path, chosen, sensitive))
    positions = positional_paths(obj.document, sensitive) if has_position(field) else {}
    present = _below(origins.present, field, positions)
    removed = _below(origins.deleted, field, {}) if deleted else []
    if field and not present and not removed:
        hint = propose_fields(field, origins.present, none="It has no fields.")
        if _below(origins.deleted, field, {}):
            hint = "The object had this field earlier; --deleted shows it."
        raise NotFoundError(f"{describe(obj.key)} has no field {field} in {describe_sample(chosen)}", hint=hint)
    if form is terminal.Output.TABLE:
        say_heading(f"{describe(obj.key)} in {describe_sample(chosen)} of {opened.source}")
        rows = [_row(origin) for origin in present] + [_row(origin, deleted=True) for origin in removed]
        header = ["field", "value", "since", "by", "before"]
        terminal.print_result(render_table(header, rows, columns=terminal.width()))
        return
    terminal.print_document(blame_document(obj.key, chosen, present, removed), form)


def _below(origins: Mapping[str, FieldOrigin], field: str, positions: Mapping[str, str]) -> list[FieldOrigin]:
    """Return the fields at a path and below it, sorted by path. ``data.a.yaml`` also names ``data["a.yaml"]``.

    ``positions``: the path of a field -> its path with the positions of list elements, which ``field`` may have.
    """
    from gitsnap.history.fields import plain_path

    below = re.compile(rf"{re.escape(plain_path(field))}(?:$|[.\[])")
    return [
        origins[path]
        for path in sorted(origins)
        if not field or any(below.match(plain_path(name)) for name in (path, positions.get(path, path)))
    ]


def _row(origin: FieldOrigin, *, deleted: bool = False) -> list[str]:
    since = [version_date(origin.since), origin_author(origin.since.origin, origin.since.manager)]
    before = _shown(origin.before) if origin.existed else ""
    if deleted:
        return [origin.path, "(deleted)", *since, _shown(origin.value)]
    return [origin.path, _shown(origin.value), *since, before]


def _shown(value: Any) -> str:
    """Return a value on one line. A fingerprint means nothing to a person."""
    from gitsnap.history.fields import is_hidden

    return "(secret)" if is_hidden(value) else value_text(value, _LONGEST)
