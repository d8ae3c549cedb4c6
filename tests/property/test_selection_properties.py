"""No object outside a selection is written, for random selections as a person types them, on random configurations.

What is meant is worked out a second time here, from the words of docs/ROLLBACK.md. The rollback is really carried out,
with a real archive.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitsnap.core.errors import NotFoundError, UsageError
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.rollback.plan import Selection
from gitsnap.sveltos import kinds
from tests.property.test_rollback_properties import become, everything
from tests.support.memory_cluster import MemoryCluster
from tests.support.rollbacks import Story

_settings = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_OF_A_NAMESPACE = frozenset({"ConfigMap", "Secret", "SveltosCluster"})


def _spelled(key: ObjectKey) -> str:
    return "/".join(part for part in (str(key.kind), key.namespace, key.name) if part)


@st.composite
def selections(draw: st.DrawFn, keys: Iterable[ObjectKey]) -> Selection:
    """What a person may type about these objects: names of each sort, or namespaces, with what narrows and widens."""
    ordered = sorted(keys)

    def some(*of_kinds: Kind) -> tuple[ObjectKey, ...]:
        pool = [key for key in ordered if not of_kinds or key.kind in of_kinds]
        return tuple(draw(st.lists(st.sampled_from(pool), max_size=2, unique=True))) if pool else ()

    names: dict[str, Any] = {}
    if draw(st.booleans()):
        names["clusterprofiles"] = tuple(key.name for key in some(kinds.CLUSTER_PROFILE))
        names["profiles"] = tuple(f"{key.namespace}/{key.name}" for key in some(kinds.PROFILE))
        names["clusters"] = tuple(f"{key.namespace}/sveltos--{key.name}" for key in some(kinds.SVELTOS_CLUSTER))
        names["resources"] = tuple(_spelled(key) for key in some())
    elif draw(st.booleans()):
        names["namespaces"] = ("one",)
    return Selection(
        **names,
        excepted=tuple(_spelled(key) for key in some() if "namespaces" not in names or key.namespace in ("", "one")),
        labels=draw(st.sampled_from(("", "env=a", "!env"))),
        with_references=draw(st.booleans()),
    )


def _meant(selection: Selection, documents: dict[ObjectKey, JsonObject]) -> set[ObjectKey]:
    """The objects of the sample that these words mean."""
    meant = {key for key in documents if _is_meant(selection, key) and _spelled(key) not in selection.excepted}
    if selection.labels:
        wanted = "a" if selection.labels == "env=a" else None
        meant = {key for key in meant if (documents[key]["metadata"].get("labels") or {}).get("env") == wanted}
    if selection.with_references:
        for key in tuple(meant):
            for one in documents[key].get("spec", {}).get("policyRefs", ()):
                meant.add(ObjectKey(Kind("", one["kind"]), one["namespace"], one["name"]))
    return {key for key in meant if _spelled(key) not in selection.excepted}


def _is_meant(selection: Selection, key: ObjectKey) -> bool:
    place = f"{key.namespace}/{key.name}"
    named = [selection.clusterprofiles, selection.profiles, selection.clusters, selection.resources]
    if not any(named):
        return not selection.namespaces or (key.namespace in selection.namespaces and key.kind.name in _OF_A_NAMESPACE)
    return (
        (key.kind.name == "ClusterProfile" and key.name in selection.clusterprofiles)
        or (key.kind.name == "Profile" and place in selection.profiles)
        or (key.kind.name == "SveltosCluster" and f"{key.namespace}/sveltos--{key.name}" in selection.clusters)
        or _spelled(key) in selection.resources
    )


@_settings
@given(everything(), everything(), st.data())
def test_nothing_outside_the_selection_is_written(
    first: list[JsonObject], second: list[JsonObject], data: st.DataObject
) -> None:
    """Every write is to an object that was meant; what was meant is written, equal, or refused by name."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = MemoryCluster.of(first)
        story = Story(Path(folder), cluster)
        sample = story.capture()
        keys = {ObjectKey.of(document) for document in first}
        held = {key for key in keys if story.holds(sample, key)}
        selection = data.draw(selections(held))
        become(cluster, second)
        cluster.writes.clear()
        meant = _meant(selection, {key: one for one in first if (key := ObjectKey.of(one)) in held}) & held

        plan = story.plan(sample, selection, allow_withdraw=True, skip_refused=True, recreate=True)
        story.apply(plan)

        assert {key for _, key in cluster.writes} <= meant
        assert {step.key for step in plan.steps} == meant


@_settings
@given(everything(), st.text(alphabet="abxyz/-.", max_size=6))
def test_a_name_means_one_object_or_is_refused(objects: list[JsonObject], text: str) -> None:
    """Whatever is typed after `--resource ConfigMap/`: one object of that name, or an error in words."""
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder), MemoryCluster.of(objects))
        sample = story.capture()
        selection = Selection(resources=(f"ConfigMap/{text}",))
        maps = [one for one in objects if one["kind"] == "ConfigMap" and story.holds(sample, ObjectKey.of(one))]
        held = {one["metadata"]["name"] for one in maps}
        if text in held or (text.startswith("one/") and text[4:] in held):
            assert [step.key.name for step in story.plan(sample, selection).steps] == [text.rpartition("/")[2]]
        else:
            with pytest.raises((NotFoundError, UsageError), match=re.escape(f"ConfigMap/{text}")):
                story.plan(sample, selection)
