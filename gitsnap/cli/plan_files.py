"""Plan files on disk: for the owner's eyes only, and carried out only if nothing moved since.

This module must not decide what a plan says; ``gitsnap.rollback.plan`` does.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitsnap.cli import options, terminal
from gitsnap.cli.rollback_target import Place
from gitsnap.core.errors import ConflictError, InputError, NotFoundError, StorageError, WrongClusterError
from gitsnap.core.files import replace_file
from gitsnap.core.model import Sample

if TYPE_CHECKING:
    from gitsnap.rollback.plan import Plan, PlanFile, Selection

_AGAIN = "Nothing was changed. Make the plan again with --plan-out, and look at what it would do now."


@dataclass(frozen=True, slots=True)
class PlanFiles:
    """Where a plan goes instead of being carried out, and where one comes from; None for neither."""

    out: options.PlanOut = None
    given: options.PlanFrom = None


def save_plan(path: Path, plan: Plan, selection: Selection, sample: Sample, place: Place) -> None:
    """Write a plan to a file of mode 0600, and say how it is carried out from here. Raises StorageError."""
    from gitsnap.rollback.plan import plan_file

    text = json.dumps(plan_file(plan, selection, sample), indent=2, ensure_ascii=False) + "\n"
    try:
        replace_file(path, text.encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from None
    words = ["rollback", "--plan", str(path)]
    if place.elsewhere.cluster:
        words += ["--into-cluster", place.elsewhere.cluster]
    terminal.say(
        f"the plan is in {path}; this command carries out exactly this plan:\n  {place.command(shlex.join(words))}"
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
            f"{path} is no plan of a rollback: it is not JSON", hint="`gitsnap rollback --plan-out FILE` writes one."
        ) from None
    return read_plan_file(document, str(path))


def planned_sample(file: PlanFile, place: Place) -> Sample:
    """The sample that a plan file is about.

    Raises WrongClusterError for a plan of another cluster, NotFoundError for one of another archive, and ConflictError
    where the tag is another sample by now.
    """
    if file.cluster != place.uid:
        server = place.cluster.info().server
        raise WrongClusterError(
            f"the plan was made for the cluster {file.cluster}; {server} is {place.uid}",
            hint="Choose the cluster that it was made for. Nothing was changed.",
        )
    sample = next((one for one in place.archive.samples() if one.tag == file.sample), None)
    if sample is None:
        remote = place.archive_choice.remote
        archive = remote.shown if remote else place.archive.location
        raise NotFoundError(
            f"the plan goes back to {file.sample}, and the archive {archive} has no such sample",
            hint="Name the archive that it was made from. If the sample was removed since, choose another one.",
        )
    if file.sample_id != sample.tag_id:
        raise ConflictError(f"the tag {sample.tag} was made anew since the plan: it is another sample", hint=_AGAIN)
    return sample


def agreed(file: PlanFile, plan: Plan) -> None:
    """Raises ConflictError, naming the objects, unless the plan that was made now is the one of the file."""
    from gitsnap.rollback.plan import differences

    found = differences(file, plan)
    if found:
        raise ConflictError("the plan no longer holds:\n  " + "\n  ".join(found), hint=_AGAIN)
