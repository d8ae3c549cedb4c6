"""The files of a directory cluster: the objects in each file, and writing an object back to its file.

Only the document that changes is rendered again. The others keep their text, including comments.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gitsnap.cluster.directory.string_fields import find_mismatch
from gitsnap.core.errors import AccessDeniedError, InputError, StorageError
from gitsnap.core.files import replace_file, sync_folder
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.format import encode, iterate_documents, line_of, load_documents

_EXTENSIONS = frozenset({".yaml", ".yml", ".json"})

_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
"""YAML allows these characters at the start of a line only between documents (YAML 1.2, rule 206)."""

_DIRECTIVE_OR_END = re.compile(r"^(?:%|\.\.\.(?=[ \t\r\n]|\Z))", re.MULTILINE)
_ONLY_COMMENTS = re.compile(r"(?:---)?(?:\s|#[^\n]*(?:\n|\Z))*\Z")
_PRIVATE_MODE = 0o600
ORDINARY_MODE = 0o666
"""Permission bits of a new file, less the umask."""


@dataclass(frozen=True, slots=True)
class _Document:
    """One document of a file: one object, or a list of them."""

    objects: tuple[JsonObject, ...]
    wrapper: JsonObject | None = None
    """The list around the objects, without its items; None for a single object."""

    def render(self, *, as_json: bool) -> str:
        """The text of the document."""
        content = self.objects[0] if self.wrapper is None else {**self.wrapper, "items": list(self.objects)}
        return json.dumps(content, indent=2) + "\n" if as_json else encode(content).decode()


class ObjectFile:
    """One file, read and parsed. A file that does not exist has no documents."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._json = path.suffix == ".json"
        self.stamp = stamp(path)
        self._documents = list(self._read()) if self.stamp else []

    @property
    def objects(self) -> Iterator[JsonObject]:
        """The objects of the file, as written there."""
        return itertools.chain.from_iterable(document.objects for document in self._documents)

    def _read(self) -> Iterator[_Document]:
        source, text = str(self.path), self._text()
        contents = load_documents(text, source, unique_keys=True)
        for _ in iterate_documents(contents, source):
            pass  # refuses a document that is not an object, with its number in the file
        for number, content in enumerate(contents):
            objects = tuple(iterate_documents([content], source))
            alone = len(objects) == 1 and objects[0] is content
            for position, document in enumerate(objects):
                self._check_strings(text, document, number, () if alone else ("items", position))
            wrapper = None if alone else {name: value for name, value in content.items() if name != "items"}
            yield _Document(objects, wrapper)

    def _check_strings(self, text: str, document: JsonObject, number: int, path: tuple[str | int, ...]) -> None:
        """Check the string fields of an object, which is at ``path`` of a document. Raises InputError with the line."""
        mismatch = find_mismatch(document)
        if mismatch is None:
            return
        line = line_of(text, number, (*path, *mismatch.path))
        where = f"{self.path}, line {line}" if line else str(self.path)
        raise InputError(
            f"{where}: {ObjectKey.of(document)}: {mismatch}", hint="In YAML a string such as 5 or yes needs quotes."
        )

    def _text(self) -> str:
        try:
            return self.path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path}: not UTF-8 text (byte {error.start})") from None
        except PermissionError:
            raise AccessDeniedError(f"{self.path} is not readable for this user") from None
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror}") from None

    def put(self, key: ObjectKey, new: JsonObject | None) -> None:
        """Replace an object, remove it (None), or append it as a new document. The change is durable on return.

        The file must not have changed since it was read. A file whose last object is removed is deleted. Raises
        AccessDeniedError, StorageError; the file is then unchanged.
        """
        texts = self._segments()
        documents = list(self._documents)
        place = self._find(key)
        if place is not None:
            number, position = place
            old = documents[number]
            objects = (*old.objects[:position], *([new] if new is not None else []), *old.objects[position + 1 :])
            if objects or old.wrapper is not None:
                documents[number] = _Document(objects, old.wrapper)
                texts[number] = _separated(documents[number].render(as_json=self._json), texts[number])
            else:
                del documents[number], texts[number]
        elif new is not None:
            documents.append(_Document((new,)))
            texts.append(_separated(documents[-1].render(as_json=self._json), "---" if texts else ""))
        self._write("".join(map(_ended, texts)).encode() if any(document.objects for document in documents) else None)
        self._documents = documents
        self.stamp = stamp(self.path)

    def _find(self, key: ObjectKey) -> tuple[int, int] | None:
        """Number of the document that holds an object, and the object's position in it."""
        for number, document in enumerate(self._documents):
            for position, content in enumerate(document.objects):
                if ObjectKey.of(content) == key:
                    return number, position
        return None

    def _segments(self) -> list[str]:
        """The text of each document, with the comments before it; joined, they are the file.

        If the text cannot be split with certainty, the documents are rendered again, without comments.
        """
        if not self._documents:
            return []
        text = self._text()
        starts = [0, *(match.start() for match in _SEPARATOR.finditer(text))]
        parts = [text[start:end] for start, end in itertools.pairwise([*starts, len(text)])]
        segments: list[str] = []
        before = ""
        for part in parts:
            if _ONLY_COMMENTS.match(part):
                before += part
            else:
                segments.append(before + part)
                before = ""
        if len(segments) == len(self._documents) and not _DIRECTIVE_OR_END.search(text):
            segments[-1] += before
            return segments
        rendered = [document.render(as_json=self._json) for document in self._documents]
        return [rendered[0], *(f"---\n{document}" for document in rendered[1:])]

    def _write(self, content: bytes | None) -> None:
        target = Path(os.path.realpath(self.path))  # a symbolic link stays a link
        try:
            if content is None:
                self.path.unlink(missing_ok=True)
                sync_folder(self.path.parent)
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            mode = _PRIVATE_MODE if b"Secret" in content else ORDINARY_MODE  # of a new file
            replace_file(target, content, mode=mode, keep_mode=True, durable=True)
        except PermissionError:
            raise AccessDeniedError(f"{self.path} is not writable for this user") from None
        except OSError as error:
            raise StorageError(f"cannot write {self.path}: {error.strerror}") from None


def _separated(content: str, former: str) -> str:
    """The new text of a document, after the comments and the separator of the former text.

    Comments before the separator belong to the file, such as a licence. Comments after it described the old content.
    """
    kept = ""
    for match in _SEPARATOR.finditer(former):
        kept = former[: match.start()] + "---\n"
    return kept + content


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Modification time, size and inode of a file, to notice a change; None without a file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def find_files(folder: Path) -> list[Path]:
    """The YAML and JSON files below a folder, sorted. Names that begin with a dot are skipped.

    Links to folders are not followed. Raises AccessDeniedError, InputError.
    """
    paths: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths += [
            Path(parent, name)
            for name in sorted(names)
            if not name.startswith(".") and os.path.splitext(name)[1] in _EXTENSIONS  # noqa: PTH122 - ten times faster
        ]
    return [path for path in paths if path.is_file()]


def _unreadable(error: OSError) -> None:
    if isinstance(error, PermissionError):
        raise AccessDeniedError(f"{error.filename} is not readable for this user")
    raise InputError(f"cannot read {error.filename}: {error.strerror}")
