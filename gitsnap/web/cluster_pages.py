"""The pages about managed clusters: the list of clusters, the deployments in one cluster, and its changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from gitsnap.core.errors import NotFoundError
from gitsnap.core.model import Area, JsonObject, Kind, Sample
from gitsnap.core.ports import Tree
from gitsnap.core.states import State
from gitsnap.core.suggestions import nearest
from gitsnap.diff.comparison import compare
from gitsnap.diff.rows import DiffRow
from gitsnap.format import decode_object
from gitsnap.format.tree_files import PathsByKind
from gitsnap.history.change_finder import Changes
from gitsnap.history.deployed_addons import failed_deployments, list_addons
from gitsnap.history.managed_clusters import managed_clusters
from gitsnap.render.web.addresses import address, state_name
from gitsnap.sveltos import kinds
from gitsnap.sveltos.filters import Filters
from gitsnap.web.answers import Asked, Page
from gitsnap.web.documents import Document
from gitsnap.web.site import SiteArchive
from gitsnap.web.state_pages import has_too_many_differences

MOST_COMPARISONS = 25
"""The largest number of pairs of samples that one page compares."""
_MOST_STATES = 1_000
_MOST_ROWS = 300
_TABS = (("cluster", "Deployed"), ("cluster-log", "Changes"))


def clusters(archive: SiteArchive, asked: Asked) -> Page:
    """Return the managed clusters that the newest sample knows."""
    newest = archive.newest()
    wanted = asked.query.get("q", "").casefold()
    names = sorted(_names(archive.tree(newest)))
    shown = [name for name in names if wanted in name.casefold()]

    def document() -> Document:
        return {"kind": "ClusterList", "sample": newest.tag, "clusters": shown}

    values = {"state": newest, "names": sorted(shown, key=_natural), "total": len(names), "q": asked.query.get("q", "")}
    return Page("clusters.html", "Managed clusters", document, values)


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Return a key that sorts ``cluster-2`` before ``cluster-10``."""
    parts = re.split(r"(\d{1,18})", name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _names(tree: Tree) -> set[str]:
    return set(map(str, managed_clusters(tree)))


def _cluster(archive: SiteArchive, asked: Asked, tree: Tree) -> str:
    """Return the cluster that an address names. Raises NotFoundError if the newest sample does not know it."""
    if len(asked.names) != 2:
        raise NotFoundError("the address of a managed cluster ends with NAMESPACE/TYPE--NAME")
    name, known = "/".join(asked.names), _names(tree)
    if name not in known:
        hint = nearest(name, known, none="It has no managed clusters.")
        raise NotFoundError(f"the newest sample of {archive.name} has no managed cluster {name}", hint=hint)
    return name


def deployed(archive: SiteArchive, asked: Asked) -> Page:
    """Return the add-ons that Sveltos reports as deployed in a cluster."""
    newest = archive.newest()
    tree = archive.tree(newest)
    name = _cluster(archive, asked, tree)
    filters = Filters(clusters=(name,))
    failed = failed_deployments(_reports(tree, kinds.CLUSTER_SUMMARY, name), filters)
    addons = list_addons(_reports(tree, kinds.CLUSTER_CONFIGURATION, name), filters, failed)
    values = {"cluster": name, "state": newest, "addons": addons, "failed": failed, "tabs": _TABS, "tab": "cluster"}
    return Page("cluster.html", name, lambda: asked.documents.addons_document(addons, failed), values)


def _reports(tree: Tree, kind: Kind, cluster: str) -> Iterator[JsonObject]:
    """Yield the reports of a kind that name a cluster. Only files with the name of the cluster are decoded."""
    files = tree.files(Area.INVENTORY)
    word = cluster.partition("--")[2].encode()
    for path in PathsByKind(files).paths(kind):
        content = tree.read(files[path])
        if word in content:
            yield decode_object(content, f"{Area.INVENTORY}/{path}")


def changes(archive: SiteArchive, asked: Asked) -> Page:
    """Return the changes of a cluster, newest first. A page compares a limited number of samples, and names them."""
    name = _cluster(archive, asked, archive.tree(archive.newest()))
    states = _recent(archive, asked.query.get("before", ""))
    rows: list[tuple[DiffRow, State]] = []
    skipped: list[State] = []
    compared, last = 0, states[0] if states else None
    for after, before in pairwise(states):
        if compared == MOST_COMPARISONS or len(rows) >= _MOST_ROWS:
            break
        last = before
        if after.commit == before.commit:
            continue
        compared += 1
        found = _rows(archive, before, after, name)
        if found is None:
            skipped.append(after)
        else:
            rows += [(row, after) for row in found]
    is_end = last is None or (isinstance(last, Sample) and last == archive.samples()[0])
    older = (
        "" if is_end or last is None else address(archive.name, "cluster-log", *asked.names, before=state_name(last))
    )
    values = {
        "cluster": name,
        "rows": rows,
        "older": older,
        "newest": states[0] if states else None,
        "oldest": last,
        "skipped": skipped,
        "tabs": _TABS,
        "tab": "cluster-log",
    }

    def document() -> Document:
        return {**asked.documents.cluster_log_document(rows), "older": older or None}

    return Page("cluster_log.html", name, document, values)


def _recent(archive: SiteArchive, before: str) -> list[State]:
    """Return the state with a name and the states before it, newest first; without a name, the newest ones."""
    states: list[State] = []
    start = archive.state(before) if before else None
    samples = archive.samples()
    for state in Changes(archive).newest_first(samples):
        if start is not None and state.order > start.order:
            continue
        states.append(state)
        if len(states) == _MOST_STATES:
            break
    return states


def _rows(archive: SiteArchive, before: State, after: State, cluster: str) -> list[DiffRow] | None:
    """Return the rows of a cluster; None if too many objects differ for a page."""
    trees = archive.tree(before), archive.tree(after)
    if has_too_many_differences(*trees):
        return None
    return list(compare(*trees, filters=Filters(clusters=(cluster,)), texts=False).rows)
