"""A rollback with all permissions restores the sample, and its undo restores the state before the rollback.

The tests use a real archive and a cluster in memory. `gitsnap undo` promises this property.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitsnap.core.model import JsonObject, Kind, ObjectKey, SampleMetadata, Trigger
from gitsnap.format import RollbackRecord, parse_record, parse_tag_message, record_lines, tag_message
from gitsnap.sveltos import kinds
from gitsnap.sveltos.normalize import normalize
from tests.property.test_plan_properties import configurations
from tests.support.memory_cluster import MemoryCluster
from tests.support.plans import alive, custom
from tests.support.rollbacks import Story

_settings = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_LATER = "2026-06-01T00:00:00Z"


@st.composite
def everything(draw: st.DrawFn) -> list[JsonObject]:
    """Clusters, sets and profiles, content that some profiles refer to, and objects of other kinds."""
    objects = draw(configurations())
    for document in objects:
        if document["kind"] == "ClusterProfile":
            names = draw(st.lists(st.sampled_from(("a", "b", "c")), max_size=2, unique=True))
            document["spec"]["policyRefs"] = [
                {"kind": "ConfigMap" if name != "c" else "Secret", "name": name, "namespace": "one"} for name in names
            ]
    for name in draw(st.lists(st.sampled_from(("a", "b", "c")), unique=True)):
        objects.append(_content(name, draw(st.integers(0, 3)), immutable=not draw(st.integers(0, 3))))
    for kind in (kinds.EVENT_SOURCE, kinds.HEALTH_CHECK):
        for name in draw(st.lists(st.sampled_from(("x", "y")), unique=True)):
            objects.append(custom(kind, name, {"collectResources": bool(draw(st.integers(0, 1)))}))
    return objects


def _content(name: str, number: int, *, immutable: bool) -> JsonObject:
    document: JsonObject = {
        "apiVersion": "v1",
        "kind": "ConfigMap" if name != "c" else "Secret",
        "metadata": {"name": name, "namespace": "one"},
        "data": {"number": "MTIz"[:number] + "=" * (4 - number)} if number > 1 else {},
    }
    if name == "c":
        document["type"] = "Opaque" if number % 2 else "addons.projectsveltos.io/cluster-profile"
    elif number:
        document["data"]["number"] = str(number)
    return {**document, "immutable": True} if immutable else document


@_settings
@given(everything(), everything())
def test_a_rollback_and_its_undo(first: list[JsonObject], second: list[JsonObject]) -> None:
    """A rollback of state B to A restores A except for objects that the plan names. The undo restores B."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = MemoryCluster.of(first)
        story = Story(Path(folder), cluster)
        sample = story.capture()
        replace_objects(cluster, second)
        before = dict(cluster.objects)
        allowed: dict[str, Any] = {"allow_withdraw": True, "skip_refused": True, "recreate": True}

        plan = story.plan(sample, prune=True, max_delete=100, **allowed)
        story.apply(plan)

        named = {step.key for step in plan.refused} | {retained.key for retained in plan.retained}
        planned = {step.key for step in plan.steps} - named
        captured = {ObjectKey.of(document) for document in first if Kind.of(document) not in kinds.REFERENCED_KINDS}
        assert planned >= captured - named
        for document in first:
            if ObjectKey.of(document) in planned:
                assert _user_fields(cluster.objects[ObjectKey.of(document)]) == _user_fields(document)
        if not plan.writes:
            return
        undo = story.plan_undo(**allowed)
        story.apply(undo, undoes=undo.sample)
        assert not undo.refused
        assert {key: _user_fields(document) for key, document in cluster.objects.items()} == {
            key: _user_fields(document) for key, document in before.items()
        }


def replace_objects(cluster: MemoryCluster, documents: list[JsonObject]) -> None:
    """Replace the objects of the cluster by these documents. New objects are younger than the sample."""
    present = {ObjectKey.of(document): document for document in documents}
    for key in [key for key in cluster.objects if key not in present]:
        del cluster.objects[key]
    for key, document in present.items():
        version = str(200 + len(cluster.objects))
        new = alive(document, version=version)
        if key not in cluster.objects:
            new["metadata"]["creationTimestamp"] = _LATER
        cluster.objects[key] = new


def _user_fields(document: JsonObject) -> JsonObject:
    """The fields of an object that belong to users. The spec of a managed cluster does not."""
    normalized = normalize(document)
    if ObjectKey.of(document).kind in kinds.CLUSTER_KINDS:
        normalized.pop("spec", None)
    return normalized


# Records in tags ---------------------------------------------------------------------------------------------------

_texts = st.text(max_size=30)
_words = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=20)
_keys = st.builds(
    lambda group, kind, namespace, name: ObjectKey(Kind(group, kind), namespace, name),
    st.sampled_from(("", "config.projectsveltos.io")),
    st.sampled_from(("ConfigMap", "ClusterProfile")),
    st.one_of(st.just(""), _words),
    _words,
)
_records = st.builds(
    RollbackRecord,
    plan=_texts,
    target=_texts,
    objects=st.lists(st.tuples(st.sampled_from(("create", "update")), _keys), max_size=4).map(tuple),
    command=_texts.map(str.strip),
    undoes=_texts,
    user=_texts,
    cluster_user=_texts,
    before=_texts,
    result=_texts,
)


@settings(max_examples=200, deadline=None)
@given(_records)
def test_a_record_is_read_back_from_the_tag(record: RollbackRecord) -> None:
    """Each value is a single line of the tag, for any text in names and commands. No value can start another line."""
    facts = SampleMetadata(
        policy="hourly",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        sequence=1,
        trigger=Trigger.BEFORE_ROLLBACK,
        cluster="uid",
        objects=3,
        content_sha256="0" * 64,
        extra=record_lines(record),
    )
    message = tag_message(facts)

    read = parse_tag_message(message)

    assert parse_record(read.extra) == (record if record != RollbackRecord() else None)
    assert message.isascii()
    assert tag_message(read) == message
