"""The files of a directory cluster: which object lies in which document of which file, and writing it back there.

Only the document that changes is written anew: the others keep their text, comments included.
This module must not know what a cluster would allow.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitsnap.errors import AccessDeniedError, InputError, StorageError
from gitsnap.format import encode, iterate_documents, load_documents, path_of
from gitsnap.model import JsonObject, ObjectKey

_EXTENSIONS = frozenset({".yaml", ".yml", ".json"})
_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|\Z).*$", re.MULTILINE)


@dataclass(slots=True)
class Document:
    """One document of a file: one object, or a list of them."""

    text: str
    objects: list[JsonObject] = field(default_factory=list)
    wrapper: JsonObject | None = None
    """The list around the objects, without its items; None for an object that stands alone."""

    def render(self, *, as_json: bool) -> str:
        """The document with its present objects."""
        if not self.objects and self.wrapper is None:
            return ""
        content = self.objects[0] if self.wrapper is None else {**self.wrapper, "items": self.objects}
        return json.dumps(content, indent=2) + "\n" if as_json else encode(content).decode()


class ObjectFile:
    """One file, read and parsed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stamp = stamp(path)
        self._json = path.suffix == ".json"
        self.documents = list(self._read()) if self.stamp else []

    def _read(self) -> Iterator[Document]:
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror}") from None
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path}: not UTF-8 text (byte {error.start})") from None
        line = 1
        for part in [text] if self._json else _SEPARATOR.split(text):
            yield self._document(part, line)
            line += part.count("\n")

    def _document(self, text: str, line: int) -> Document:
        source = str(self.path) if line == 1 else f"{self.path} (from line {line})"
        document = Document(text)
        for content in load_documents(text, source):
            document.objects += list(iterate_documents([content], source))
            if isinstance(content, dict) and isinstance(content.get("items"), list):
                document.wrapper = {name: value for name, value in content.items() if name != "items"}
        return document

    def put(self, key: ObjectKey, new: JsonObject | None) -> None:
        """Replace the object, or take it out (None), or add it as a document of its own."""
        for document in self.documents:
            for position, old in enumerate(document.objects):
                if ObjectKey.of(old) == key:
                    document.objects[position : position + 1] = [new] if new is not None else []
                    document.text = document.render(as_json=self._json)
                    return
        if new is not None:
            self.documents.append(Document(encode(new).decode(), [new]))

    def save(self) -> None:
        """Write the file, atomically and durably; a file without any object left is removed."""
        parts = [document.text for document in self.documents if document.text.strip()]
        try:
            if not any(document.objects for document in self.documents):
                self.path.unlink(missing_ok=True)
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            text = "---\n".join(
                part.lstrip("\n") if part.endswith("\n") else part.lstrip("\n") + "\n" for part in parts
            )
            write_atomically(self.path, text.encode())
        except PermissionError as error:
            raise AccessDeniedError(f"{self.path} is not writable for this user") from error
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror}") from error
        self.stamp = stamp(self.path)


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file does, None when there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def write_atomically(path: Path, content: bytes) -> None:
    """Readers see the old file or the new one, whole. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())
    temporary.replace(path)


def find_files(folder: Path) -> list[Path]:
    """The YAML and JSON files below a folder, sorted; what is hidden (a name that begins with a dot) is passed over."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(place) / name
            for name in sorted(names)
            if not name.startswith(".") and Path(name).suffix in _EXTENSIONS
        ]
    return found


def _unreadable(error: OSError) -> None:
    raise InputError(f"cannot read {error.filename}: {error.strerror}")


def new_file_for(folder: Path, key: ObjectKey) -> Path:
    """Where an object that no file holds yet is written: the layout of an archive's ``configuration/``."""
    return folder / path_of(key)


def strip_to_json(value: Any) -> Any:
    """A deep copy of a JSON value, so that callers cannot change what the cluster holds."""
    if isinstance(value, dict):
        return {name: strip_to_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [strip_to_json(item) for item in value]
    return value
