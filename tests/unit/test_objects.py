"""Equality of JSON values, the fields in which objects differ, and that nothing in the source compares otherwise."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import gitsnap
from gitsnap.core.model import JsonObject, Kind, ObjectKey
from gitsnap.core.objects import KubeObject, changed_fields, same_json
from tests.support import json_comparisons

_EXACT: dict[str, frozenset[str]] = {
    "values of other types with the name of a JSON field": frozenset(
        {
            "archive/change_commits.py: updated == tree",
            "cluster/api/client.py: answer.status != 200",
        }
    ),
    "keys of objects, and values made of keys": frozenset(
        {
            "capture/collector.py: dict.fromkeys(keys, Failure(reason, error.message))",
            "diff/release_rows.py: profile in failing",
            "rollback/plan/steps.py: {entry.cluster for entry in reduced}",
            "rollback/rollout.py: pair in affected",
            (
                "diff/deployments.py: {target for target in (old_unreadable | new_unreadable) & kept "
                "if self.changed.content_changed(target)}"
            ),
            "rollback/plan/deletions.py: key in decider.live.objects",
            "rollback/plan/unwritten_sources.py: key not in self._documents",
        }
    ),
    "texts and flags that a document was read as": frozenset(
        {
            "diff/document_changes.py: Counter((piece.meaning for piece in old))",
            "diff/document_changes.py: Counter((piece.meaning for piece in new))",
            "diff/document_changes.py: pieces[0].reading != pieces[-1].reading",
        }
    ),
    "actions, uids, versions and paths of steps, which plan files hold as text": frozenset(
        {
            "rollback/plan/plan_file.py: planned != now",
            "rollback/plan/plan_file.py: uid != live_uid",
            "rollback/plan/plan_file.py: version != live_version",
        }
    ),
    "words, of which a number is none": frozenset(
        {
            "format/yaml/canonical.py: key in result",
            "format/tree_info.py: set(document.get('requires') or ())",
            "cluster/api/client.py: version != preferred",
            "cluster/api/kubeconfig.py: entry_name not in known",
            "sveltos/restore.py: name not in present",
        }
    ),
    "options of the command line, names of fields and of documents": frozenset(
        {
            "cli/help.py: default in (None, '', ())",
            "cli/help.py: parameter not in arguments",
            "history/fields.py: name in named[0]",
            "history/fields.py: name in named[1]",
            "history/fields.py: name not in old",
            "cluster/api/kubeconfig.py: name == field",
            "render/plan_changes.py: self._document in ('', former)",
        }
    ),
    "ids of contents, states of files, and the encoded form of an object": frozenset(
        {
            "archive/change_commits.py: updated == tree",
            "capture/follow/collected_tree.py: {blob for by_path in self._files.values() for blob in by_path.values()}",
            "capture/follow/folder.py: current != seen",
            "capture/follow/follower.py: old == new",
        }
    ),
    "the one equality itself": frozenset(
        {"core/objects.py: left == right", "core/objects.py: set(_changed(before, after, ''))"},
    ),
}
"""Why a comparison is right although its operands may be JSON: ``module: expression``."""


@pytest.mark.slow
def test_no_module_compares_json_by_python() -> None:
    """Two JSON values are compared by ``same_json`` alone: for ``==``, ``in`` and sets ``true`` is ``1``."""
    found = {
        f"{found.path}: {found.text}": str(found)
        for found in json_comparisons.in_package(Path(gitsnap.__file__).parent)
    }

    allowed = frozenset[str]().union(*_EXACT.values())

    assert sorted(found[name] for name in found.keys() - allowed) == []
    assert sorted(allowed - found.keys()) == [], "no longer in the source"


_DECLARED = """
class Side:
    document: JsonObject
    def made(self) -> JsonObject: ...
def read() -> list[JsonObject]: ...
"""
_OFFENCES = {
    "(old: JsonObject, new: JsonObject)": [
        "old == new",
        "not (old['spec'] != new['spec'])",
        "old.get('spec') == (new.get('spec') or {})",
        "(copy := dict(old)) == {'a': True}",
        "any(value == 1 for _, value in old.items())",
        "old['a'] in new['list']",
        "[True, 1].index(old['a'])",
        "set(old['list'])",
        "{value for value in old.values()}",
        "(lambda value: value == old)(new)",
    ],
    "(documents: list[JsonObject])": ["any(one != documents[0] for one in documents)"],
    "(pair: tuple[JsonObject, JsonObject])": ["[old == new for old, new in [(dict(one) for one in pair)]]"],
    "(text: str)": ["json.loads(text) == [1]"],
    "(side: Side)": ["side.document == side.made()", "side.document == text", "read() == []"],
    "(document: Any, count: int)": ["document['a'] == count"],
}
_EXACT_FORMS = {
    "(old: JsonObject, kind: str)": ["old.get('kind') == 'ConfigMap'", "old.get('kind') == kind", "len(old) == 3"],
    "(old: JsonObject, new: JsonObject)": ["old.keys() == new.keys()", "'a' in old", "str(old['b']) == str(new['b'])"],
}


def _functions(forms: dict[str, list[str]]) -> list[str]:
    return [f"def f{head} -> Any:\n    return {form}" for head, listed in forms.items() for form in listed]


@pytest.mark.parametrize("source", _functions(_OFFENCES))
def test_comparisons_are_found(source: str) -> None:
    """The search finds a comparison however the values came to it."""
    declared = json_comparisons.declarations([ast.parse(_DECLARED)])

    assert json_comparisons.comparisons(source, "module.py", declared)


@pytest.mark.parametrize("source", _functions(_EXACT_FORMS))
def test_comparisons_with_text_are_none(source: str) -> None:
    """A comparison with text is exact."""
    declared = json_comparisons.declarations([ast.parse(_DECLARED)])

    assert json_comparisons.comparisons(source, "module.py", declared) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (True, 1),
        (False, 0),
        (1, 1.0),
        (0.0, -0.0),
        (0, ""),
        (None, False),
        (None, {}),
        ({}, []),
        ("1", 1),
        ({"a": None}, {}),
        ({"a": [True]}, {"a": [1]}),
        ([1, 2], [2, 1]),
        ([1], [1, 1]),
    ],
)
def test_values_that_readers_tell_apart(first: Any, second: Any) -> None:
    """Types count, at any depth."""
    assert not same_json(first, second)
    assert not same_json([{"a": first}], [{"a": second}])
    assert same_json(first, first)


def test_order_of_keys_does_not_count() -> None:
    """The same fields in another order are the same object."""
    assert same_json({"a": 1, "b": {"c": 2, "d": []}}, {"b": {"d": [], "c": 2}, "a": 1})


def test_deep_values() -> None:
    """Values that are nested more deeply than Python's own comparison can follow."""
    first: list[Any] = [True]
    second: list[Any] = [1]
    for _ in range(100_000):
        first, second = [first], [second]

    same = same_json(first, second)
    while first:  # a list that is freed as a whole is freed by recursion
        first, second = (inner if isinstance(inner := each[0], list) else [] for each in (first, second))

    assert not same


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"spec": {"a": True}}, {"spec": {"a": 1}}, ("spec.a",)),
        ({"spec": {"a": [0]}}, {"spec": {"a": [False]}}, ("spec.a[0]",)),
        ({"spec": {"a": None}}, {"spec": {}}, ("spec.a",)),
        ({"data": {"b": "1"}}, {}, ("data.b",)),
        ({"spec": {"a": 1}}, {"spec": {"a": 1}}, ()),
    ],
)
def test_changed_fields(before: Any, after: Any, expected: tuple[str, ...]) -> None:
    """A field is named wherever readers tell its values apart; null and no field are two values."""
    assert changed_fields(before, after) == expected


def test_the_parts_of_an_object() -> None:
    """They are those of its JSON, which is neither copied nor changed."""
    raw: JsonObject = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"a": "b"}, "annotations": {"c": "d"}},
        "spec": {"replicas": 2},
        "status": {"readyReplicas": 1},
    }

    obj = KubeObject.of(raw)

    assert obj.key == ObjectKey(Kind("apps", "Deployment"), "shop", "web")
    assert (obj.kind, obj.labels, obj.annotations) == (obj.key.kind, {"a": "b"}, {"c": "d"})
    assert (obj.spec, obj.status) == ({"replicas": 2}, {"readyReplicas": 1})
    assert obj.raw is raw
    assert obj.spec is raw["spec"]
    assert not obj.is_terminating


@pytest.mark.parametrize("raw", [{}, {"metadata": None}, {"metadata": {"labels": None}, "spec": None, "status": None}])
def test_absent_parts_of_an_object(raw: JsonObject) -> None:
    """An absent or null mapping reads as an empty one, and a missing name as the empty text."""
    obj = KubeObject.of(raw)

    assert obj.key == ObjectKey(Kind("", ""), "", "")
    assert [obj.labels, obj.annotations, obj.spec, obj.status] == [{}] * 4
    assert not obj.is_terminating


def test_an_object_that_is_being_deleted() -> None:
    """The API server sets a timestamp."""
    assert KubeObject.of({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}).is_terminating


def test_objects_are_not_compared_as_values() -> None:
    """Python's equality would take ``true`` for ``1``: only ``same_json`` compares JSON."""
    raw: JsonObject = {"spec": {"paused": True}}
    assert KubeObject.of(raw) != KubeObject.of(raw)
