"""Further kinds that a policy captures: checked field by field, and in the words of the command line.

``Deployment.apps in team-*,!team-tmp with tier=web`` says what an entry of ``spec.resources`` says in YAML.
This module must not select objects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from gitsnap.core.errors import InputError
from gitsnap.core.model import Kind, ResourceSelector
from gitsnap.kube.server_fields import NEVER_CONFIGURATION
from gitsnap.sveltos import kinds

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
_COMMA_OUTSIDE = re.compile(r",(?![^(]*\))")
_WORDS = re.compile(r"(?P<kind>\S+)(?:\s+in\s+(?P<namespaces>[^\s()]+))?(?:\s+with\s+(?P<labels>.+))?")

_MOST_SHOWN = 200


def problems(selector: ResourceSelector) -> Iterator[tuple[str, str]]:
    """What is wrong with a selector: the field, as it is called in YAML, and the reason."""
    kind = selector.kind
    yield from _problems_of_kind(kind)
    globs = (
        ("namespaces", selector.namespaces, _NAMESPACE_GLOB, "the name of a namespace"),
        ("excludeNamespaces", selector.exclude_namespaces, _NAMESPACE_GLOB, "the name of a namespace"),
        ("excludeNames", selector.exclude_names, _NAME_GLOB, "the name of an object"),
    )
    for field, listed, pattern, what in globs:
        for number, glob in enumerate(listed):
            if not pattern.fullmatch(glob):
                yield f"{field}[{number}]", f"{_shown(glob)} is not {what}, with * and ? or not"
    labels = selector.label_selector
    if labels and kind in kinds.USER_KINDS:
        yield "labelSelector", f"{kind} is captured whole: an entry can only add the objects that a controller owns"
    elif labels and not all(_REQUIREMENT.fullmatch(one.strip()) for one in _COMMA_OUTSIDE.split(labels)):
        yield "labelSelector", f"{_shown(labels)} is not a selector such as app=web,tier in (front, back),!old"


def _problems_of_kind(kind: Kind) -> Iterator[tuple[str, str]]:
    if not _GROUP.fullmatch(kind.group):
        yield "group", f"{_shown(kind.group)} is not an API group without its version, such as apps"
    if not kind.name:
        yield "kind", "is needed, a kind such as Deployment"
    elif not _KIND.fullmatch(kind.name):
        yield "kind", f"{_shown(kind.name)} is not a kind such as Deployment"
    elif kind in kinds.CLUSTER_KINDS:
        yield "kind", f"{kind} is captured in any case"
    elif kind in kinds.NOT_CONFIGURATION | NEVER_CONFIGURATION:
        yield "kind", f"{kind} is a report of a controller: it is no configuration"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…")


def in_order(selector: ResourceSelector) -> ResourceSelector:
    """The same selector, written in the one way in which equal selectors are equal."""
    namespaces, excluded = sorted(set(selector.namespaces)), sorted(set(selector.exclude_namespaces))
    return replace(
        selector,
        namespaces=tuple(namespaces),
        exclude_namespaces=tuple(excluded),
        exclude_names=tuple(sorted(set(selector.exclude_names))),
    )


def parse(text: str) -> ResourceSelector:
    """A selector from words: ``KIND[.GROUP] [in NAMESPACES] [with LABELS]``.

    Namespaces are separated by commas; one behind ``!`` is left out. Raises InputError.
    """
    match = _WORDS.fullmatch(text.strip())
    if match is None:
        raise InputError(
            f"--resources {text!r}: give it as KIND[.GROUP], with 'in NAMESPACE,…' and 'with LABELS' behind it or not",
            hint="For example: --resources 'Deployment.apps in team-*,!team-tmp with tier=web'",
        )
    namespaces = [one for one in (match["namespaces"] or "").split(",") if one]
    selector = ResourceSelector(
        Kind.parse(match["kind"]),
        tuple(one for one in namespaces if not one.startswith("!")),
        (match["labels"] or "").strip(),
        tuple(one[1:] for one in namespaces if one.startswith("!")),
    )
    for field, problem in problems(selector):
        raise InputError(f"--resources {text!r}: {field}: {problem}")
    return in_order(selector)


def in_words(selector: ResourceSelector) -> str:
    """The inverse of ``parse``; names that are left out have no words, and are added as ``except NAME,…``."""
    namespaces = [*selector.namespaces, *(f"!{glob}" for glob in selector.exclude_namespaces)]
    parts = [str(selector.kind)]
    parts += [f"in {','.join(namespaces)}"] if namespaces else []
    parts += [f"with {selector.label_selector}"] if selector.label_selector else []
    parts += [f"except {','.join(selector.exclude_names)}"] if selector.exclude_names else []
    return " ".join(parts)
