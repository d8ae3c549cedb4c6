"""Runs the git program, for what libgit2 does not do safely or fast.

git never sees the configuration of a repository, of the user or of the machine: each command runs in a stand-in git
directory, which has the repository's refs and objects and a configuration written here. A repository's own .git/config
names programs (docs/SECURITY.md), and whoever can write the repository can write that file.
This module must not know what the commands are for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from gitsnap.core.errors import StorageError
from gitsnap.core.files import lock_descriptor, temporary_folder
from gitsnap.git.child_process import run_child

_CONFIGURATION = f"""\
[core]
\trepositoryformatversion = 0
\tbare = true
\thooksPath = {os.devnull}
\tattributesFile = {os.devnull}
\texcludesFile = {os.devnull}
\tfsmonitor = false
\tlogAllRefUpdates = false
\talternateRefsCommand = :
\tfsync = all
\tfilesRefLockTimeout = 3000
\tpackedRefsTimeout = 5000
[gc]
\tauto = 0
[maintenance]
\tauto = false
[submodule]
\trecurse = false
[fetch]
\trecurseSubmodules = false
\twriteCommitGraph = false
[push]
\trecurseSubmodules = no
\tgpgSign = false
[log]
\tshowSignature = false
"""
"""All settings that git gets. ``alternateRefsCommand``: git would run in an alternate repository, with its settings."""

_ENVIRONMENT = {
    "HOME": os.devnull,
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",  # the record as it was written, not what somebody shows in its place
    "GIT_GRAFT_FILE": f"{os.devnull}/none",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
}

RefsSeen = Literal["shared", "copied", "none"]
"""Which refs git sees: those of the repository, to read and to write; copies of them, since `git fsck` of git 2.47 and
newer takes symbolic links for damage; or none."""

_LARGEST_REF = 4096


def run_git(
    git_folder: Path | None,
    *arguments: str,
    given: str = "",
    lock: int | None = None,
    environment: Mapping[str, str | None] | None = None,
    seconds: float | None = None,
    refs: RefsSeen = "shared",
) -> subprocess.CompletedProcess[str]:
    """Run git on a repository, with ``given`` on its standard input; the caller looks at the exit code.

    A command that writes inherits ``lock``, the descriptor of the writer's lock. Should this process be killed, git
    finishes what it began, and the next writer waits for it. Without ``lock``, git ends with this process.
    ``environment`` is added to the little that git gets to see; None takes a variable away. After ``seconds`` git is
    ended, and subprocess.TimeoutExpired raised. Where ``git_folder`` is None or missing, git sees an empty repository.
    Raises StorageError where there is no git.
    """
    program = shutil.which("git")
    if program is None:
        raise StorageError("the program git was not found", hint="Install git.")
    with temporary_folder() as stand_in:
        try:
            objects = _fill(stand_in, git_folder, refs)
        except OSError as error:
            raise StorageError(
                f"git cannot be prepared for {git_folder}: {error.strerror}",
                hint="Is the archive readable, and is there room for temporary files (TMPDIR, else /tmp)?",
            ) from None
        variables = {
            "PATH": os.environ.get("PATH", os.defpath),
            **_ENVIRONMENT,
            "GIT_OBJECT_DIRECTORY": None if objects is None else str(objects),
            **(environment or {}),
        }
        done = run_child(
            [program, f"--git-dir={stand_in}", *arguments],
            environment={name: value for name, value in variables.items() if value is not None},
            given=given.encode("utf-8", "surrogateescape"),
            passed=() if lock is None else (lock, lock_descriptor(stand_in)),
            seconds=seconds,
            guarded=lock is None,
        )
    out, err = (
        text.decode("utf-8", "surrogateescape").replace(str(stand_in), str(git_folder or "git"))
        for text in (done.stdout, done.stderr)
    )
    return subprocess.CompletedProcess(list(arguments), done.returncode, out, err)


@contextmanager
def scratch_repository(git_folder: Path, refs: Mapping[str, str]) -> Iterator[Path]:
    """A repository that is thrown away, with the objects of another one and refs of its own.

    ``refs``: name -> object. What is fetched into it never reaches the other repository.
    """
    with temporary_folder() as folder:
        information = folder / "objects" / "info"
        information.mkdir(parents=True)
        (information / "alternates").write_bytes(os.fsencode(common_folder(git_folder).resolve() / "objects") + b"\n")
        (folder / "refs").mkdir()
        (folder / "packed-refs").write_text("".join(f"{refs[name]} {name}\n" for name in sorted(refs)))
        yield folder


def git_settings(settings: Mapping[str, str] | Sequence[tuple[str, str]]) -> dict[str, str]:
    """The environment that gives git more settings than every command has; they are in no list of processes."""
    pairs = sorted(settings.items()) if isinstance(settings, Mapping) else settings
    variables = {"GIT_CONFIG_COUNT": str(len(pairs))}
    for number, (name, value) in enumerate(pairs):
        variables |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def common_folder(git_folder: Path) -> Path:
    """Where refs and objects are: elsewhere for a working tree that ``git worktree`` added."""
    try:
        return git_folder / (git_folder / "commondir").read_text().strip()
    except FileNotFoundError:
        return git_folder


def _fill(stand_in: Path, git_folder: Path | None, refs: RefsSeen) -> Path | None:
    """Make a folder a git directory that stands for another one; the folder of its objects, None for its own."""
    (stand_in / "config").write_text(_CONFIGURATION)
    (stand_in / "HEAD").write_bytes(_head(git_folder))
    common = common_folder(git_folder).resolve() if git_folder else None
    if common is None or not (common / "objects").is_dir():
        (stand_in / "objects").mkdir()
        (stand_in / "refs").mkdir()
        return None
    if refs == "shared":
        for name in ("refs", "packed-refs", "shallow"):
            (stand_in / name).symlink_to(common / name)
    else:
        (stand_in / "refs").mkdir()
    if refs == "copied":
        _copy_refs(common, stand_in)
    return common / "objects"


def _head(git_folder: Path | None) -> bytes:
    """HEAD as it is, also where it is damaged: `git fsck` is to find that."""
    content = _content(git_folder / "HEAD") if git_folder else None
    return b"ref: refs/heads/none\n" if content is None else content


def _copy_refs(common: Path, stand_in: Path) -> None:
    """Copy the refs byte for byte; a file that cannot be read becomes an empty one, which is a damaged ref for git."""
    for name in ("packed-refs", "shallow"):
        if (common / name).is_file():
            shutil.copyfile(common / name, stand_in / name)
    for place, folders, names in os.walk(common / "refs"):
        target = stand_in / Path(place).relative_to(common)
        for folder in folders:
            (target / folder).mkdir()
        for name in names:
            if not name.endswith(".lock"):
                (target / name).write_bytes(_content(Path(place, name)) or b"")


def _content(file: Path) -> bytes | None:
    """The content of a ref; None where it cannot be read. A named pipe is not waited for."""
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as source:
            return source.read(_LARGEST_REF)
    except OSError:
        return None
