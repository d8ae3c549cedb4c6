"""Renders a template for one cluster.

Sveltos renders most names with Go's html/template, which escapes the values that actions print.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from gitsnap.sveltos.templates.errors import TemplateError
from gitsnap.sveltos.templates.parser import If, Node, parse_template
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
"""The escapes of html/template in text, that is, outside of tags."""

_MAX_DEPTH = 50
"""Largest number of parentheses in a template; 20 times as many actions and pipes are allowed. Without a limit, a
template could exhaust the stack of the parser."""


def render(template: str, root: Root, *, escape: bool = True) -> str:
    """The text of a template. ``escape`` applies the escapes of html/template to values.

    Raises TemplateError if gitsnap does not support the template, or Sveltos itself would fail on it.
    """
    nodes = _parsed(template)
    if isinstance(nodes, TemplateError):
        raise TemplateError(*nodes.args)
    if escape and _has_markup(nodes):
        raise TemplateError("the text has markup, after which html/template escapes differently")
    return "".join(_render_nodes(nodes, root, escape=escape))


@lru_cache(maxsize=1024)
def _parsed(template: str) -> tuple[Node, ...] | TemplateError:
    """The nodes of a template, or the error. Errors are cached, too: a template is rendered for every cluster."""
    if template.count("(") > _MAX_DEPTH or template.count("{{") + template.count("|") > _MAX_DEPTH * 20:
        return TemplateError("the template is nested too deeply")
    try:
        return parse_template(template)
    except TemplateError as error:
        return error
    except RecursionError:
        return TemplateError("the template is nested too deeply")


def _has_markup(nodes: Iterable[Node]) -> bool:
    """Whether the text between the actions contains markup, after which html/template escapes differently."""
    for node in nodes:
        if isinstance(node, str):
            if "<" in node:
                return True
        elif isinstance(node, If) and any(_has_markup(body) for _, body in node.branches):
            return True
    return False


def _render_nodes(nodes: Iterable[Node], root: Root, *, escape: bool) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif isinstance(node, If):
            branch = next((body for condition, body in node.branches
                           if condition is None or is_true(condition(root))), ())  # fmt: skip
            yield from _render_nodes(branch, root, escape=escape)
        else:
            yield _escaped(node.value(root)) if escape else printed(node.value(root))


def _escaped(value: Value) -> str:
    """The value of an action as html/template prints it in text. None prints nothing."""
    return "" if value is None else printed(value).translate(_ESCAPES)
