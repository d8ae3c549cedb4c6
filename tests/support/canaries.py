"""Canaries: secret values in each form in which they could leak.

This module must not be imported by the package.
"""

from __future__ import annotations

import base64
import html
import json
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote


def forms_of(text: str) -> Iterator[bytes]:
    """The forms of a text: plain, quoted, in HTML, and in base64 at each offset."""
    plain = text.encode()
    yield plain
    yield quote(text, safe="").encode()
    yield quote(text).encode()
    yield json.dumps(text)[1:-1].encode()
    yield json.dumps(text, ensure_ascii=False)[1:-1].encode()
    yield repr(text)[1:-1].encode()
    in_html = html.escape(text)
    yield in_html.encode()
    yield in_html.replace("&quot;", "&#34;").replace("&#x27;", "&#39;").encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            coded = encode(b"x" * before + plain)
            yield coded[(0, 2, 3)[before] : (before + len(plain)) * 8 // 6]
    once = base64.b64encode(plain)
    for before in range(3):
        coded = base64.b64encode(b"x" * before + once)
        yield coded[(0, 2, 3)[before] : (before + len(once)) * 8 // 6]


def contents(folder: Path, repositories: Iterable[Path] = ()) -> Iterator[tuple[str, bytes]]:
    """The files below a folder, and all unpacked git objects of repositories, reachable or not."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            yield str(file.relative_to(folder)), file.read_bytes()
    for repository in repositories:
        command = ["git", "cat-file", "--batch-all-objects", "--batch", "--unordered"]
        done = subprocess.run(command, cwd=repository, capture_output=True, check=True)
        yield f"objects of {repository.name}", done.stdout
