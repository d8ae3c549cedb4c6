"""Plan files: written with mode 0600, and applied only if the plan is still the same.

This module must not decide what a plan contains; ``gitsnap.rollback.plan`` does.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitsnap.cli import options, terminal
from gitsnap.cli.rollback_target import RollbackTarget
from gitsnap.core.errors import ConflictError, InputError, NotFoundError, StorageError, WrongClusterError
from gitsnap.core.files import write_output
from gitsnap.core.states import State, is_commit_id

if TYPE_CHECKING:
    from gitsnap.rollback.plan import Plan, PlanFile, Selection

_PLAN_AGAIN = "Nothing was changed. Create the plan again with --plan-out, and review it."


@dataclass(frozen=True, slots=True)
class PlanFileOptions:
    """The file that a plan is written to, and the file that a plan is read from."""

    plan_out: options.PlanOut = None
    plan: options.PlanFrom = None


def save_plan(path: Path, plan: Plan, selection: Selection, state: State, target: RollbackTarget) -> None:
    """Write a plan to a file of mode 0600, and print the command that applies the file. Raises StorageError."""
    from gitsnap.rollback.plan import plan_file

    text = json.dumps(plan_file(plan, selection, state), indent=2, ensure_ascii=False) + "\n"
    try:
        write_output(path, text.encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from None
    words = ["rollback", "--plan", str(path)]
    if target.cross_cluster.cluster:
        words += ["--into-cluster", target.cross_cluster.cluster]
    terminal.say(
        f"the plan is in {path}; this command applies exactly this plan:\n  {target.command(shlex.join(words))}"
    )


def load_plan(path: Path) -> PlanFile:
    """Read a plan file. Raises InputError."""
    from gitsnap.rollback.plan import read_plan_file

    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise InputError(
            f"{path} is not a plan file: it is not JSON",
            hint="`gitsnap rollback --plan-out FILE` writes a plan file.",
        ) from None
    return read_plan_file(document, str(path))


def find_planned_sample(file: PlanFile, target: RollbackTarget) -> State:
    """Return the sample or the change that a plan file restores.

    Raises WrongClusterError if the plan was made for another cluster, NotFoundError if the archive has no such sample,
    and ConflictError if the tag of the sample was created again since.
    """
    if file.cluster != target.uid:
        server = target.cluster.info().server
        raise WrongClusterError(
            f"the plan was made for the cluster {file.cluster}; {server} is {target.uid}",
            hint="Choose the cluster that the plan was made for. Nothing was changed.",
        )
    state = target.find_state(file.sample)
    if state is None:
        remote = target.archive_options.remote
        archive = remote.shown if remote else target.archive.location
        noun = "change" if is_commit_id(file.sample) else "sample"
        raise NotFoundError(
            f"the plan restores {file.sample}, and the archive {archive} has no such {noun}",
            hint="Name the archive that the plan was made from. If the sample was removed, choose another sample.",
        )
    if file.sample_id != state.tag_id:
        raise ConflictError(
            f"the tag {state.tag} was created again since the plan: it is another sample", hint=_PLAN_AGAIN
        )
    return state


def check_plan_holds(file: PlanFile, plan: Plan) -> None:
    """Compare the plan of a file with the plan made now. Raises ConflictError, naming the objects that differ."""
    from gitsnap.rollback.plan import differences

    differing = differences(file, plan)
    if differing:
        raise ConflictError("the plan no longer holds:\n  " + "\n  ".join(differing), hint=_PLAN_AGAIN)
