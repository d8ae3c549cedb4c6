"""Suggests a command for the name of a command that gitsnap does not have.

The names are those of git, kubectl, restic, velero, etcdctl and sveltosctl.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection

_LOG = "`gitsnap log` shows when objects changed, `gitsnap list` the samples."
_BLAME = "`gitsnap blame` shows when each field of an object last changed, `gitsnap log` when objects changed."
_LIST = "`gitsnap list` lists the samples."
_SHOW = "`gitsnap show` shows a sample, or one object: `gitsnap show ClusterProfile/guestbook`."
_SEARCH = "`gitsnap search` shows when a value appeared in the configuration, and when it disappeared."
_CAPTURE = "`gitsnap capture` takes a sample."
_DIFF = "`gitsnap diff` compares two samples, `gitsnap drift` a sample with the cluster."
_ROLLBACK = (
    "`gitsnap rollback --sample SAMPLE` restores a sample or selected objects, `gitsnap undo` reverts a rollback."
)
_UNDO = "`gitsnap undo` reverts the last rollback, `gitsnap rollback --sample SAMPLE` restores a sample."
_FORGET = "`gitsnap forget SAMPLE` removes single samples, `gitsnap prune` those that no rule keeps."
_WRITE = "`gitsnap rollback` writes to a cluster; `gitsnap show --all --decrypt` prints a sample for `kubectl apply`."
_NEW = "`gitsnap capture` creates the archive with its first sample."
_COPY = "No command is needed: --archive URL reads a remote archive, and `git clone` copies one."
_PUSH = "`gitsnap push` sends samples to a remote."
_VERIFY = "`gitsnap verify` checks that archives are complete and unchanged."
_STATUS = "`gitsnap status` shows whether samples are taken, can be read and are pushed."
_KEEP = "`gitsnap keep SAMPLE` marks a sample, so that retention never removes it."
_ADDONS = "`gitsnap addons` shows the add-ons of each managed cluster."
_KEYS = "`gitsnap secrets rotate` changes the recipients, `gitsnap secrets rekey` the fingerprint key."

_COMMANDS = {
    _BLAME: "annotate praise",
    _LOG: "history changes changelog events audit timeline who reflog shortlog whatchanged",
    _LIST: "ls ll dir snapshots snapshot-list samples lists tags versions revisions archives policies points",
    _SHOW: "get describe cat view inspect dump print export extract open read yaml manifests",
    _SEARCH: "find grep query pickaxe",
    _CAPTURE: "backup save take create commit record store snap sample collect checkpoint archive run add now",
    _DIFF: "compare cmp delta changed difference differences",
    _ROLLBACK: "restore checkout recover reset switch back rollout load to",
    _UNDO: "revert redo",
    _FORGET: "delete remove rm gc expire cleanup clean purge drop del unlink retention",
    _WRITE: "apply edit patch replace set put sync merge cherry-pick",
    _NEW: "init new setup bootstrap install configure config",
    _COPY: "clone fetch pull download remote mount",
    _PUSH: "upload send publish replicate mirror copy cp backup-to",
    _STATUS: "doctor health healthcheck info ping stat state stats summary",
    _VERIFY: "check fsck validate test lint verify-tag",
    _KEEP: "tag pin mark protect hold bookmark lock unlock",
    _ADDONS: "add-ons addon releases helm charts deployments deployed resources clusters cluster top",
    _KEYS: "key keys rekey rotate passwd password encrypt decrypt recipients",
    "`gitsnap --version` prints the version.": "version",
    "`gitsnap --help` lists the commands, `gitsnap --install-completion` installs the completion of the shell.": (
        "commands completion usage man"
    ),
    "`gitsnap controller` runs the controller.": "serve server daemon start operator manager schedule",
    "`gitsnap follow` records each change, `gitsnap controller` runs the controller.": "watch tail monitor",
    "`gitsnap import` imports samples of the old Sveltos Snapshot feature.": "import-legacy migrate convert",
}
_MEANT = {word: hint for hint, words in _COMMANDS.items() for word in words.split()}
"""The name of a command in another tool -> the commands of gitsnap that do the same."""

_MOST = 3


def describe_command(word: str, commands: Collection[str], program: str, *, is_root: bool = True) -> str:
    """Return a sentence about the command that a user may mean; ``""`` if no command is similar.

    ``commands``: the commands of the group. ``program``: the words before them, such as ``gitsnap secrets``.
    ``is_root``: whether the group is gitsnap itself, so that the names of other tools apply.
    """
    written = word.lower()
    meanings = _MEANT if is_root else {}
    known = {name.lower(): name for name in commands}
    if written in known:
        return _did_you_mean([f"`{program} {known[written]}`"])
    if written in meanings:
        return meanings[written]
    close = difflib.get_close_matches(written, known, n=_MOST, cutoff=0.6)
    if close:
        return _did_you_mean([f"`{program} {known[name]}`" for name in close])
    similar = difflib.get_close_matches(written, meanings, n=1, cutoff=0.8)
    return meanings[similar[0]] if similar else ""


def _did_you_mean(names: list[str]) -> str:
    joined = f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]
    return f"Did you mean {joined}?"
