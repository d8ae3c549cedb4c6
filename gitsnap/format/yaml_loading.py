"""Parses YAML as people write it, by ruamel.yaml; this module is its only importer.

Timestamps stay text; tags and duplicate keys are refused. This module must not be imported before it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, SequenceNode

from gitsnap.errors import InputError

_MERGE = "tag:yaml.org,2002:merge"


class _Yaml(YAML):
    """Looks for no plug-ins: finding that there are none costs more than reading a short document."""

    def official_plug_ins(self) -> list[str]:
        """None."""
        return []


class _JsonConstructor(SafeConstructor):
    """YAML's safe types without those that JSON lacks."""

    most_merged = 0
    """Entries that merge keys (``<<``) may bring in, all together; they multiply as aliases do."""

    def flatten_mapping(self, node: Any) -> Any:
        """Copy the entries of merged mappings into this one, after counting them."""
        for key, value in tuple(node.value):
            if key.tag != _MERGE:
                continue
            merged = value.value if isinstance(value, SequenceNode) else [value]
            for one in merged:
                if isinstance(one, MappingNode):
                    self.flatten_mapping(one)
                    self.most_merged -= len(one.value)
                    if self.most_merged < 0:
                        problem = "its merge keys multiply to far more than is written there"
                        raise MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        return super().flatten_mapping(node)


def _as_text(constructor: SafeConstructor, node: Any) -> Any:
    return constructor.construct_scalar(node)


def _refuse(_constructor: SafeConstructor, node: Any) -> NoReturn:
    raise MarkedYAMLError(problem=f"the tag {node.tag} has no meaning in Kubernetes", problem_mark=node.start_mark)


_JsonConstructor.add_constructor("tag:yaml.org,2002:timestamp", _as_text)
for _tag in ("binary", "omap", "pairs", "set"):
    _JsonConstructor.add_constructor(f"tag:yaml.org,2002:{_tag}", _refuse)
_JsonConstructor.add_constructor(None, _refuse)


def load_all(text: str, source: str, most_merged: int) -> list[Any]:
    """The values of all documents, empty ones left out. Raises InputError with the line of what cannot be read."""
    yaml = _Yaml(typ="safe")
    yaml.Constructor = type("_Bounded", (_JsonConstructor,), {"most_merged": most_merged})
    with _told(source):
        return [document for document in yaml.load_all(text) if document is not None]
    return []


def check_depth(text: str, source: str, deepest: int) -> None:
    """Raises InputError where collections are nested more deeply: to make values of them, a parser in C recurses."""
    depth = 0
    with _told(source):
        for event in _Yaml(typ="safe").parse(text):
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > deepest:
                raise InputError(f"{source}: nested too deeply")


@contextmanager
def _told(source: str) -> Iterator[None]:
    """Says in words what a parser finds wrong."""
    try:
        yield
    except DuplicateKeyError as error:
        raise InputError(f"{source}: {_where(error)}{str(error.problem).split(' with value')[0]}") from None
    except MarkedYAMLError as error:
        raise InputError(f"{source}: {_where(error)}{error.problem or 'not valid YAML'}") from None
    except (YAMLError, ValueError) as error:
        raise InputError(f"{source}: not valid YAML ({type(error).__name__})") from None
    except RecursionError:
        raise InputError(f"{source}: nested too deeply") from None


def _where(error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
