"""``gitsnap drift``: `gitsnap diff --to-sample live`, for cron and CI."""

from __future__ import annotations

from gitsnap.cli import arguments, options, terminal
from gitsnap.cli.arguments import LIVE
from gitsnap.cli.commands.diff import diff
from gitsnap.cli.resolve import ArchiveOptions, ClusterOptions


def drift(
    *,
    words: arguments.OneSample = None,
    archive: ArchiveOptions,
    sample: options.SampleOrNewest = "",
    raw_diff: options.RawDiff = False,
    decrypt: options.Decrypt = False,
    namespace: options.Namespaces = None,
    clusters: options.Clusters = None,
    exit_code: options.ExitCode = False,
    cluster: ClusterOptions,
    identity: options.Identity = None,
    form: options.NameOutput = terminal.Output.TABLE,
) -> None:
    """Show how the live cluster differs from a sample.

    This is `gitsnap diff --to-sample live`, for cron and CI.

    Exit status 13: a kind or an object could not be compared; the answer names it.

    Example: gitsnap drift --exit-code

    Example: gitsnap drift --snapshot hourly --sample latest --exit-code
    """
    diff(
        snapshot=archive.snapshot,
        storage=archive.storage,
        archive=[archive.archive] if archive.archive else None,
        from_sample=arguments.parse(words or ()).sample("--sample", sample),
        to_sample=LIVE,
        raw_diff=raw_diff,
        decrypt=decrypt,
        namespace=namespace,
        clusters=clusters,
        exit_code=exit_code,
        cluster=cluster,
        identity=identity,
        form=form,
    )
