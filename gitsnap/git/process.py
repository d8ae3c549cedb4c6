"""Runs the git program, for operations that libgit2 does not do safely or fast.

git never reads the configuration of the repository, of the user or of the machine. Each command runs in a stand-in git
directory, which has the refs and objects of the repository and a configuration from this module. The reason: a file
.git/config can name programs to run, and everybody who can write to the repository can write that file
(docs/SECURITY.md).
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
"""All settings that git reads.

Without ``alternateRefsCommand``, git runs another git in each alternate repository, with that repository's settings.
"""

_ENVIRONMENT = {
    "HOME": os.devnull,
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",  # read the objects as they were written
    "GIT_GRAFT_FILE": f"{os.devnull}/none",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
}

RefVisibility = Literal["shared", "copied", "none"]
"""The refs that git sees.

``shared``: the refs of the repository, to read and to write. ``copied``: copies of these, for `git fsck`, which reports
symbolic links as damage from git 2.47 on. ``none``: no refs.
"""

_LARGEST_REF = 4096
"""Bytes that are read of a ref's file. A longer file is not a ref."""


def run_git(
    git_folder: Path | None,
    *arguments: str,
    stdin: str = "",
    lock: int | None = None,
    environment: Mapping[str, str | None] | None = None,
    seconds: float | None = None,
    refs: RefVisibility = "shared",
) -> subprocess.CompletedProcess[str]:
    """Run git on a repository and wait for its end. The caller checks the exit code.

    Args:
        git_folder: The git directory. With None, or if the folder is missing, git sees an empty repository.
        arguments: The git command and its arguments.
        stdin: Standard input. Lone surrogates stand for bytes that are not UTF-8.
        lock: Descriptor of the writer's lock, for a command that writes. git inherits the lock: when this process is
            killed, git finishes what it began, and the next writer waits for it. Without ``lock``, git ends with this
            process.
        environment: Variables that are added to the environment of git; None removes a variable.
        seconds: Time limit.
        refs: The refs that git sees.

    Returns:
        The exit code, standard output and standard error. Bytes that are not UTF-8 are lone surrogates. The path of the
        stand-in directory is replaced by that of the repository.

    Raises:
        StorageError: git is not installed, or the temporary files could not be written.
        subprocess.TimeoutExpired: git did not end within the time limit.
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
            stdin=stdin.encode("utf-8", "surrogateescape"),
            pass_fds=() if lock is None else (lock, lock_descriptor(stand_in)),
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
    """Make a temporary repository that borrows the objects of ``git_folder``. Yields its git directory.

    ``refs``: name -> object id. Objects that are fetched into the temporary repository never reach ``git_folder``.
    Raises StorageError, OSError.
    """
    with temporary_folder() as folder:
        information = folder / "objects" / "info"
        information.mkdir(parents=True)
        (information / "alternates").write_bytes(os.fsencode(common_folder(git_folder).resolve() / "objects") + b"\n")
        (folder / "refs").mkdir()
        (folder / "packed-refs").write_text("".join(f"{refs[name]} {name}\n" for name in sorted(refs)))
        yield folder


def is_ancestor(git_folder: Path, older: str, newer: str) -> bool:
    """Whether a commit is an ancestor of another commit, or the same commit. False if one of them is missing."""
    return run_git(git_folder, "merge-base", "--is-ancestor", older, newer).returncode == 0


def git_settings(settings: Mapping[str, str] | Sequence[tuple[str, str]]) -> dict[str, str]:
    """Environment variables that give git more settings. Unlike arguments, they are not visible in a process list."""
    pairs = sorted(settings.items()) if isinstance(settings, Mapping) else settings
    variables = {"GIT_CONFIG_COUNT": str(len(pairs))}
    for number, (name, value) in enumerate(pairs):
        variables |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def common_folder(git_folder: Path) -> Path:
    """The folder that holds refs and objects (``$GIT_COMMON_DIR``).

    This is another folder than ``git_folder`` for a working tree that ``git worktree add`` made.
    """
    try:
        return git_folder / (git_folder / "commondir").read_text().strip()
    except FileNotFoundError:
        return git_folder


def _fill(stand_in: Path, git_folder: Path | None, refs: RefVisibility) -> Path | None:
    """Make ``stand_in`` a git directory that stands for ``git_folder``.

    Returns the folder of the objects of ``git_folder``; None where ``stand_in`` has an empty folder of its own.
    """
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
    """The content of HEAD. A damaged HEAD is copied too, so that `git fsck` reports it."""
    content = _content(git_folder / "HEAD") if git_folder else None
    return b"ref: refs/heads/none\n" if content is None else content


def _copy_refs(common: Path, stand_in: Path) -> None:
    """Copy the refs byte for byte. A file that cannot be read becomes an empty file, which git reports as damaged."""
    for name in ("packed-refs", "shallow"):
        if (common / name).is_file():
            shutil.copyfile(common / name, stand_in / name)
    for parent, folders, names in os.walk(common / "refs"):
        target = stand_in / Path(parent).relative_to(common)
        for folder in folders:
            (target / folder).mkdir()
        for name in names:
            if not name.endswith(".lock"):
                (target / name).write_bytes(_content(Path(parent, name)) or b"")


def _content(file: Path) -> bytes | None:
    """The content of a ref; None where it cannot be read. Does not block on a named pipe."""
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as source:
            return source.read(_LARGEST_REF)
    except OSError:
        return None
