"""A rollback of a random selection, written as options of the command line, writes no object outside the selection.

These tests compute the selected objects independently, by the rules of docs/ROLLBACK.md. Each test executes the
rollback with a real archive.
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
from tests.property.test_rollback_properties import everything, replace_objects
from tests.support.memory_cluster import MemoryCluster
from tests.support.rollbacks import Story

_settings = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_OF_A_NAMESPACE = frozenset({"ConfigMap", "Secret", "SveltosCluster"})


def _argument(key: ObjectKey) -> str:
    return "/".join(part for part in (str(key.kind), key.namespace, key.name) if part)


@st.composite
def selections(draw: st.DrawFn, keys: Iterable[ObjectKey]) -> Selection:
    """A selection from these objects: names of each kind or a namespace, with exceptions, labels and references."""
    ordered = sorted(keys)

    def some(*of_kinds: Kind) -> tuple[ObjectKey, ...]:
        pool = [key for key in ordered if not of_kinds or key.kind in of_kinds]
        return tuple(draw(st.lists(st.sampled_from(pool), max_size=2, unique=True))) if pool else ()

    names: dict[str, Any] = {}
    if draw(st.booleans()):
        names["clusterprofiles"] = tuple(key.name for key in some(kinds.CLUSTER_PROFILE))
        names["profiles"] = tuple(f"{key.namespace}/{key.name}" for key in some(kinds.PROFILE))
        names["clusters"] = tuple(f"{key.namespace}/sveltos--{key.name}" for key in some(kinds.SVELTOS_CLUSTER))
        names["resources"] = tuple(_argument(key) for key in some())
    elif draw(st.booleans()):
        names["namespaces"] = ("one",)
    return Selection(
        **names,
        excepted=tuple(_argument(key) for key in some() if "namespaces" not in names or key.namespace in ("", "one")),
        labels=draw(st.sampled_from(("", "env=a", "!env"))),
        with_references=draw(st.booleans()),
    )


def _expected(selection: Selection, documents: dict[ObjectKey, JsonObject]) -> set[ObjectKey]:
    """The objects of the sample that the selection contains."""
    selected = {key for key in documents if _is_selected(selection, key) and _argument(key) not in selection.excepted}
    if selection.labels:
        wanted = "a" if selection.labels == "env=a" else None
        selected = {key for key in selected if (documents[key]["metadata"].get("labels") or {}).get("env") == wanted}
    if selection.with_references:
        for key in tuple(selected):
            for reference in documents[key].get("spec", {}).get("policyRefs", ()):
                selected.add(ObjectKey(Kind("", reference["kind"]), reference["namespace"], reference["name"]))
    return {key for key in selected if _argument(key) not in selection.excepted}


def _is_selected(selection: Selection, key: ObjectKey) -> bool:
    path = f"{key.namespace}/{key.name}"
    named = [selection.clusterprofiles, selection.profiles, selection.clusters, selection.resources]
    if not any(named):
        return not selection.namespaces or (key.namespace in selection.namespaces and key.kind.name in _OF_A_NAMESPACE)
    return (
        (key.kind.name == "ClusterProfile" and key.name in selection.clusterprofiles)
        or (key.kind.name == "Profile" and path in selection.profiles)
        or (key.kind.name == "SveltosCluster" and f"{key.namespace}/sveltos--{key.name}" in selection.clusters)
        or _argument(key) in selection.resources
    )


@_settings
@given(everything(), everything(), st.data())
def test_nothing_outside_the_selection_is_written(
    first: list[JsonObject], second: list[JsonObject], data: st.DataObject
) -> None:
    """Only selected objects are written, and the plan has a step for each selected object."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = MemoryCluster.of(first)
        story = Story(Path(folder), cluster)
        sample = story.capture()
        keys = {ObjectKey.of(document) for document in first}
        held = {key for key in keys if story.holds(sample, key)}
        selection = data.draw(selections(held))
        replace_objects(cluster, second)
        cluster.writes.clear()
        documents = {key: document for document in first if (key := ObjectKey.of(document)) in held}
        expected = _expected(selection, documents) & held

        plan = story.plan(sample, selection, allow_withdraw=True, skip_refused=True, recreate=True)
        story.apply(plan)

        assert {key for _, key in cluster.writes} <= expected
        assert {step.key for step in plan.steps} == expected


@_settings
@given(everything(), st.text(alphabet="abxyz/-.", max_size=6))
def test_a_name_selects_one_object_or_is_refused(objects: list[JsonObject], text: str) -> None:
    """`--resource ConfigMap/TEXT` selects the single object of that name, or is an error with a message."""
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder), MemoryCluster.of(objects))
        sample = story.capture()
        selection = Selection(resources=(f"ConfigMap/{text}",))
        config_maps = [document for document in objects if document["kind"] == "ConfigMap"]
        maps = [document for document in config_maps if story.holds(sample, ObjectKey.of(document))]
        held = {document["metadata"]["name"] for document in maps}
        if text in held or (text.startswith("one/") and text[4:] in held):
            assert [step.key.name for step in story.plan(sample, selection).steps] == [text.rpartition("/")[2]]
        else:
            with pytest.raises((NotFoundError, UsageError), match=re.escape(f"ConfigMap/{text}")):
                story.plan(sample, selection)
