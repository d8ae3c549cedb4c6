"""Traps that a writer of an archive's volume can plant, so that git runs a program when a user reads the archive.

This module must not be imported by the package.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

HOOKS = (
    "applypatch-msg", "commit-msg", "fsmonitor-watchman", "post-applypatch", "post-checkout", "post-commit",
    "post-index-change", "post-merge", "post-receive", "post-rewrite", "post-update", "pre-applypatch", "pre-auto-gc",
    "pre-commit", "pre-merge-commit", "pre-push", "pre-rebase", "pre-receive", "prepare-commit-msg", "proc-receive",
    "push-to-checkout", "reference-transaction", "sendemail-validate", "update",
)  # fmt: skip
"""githooks(5)."""

_READ_BY_LIBGIT2 = frozenset({
    "core.abbrev", "core.bare", "core.filemode", "core.fsyncobjectfiles", "core.ignorecase", "core.logallrefupdates",
    "core.precomposeunicode", "core.protecthfs", "core.protectntfs", "core.repositoryformatversion", "core.symlinks",
    "core.trustctime",
})  # fmt: skip
"""Settings that libgit2 reads as numbers or booleans: it opens no repository in which such a setting is a program."""


@dataclass(frozen=True)
class Trap:
    """A program that leaves a trace file when it runs."""

    program: Path
    trace: Path

    @classmethod
    def in_folder(cls, folder: Path) -> Trap:
        """Create a trap in a folder."""
        folder.mkdir(parents=True)
        program, trace = folder / "program", folder / "ran"
        program.write_text(f'#!/bin/sh\necho "$0 $*" >>{trace}\nexit 1\n')
        program.chmod(0o755)
        return cls(program, trace)

    def ran(self) -> str:
        """The calls since the last check, ``""`` if there were none."""
        calls = self.trace.read_text() if self.trace.exists() else ""
        self.trace.unlink(missing_ok=True)
        return calls


def git(folder: Path, *words: str, code: int | None = 0, given: str = "") -> str:
    """Run plain git in a folder, with the settings of the folder."""
    identity = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    command = ["git", "-C", str(folder), *identity, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, input=given, timeout=60)
    assert code is None or done.returncode == code, done.stderr
    return done.stdout.strip()


def all_settings() -> list[str]:
    """All settings that git knows (`git help --config`), with placeholders replaced by names."""
    listed = subprocess.run(["git", "help", "--config"], capture_output=True, text=True, check=True).stdout
    names = [line.strip() for line in listed.splitlines() if "." in line and " " not in line.strip()]
    filled = [re.sub(r"<[^>]*>|\*", "x", name.replace("gpg.<format>", "gpg.ssh")) for name in names]
    assert len(filled) > 500
    assert {"core.fsmonitor", "gpg.ssh.program", "filter.x.clean", "url.x.insteadOf"} <= set(filled)
    return filled


def plant_all_settings(archive: Path, trap: Trap) -> int:
    """Set each suitable setting of git to the program, and return the number of settings."""
    names = [
        name
        for name in all_settings()
        if name.lower() not in _READ_BY_LIBGIT2
        and re.fullmatch(r"[A-Za-z0-9-]+\.(.+\.)?[A-Za-z][A-Za-z0-9-]*", name)
        and not name.startswith(("extensions.", "gitsnap.", "include.", "includeIf."))
    ]
    text = "".join(_entry(name, str(trap.program)) for name in names)
    with (archive / ".git" / "config").open("a") as file:
        file.write(text)
    return len(names)


def _entry(name: str, value: str) -> str:
    section, _, rest = name.partition(".")
    middle, _, key = rest.rpartition(".")
    head = f'[{section} "{middle}"]' if middle else f"[{section}]"
    return f"{head}\n\t{key} = {value}\n"


def plant_programs(archive: Path, trap: Trap) -> None:
    """Plant programs that git would run: settings, hooks, attributes, an alternate and a submodule."""
    folder, program, run = archive / ".git", str(trap.program), f"{trap.program} #"
    other = trap.program.parent / "included"
    settings = {
        "core.fsmonitor": program, "core.sshCommand": program, "core.gitProxy": program, "core.askPass": program,
        "core.editor": program, "core.pager": program, "core.alternateRefsCommand": program,
        "core.hooksPath": str(trap.program.parent / "hooks"), "credential.helper": program,
        "credential.https://127.0.0.1.helper": f"!{program}",
        "gpg.program": program, "gpg.ssh.program": program, "gpg.x509.program": program, "gpg.openpgp.program": program,
        "gpg.ssh.allowedSignersFile": str(other),
        "gpg.ssh.defaultKeyCommand": program, "log.showSignature": "true", "diff.external": program,
        "diff.x.command": program, "diff.x.textconv": program, "filter.x.clean": run, "filter.x.smudge": run,
        "filter.x.process": program, "filter.x.required": "true", "merge.x.driver": program,
        "protocol.ext.allow": "always", "protocol.allow": "always", f"url.ext::{program} .insteadOf": "file://",
        f"url.ext::{program} x.insteadOf": "https://", f"url.ext::{program} y.pushInsteadOf": "ssh://",
        "remote.origin.url": f"ext::{program}", "remote.origin.promisor": "true",
        "remote.origin.partialCloneFilter": "blob:none", "remote.origin.uploadpack": program,
        "remote.origin.receivepack": program, "remote.origin.vcs": "x", "uploadpack.packObjectsHook": program,
        "interactive.diffFilter": program, "sequence.editor": program, "submodule.x.update": f"!{program}",
        "pager.log": program, "pager.status": program, "alias.log": f"!{program}",
        "trace2.eventTarget": str(trap.trace),
        "include.path": str(other), "includeIf.gitdir:/.path": str(other), "http.proxy": "http://127.0.0.1:9",
        "http.extraHeader": "X: y", "http.sslVerify": "false", "fetch.recurseSubmodules": "true",
        "push.recurseSubmodules": "check", "gc.auto": "1", "gc.autoDetach": "false", "maintenance.auto": "true",
    }  # fmt: skip
    other.write_text(_entry("core.fsmonitor", program) + _entry("gpg.ssh.program", program))
    text = "".join(_entry(name, f'"{value}"') for name, value in settings.items())
    with (folder / "config").open("a") as file:
        file.write(text)
    for hooks in (folder / "hooks", trap.program.parent / "hooks"):
        hooks.mkdir(exist_ok=True)
        for hook in HOOKS:
            (hooks / hook).unlink(missing_ok=True)
            (hooks / hook).symlink_to(trap.program)
    (folder / "info").mkdir(exist_ok=True)
    (folder / "info" / "attributes").write_text("* filter=x diff=x merge=x\n")
    _plant_submodule(archive, trap)
    _plant_alternate(archive, trap)


def _plant_submodule(archive: Path, trap: Trap) -> None:
    """Create a submodule in the working tree and the index: `git status` runs git in a submodule."""
    inside = archive / "inside"
    subprocess.run(["git", "init", "--quiet", inside], check=True)
    git(inside, "commit", "--quiet", "--allow-empty", "-m", "x")
    commit = git(inside, "rev-parse", "HEAD")
    entry = f"160000 {commit}\tinside\n"
    subprocess.run(
        ["git", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={inside}", "-C", archive, "update-index",
         "--index-info"],
        input=entry, text=True, check=True,
    )  # fmt: skip
    git(inside, "config", "core.fsmonitor", str(trap.program))


def _plant_alternate(archive: Path, trap: Trap) -> None:
    """Create an alternate object store: git may run in its repository, with its settings."""
    other = trap.program.parent / "alternate"
    subprocess.run(["git", "init", "--quiet", "--bare", other], check=True)
    git(other, "config", "core.alternateRefsCommand", str(trap.program))
    alternates = archive / ".git" / "objects" / "info" / "alternates"
    alternates.parent.mkdir(exist_ok=True)
    alternates.write_text(f"{other / 'objects'}\n")


def sign_newest_commit(archive: Path, branch: str) -> None:
    """Add an OpenPGP signature to the newest commit. `git log` with log.showSignature verifies it."""
    text = git(archive, "cat-file", "commit", branch)
    head, _, message = text.partition("\n\n")
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n abc\n -----END PGP SIGNATURE-----"
    signed = git(
        archive,
        "hash-object",
        "-t",
        "commit",
        "-w",
        "--stdin",
        "--literally",
        given=f"{head}\n{signature}\n\n{message}\n",
    )
    (archive / ".git" / "refs" / "heads" / branch).write_text(f"{signed}\n")
