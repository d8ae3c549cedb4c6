"""Options that several commands share: their names, environment variables and help, once.

Names are those of the Sveltos CLI where it had them, so that a runbook needs only its first words changed.
This module must not act on options.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any

import typer

from gitsnap.cli import completion
from gitsnap.core.model import SecretsMode


class Output(enum.StrEnum):
    """Forms of a result."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


_ARCHIVE = "Archive"
_CLUSTER = "Cluster"
_SECRETS = "Secrets"

Snapshot = Annotated[
    str,
    typer.Option(
        "--snapshot",
        metavar="POLICY",
        help="Snapshot policy. Needed only where the storage holds several archives.",
        autocompletion=completion.policies,
    ),
]
CapturedSnapshot = Annotated[
    str,
    typer.Option(
        "--snapshot",
        metavar="POLICY",
        help="Snapshot policy; the archive has its name. Default: the one in --file, or else `manual`.",
        autocompletion=completion.policies,
    ),
]
Storage = Annotated[
    Path | None,
    typer.Option(
        "--storage",
        metavar="DIR",
        envvar="GITSNAP_STORAGE",
        show_envvar=True,
        help="Folder that holds the archives. Default: the current folder.",
    ),
]
ArchivePath = Annotated[
    str, typer.Option("--archive", metavar="DIR|URL", help="One archive itself, a clone of one, or a git URL.")
]
Kubeconfig = Annotated[
    str, typer.Option("--kubeconfig", metavar="FILE", help="Kubeconfig. Default: $KUBECONFIG, or the pod's own.")
]
Context = Annotated[str, typer.Option("--context", metavar="NAME", help="Context of the kubeconfig.")]
FromDir = Annotated[
    Path | None,
    typer.Option("--from-dir", metavar="DIR", help="A folder of YAML files as the cluster, e.g. a kubectl dump."),
]
Identity = Annotated[
    list[Path] | None,
    typer.Option("--identity", metavar="FILE", help="age identity file or SSH key to decrypt Secrets with."),
]
SigningKey = Annotated[
    Path | None, typer.Option("--signing-key", metavar="FILE", help="SSH private key to sign the sample's tag with.")
]
OutputForm = Annotated[Output, typer.Option("--output", "-o", help="Form of the result (docs/SCRIPTING.md).")]
Namespaces = Annotated[
    list[str] | None, typer.Option("--namespace", "-n", metavar="NS", help="Only this namespace; can be repeated.")
]
Clusters = Annotated[
    list[str] | None,
    typer.Option("--cluster", metavar="NAME", help="Only this managed cluster: NAME, NS/NAME or capi--NAME."),
]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show and try the plan, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Atomic = Annotated[bool, typer.Option("--atomic", help="After a failure, revert the steps that were written.")]
WithoutUndo = Annotated[
    bool,
    typer.Option(
        "--without-undo", help="Go on even if the sample before cannot bring back the values that are replaced."
    ),
]
AllowWithdraw = Annotated[
    bool, typer.Option("--allow-withdraw", help="Accept that the plan takes, or may take, add-ons from clusters.")
]
AllowLess = Annotated[
    bool,
    typer.Option(
        "--allow-withdraw-resources",
        help="Accept only what a smaller configuration takes from clusters that still match.",
    ),
]
Wait = Annotated[
    int | None,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        min=0,
        help="How long to wait for Sveltos: at each step that needs it (default 60), and at the end until the clusters "
        "have the configuration (default on a terminal; exit 19). 0 waits for nothing.",
    ),
]
ForceOwned = Annotated[bool, typer.Option("--force-owned", help="Also write objects that another controller owns.")]
SkipRefused = Annotated[
    bool, typer.Option("--skip-refused", help="Leave out what is refused, and do the rest (exit 16).")
]


# Which sample, and how differences are shown --------------------------------------------------------------------------


def _sample(name: str, *, help_text: str) -> Any:
    """An option for one sample."""
    return typer.Option(name, metavar="SAMPLE", help=help_text, autocompletion=completion.samples)


Sample = Annotated[
    str,
    _sample(
        "--sample",
        help_text="2023-08-26:05:00:00 (UTC, as list prints it), latest, latest~2, @2023-08-26T05:10Z, a tag or a "
        "commit.",
    ),
]
SampleOrNow = Annotated[str, _sample("--sample", help_text="A sample; without it, now.")]
SampleToBeLike = Annotated[str, _sample("--sample", help_text="What the cluster is to be like.")]
FromSample = Annotated[str, _sample("--from-sample", help_text="Default: the one before --to-sample.")]
ToSample = Annotated[str, _sample("--to-sample", help_text="A sample, or `live` for the cluster now.")]
SampleBefore = Annotated[str, _sample("--of", help_text="Undo the rollback that this sample was taken before.")]
RawDiff = Annotated[bool, typer.Option("--raw-diff", help="Show the lines that changed.")]
ExitCode = Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when there are differences.")]


# What a rollback is about, and what it may do -------------------------------------------------------------------------

Names = list[str] | None
MAX_DELETE = 10
WAIT = 60


def _named(kind: str, *, metavar: str = "NAME") -> Any:
    """An option for objects of one kind, by name."""
    complete = completion.names_of(kind)
    return typer.Option(f"--{kind.lower()}", metavar=metavar, help=f"{kind}.", autocompletion=complete)


def _object(name: str, *, help_text: str) -> Any:
    """An option for objects of any kind."""
    return typer.Option(name, metavar="KIND[/NS]/NAME", help=help_text, autocompletion=completion.objects)


ClusterProfiles = Annotated[Names, _named("ClusterProfile")]
Profiles = Annotated[Names, _named("Profile", metavar="[NS/]NAME")]
Classifiers = Annotated[Names, _named("Classifier")]
RoleRequests = Annotated[Names, _named("RoleRequest")]
Resources = Annotated[Names, _object("--resource", help_text="Any object of the sample.")]
Excepted = Annotated[Names, _object("--except", help_text="Leave this object of the selection alone.")]
Selector = Annotated[
    str, typer.Option("--selector", "-l", metavar="LABELS", help="Of all that, only objects with these labels.")
]
WithReferences = Annotated[
    bool,
    typer.Option(
        "--with-references", help="Also select the objects, such as ConfigMaps, that the selected objects refer to."
    ),
]
Recreate = Annotated[
    bool, typer.Option("--recreate", help="Delete and create anew what cannot be updated (Secret type, immutable).")
]
CreateNamespaces = Annotated[bool, typer.Option("--create-namespaces", help="Create namespaces that objects need.")]
Prune = Annotated[bool, typer.Option("--prune", help="Delete selected objects made after the sample.")]
MaxDelete = Annotated[
    int, typer.Option("--max-delete", metavar="N", min=0, help="How many objects --prune may delete at most.")
]
PlanOut = Annotated[
    Path | None, typer.Option("--plan-out", metavar="FILE", help="Write the plan to a file, and change nothing.")
]
PlanFrom = Annotated[
    Path | None, typer.Option("--plan", metavar="FILE", help="Carry out exactly the plan of this file, or nothing.")
]
IntoCluster = Annotated[
    str,
    typer.Option(
        "--into-cluster", metavar="UID", help="Put a sample of another cluster into the cluster with this uid."
    ),
]
Record = Annotated[
    Path | None,
    typer.Option(
        "--record",
        metavar="DIR",
        help="With --into-cluster: archive of that cluster, for the samples before and after; made if missing.",
    ),
]


# How a sample is taken ------------------------------------------------------------------------------------------------

PolicyFile = Annotated[
    Path | None, typer.Option("--file", "-f", metavar="FILE", help="Snapshot manifest to take the policy from.")
]
Mode = Annotated[
    SecretsMode | None,
    typer.Option("--secrets-mode", help="What is kept of Secrets. Default: encrypt, then as the archive has it."),
]
Recipients = Annotated[
    Names,
    typer.Option(
        "--recipient",
        metavar="KEY",
        help="age or SSH public key to encrypt Secrets to; repeatable, or several with commas between them.",
    ),
]
AddedKinds = Annotated[
    Names,
    typer.Option(
        "--resources",
        metavar="KIND",
        help="A further kind: 'KIND[.GROUP] [in NAMESPACES] [with LABELS]'; repeatable. 'none' ends them.",
    ),
]
SensitiveFields = Annotated[
    Names,
    typer.Option(
        "--sensitive-field",
        metavar="FIELD",
        help="Keep a field as Secrets are kept: 'KIND[.GROUP] PATH'; repeatable. 'none' removes all of them.",
    ),
]
AcceptSecretsChange = Annotated[
    bool,
    typer.Option(
        "--accept-secrets-change",
        help="Accept another mode, other recipients or fewer hidden fields than the archive has.",
    ),
]
RequireComplete = Annotated[
    bool, typer.Option("--require-complete", help="Take no sample when a kind cannot be read (exit 12).")
]
Adopt = Annotated[bool, typer.Option("--adopt", help="The archive's cluster was rebuilt: go on with this one.")]
Continues = Annotated[
    str,
    typer.Option(
        "--continues", metavar="ID", help="For the first sample: the newest id of the archive that this one replaces."
    ),
]
Full = Annotated[
    bool, typer.Option("--full", help="Look at every object, also at those that seem unchanged since the last one.")
]
IncludeGenerated = Annotated[
    bool, typer.Option("--include-generated", help="Also say what was left out because a controller made it.")
]


# What is imported -----------------------------------------------------------------------------------------------------

OldStorage = Annotated[
    Path, typer.Option("--from", metavar="DIR", help="Storage of the old feature: the folder that holds `snapshot/`.")
]
OldSnapshot = Annotated[
    str, typer.Option("--snapshot", metavar="POLICY", help="Snapshot to import. Needed only where there are several.")
]
Into = Annotated[
    str, typer.Option("--into", metavar="POLICY", help="Archive to import into. Default: of the same name.")
]
TimeZone = Annotated[
    str, typer.Option("--time-zone", metavar="ZONE", help="Zone of the dates: where the old feature ran.")
]
ClusterUid = Annotated[
    str,
    typer.Option(
        "--cluster-uid",
        metavar="UID",
        help="Uid of the cluster's kube-system namespace, so that captures of it can go on in the archive.",
    ),
]
ImportedMode = Annotated[
    SecretsMode | None, typer.Option("--secrets-mode", help="What is kept of Secrets. Default: encrypt.")
]
