"""Finds the remote in the git configuration of an archive or of a clone, as `git remote add` writes it.

Only the URL is used: a user who may write the configuration must not run a program as the user who pushes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

import pygit2

from gitsnap.archive.remote.connection import Remote
from gitsnap.archive.remote.fetch import is_url
from gitsnap.core.errors import UsageError
from gitsnap.git.process import common_folder

_DEFAULT = "origin"
_FILE = re.compile(r"file:(?://[^/]*)?", re.IGNORECASE)
_URL = re.compile(r"remote\.(?P<name>.+)\.(?P<field>url|pushurl)\Z", re.IGNORECASE)


def configured_remote(git_folder: Path) -> Remote | None:
    """The remote ``origin`` of a git directory, else its only remote; None if there is no remote.

    Raises UsageError for several remotes without an ``origin``, and for a local repository of another user: its hooks
    would run.
    """
    urls = _read_urls(git_folder)
    if not urls:
        return None
    if _DEFAULT not in urls and len(urls) > 1:
        raise UsageError(
            f"the archive has the remotes {', '.join(sorted(urls))}, and none is named {_DEFAULT}",
            hint="Name the URL with --to.",
        )
    name = _DEFAULT if _DEFAULT in urls else min(urls)
    path = _local_path(urls[name], git_folder)
    remote = Remote(str(path) if path is not None and not is_url(urls[name]) else urls[name])
    if path is not None and not _is_own(path):
        raise UsageError(
            f"the remote {name} of the archive is {remote.shown}, a repository of another user",
            hint="Its hooks would run as this user. If that is right, name it with --to.",
        )
    return remote


def _read_urls(git_folder: Path) -> dict[str, str]:
    """Name -> URL to push to. Empty if the configuration cannot be read."""
    urls: dict[str, str] = {}
    pushed: dict[str, str] = {}
    try:
        for entry in pygit2.Config(str(common_folder(git_folder) / "config")):
            match = _URL.match(entry.name)
            if match and entry.value:
                (urls if match["field"].lower() == "url" else pushed).setdefault(match["name"], entry.value)
    except (OSError, pygit2.GitError):
        return {}
    return {**urls, **pushed}


def _local_path(url: str, git_folder: Path) -> Path | None:
    """The absolute path of a local repository; None for a URL. A relative path is relative to the working tree."""
    if url.lower().startswith("file:"):
        return Path(unquote(_FILE.sub("", url)))
    is_remote = is_url(url) or ":" in url.partition("/")[0]  # host:path, the short form of an ssh URL
    return None if is_remote else Path(os.path.normpath(git_folder.absolute().parent / url))


def _is_own(path: Path) -> bool:
    """Whether the user who pushes owns a repository. True for a missing repository, which git reports."""
    try:
        return path.stat().st_uid == os.geteuid()
    except OSError:
        return True
