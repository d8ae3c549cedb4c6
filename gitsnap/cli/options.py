"""The options that several commands share, and the options of rollbacks: names, environment variables and help texts.

An option has the name that the Sveltos CLI uses, if it has one, so that runbooks need few changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from gitsnap.cli import completion, terminal
from gitsnap.cli.output_formats import output_option
from gitsnap.core import model
from gitsnap.history.moments import FORMS

_Strings = list[str] | None
_SAMPLE = (
    "Sample: 2023-08-26:05:00:00 (UTC, as `gitsnap list` prints it), latest, latest~2, the newest at a moment "
    "(@2023-08-26T05:10Z, @2h, @yesterday, @14:30), a tag or a commit."
)


def choices(values: Iterable[object]) -> str:
    """Return the values of an option that accepts a few words, as its help shows them: ``table|json|yaml``."""
    return "|".join(map(str, values))


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return a parser for options that accept whole numbers from ``least`` to ``most``."""
    wanted = f"{least} or more" if most is None else f"{least} to {most}"

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least or (most is not None and number > most):
            raise typer.BadParameter(f"{text!r}: a whole number is needed, {wanted}")
        return number

    return parse


def seconds(text: str) -> float:
    """Parse an option for a time in seconds, 0 or more. Raises BadParameter."""
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number < math.inf:
        raise typer.BadParameter(f"{text!r}: a number of seconds is needed, 0 or more")
    return number


def _sample(name: str, help_text: str) -> Any:
    """Declare an option for a sample."""
    return typer.Option(name, metavar="SAMPLE", help=help_text, autocompletion=completion.complete_sample)


def _checked_message(text: str | None) -> str:
    """Return the message of --message; ``""`` without the option. Raises UsageError."""
    from gitsnap.format.sample_message import check_message

    return "" if text is None else check_message(text)


def _objects_of(kind: str, metavar: str = "NAME") -> Any:
    """Declare a repeatable option for objects of one kind."""
    complete = completion.complete_name(kind)
    help_text = f"{kind} to restore; repeatable."
    return typer.Option(f"--{kind.lower()}", metavar=metavar, help=help_text, autocompletion=complete)


def _objects(name: str, help_text: str) -> Any:
    """Declare a repeatable option for objects of any kind."""
    return typer.Option(name, metavar="KIND[/NS]/NAME", help=help_text, autocompletion=completion.complete_object)


# Archive and cluster --------------------------------------------------------------------------------------------------

Snapshot = Annotated[
    str,
    typer.Option(
        "--snapshot",
        metavar="POLICY",
        help="Snapshot policy. It may be omitted if the storage holds one archive.",
        autocompletion=completion.complete_policy,
    ),
]
RecordedSnapshot = Annotated[
    str,
    typer.Option(
        "--snapshot",
        metavar="POLICY",
        help="Snapshot policy; the archive has the same name. Default: the policy in --file, else the only archive in "
        "the storage, else `manual`.",
        autocompletion=completion.complete_policy,
    ),
]
Storage = Annotated[
    Path | None,
    typer.Option(
        "--storage",
        metavar="DIR",
        envvar="GITSNAP_STORAGE",
        show_envvar=False,
        help="Folder that holds the archives. Default: $GITSNAP_STORAGE, else the current folder.",
    ),
]
Create = Annotated[
    bool,
    typer.Option(
        "--create",
        help="Create the archive and its storage folder if they do not exist. Without this option, gitsnap asks on a "
        "terminal. The first archive in an empty folder is created without a question.",
    ),
]
Archive = Annotated[
    str, typer.Option("--archive", metavar="DIR|URL", help="Folder or git URL of one archive; a clone works as well.")
]
Kubeconfig = Annotated[
    str,
    typer.Option(
        "--kubeconfig",
        metavar="FILE",
        help="Kubeconfig. Default: $KUBECONFIG, else ~/.kube/config, else the service account of the pod.",
    ),
]
Context = Annotated[
    str, typer.Option("--context", metavar="NAME", help="Context of the kubeconfig. Default: the current context.")
]
FromDir = Annotated[
    Path | None,
    typer.Option(
        "--from-dir", metavar="DIR", help="Use a folder of YAML files, such as a kubectl dump, in place of a cluster."
    ),
]
Message = Annotated[
    str | None,
    typer.Option(
        "--message",
        "-m",
        metavar="TEXT",
        help="Reason to record, such as a ticket.",
        callback=_checked_message,
    ),
]
PolicyFile = Annotated[
    Path | None, typer.Option("--file", "-f", metavar="FILE", help="Snapshot manifest that has the policy.")
]

# Keys and Secrets -----------------------------------------------------------------------------------------------------

Identity = Annotated[
    list[Path] | None,
    typer.Option(
        "--identity", metavar="FILE", help="age identity or SSH private key to decrypt Secrets with; repeatable."
    ),
]
SigningKey = Annotated[
    Path | None,
    typer.Option("--signing-key", metavar="FILE", help="SSH private key to sign the tag of the sample with."),
]
SecretsMode = Annotated[
    model.SecretsMode | None,
    typer.Option(
        "--secrets-mode",
        metavar=choices(model.SecretsMode),
        help="How Secrets are stored. Default: as in the Snapshot or in the archive, else `encrypt`.",
    ),
]
_RECIPIENT = typer.Option(
    "--recipient",
    metavar="KEY",
    help="age or SSH public key to encrypt Secrets to; repeatable, or several keys separated by commas.",
)
Recipients = Annotated[_Strings, _RECIPIENT]
RequiredRecipients = Annotated[list[str], _RECIPIENT]
Kinds = Annotated[
    _Strings,
    typer.Option(
        "--resources",
        metavar="KIND",
        help="Additional kind: 'KIND[.GROUP] [in NAMESPACES] [with LABELS]'; repeatable. 'none' removes all of them.",
    ),
]
SensitiveFields = Annotated[
    _Strings,
    typer.Option(
        "--sensitive-field",
        metavar="FIELD",
        help="Field to store like a Secret: 'KIND[.GROUP] PATH'; repeatable. 'none' removes all of them.",
    ),
]
AcceptSecretsChange = Annotated[
    bool,
    typer.Option(
        "--accept-secrets-change",
        help="Accept another secrets mode, other recipients or fewer sensitive fields than the archive has.",
    ),
]

# Samples and differences ----------------------------------------------------------------------------------------------

Sample = Annotated[str, _sample("--sample", _SAMPLE)]
SampleOrNewest = Annotated[str, _sample("--sample", f"{_SAMPLE} Default: latest.")]
SampleOrLive = Annotated[str, _sample("--sample", f"{_SAMPLE} Default: the live cluster.")]
Since = Annotated[
    str,
    typer.Option(
        "--since",
        metavar="MOMENT",
        help=f"Only from this moment on: {FORMS}. A time without a zone is in UTC.",
    ),
]
Until = Annotated[
    str, typer.Option("--until", metavar="MOMENT", help="Only up to this moment. A day includes its last second.")
]
RawDiff = Annotated[bool, typer.Option("--raw-diff", help="Show the lines that changed.")]
Decrypt = Annotated[
    bool, typer.Option("--decrypt", help="With --raw-diff: show the values of Secrets and of sensitive fields.")
]
Namespaces = Annotated[
    _Strings, typer.Option("--namespace", "-n", metavar="NS", help="Only objects in this namespace; repeatable.")
]
Clusters = Annotated[
    _Strings,
    typer.Option(
        "--cluster",
        metavar="NAME",
        help="Only what is deployed on this managed cluster: NAME, NS/NAME or capi--NAME; repeatable.",
    ),
]
ExitCode = Annotated[bool, typer.Option("--exit-code", help="Exit with status 1 if there are differences.")]
SveltosCli = Annotated[
    bool,
    typer.Option(
        "--sveltos-cli",
        help="Write values as the Sveltos CLI does. This is the default of `gitsnap snapshot diff` and `gitsnap show "
        "addons`.",
    ),
]
Output = Annotated[terminal.Output, output_option()]
NameOutput = Annotated[terminal.Output, output_option(terminal.Output.NAME)]
WideOutput = Annotated[terminal.Output, output_option(terminal.Output.WIDE)]
WideOrNameOutput = Annotated[terminal.Output, output_option(terminal.Output.WIDE, terminal.Output.NAME)]

# Objects that a rollback restores -------------------------------------------------------------------------------------

ClustersToRestore = Annotated[
    _Strings,
    typer.Option(
        "--cluster",
        metavar="NAME",
        help="Managed cluster whose labels and annotations to restore: NAME, NS/NAME or capi--NAME; repeatable. To "
        "restore the add-ons of a cluster, name the profile.",
    ),
]
ClusterProfiles = Annotated[_Strings, _objects_of("ClusterProfile")]
Profiles = Annotated[_Strings, _objects_of("Profile", metavar="[NS/]NAME")]
Classifiers = Annotated[_Strings, _objects_of("Classifier")]
RoleRequests = Annotated[_Strings, _objects_of("RoleRequest")]
Resources = Annotated[_Strings, _objects("--resource", "Object of any kind to restore; repeatable.")]
Excepted = Annotated[_Strings, _objects("--except", "Object of the selection to leave unchanged; repeatable.")]
Selector = Annotated[
    str,
    typer.Option("--selector", "-l", metavar="LABELS", help="Only selected objects with these labels."),
]
WithReferences = Annotated[
    bool,
    typer.Option(
        "--with-references", help="Also select the objects, such as ConfigMaps, that the selected objects refer to."
    ),
]
IntoCluster = Annotated[
    str,
    typer.Option(
        "--into-cluster", metavar="UID", help="Restore a sample of another cluster into the cluster with this uid."
    ),
]
Record = Annotated[
    Path | None,
    typer.Option(
        "--record",
        metavar="DIR",
        help="With --into-cluster: archive of that cluster for the samples before and after the rollback. --create "
        "creates this archive.",
    ),
]

# What a rollback or an undo may do ------------------------------------------------------------------------------------

MAX_DELETE = 10
"""The default of --max-delete, in objects."""
WAIT = 60
"""The default of --wait for a step of the plan, in seconds."""

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and try it on the server, but change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Atomic = Annotated[
    bool, typer.Option("--atomic", help="If a step fails, revert the steps that were written before it.")
]
WithoutUndo = Annotated[
    bool,
    typer.Option("--without-undo", help="Continue even if an undo could not restore all values that are replaced."),
]
AllowWithdraw = Annotated[
    bool, typer.Option("--allow-withdraw", help="Accept that the plan removes, or may remove, add-ons from clusters.")
]
AllowLess = Annotated[
    bool,
    typer.Option(
        "--allow-withdraw-resources",
        help="Accept only what a smaller configuration removes from clusters that still match.",
    ),
]
Wait = Annotated[
    int | None,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        parser=whole_number(0),
        help="How long to wait for Sveltos: at each step that needs it (default: 60), and at the end until the "
        "clusters have the configuration (by default only on a terminal; exit status 19 if they do not get it). "
        "0: do not wait.",
    ),
]
ForceOwned = Annotated[bool, typer.Option("--force-owned", help="Also write objects that another controller owns.")]
SkipRefused = Annotated[
    bool,
    typer.Option("--skip-refused", help="Leave out the steps that are refused, and apply the others (exit status 16)."),
]
Recreate = Annotated[
    bool,
    typer.Option(
        "--recreate", help="Delete and recreate objects that cannot be updated (immutable, or another Secret type)."
    ),
]
CreateNamespaces = Annotated[
    bool, typer.Option("--create-namespaces", help="Create the namespaces that restored objects need.")
]
Prune = Annotated[
    bool, typer.Option("--prune", help="Delete selected objects of the cluster that were created after the sample.")
]
MaxDelete = Annotated[
    int,
    typer.Option(
        "--max-delete", metavar="N", parser=whole_number(0), help="Maximum number of objects that --prune may delete."
    ),
]
Full = Annotated[bool, typer.Option("--full", help="Show all lines that the plan changes. Default: the first lines.")]
NamesOnly = Annotated[bool, typer.Option("--names-only", help="Show only the names of the fields that change.")]
DecryptPlan = Annotated[
    bool, typer.Option("--decrypt", help="Show the values of Secrets and of sensitive fields in the plan.")
]
PlanOut = Annotated[
    Path | None, typer.Option("--plan-out", metavar="FILE", help="Write the plan to a file, and change nothing.")
]
PlanFrom = Annotated[
    Path | None,
    typer.Option(
        "--plan", metavar="FILE", help="Apply exactly the plan in this file; change nothing if it no longer holds."
    ),
]
