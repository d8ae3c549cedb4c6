"""Reads single fields of a resource, and collects the problems of all fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from gitsnap.core.errors import GitsnapError
from gitsnap.core.model import JsonObject

_LONGEST_QUOTE = 200
"""Characters of an invalid value in a message."""

_INT32 = 2**31 - 1
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


class FieldReader:
    """Reads fields of one type each. A field of another type reads as absent, like a field that is null.

    All problems are collected, so that a user can correct them at once.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        """Each invalid field, with its path."""

    def _only(self, entry: Mapping[str, Any], path: str, known: tuple[str, ...]) -> None:
        for name in sorted(str(unknown) for unknown in entry if unknown not in known):
            field_path = f"{path}.{name}" if path else name
            self.problems.append(f"{field_path}: is unknown; known fields: {', '.join(sorted(known))}")

    def _map(self, entry: Mapping[str, Any], name: str, path: str) -> JsonObject:
        value = entry.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.problems.append(f"{path}: must be an object, not {type_name(value)}")
            return {}
        return value

    def _list(self, entry: Mapping[str, Any], name: str, path: str) -> list[Any]:
        value = entry.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.problems.append(f"{path}.{name}: must be a list, not {type_name(value)}")
            return []
        return value

    def _text(self, entry: Mapping[str, Any], name: str, path: str) -> str:
        value = entry.get(name)
        if value is None or isinstance(value, str):
            return value or ""
        self.problems.append(f"{path}.{name}: must be a string, not {type_name(value)}")
        return ""

    def _texts(self, entry: Mapping[str, Any], name: str, path: str) -> list[str]:
        texts = []
        for position, value in enumerate(self._list(entry, name, path)):
            if isinstance(value, str):
                texts.append(value)
            else:
                self.problems.append(f"{path}.{name}[{position}]: must be a string, not {type_name(value)}")
        return texts

    def _matching(
        self,
        entry: Mapping[str, Any],
        name: str,
        path: str,
        pattern: re.Pattern[str],
        allowed: str,
        *,
        required: bool = False,
    ) -> str:
        """A string that matches a pattern; ``""`` for an absent or empty field, which is a problem if ``required``."""
        text = self._text(entry, name, path)
        if text and not pattern.fullmatch(text):
            self._bad(f"{path}.{name}", text, allowed)
        elif required and not text:
            self.problems.append(f"{path}.{name}: is required: {allowed}")
        return text

    def _flag(self, entry: Mapping[str, Any], name: str, path: str) -> bool:
        value = entry.get(name)
        if value is not None and not isinstance(value, bool):
            self.problems.append(f"{path}.{name}: must be true or false, not {type_name(value)}")
        return value is True

    def _count(
        self, entry: Mapping[str, Any], name: str, path: str, *, lowest: int = 0, highest: int = _INT32
    ) -> int | None:
        value = entry.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            self.problems.append(f"{path}.{name}: must be a whole number from {lowest} to {highest}")
            return None
        return value

    def _secret(self, entry: JsonObject, path: str) -> str:
        """A secretRef as ``<namespace>/<name>``. The namespace is required: a Snapshot has none."""
        if entry.get("secretRef") is None:
            return ""
        path = f"{path}.secretRef"
        reference = self._map(entry, "secretRef", path)
        self._only(reference, path, ("namespace", "name"))
        parts = ("namespace", "name")
        names = [self._matching(reference, part, path, _NAME, "a name", required=True) for part in parts]
        return "/".join(names) if all(names) else ""

    def _bad(self, path: str, text: str, allowed: str) -> None:
        quoted = text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"
        self.problems.append(f"{path}: {quoted!r} is not {allowed}")

    def _try(self, path: str, check: Callable[[], object]) -> bool:
        try:
            check()
        except GitsnapError as error:
            self.problems.append(f"{path}: {error.message}")
            return False
        return True


def type_name(value: object) -> str:
    """``an object``, ``a list``, ``a string``: the type of a JSON value, for messages."""
    names = {
        dict: "an object",
        list: "a list",
        str: "a string",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "nothing")
