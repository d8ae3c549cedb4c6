"""Certificates and keys of a kubeconfig as files: Python reads the certificate of a TLS client from files only.

The files of this module are private. They are removed when the process exits.
"""

from __future__ import annotations

import atexit
import base64
from contextlib import ExitStack
from pathlib import Path

from gitsnap.core.files import temporary_folder, write_temporary
from gitsnap.core.model import JsonObject

_folders = ExitStack()
atexit.register(_folders.close)
_written: dict[bytes, Path] = {}
"""The files of this process, by content. A controller connects to one server many times."""


def pem_file(entry: JsonObject, field: str) -> str:
    """Return the file of a certificate or key in a cluster or user of a kubeconfig; ``""`` if there is none.

    As in kubectl, the field ``…-data`` takes precedence. Raises ValueError for data that is not base64, StorageError,
    and FileNotFoundError.
    """
    data = entry.get(f"{field}-data")
    if data:
        return str(_write(base64.b64decode(str(data))))
    if not entry.get(field):
        return ""
    if not Path(entry[field]).is_file():
        raise FileNotFoundError(f"{entry[field]} does not exist")
    return str(entry[field])


def _write(content: bytes) -> Path:
    file = _written.get(content)
    if file is None or not file.exists():
        file = write_temporary(_folders.enter_context(temporary_folder()) / "pem", content)
        _written[content] = file
    return file
