"""``gitsnap follow``: record each change of the configuration as a commit with its author.

This module must not decide what a change is.
"""

from __future__ import annotations

import gc
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, cast

import typer

from gitsnap.cli import options, terminal
from gitsnap.cli.archive_creation import choose_archive
from gitsnap.cli.policies import DEFAULT_POLICY, PolicyOptions, say_new_identity
from gitsnap.cli.resolve import ClusterOptions
from gitsnap.core.changes import AuthorSource, Who
from gitsnap.core.errors import IncompleteError
from gitsnap.core.model import Area, Trigger
from gitsnap.core.text import plural

if TYPE_CHECKING:
    from gitsnap.archive import GitArchive
    from gitsnap.capture.follow import FolderRunner, Follower, FollowSettings, Runner, WatchedCluster
    from gitsnap.core.ports import ArchiveWriter, Cluster
    from gitsnap.core.recording import RecordedChange
    from gitsnap.policy.snapshot import Policy

_Quiet = Annotated[
    float,
    typer.Option(
        "--quiet-seconds",
        metavar="SECONDS",
        parser=options.seconds,
        help="Record a change when this time has passed without another change.",
    ),
]
_Longest = Annotated[
    float,
    typer.Option(
        "--max-seconds",
        metavar="SECONDS",
        parser=options.seconds,
        help="Record a change after this time at the latest, even if other changes follow.",
    ),
]


_Who = Annotated[
    Who | None,
    typer.Option(
        "--who",
        metavar="|".join(Who),
        show_default=False,
        help="Authors to record: none, field managers only, users by pseudonyms, or users by name. Default: as "
        "in the policy, else `full`.",
    ),
]


def follow(
    *,
    snapshot: options.RecordedSnapshot = "",
    storage: options.Storage = None,
    create: options.Create = False,
    cluster: ClusterOptions,
    policy_options: PolicyOptions,
    identity: options.Identity = None,
    accept_secrets_change: options.AcceptSecretsChange = False,
    quiet: _Quiet = 2.0,
    longest: _Longest = 10.0,
    who: _Who = None,
) -> None:
    """Record each change as a commit with its author, until Ctrl-C.

    The command watches the objects of a sample. It takes a sample first if the archive has none, or if the policy
    changed. The author of a change is the user, if an admission policy records the user in the object; otherwise the
    field manager (`kubectl-edit`), or unknown. After a pause, the changes in between are recorded with their authors if
    the API server still has the events (about five minutes). Otherwise they become one change by an unknown author,
    seen late. With --from-dir, the command follows the files of a folder.

    Example: gitsnap follow --snapshot hourly --storage /var/lib/gitsnap
    """
    from gitsnap import capture as sampling
    from gitsnap.capture.follow import Follower, FollowSettings
    from gitsnap.secrets import archive_keys

    connected = cluster.open()
    chosen = choose_archive(
        storage,
        policy_options.policy_name(snapshot),
        create=create,
        default=DEFAULT_POLICY,
        inputs=(cluster.from_dir, policy_options.file),
    )
    policy = policy_options.policy(chosen.policy, connected, require_complete=False)
    sampling.check_folder(connected.info())  # also reports a cluster that does not answer
    archive = chosen.open()
    terminal.warn_missing(archive.policy, archive.missing_parts())
    with archive.writer() as writer:
        sampling.check_cluster(archive, connected.info())
        policy, keeper = archive_keys.for_capture(
            archive,
            policy,
            identities=identity or [],
            cluster=connected,
            accept_change=accept_secrets_change,
            accept_fields=bool(policy_options.sensitive_fields),
        )
        info = sampling.tree_info(policy, branch=archive.branch, keeper=keeper)
        settings = FollowSettings(info, keeper, quiet_seconds=quiet, most_seconds=longest, who=who or _who_of(policy))
        follower = Follower(connected, archive, settings, now=_now)
        if reason := follower.why_sample_is_needed(writer):
            _take_sample(connected, archive, writer, settings, reason)
    say_new_identity(keeper)
    gc.enable()  # main() disables it for processes that run for seconds
    _run(_runner(connected, cluster, archive, follower, settings))


def _who_of(policy: Policy) -> Who:
    return policy.follow.who if policy.follow is not None else Who.FULL


def _now() -> datetime:
    return datetime.now(UTC)


def _take_sample(
    cluster: Cluster, archive: GitArchive, writer: ArchiveWriter, settings: FollowSettings, reason: str
) -> None:
    """Take the sample that the first change follows."""
    from gitsnap import capture as sampling

    named = settings.who is not Who.NONE
    request = sampling.Request(settings.info, settings.keeper, _now(), Trigger.MANUAL, names_managers=named)
    with terminal.ProgressLine() as progress:
        result = sampling.capture(cluster, archive, request, writer=writer, progress=progress)
    terminal.say(f"a sample was taken first, because {reason}")
    terminal.print_result(result.summary)


def _runner(
    connected: Cluster, cluster: ClusterOptions, archive: GitArchive, follower: Follower, settings: FollowSettings
) -> Runner | FolderRunner:
    from gitsnap.capture.follow import FolderRunner, Runner
    from gitsnap.cluster import state_of_files

    followed = f"following {connected.info().description} into {archive.location}; stop with Ctrl-C"

    def say_problem(problem: object) -> None:
        if isinstance(problem, IncompleteError):
            terminal.say(f"warning: {problem}")
        else:
            terminal.say(f"warning: not following: {problem}" if problem else followed)

    if cluster.from_dir is not None:
        return FolderRunner(
            cluster.open,
            partial(state_of_files, cluster.from_dir),
            archive,
            settings,
            now=_now,
            on_changes=_print_changes,
            on_problem=say_problem,
        )
    watched = cast("WatchedCluster", connected)
    return Runner(watched, archive, follower, on_changes=_print_changes, on_problem=say_problem)


def _run(runner: Runner | FolderRunner) -> None:
    """Run until a signal."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: runner.stop())
    runner.run()


def _print_changes(changes: Sequence[RecordedChange]) -> None:
    """Print a line for each change, and the changed objects below."""
    from gitsnap.format import shown_key
    from gitsnap.render.change_lines import changed_lines

    prefix = f"{Area.CONFIGURATION}/"
    for change in changes:
        keyed = ((entry.action, shown_key(entry.path.removeprefix(prefix))) for entry in change.changed)
        changed = [(action, key) for action, key in keyed if key is not None]
        author = "an unknown author" if change.author.source is AuthorSource.UNKNOWN else change.author
        late = ", seen late" if change.late else ""
        count = plural(len(changed), "object")
        header = f"{change.time:%Y-%m-%d:%H:%M:%S}: {count} changed by {author}{late}, commit {change.commit[:12]}"
        lines = changed_lines(changed, more=f"git show {change.commit[:12]}")
        terminal.print_result("\n".join([header, *lines]))
