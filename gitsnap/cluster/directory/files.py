"""The files of a directory cluster: which object lies in which document of which file, and writing it back there.

Only the document that changes is written anew: the others keep their text, comments included.
This module must not know what a cluster would allow.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gitsnap.cluster.directory.text_fields import misfit
from gitsnap.core.errors import AccessDeniedError, InputError, StorageError
from gitsnap.core.files import replace_file, sync_folder
from gitsnap.core.model import JsonObject, ObjectKey
from gitsnap.format import encode, iterate_documents, line_of, load_documents

_EXTENSIONS = frozenset({".yaml", ".yml", ".json"})

_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
"""YAML allows these characters at the beginning of a line nowhere but between documents (YAML 1.2, rule 206)."""

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
    """The list around the objects, without its items; None for an object that stands alone."""

    def render(self, *, as_json: bool) -> str:
        """The text of the document, with its list around it where it has one."""
        content = self.objects[0] if self.wrapper is None else {**self.wrapper, "items": list(self.objects)}
        return json.dumps(content, indent=2) + "\n" if as_json else encode(content).decode()


class ObjectFile:
    """One file, read and parsed; a file that does not exist yet has no documents."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._json = path.suffix == ".json"
        self.stamp = stamp(path)
        self._documents = list(self._read()) if self.stamp else []

    @property
    def objects(self) -> Iterator[JsonObject]:
        """The objects as they stand in the file."""
        return itertools.chain.from_iterable(document.objects for document in self._documents)

    def _read(self) -> Iterator[_Document]:
        source, text = str(self.path), self._text()
        contents = load_documents(text, source, unique_keys=True)
        for _ in iterate_documents(contents, source):
            pass  # a document that is no object is refused here, with its number in the file
        for number, content in enumerate(contents):
            objects = tuple(iterate_documents([content], source))
            alone = len(objects) == 1 and objects[0] is content
            for position, found in enumerate(objects):
                self._check_texts(text, found, number, () if alone else ("items", position))
            wrapper = None if alone else {name: value for name, value in content.items() if name != "items"}
            yield _Document(objects, wrapper)

    def _check_texts(self, text: str, found: JsonObject, number: int, place: tuple[str | int, ...]) -> None:
        """Raises InputError where an API server would refuse the object, which has this place in a document."""
        wrong = misfit(found)
        if wrong is None:
            return
        line = line_of(text, number, (*place, *wrong.path))
        where = f"{self.path}, line {line}" if line else str(self.path)
        raise InputError(
            f"{where}: {ObjectKey.of(found)}: {wrong}", hint="In YAML a text such as 5 or yes needs quotes."
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
        """Replace the object, take it out (None), or add it as a document of its own; durable when this returns.

        The file must be as it was read. A file without any object left is removed.
        Raises AccessDeniedError, StorageError; nothing has changed then.
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
        self._write("".join(map(_ended, texts)).encode() if any(one.objects for one in documents) else None)
        self._documents = documents
        self.stamp = stamp(self.path)

    def _find(self, key: ObjectKey) -> tuple[int, int] | None:
        """Number of the document that holds an object, and the object's position in it."""
        for number, document in enumerate(self._documents):
            for position, one in enumerate(document.objects):
                if ObjectKey.of(one) == key:
                    return number, position
        return None

    def _segments(self) -> list[str]:
        """The text of each document, with what stands before it; together they are the file.

        Where the text cannot be told apart with certainty, the documents are rendered anew, without comments.
        """
        if not self._documents:
            return []
        text = self._text()
        starts = [0, *(match.start() for match in _SEPARATOR.finditer(text))]
        parts = [text[start:end] for start, end in itertools.pairwise([*starts, len(text)])]
        found: list[str] = []
        before = ""
        for part in parts:
            if _ONLY_COMMENTS.match(part):
                before += part
            else:
                found.append(before + part)
                before = ""
        if len(found) == len(self._documents) and not _DIRECTIVE_OR_END.search(text):
            found[-1] += before
            return found
        rendered = [document.render(as_json=self._json) for document in self._documents]
        return [rendered[0], *(f"---\n{one}" for one in rendered[1:])]

    def _write(self, content: bytes | None) -> None:
        target = Path(os.path.realpath(self.path))  # a link stays one
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
    """The new text of a document, behind the comments and the separator that stood before it, if any.

    Comments above the separator belong to the file (a licence, say); those below it were the old content's.
    """
    kept = ""
    for match in _SEPARATOR.finditer(former):
        kept = former[: match.start()] + "---\n"
    return kept + content


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file does, None when there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def find_files(folder: Path) -> list[Path]:
    """The YAML and JSON files below a folder, sorted; what is hidden (a name that begins with a dot) is passed over.

    Links to folders are not followed. Raises AccessDeniedError, InputError.
    """
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(place, name)
            for name in sorted(names)
            if not name.startswith(".") and os.path.splitext(name)[1] in _EXTENSIONS  # noqa: PTH122 - ten times faster
        ]
    return [path for path in found if path.is_file()]


def _unreadable(error: OSError) -> None:
    if isinstance(error, PermissionError):
        raise AccessDeniedError(f"{error.filename} is not readable for this user")
    raise InputError(f"cannot read {error.filename}: {error.strerror}")
