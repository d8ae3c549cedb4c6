"""Options in groups: where a command takes a dataclass, typer sees its fields as options of that command.

So what belongs together is named, documented and handed on together, also where several commands have it.
This module must not know any option.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter
from typing import Any, get_type_hints


def ungrouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer understands it: in place of each parameter that is a dataclass, one for each field.

    The command's parameters are given by name. Raises ValueError where two parameters would have the same name.
    """
    groups: dict[str, type[Any]] = {}
    parameters: list[Parameter] = []
    types = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        annotation = types[name]
        if is_dataclass(annotation) and isinstance(annotation, type):
            groups[name] = annotation
            parameters += _options_of(annotation)
        else:
            parameters.append(parameter.replace(annotation=annotation, kind=Parameter.KEYWORD_ONLY))

    @wraps(command)
    def called(**given: Any) -> None:
        made = {
            name: group(**{one.name: given.pop(one.name) for one in fields(group)}) for name, group in groups.items()
        }
        command(**given, **made)

    called.__dict__["__signature__"] = inspect.Signature(parameters)
    called.__annotations__ = {one.name: one.annotation for one in parameters}
    return called


def _options_of(group: type[Any]) -> list[Parameter]:
    types = get_type_hints(group, include_extras=True)
    return [
        Parameter(one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=types[one.name])
        for one in fields(group)
    ]
