"""The text of a template for one cluster.

Sveltos renders names by ``html/template``, so that what an action prints is escaped; an EventTrigger's are not.
This module must not know where templates stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from gitsnap.sveltos.templates.errors import TemplateError
from gitsnap.sveltos.templates.parsing import Choice, Node, parse
from gitsnap.sveltos.templates.values import Root, Value, is_true, printed

_ESCAPES = str.maketrans(
    {
        "\0": "\N{REPLACEMENT CHARACTER}",
        '"': "&#34;",
        "&": "&amp;",
        "'": "&#39;",
        "+": "&#43;",
        "<": "&lt;",
        ">": "&gt;",
    }
)
"""What ``html/template`` writes between tags."""

_DEEPEST = 50
"""Levels of braces and parentheses; more would only be somebody's attempt to exhaust the stack."""


def render(template: str, root: Root, *, escape: bool = True) -> str:
    """The text of a template. Raises TemplateError where gitsnap or Sveltos cannot tell it."""
    nodes = _parsed(template)
    if isinstance(nodes, TemplateError):
        raise TemplateError(*nodes.args)
    if escape and _may_leave_text(nodes):
        raise TemplateError("markup changes how Sveltos escapes")
    return "".join(_rendered(nodes, root, escape=escape))


@lru_cache(maxsize=1024)
def _parsed(template: str) -> tuple[Node, ...] | TemplateError:
    """The nodes, or why there are none: a failure is worth remembering as well, for thousands of clusters."""
    if template.count("(") > _DEEPEST or template.count("{{") + template.count("|") > _DEEPEST * 20:
        return TemplateError("it is nested too deeply")
    try:
        return parse(template)
    except TemplateError as error:
        return error
    except RecursionError:
        return TemplateError("it is nested too deeply")


def _may_leave_text(nodes: Iterable[Node]) -> bool:
    """Whether the template's own text holds markup, after which Sveltos escapes in another way."""
    for node in nodes:
        if isinstance(node, str):
            if "<" in node:
                return True
        elif isinstance(node, Choice) and any(_may_leave_text(body) for _, body in node.branches):
            return True
    return False


def _rendered(nodes: Iterable[Node], root: Root, *, escape: bool) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif isinstance(node, Choice):
            chosen = next((body for condition, body in node.branches
                           if condition is None or is_true(condition(root))), ())  # fmt: skip
            yield from _rendered(chosen, root, escape=escape)
        else:
            yield _escaped(node.value(root)) if escape else printed(node.value(root))


def _escaped(value: Value) -> str:
    """An action's value between tags; nothing prints nothing there."""
    return "" if value is None else printed(value).translate(_ESCAPES)
