"""Additional kinds that a policy captures (``spec.resources``): validation, and the syntax of the command line.

On the command line an entry is written as ``Deployment.apps in team-*,!team-tmp with tier=web``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from gitsnap.core.errors import InputError
from gitsnap.core.model import Kind, ResourceSelector
from gitsnap.kube.server_fields import NEVER_CONFIGURATION
from gitsnap.sveltos import kinds
from gitsnap.sveltos.kind_names import KindNames

_GROUP = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)?")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]*")
_NAMESPACE_GLOB = re.compile(r"[a-z0-9*?-]{1,63}")
_NAME_GLOB = re.compile(r"[A-Za-z0-9:._*?-]{1,253}")
_LABEL_KEY = r"(?:[a-z0-9][a-z0-9.-]*/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?"
_LABEL_VALUE = r"[A-Za-z0-9_.-]*"
_REQUIREMENT = re.compile(
    rf"!?{_LABEL_KEY}|{_LABEL_KEY} *(?:==|!=|=) *{_LABEL_VALUE}"
    rf"|{_LABEL_KEY} +(?:in|notin) +\( *{_LABEL_VALUE}(?: *, *{_LABEL_VALUE})* *\)"
)
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")
_ENTRY = re.compile(r"(?P<kind>\S+)(?:\s+in\s+(?P<namespaces>[^\s()]+))?(?:\s+with\s+(?P<labels>.+))?")

_LONGEST_QUOTE = 200
"""Characters of an invalid value in a message."""


def problems(selector: ResourceSelector) -> Iterator[tuple[str, str]]:
    """The problems of a selector: pairs of a field, as named in YAML, and the reason."""
    kind = selector.kind
    yield from _problems_of_kind(kind)
    globs = (
        ("namespaces", selector.namespaces, _NAMESPACE_GLOB, "the name of a namespace"),
        ("excludeNamespaces", selector.exclude_namespaces, _NAMESPACE_GLOB, "the name of a namespace"),
        ("excludeNames", selector.exclude_names, _NAME_GLOB, "the name of an object"),
    )
    for field, values, pattern, meaning in globs:
        for number, glob in enumerate(values):
            if not pattern.fullmatch(glob):
                yield f"{field}[{number}]", f"{_quote(glob)} is not {meaning}; * and ? are wildcards"
    labels = selector.label_selector
    if labels and kind in kinds.USER_KINDS:
        yield "labelSelector", f"{kind} is captured whole: an entry can only add objects that a controller owns"
    elif labels and not all(_REQUIREMENT.fullmatch(part.strip()) for part in _COMMA_OUTSIDE_PARENTHESES.split(labels)):
        yield "labelSelector", f"{_quote(labels)} is not a selector such as app=web,tier in (front, back),!old"


def _problems_of_kind(kind: Kind) -> Iterator[tuple[str, str]]:
    if not _GROUP.fullmatch(kind.group):
        yield "group", f"{_quote(kind.group)} is not an API group without its version, such as apps"
    if not kind.name:
        yield "kind", "is required, for example Deployment"
    elif not _KIND.fullmatch(kind.name):
        yield "kind", f"{_quote(kind.name)} is not a kind such as Deployment"
    elif kind in kinds.CLUSTER_KINDS:
        yield "kind", f"{kind} is always captured"
    elif kind in kinds.NOT_CONFIGURATION | NEVER_CONFIGURATION:
        yield "kind", f"{kind} is a report of a controller, not configuration"


def _quote(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…")


def canonical(selector: ResourceSelector) -> ResourceSelector:
    """The selector in its canonical form: sorted and without duplicates."""
    namespaces, excluded = sorted(set(selector.namespaces)), sorted(set(selector.exclude_namespaces))
    return replace(
        selector,
        namespaces=tuple(namespaces),
        exclude_namespaces=tuple(excluded),
        exclude_names=tuple(sorted(set(selector.exclude_names))),
    )


def parse_kind(word: str, names: KindNames, source: str) -> Kind:
    """The kind that a word of the command line names. ``source``: the option, for messages.

    An unknown kind with its group, such as ``Widget.example.com``, is accepted: it may be installed later. Raises
    InputError for any other unknown kind, UsageError for an ambiguous kind.
    """
    kind = names.kind_named(word)
    if kind is not None:
        return kind
    written = Kind.parse(word)
    if written.group and _KIND.fullmatch(written.name):
        return written
    nearest = ", ".join(names.closest(word))
    raise InputError(
        f"{source}: kind: {_quote(word)} is not a kind such as Deployment",
        hint=f"The nearest kinds: {nearest}." if nearest else "A kind that gitsnap does not know needs its group.",
    )


def parse(text: str, names: KindNames) -> ResourceSelector:
    """Parse a selector of the command line: ``KIND[.GROUP] [in NAMESPACES] [with LABELS]``.

    Namespaces are separated by commas; ``!`` before a namespace excludes it. ``names``: the known kinds. Raises
    InputError, and UsageError for an ambiguous kind.
    """
    match = _ENTRY.fullmatch(text.strip())
    if match is None:
        raise InputError(
            f"--resources {text!r}: the form is KIND[.GROUP] [in NAMESPACE,…] [with LABELS]",
            hint="For example: --resources 'Deployment.apps in team-*,!team-tmp with tier=web'",
        )
    namespaces = [glob for glob in (match["namespaces"] or "").split(",") if glob]
    selector = ResourceSelector(
        parse_kind(match["kind"], names, f"--resources {text!r}"),
        tuple(glob for glob in namespaces if not glob.startswith("!")),
        (match["labels"] or "").strip(),
        tuple(glob[1:] for glob in namespaces if glob.startswith("!")),
    )
    for field, problem in problems(selector):
        raise InputError(f"--resources {text!r}: {field}: {problem}")
    return canonical(selector)
