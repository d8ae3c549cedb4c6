"""The values that sigs.k8s.io/yaml reads, from a Go program: the oracle of the YAML reader."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gitsnap.core.errors import InputError
from gitsnap.format import load_document

REFUSED = {"refused": True}
"""The result for a text that cannot be read."""


class GoYaml:
    """A running Go program that reads texts until it is closed."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self, text: str) -> Any:
        """The value of the first document of a text, ``REFUSED`` if the library refuses the text."""
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("the program has no pipes")
        self._process.stdin.write(f"{json.dumps(text)}\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer.get("value", REFUSED)

    def close(self) -> None:
        """End the program."""
        self._process.communicate(timeout=30)


def ours(text: str) -> Any:
    """The value that gitsnap reads, ``REFUSED`` if gitsnap refuses the text."""
    try:
        return load_document(text, "a text")
    except InputError:
        return REFUSED


def exact(value: Any) -> str:
    """JSON text of a value. Values of different types have different texts."""
    return json.dumps(value, sort_keys=True)


def differences(oracle: GoYaml, texts: Iterable[str]) -> list[tuple[str, str, str]]:
    """The texts that Go and gitsnap read differently: text, value of Go, value of gitsnap."""
    pairs = ((text, exact(oracle.read(text)), exact(ours(text))) for text in texts)
    return [(text, go_value, own_value) for text, go_value, own_value in pairs if go_value != own_value]
