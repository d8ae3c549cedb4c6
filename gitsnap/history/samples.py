"""Finds samples by name or moment, and answers what one of them holds.

This module must not print, and must not know git: it sees samples and trees.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, takewhile
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from gitsnap.core.errors import ArchiveError, NotFoundError, UsageError
from gitsnap.core.model import Area, JsonObject, Kind, ObjectKey, Sample, Substitute
from gitsnap.core.objects import KubeObject
from gitsnap.core.suggestions import nearest
from gitsnap.format import decode_object, file_of
from gitsnap.sveltos import inventory
from gitsnap.sveltos.kinds import means_kind
from gitsnap.sveltos.matching import ClusterRef

if TYPE_CHECKING:
    from gitsnap.core.ports import Cluster, Tree
    from gitsnap.diff import Filters  # loading it takes longer than finding a sample, which most commands want

_LATEST = re.compile(r"latest(?:~(\d+))?\Z")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T: ](\d\d)(?:[:-](\d\d)(?:[:-](\d\d))?)?)?(Z|[+-]\d\d:?\d\d)?\Z")
_NAMED = re.compile(r"(\d{4}-\d\d-\d\d)[T:](\d\d)[-:](\d\d)[-:](\d\d)Z?(?:-\d+)?\Z")
_COMMIT = re.compile(r"[0-9a-f]{7,40}\Z")
_NEAREST = 3


@runtime_checkable
class Dated(Protocol):
    """Samples that need not make each of tens of thousands in search of one."""

    def until(self, moment: datetime) -> Sample | None:
        """The newest sample, going by their order, that was taken at a moment or before it."""


@runtime_checkable
class Doubtful(Protocol):
    """Samples that may not be all there are."""

    @property
    def doubt(self) -> str:
        """Why, and the git command that brings the others; ``""`` where these are all."""


def _check_newest(samples: Sequence[Sample], name: str) -> None:
    """Raises ArchiveError where the sample that a relative name stands for may not be here."""
    if isinstance(samples, Doubtful) and samples.doubt:
        listed = f" {_known(samples)}" if samples else ""
        raise ArchiveError(
            f"{name}: {samples.doubt}", hint=f"Bring the samples here, or name a sample that is here.{listed}"
        )


def find_sample(samples: Sequence[Sample], name: str) -> Sample:
    """The sample that a person means.

    ``2023-08-26:05:00:00`` (as ``list`` prints it), RFC 3339, ``latest``, ``latest~2``, ``@2023-08-26T05:10Z`` (the
    newest at or before), a tag, or a commit. Raises NotFoundError naming the nearest samples, UsageError, and
    ArchiveError for a relative name where samples may be missing.
    """
    if not samples:
        _check_newest(samples, name)
        raise NotFoundError("the archive has no samples yet", hint="`gitsnap capture` takes one.")
    if match := _LATEST.match(name):
        _check_newest(samples, name)
        back = int(match[1] or 0)
        if back >= len(samples):
            raise NotFoundError(f"{name} goes back beyond the first sample: there are {len(samples)}")
        return samples[-1 - back]
    if name.startswith("@"):
        _check_newest(samples, name)
        return _at(samples, name)
    exact = _named(samples, name)
    if exact is not None:
        return exact
    if _COMMIT.match(name):
        of_commit = [one for one in samples if one.commit.startswith(name)]
        if of_commit:
            return of_commit[-1]
    if match := _MOMENT.match(name):
        return _by_moment(samples, name, match)
    _check_newest(samples, name)
    raise NotFoundError(f"there is no sample {name}", hint=_known(samples))


def sample_before(samples: Sequence[Sample], sample: Sample) -> Sample:
    """The sample before another one. Raises NotFoundError where there is none: retention may have removed it."""
    place = bisect_left(samples, sample.order, key=lambda each: each.order)
    if place:
        return samples[place - 1]
    if sample.metadata.sequence == 1:
        problem = f"{sample.moment} is the first sample of the archive: there is no sample before it to compare with"
    else:
        problem = (
            f"no sample before {sample.moment} is here to compare with: retention removed the earlier ones, "
            "or this copy lacks their tags"
        )
    hint = "Name two samples with --from-sample and --to-sample, or compare with the cluster: --to-sample live."
    raise NotFoundError(problem, hint=hint)


def _named(samples: Sequence[Sample], name: str) -> Sample | None:
    """The sample of exactly this name. It tells the time: there it is looked for first, since clocks seldom go back."""
    match = _NAMED.search(name)
    if match is None:
        return None
    candidates = chain(_taken_at(samples, *match.groups()), reversed(samples))
    return next((one for one in candidates if _is_named(one, name)), None)


def _taken_at(samples: Sequence[Sample], date: str, hour: str, minute: str, second: str) -> Iterator[Sample]:
    """The samples of one second, as far as samples are in the order of their times."""
    with suppress(ValueError):  # a date that no calendar has
        time = datetime.fromisoformat(f"{date}T{hour}:{minute}:{second}Z")
        place = bisect_left(samples, time, key=lambda one: one.time)
        yield from takewhile(lambda one: one.time == time, (samples[at] for at in range(place, len(samples))))


def _is_named(sample: Sample, name: str) -> bool:
    return name in (sample.moment, sample.tag, sample.tag.rpartition("/")[2])


def moment(name: str, *, end: bool) -> datetime:
    """The first or, with ``end``, the last second that a possibly shortened moment stands for. Raises UsageError."""
    match = _MOMENT.match(name)
    if match is None:
        raise UsageError(f"{name} is not a date; write it like 2023-08-26T05:10Z or 2023-08-26")
    return _time(name, match, end=end)


def _at(samples: Sequence[Sample], name: str) -> Sample:
    match = _MOMENT.match(name[1:])
    if match is None:
        raise UsageError(f"{name} is not a date; write it like @2023-08-26T05:10Z or @2023-08-26")
    moment = _time(name, match, end=True)
    if isinstance(samples, Dated):
        newest = samples.until(moment)
    else:
        newest = next((one for one in reversed(samples) if one.time <= moment), None)
    if newest is None:
        raise NotFoundError(f"there is no sample at or before {name[1:]}; the first is {samples[0].moment}")
    return newest


def _by_moment(samples: Sequence[Sample], name: str, match: re.Match[str]) -> Sample:
    """A moment in another notation, or its beginning where only one sample fits."""
    start, end = _time(name, match, end=False), _time(name, match, end=True)
    found = [one for one in samples if start <= one.time <= end]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(one.moment for one in found[:10])
        raise NotFoundError(f"{len(found)} samples fit {name}: {listed}", hint="Write more of the moment.")
    nearest = sorted(samples, key=lambda one: abs((one.time - start).total_seconds()))[:_NEAREST]
    listed = ", ".join(sorted(one.moment for one in nearest))
    raise NotFoundError(f"there is no sample {name}", hint=f"The nearest ones: {listed}")


def _time(name: str, match: re.Match[str], *, end: bool) -> datetime:
    """The first or the last second that a possibly shortened moment stands for; UTC unless it says otherwise."""
    date, hour, minute, second, zone = match.groups()
    text = f"{date}T{hour or '00'}:{minute or '00'}:{second or '00'}{zone or 'Z'}"
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise UsageError(
            f"{name} is no date that a calendar has",
            hint="Write it as `gitsnap list` prints it, 2023-08-26:05:00:00, or latest, latest~2, @2023-08-26T05:10Z.",
        ) from None
    if not end or second:
        return moment
    span = timedelta(minutes=1) if minute else timedelta(hours=1) if hour else timedelta(days=1)
    return moment + span - timedelta(seconds=1)


def _known(samples: Sequence[Sample]) -> str:
    newest = ", ".join(one.moment for one in samples[-_NEAREST:])
    return f"The newest ones: {newest}. `gitsnap list` shows all."


# Objects of a sample ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HeldObject:
    """An object of a sample, and where it lies in the tree."""

    key: ObjectKey
    path: str
    document: JsonObject


def objects(tree: Tree, *, namespaces: Sequence[str] = (), kind: str = "", name: str = "") -> Iterator[HeldObject]:
    """The archived objects, by path; narrowed by namespaces, by kind (any case, plural too) and by name."""
    file_name = file_of(name) if name else ""
    for path, blob in tree.files(Area.CONFIGURATION).items():
        if file_name and not path.endswith(f"/{file_name}"):
            continue
        if kind and not means_kind(kind, _kind_at(path)):
            continue
        document: JsonObject = decode_object(tree.read(blob), f"{Area.CONFIGURATION}/{path}")
        key = ObjectKey.of(document)
        if (namespaces and key.namespace not in namespaces) or (name and key.name != name):
            continue
        yield HeldObject(key, path, document)


def _kind_at(path: str) -> Kind:
    """The kind that the path of an object names. Raises ArchiveError for a path that is not an object's."""
    parts = path.split("/")
    if len(parts) != 3:
        raise ArchiveError(
            f"{Area.CONFIGURATION}/{path} is not the path of an object: gitsnap did not write this file",
            hint="`gitsnap verify` and `git log` in the archive say more.",
        )
    return Kind.parse(parts[1])


def find_object(tree: Tree, reference: str) -> HeldObject:
    """The object that ``KIND[/NAMESPACE]/NAME`` names.

    Raises UsageError for another form, NotFoundError with what there is of that kind, or with the candidates.
    """
    parts = reference.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise UsageError(f"{reference!r} names no object; write KIND/NAME or KIND/NAMESPACE/NAME")
    kind, name, namespaces = parts[0], parts[-1], parts[1:-1]
    found = list(objects(tree, namespaces=namespaces, kind=kind, name=name))
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(str(one.key) for one in found)
        raise NotFoundError(f"{reference} is ambiguous: {listed}", hint="Write KIND/NAMESPACE/NAME, or KIND.GROUP.")
    _check_missing(tree, reference)
    of_kind = [one.key for one in objects(tree, kind=kind)]
    if not of_kind:
        known = sorted({str(_kind_at(path)) for path in tree.files(Area.CONFIGURATION)})
        raise NotFoundError(f"the sample has no {reference}", hint=f"Its kinds: {', '.join(known)}")
    names = ("/".join([*([key.namespace] if namespaces and key.namespace else []), key.name]) for key in of_kind)
    raise NotFoundError(f"the sample has no {reference}", hint=nearest("/".join([*namespaces, name]), names, none=""))


def _check_missing(tree: Tree, reference: str) -> None:
    """Raises NotFoundError that says so for an object that the sample could not take: it may well have existed."""
    kind, *namespaces, name = reference.split("/")
    for one in tree.incomplete:
        named = kind in (one.kind.name, str(one.kind)) and namespaces in ([], [one.namespace]) and name == one.name
        if named and one.substitute is Substitute.MISSING:
            raise NotFoundError(
                f"the sample could not take {one} ({one.reason}): what it was is not known",
                hint="An earlier or later sample may have it; `gitsnap list --wide` shows what each of them lacks.",
            )


# Deployed add-ons ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class AddOn:
    """A row of ``addons``, as the Sveltos CLI prints it."""

    cluster: str
    resource_type: str
    namespace: str
    name: str
    version: str
    time: str
    profiles: str


NOT_APPLICABLE = "N/A"


@dataclass(frozen=True, slots=True, order=True)
class FailedDeployment:
    """A profile on a cluster of which Sveltos lists only what it got to: what runs there is not known."""

    cluster: str
    profile: str
    """``ClusterProfile/guestbook``."""
    features: tuple[str, ...]

    def __str__(self) -> str:
        """For a warning."""
        return (
            f"what {self.profile} has on {self.cluster} is not known: its deployment failed "
            f"({', '.join(self.features)}), and the list may lack what runs on"
        )


def failed_deployments(summaries: Iterable[JsonObject], filters: Filters) -> list[FailedDeployment]:
    """The failed deployments that ClusterSummaries report, live or archived, for the clusters that are wanted."""
    found = []
    for summary in summaries:
        profile, managed = inventory.profile_of(summary), inventory.cluster_of(summary)
        listed = ((inventory.distill(KubeObject.of(summary)) or {}).get("status") or {}).get("featureSummaries") or ()
        features = [str(entry["featureID"]) for entry in listed if str(entry.get("status")).startswith("Failed")]
        if profile is not None and features and filters.wants_cluster(managed):
            found.append(FailedDeployment(_cluster_name(managed), _profile_name(profile), tuple(sorted(features))))
    return sorted(found)


def _cluster_name(managed: ClusterRef) -> str:
    return f"{managed.namespace}/{managed.name}"


def _profile_name(profile: ObjectKey) -> str:
    return f"{profile.kind.name}/{profile.name}"


def addons_of(
    configurations: Iterable[JsonObject], filters: Filters, failed: Iterable[FailedDeployment] = ()
) -> list[AddOn]:
    """What ClusterConfigurations list, live or archived, for the clusters that are wanted, sorted.

    The same add-on of several profiles is one row. Profiles whose deployment ``failed`` are marked.
    """
    marked = {(deployment.cluster, deployment.profile) for deployment in failed}
    profiles: dict[tuple[str, str, str, str, str], set[str]] = {}
    times: dict[tuple[str, str, str, str, str], str] = {}
    for document in configurations:
        managed = inventory.cluster_of(document)
        if not filters.wants_cluster(managed):
            continue
        for entry in inventory.deployed(document):
            if isinstance(entry, inventory.DeployedRelease):
                what, version = "helm chart", entry.chart_version
            else:
                what, version = f"{entry.kind.group}:{entry.kind.name}", NOT_APPLICABLE
            row = (_cluster_name(managed), what, entry.namespace, entry.name, version)
            profile = _profile_name(entry.profile)
            mark = " (deployment failed)" if (row[0], profile) in marked else ""
            profiles.setdefault(row, set()).add(f"{profile}{mark}")
            times[row] = max(times.get(row, ""), entry.applied)
    return sorted(
        AddOn(*row, times[row] or NOT_APPLICABLE, ", ".join(sorted(names))) for row, names in profiles.items()
    )


def inventory_of_sample(tree: Tree, kind: Kind) -> Iterator[JsonObject]:
    """The objects of a kind in the inventory of a sample, such as ClusterConfigurations; it keeps no times."""
    for path, blob in tree.files(Area.INVENTORY).items():
        if path.split("/")[1:2] == [str(kind)]:
            yield decode_object(tree.read(blob), f"{Area.INVENTORY}/{path}")


def inventory_of_cluster(cluster: Cluster, kind: Kind) -> Iterator[JsonObject]:
    """The objects of a kind of Sveltos' inventory that are there now. Raises the cluster's errors."""
    resource = cluster.resource_type(kind)
    if resource is not None:
        yield from (item for page in cluster.list(resource) for item in page.items)
