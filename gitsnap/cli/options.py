"""Options that several commands share: their names, environment variables and help, once.

Names are those of the Sveltos CLI where it had them, so that a runbook needs only its first words changed.
This module must not act on options.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from gitsnap.cli import completing


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
        help="Snapshot policy. Can be left out where the storage holds one.",
        autocompletion=completing.policies,
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

DryRun = Annotated[bool, typer.Option("--dry-run", help="Plan and try, change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Atomic = Annotated[bool, typer.Option("--atomic", help="After a failure, take back what was already written.")]
AllowWithdraw = Annotated[
    bool, typer.Option("--allow-withdraw", help="Carry out a plan that takes add-ons from clusters.")
]
ForceOwned = Annotated[bool, typer.Option("--force-owned", help="Also write objects that another controller owns.")]
SkipRefused = Annotated[
    bool, typer.Option("--skip-refused", help="Leave out what is refused, and do the rest (exit 16).")
]
