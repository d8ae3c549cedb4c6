"""Parses YAML as people write it, by ruamel.yaml; this module is its only importer.

Timestamps stay text; tags and duplicate keys are refused. This module must not be imported before it is needed.
"""

from __future__ import annotations

from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from gitsnap.errors import InputError


class _Yaml(YAML):
    """Looks for no plug-ins: finding that there are none costs more than reading a short document."""

    def official_plug_ins(self) -> list[str]:
        """None."""
        return []


class _JsonConstructor(SafeConstructor):
    """YAML's safe types without those that JSON lacks."""


def _as_text(constructor: SafeConstructor, node: Any) -> Any:
    return constructor.construct_scalar(node)


def _refuse(_constructor: SafeConstructor, node: Any) -> NoReturn:
    raise MarkedYAMLError(problem=f"the tag {node.tag} has no meaning in Kubernetes", problem_mark=node.start_mark)


_JsonConstructor.add_constructor("tag:yaml.org,2002:timestamp", _as_text)
for _tag in ("binary", "omap", "pairs", "set"):
    _JsonConstructor.add_constructor(f"tag:yaml.org,2002:{_tag}", _refuse)
_JsonConstructor.add_constructor(None, _refuse)


def load_all(text: str, source: str) -> list[Any]:
    """The values of all documents, empty ones left out. Raises InputError with the line of what cannot be read."""
    yaml = _Yaml(typ="safe")
    yaml.Constructor = _JsonConstructor
    try:
        return [document for document in yaml.load_all(text) if document is not None]
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
