"""The lines that change in a plan: their layout on terminals, their limits, and the values that they never show."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from gitsnap.core.escapes import unsafe_character
from gitsnap.core.model import JsonObject, SensitiveField
from gitsnap.render.plan import plan_text
from gitsnap.render.plan_changes import PLAN_LINES, STEP_LINES, ChangeView
from gitsnap.render.plan_document import plan_document
from gitsnap.render.terminal_text import width
from gitsnap.rollback.plan import Action, Plan
from gitsnap.sveltos import kinds
from tests.support.plans import alive, changed, custom, plan_of

_SHORT, _FULL = ChangeView(), ChangeView(full=True)
_OLD, _NEW = "cAnary-of-the-sample", "cAnary-in-the-cluster"
_SIGNED = re.compile(r" {5,13}[-+] ")


def _config_map(name: str = "c", **data: str) -> JsonObject:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


def _secret(**values: str) -> JsonObject:
    data = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"}, "data": data}


def _lines(plan: Plan, view: ChangeView = _SHORT, *, columns: int = 80) -> list[str]:
    """Return the rows with lines of objects, without their indentation."""
    text = plan_text(plan, columns=columns, changes=view)
    assert text.count("\n\n\n") == 0
    names = plan_text(plan, columns=columns).splitlines()
    indent = 5 if 0 < columns < 70 else 13
    return [row[indent:] for row in text.splitlines() if row.startswith(" " * indent) and row not in names]


# Layout ---------------------------------------------------------------------------------------------------------------

_HOSTILE = {
    "escape": ("one\ntwo\x1b[2J\u202eowt\nthree\n", "one\ntwo\nthree\n"),
    "long": ("x" * 500 + "1" + "y" * 500, "x" * 500 + "2" + "y" * 500),
    "megabyte": ("x" * 1_000_000, "x" * 999_999 + "y"),
    "wide": ("漢字" * 90 + "一", "漢字" * 90 + "二"),
    "combining": ("a" + "\u0301" * 10_000 + "b", "a" + "\u0301" * 10_000 + "c"),
    "windows": ("a: 1\r\nb: 2\r\n", "a: 1\r\nb: 3\r\n"),
    "blanks": ("  a\n\tb \n\n\n", "  a\n\tc \n\n\n"),
    "json": (json.dumps({"a": list(range(99)), "v": 1}), json.dumps({"a": list(range(99)), "v": 2})),
}


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("name", _HOSTILE)
def test_lines_fit_the_terminal(name: str, columns: int) -> None:
    """No row is wider than the terminal or has an unsafe character, and both sides of the change are shown."""
    sample, live = (_config_map(text=text) for text in _HOSTILE[name])
    plan = plan_of([sample], [live])

    rows = plan_text(plan, columns=columns, changes=_SHORT).splitlines()

    for shown in (rows, plan_text(plan, columns=columns, changes=_FULL).splitlines()):
        assert max(map(width, shown)) <= columns
    assert max(map(len, rows)) <= 2 * columns
    assert not unsafe_character().search("".join(rows))
    signed = [row.strip() for row in rows if _SIGNED.match(row)]
    assert [row[0] for row in signed] == ["-", "+"]
    assert signed[0][1:] != signed[1][1:] or name == "combining"


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_all_lines_of_a_long_text_are_wrapped(columns: int) -> None:
    """With all lines, a long line takes several rows, and no character is lost. In a pipe it is one line."""
    sample, live = _config_map(text="ab" * 500), _config_map(text="cd" * 500)
    plan = plan_of([sample], [live])

    rows = _lines(plan, _FULL, columns=columns)

    assert max(map(len, rows)) <= columns - 5
    assert "".join(row.lstrip(" +-") for row in rows).count("ab" * 500) == 1
    assert "+  text: " + "ab" * 500 in _lines(plan, _FULL, columns=0)


def test_a_step_shows_the_lines_around_a_change() -> None:
    """Removed lines are live, added lines are those of the sample."""
    before, after = (f"spec:\n  ports:\n  - port: {port}\n  selector:\n    app: redis\n" for port in (6380, 6379))
    assert _lines(plan_of([_config_map(f=after)], [_config_map(f=before)])) == [
        "   f: |",
        "     spec:",
        "       ports:",
        "-      - port: 6380",
        "+      - port: 6379",
        "       selector:",
        "         app: redis",
    ]


def _manifest(name: str, port: int, *, comment: str = "") -> str:
    return (
        "apiVersion: v1\nkind: Service\ndata:\n  name: other\nmetadata:\n  labels:\n    name: other\n"
        f"  name: {name}\n  namespace: test\n"
        f"{comment}spec:\n  a: 1\n  b: 2\n  c: 3\n  port: {port}\n"
    )


def test_the_lines_name_the_manifest_that_they_are_in() -> None:
    """A ConfigMap may hold hundreds of Services: the line of a port alone would not say whose port it is."""
    sample, live = (
        _config_map(f="---\n".join(_manifest(name, port) for name, port in ports.items()), g=text)
        for ports, text in (({"a": 1, "b": 1, "c": 2}, "same"), ({"a": 1, "b": 2, "c": 3}, "same"))
    )
    plan = plan_of([sample], [live])
    assert [line for line in _lines(plan) if line[0] in "-+" or "..." in line] == [
        " ... Service test/b",
        "-      port: 2",
        "+      port: 1",
        " ... Service test/c",
        "-      port: 3",
        "+      port: 2",
    ]
    headers = [line.rpartition("@@ ")[2] for line in _lines(plan, _FULL) if line.startswith("@@")]
    assert headers == ["Service test/b", "Service test/c"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("plain: 1\na: 2\n", "plain: 2\na: 2\n"),
        ("kind: Service\nport: 1\n", "kind: Service\nport: 2\n"),
        ("metadata:\n  name: a\nport: 1\n", "metadata:\n  name: a\nport: 2\n"),
        ("kind: A\nmetadata:\n  name: a\n---\nport: 1\n", "kind: A\nmetadata:\n  name: a\n---\nport: 2\n"),
        ("1", "2"),
    ],
)
def test_a_text_that_is_no_manifest_has_no_name(before: str, after: str) -> None:
    """Without a kind or a name, or in another document, nothing is named."""
    plan = plan_of([_config_map(f=after)], [_config_map(f=before)])
    assert not any("..." in line for line in _lines(plan))
    assert all(line.endswith("@@") for line in _lines(plan, _FULL) if line.startswith("@@"))


def test_values_in_colour() -> None:
    """Added lines are green and removed lines red; the other lines are plain."""
    plan = plan_of([_config_map(a="1", b="x")], [_config_map(a="2", b="x")])
    text = plan_text(plan, columns=80, changes=ChangeView(colour=True))
    assert '\x1b[31m-  a: "2"\x1b[0m\n' in text
    assert '\x1b[32m+  a: "1"\x1b[0m\n' in text
    assert text.count("\x1b") == 4


# Limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("removed", "added"), [(60, 60), (60, 1), (1, 60), (60, 0), (0, 60), (5, 6), (6, 6), (2, 9), (9, 2), (11, 11)]
)
def test_a_long_change_shows_both_sides(removed: int, added: int) -> None:
    """A step has ten lines. The last row counts the other lines, and `--full` shows as many."""
    live, sample = (
        _config_map(f="".join(f"{word} {number}\n" for number in range(count)) + "end\n")
        for word, count in (("old", removed), ("new", added))
    )
    plan = plan_of([sample], [live])

    lines, whole = _lines(plan), _lines(plan, _FULL)

    counts = [sum(line.startswith(sign) for line in lines) for sign in "-+"]
    assert (counts[0] > 0, counts[1] > 0) == (removed > 0, added > 0)
    left_out = removed + added - sum(counts)
    if removed + added > STEP_LINES:
        assert left_out > 0
    if left_out:
        assert lines.pop() == f"… {left_out} more line{'s' if left_out > 1 else ''}: --full"
    assert len(lines) <= STEP_LINES
    assert [sum(line.startswith(sign) for line in whole) for sign in "-+"] == [removed, added]
    if 0 < counts[0] < removed and added:
        assert " ..." in lines  # the added lines do not replace only the removed lines that are shown


@pytest.mark.parametrize("before", range(9))
@pytest.mark.parametrize(("removed", "added"), [(5, 5), (2, 2), (1, 9), (9, 1), (2, 9), (9, 2)])
def test_a_block_that_is_cut_shows_both_sides_or_none(before: int, removed: int, added: int) -> None:
    """For any limit: added lines without the removed lines would look like an addition."""
    texts = [
        "".join(f"{word} {number}\n" for word, count in words for number in range(count))
        for words in (
            (("same", 4), ("old", removed), ("end", 4)),
            (("first", before), ("same", 4), ("new", added), ("end", 4)),
        )
    ]
    lines = _lines(plan_of([_config_map(f=texts[1])], [_config_map(f=texts[0])]))
    signs = {line[0] for line in lines if "old" in line or "new" in line}
    assert signs - {" "} in ({"-", "+"}, set())
    assert len(lines) <= STEP_LINES + 1


@pytest.mark.parametrize("sign", "+-")
def test_the_lines_of_a_created_or_deleted_object_begin_with_its_content(sign: str) -> None:
    """The title of the step names kind and name, so the short form leaves them out. All lines have them."""
    document = custom(kinds.CLUSTER_PROFILE, "p", {"clusterSelector": {"matchLabels": {"env": "fv"}}, "tier": 7})
    plan = plan_of([document], [])
    if sign == "-":
        (step,) = plan.steps
        plan = replace(plan, steps=(replace(step, action=Action.DELETE, archived=None, live=alive(document)),))
    assert _lines(plan)[0] == f"{sign}spec:"
    assert f"{sign}kind: ClusterProfile" in _lines(plan, _FULL)


@pytest.mark.parametrize("columns", [1, 5, 19])
def test_a_terminal_narrower_than_the_indentation(columns: int) -> None:
    """Every line is shown, and nothing runs without end."""
    plan = plan_of([_config_map(a="x" * 100)], [_config_map(a="y" * 100)])
    for view in (_SHORT, _FULL):
        assert "-  a: y" in plan_text(plan, columns=columns, changes=view)


def test_a_huge_plan_has_a_bound() -> None:
    """Of thousands of steps the first ones have lines. The last lines count the others."""
    number = 4_000
    live = [_config_map(f"c-{index:04}", text="old\n" * 30) for index in range(number)]
    sample = [_config_map(f"c-{index:04}", text="new\n" * 30) for index in range(number)]
    plan = plan_of(sample, live)

    text = plan_text(plan, columns=80, changes=_SHORT)

    shown = sum(bool(_SIGNED.match(row)) for row in text.splitlines())
    assert 0 < shown <= PLAN_LINES
    left_out = number - text.count("more lines: --full")
    assert f"\nthe lines of {left_out} steps are not shown: --full shows all lines\n" in text
    assert "not shown" not in plan_text(plan, columns=80)


def test_a_pause_has_no_lines() -> None:
    """A step that pauses or releases a profile has no lines."""
    selector, labels = {"clusterSelector": {"matchLabels": {"env": "a"}}}, {"env": "a"}
    other, other_labels = {"clusterSelector": {"matchLabels": {"env": "b"}}}, {"env": "b"}
    sample = [custom(kinds.CLUSTER_PROFILE, "p", selector), custom(kinds.SVELTOS_CLUSTER, "c", {}, "n", labels=labels)]
    live = [custom(kinds.CLUSTER_PROFILE, "p", other), custom(kinds.SVELTOS_CLUSTER, "c", {}, "n", labels=other_labels)]
    plan = plan_of(sample, live)
    assert any(step.action is Action.HOLD for step in plan.writes)
    assert sorted(line for line in _lines(plan) if line[0] in "-+") == [
        "+      env: a",
        "+    env: a",
        "-      env: b",
        "-    env: b",
    ]


# Hidden values --------------------------------------------------------------------------------------------------------


def _plans_with_secrets() -> dict[str, Plan]:
    old, new, same = _secret(password=_OLD), _secret(password=_NEW), _secret(password=_OLD)
    labelled = {**same, "metadata": {**same["metadata"], "labels": {"a": "b"}}}
    applied = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"stringData": {"password": _OLD}})}
    unknown = alive({**new, "stringData": {"other": _NEW}, "stringdata": {"x": _NEW}}, annotations=applied)
    deletion = plan_of([old], [new])
    (step,) = deletion.steps
    return {
        "update": plan_of([old], [new]),
        "label": plan_of([old], [labelled]),
        "create": plan_of([old], []),
        "recreate": plan_of([changed(old, type="x")], [changed(new, type="y")], recreate=True),
        "unknown fields": plan_of([old], [unknown]),
        "no mapping": plan_of([old], [alive({**new, "data": [_NEW]})]),
        "delete": replace(deletion, steps=(replace(step, action=Action.DELETE, archived=None),)),
    }


@pytest.mark.parametrize("name", _plans_with_secrets())
def test_no_value_of_a_secret_is_shown(name: str) -> None:
    """Marks show which values change; short, with all lines, and in JSON."""
    plan = _plans_with_secrets()[name]
    texts = [plan_text(plan, columns=columns, changes=view) for columns in (0, 80) for view in (_SHORT, _FULL)]
    texts.append(json.dumps(plan_document(plan, changes=_FULL)))
    for text in texts:
        assert "cAnary" not in text
        for value in (_OLD, _NEW):
            assert base64.b64encode(value.encode()).decode() not in text
        assert "hmac" not in text
    assert any("(not shown" in text for text in texts)
    update = '-  password: "(not shown, before)"' in texts[1]
    assert update == (name not in ("label", "create", "delete", "no mapping"))


def test_the_values_of_a_secret_are_shown_on_request() -> None:
    """Values of a Secret that are text are decoded."""
    lines = _lines(plan_of([_secret(password=_OLD)], [_secret(password=_NEW)]), ChangeView(decrypt=True))
    assert [line for line in lines if line[0] in "-+"] == [f"-  password: {_NEW}", f"+  password: {_OLD}"]


_FIELDS = (
    SensitiveField(kinds.CLUSTER_PROFILE, "spec.helmCharts[].values"),
    SensitiveField(kinds.CLUSTER_PROFILE, "spec"),
)


def _charts(*values: Any) -> JsonObject:
    charts = [{"releaseName": f"r-{position}", "values": value} for position, value in enumerate(values)]
    return custom(kinds.CLUSTER_PROFILE, "p", {"helmCharts": charts})


@pytest.mark.parametrize(
    ("live", "sample", "marks"),
    [
        (["a"], ["b"], ["-before", "+after"]),
        (["a", "b"], ["b", "a"], ["-2", "+2"]),
        (["a", "b"], ["b"], ["-before"]),
        ([{"x": True}], [{"x": 1}], ["-before", "+after"]),
        ([{"x": 1.0}], [{"x": 1}], ["-before", "+after"]),
    ],
)
def test_marks_are_equal_where_values_are(live: list[Any], sample: list[Any], marks: list[str]) -> None:
    """The marks of a sensitive field are equal if and only if the values are equal, even if charts change places."""
    plan = replace(plan_of([_charts(*sample)], [_charts(*live)]), sensitive_fields=_FIELDS[:1])
    lines = [line for line in _lines(plan, _FULL) if "not shown" in line and line[0] in "-+"]
    found = [line[0] + re.sub(r'.*"\(not shown(?:, (?:value )?)?(.*)\)"', r"\1", line) for line in lines]
    assert sorted(found) == sorted(marks)


def test_a_sensitive_field_inside_another() -> None:
    """The outer field is replaced as a whole: equal values have equal marks, and no value is shown."""
    live, sample = (changed(_charts(_OLD), metadata={"name": "p", "labels": {"v": version}}) for version in "12")
    for fields in (_FIELDS, _FIELDS[::-1]):
        plan = replace(plan_of([sample], [live]), sensitive_fields=fields)
        lines = _lines(plan, _FULL)
        assert "cAnary" not in "".join(lines)
        assert [line for line in lines if line[0] in "-+"] == ['-    v: "1"', '+    v: "2"']


def test_a_sensitive_field_of_a_created_object() -> None:
    """The mark says only that there is a value."""
    plan = replace(plan_of([_charts(_OLD)], []), sensitive_fields=_FIELDS[:1])
    text = plan_text(plan, columns=80, changes=_FULL) + json.dumps(plan_document(plan, changes=_FULL))
    assert "cAnary" not in text
    assert "(not shown)" in text
    assert _OLD in plan_text(plan, columns=80, changes=ChangeView(full=True, decrypt=True))


# JSON -----------------------------------------------------------------------------------------------------------------


def test_json_has_lines_only_on_request() -> None:
    """The document has values only if all lines are requested."""
    plan = plan_of([_config_map(a="1")], [_config_map(a="2")])
    for view in (None, _SHORT, ChangeView(decrypt=True)):
        assert "diff" not in plan_document(plan, changes=view)["steps"][0]  # type: ignore[index]
    text = plan_document(plan, changes=_FULL)["steps"][0]["diff"]  # type: ignore[index]
    assert text.startswith("--- /ConfigMap default/c from live\n+++ /ConfigMap default/c from hourly/2023-08-26T05")
    assert '\n-  a: "2"\n+  a: "1"\n' in text
