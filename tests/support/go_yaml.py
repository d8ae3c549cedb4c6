"""What sigs.k8s.io/yaml reads in a text, asked from a Go program: the oracle of the reader of YAML."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gitsnap.core.errors import InputError
from gitsnap.format import load_document

REFUSED = {"refused": True}
"""In place of a value: the text cannot be read."""


class GoYaml:
    """A running program; it answers one text after another, and ends when it is closed."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self, text: str) -> Any:
        """The value of the first document of a text, ``REFUSED`` where the library refuses it."""
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
    """What gitsnap reads in a text, ``REFUSED`` where it refuses it."""
    try:
        return load_document(text, "a text")
    except InputError:
        return REFUSED


def exact(value: Any) -> str:
    """A text that differs for values that differ in type."""
    return json.dumps(value, sort_keys=True)


def differences(oracle: GoYaml, texts: Iterable[str]) -> list[tuple[str, str, str]]:
    """The texts that gitsnap reads in another way: text, what Go reads, what gitsnap reads."""
    pairs = ((text, exact(oracle.read(text)), exact(ours(text))) for text in texts)
    return [(text, theirs, mine) for text, theirs, mine in pairs if theirs != mine]
