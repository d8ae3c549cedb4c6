"""A capture and a diff of a fleet in memory: the index and shared results give what a plain evaluation gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.fleet import Entry, Fleet
from benchmarks.in_memory import Bench, MemoryCluster
from gitsnap.archive import GitArchive, trees
from gitsnap.core.model import Area, BlobId, ObjectKey
from gitsnap.diff.comparison import compare
from gitsnap.diff.deployments import Deployments
from gitsnap.diff.reached_deployments import DEPLOYING_KINDS, clusters_of
from gitsnap.diff.rows import Comparison
from gitsnap.sveltos import kinds, matching
from gitsnap.sveltos.matching import ClusterRef
from gitsnap.sveltos.tree_view import TreeView

_OBJECTS = 300


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A fleet of some hundred objects, with twice as many profiles and clusters.

    Each profile refers to an object with the name of its cluster, so that an archive records all its clusters. Sveltos
    has written no status, so that the clusters are those that the rules select.
    """
    bench = Bench(tmp_path, _OBJECTS, 2)
    bench.cluster = MemoryCluster(map(_of_rules, Fleet(_OBJECTS, 2).objects()))
    return bench


def _of_rules(entry: Entry) -> Entry:
    document, spec = entry.document, entry.document.get("spec") or {}
    if entry.plural in ("clusterprofiles", "profiles", "eventtriggers"):
        by_cluster = {"kind": "ConfigMap", "name": "{{ .Cluster.metadata.name }}"}
        document = {**document, "spec": {**spec, "policyRefs": [*spec.get("policyRefs", ()), by_cluster]}}
    return replace(entry, document=document, status=None if "spec" in document else entry.status)


@pytest.mark.slow
def test_an_archive_is_the_same_with_a_plain_evaluation(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two archives of one cluster have the same ids, from the first capture on and after each change of the fleet."""
    bench.first()
    indexed = bench.archive
    with monkeypatch.context() as patch:
        _evaluate_plainly(patch)
        bench.first()
    plain = bench.archive
    ids = [_ids(plain)]
    assert _ids(indexed) == ids[0]

    for change in (bench.change, bench.relabel):
        change()
        bench.archive = indexed
        bench.capture()
        with monkeypatch.context() as patch:
            _evaluate_plainly(patch)
            bench.archive = plain
            bench.capture()
        ids.append(_ids(plain))
        assert _ids(indexed) == ids[-1]
    assert ids[0] != ids[1] != ids[2]


def _ids(archive: GitArchive) -> list[dict[str, BlobId]]:
    """The files of the newest sample. Sealed values differ in every capture, so they are left out."""
    tree = archive.tree(archive.samples()[-1])
    return [dict(tree.files(area)) for area in (Area.CONFIGURATION, Area.INVENTORY)]


def _evaluate_plainly(patch: pytest.MonkeyPatch) -> None:
    """Compare each selector with the labels of each cluster: no mapping of clusters counts as an index."""
    patch.setattr(matching, "LabelIndex", type("NoIndex", (), {}))


@pytest.mark.slow
@pytest.mark.parametrize("step", ["change", "relabel"])
def test_a_diff_is_the_same_with_a_plain_evaluation(bench: Bench, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """The diff that evaluates each profile for each of its clusters has the same rows and texts."""
    bench.first()
    getattr(bench, step)()
    bench.capture()
    indexed = _compare(bench)
    _evaluate_plainly(monkeypatch)
    monkeypatch.setattr(Deployments, "by_cluster", property(_all_deployments))
    monkeypatch.setattr(Deployments, "_depends_on_cluster", lambda *_: True)

    assert _compare(bench) == indexed
    assert indexed.management


def _compare(bench: Bench) -> Comparison:
    """The rows and texts of the newest diff. Which clusters are compared at all depends on the evaluation."""
    before, after = bench.archive.samples()[-2:]
    return replace(compare(bench.archive.tree(before), bench.archive.tree(after)), reached=())


def _all_deployments(deployments: Deployments) -> dict[ClusterRef, list[ObjectKey]]:
    """Every profile that both sides have, for each cluster to which both sides deploy the profile."""
    by_cluster: dict[ClusterRef, list[ObjectKey]] = {}
    for profile in _deploying(deployments.before) & _deploying(deployments.after):
        for cluster in clusters_of(deployments.before, profile) & clusters_of(deployments.after, profile):
            by_cluster.setdefault(cluster, []).append(profile)
    return {cluster: sorted(profiles) for cluster, profiles in by_cluster.items()}


def _deploying(side: TreeView) -> set[ObjectKey]:
    return {key for kind in DEPLOYING_KINDS for path in side.paths(kind) if (key := side.key_at(path)) is not None}


@pytest.mark.slow
def test_a_folder_counts_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A diff looks up the objects of a kind many times. Only the entries of new folders count against the limit."""
    bench.first()
    tree = bench.archive.tree(bench.archive.samples()[-1])
    files = tree.files(Area.CONFIGURATION)
    paths = [path for path in files if f"/{kinds.CONFIG_MAP.name}/" in path]
    monkeypatch.setattr(trees, "_MOST_ENTRIES", len(files))

    for _ in range(100):
        assert all(path in files for path in paths)
