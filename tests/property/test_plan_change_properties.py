"""The lines of a plan are a patch: applied to the live object they give the object that the step writes.

GITSNAP_PLAN_CHANGE_CASES sets another number of cases.
"""

from __future__ import annotations

import os
import re
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gitsnap.core.model import JsonObject, SensitiveField
from gitsnap.core.objects import same_json
from gitsnap.diff.shown_objects import without_sensitive_values
from gitsnap.format import decode, encode
from gitsnap.render.plan import plan_text
from gitsnap.render.plan_changes import STEP_LINES, ChangeView
from gitsnap.rollback.plan import build_request
from gitsnap.rollback.plan.writes import Replace
from gitsnap.sveltos import kinds
from gitsnap.sveltos.normalize import normalize
from tests.support.plans import alive, custom, plan_of

CASES = int(os.environ.get("GITSNAP_PLAN_CHANGE_CASES", "300"))
_settings = settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))

_words = st.text("ab:-# {}'\"", max_size=8)
_lines = st.lists(st.sampled_from(["a: 1", "b: 2", "- c", "", "# d", "---", "  e", "--- f", "+++ g"]), max_size=30)
_texts = st.one_of(_words, _lines.map(lambda lines: "\n".join(lines) + "\n"), _lines.map("\n".join))
_data = st.dictionaries(st.sampled_from(["f.yaml", "g", "h"]), _texts, max_size=3)
_labels = st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["1", "x"]), max_size=2)


@st.composite
def _config_maps(draw: st.DrawFn) -> JsonObject:
    metadata = {"name": "c", "namespace": "default", "labels": draw(_labels)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": draw(_data)}


@_settings
@given(_config_maps(), _config_maps())
def test_all_lines_are_a_patch(sample: JsonObject, live: JsonObject) -> None:
    """The oracle is the request that the step sends, and a program that applies a patch."""
    plan = plan_of([sample], [live])
    if not plan.writes:
        assert normalize(sample) == normalize(live)
        return
    (step,) = plan.writes

    text = plan_text(plan, columns=0, changes=ChangeView(full=True))

    rows = text.split("\n")
    first = next(number for number, row in enumerate(rows) if row.startswith(" " * 13 + "@@"))
    patch = [row[13:] for row in rows[first : rows.index("", first)]]
    request = build_request(step, alive(live), controller_labels=())
    assert isinstance(request, Replace)
    before = encode(normalize(alive(live))).decode().split("\n")
    assert "\n".join(_patched(before, patch)) == encode(normalize(request.document)).decode()


def _patched(lines: list[str], patch: list[str]) -> list[str]:
    """Apply the hunks of a patch. The lines to remove and the lines between must be as the patch says."""
    result: list[str] = []
    at = 0
    for row in patch:
        if match := re.match(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@", row):
            start = int(match[1]) - (match[2] != "0")
            assert start >= at
            result += lines[at:start]
            at = start
        elif row.startswith("+"):
            result.append(row[1:])
        else:
            assert lines[at] == row[1:], (lines[at], row)
            at += 1
            result += [] if row.startswith("-") else [row[1:]]
    return result + lines[at:]


def _example(data: dict[str, str], **labels: str) -> JsonObject:
    metadata = {"name": "c", "namespace": "default", "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


@_settings
@given(_config_maps(), _config_maps())
@example(  # three lines are left for a block that removes and adds lines
    _example({"f.yaml": "", "h": "", "g": "a: 1\na: 1\n"}), _example({"f.yaml": ":", "g": "b: 2\n", "h": ":"}, a="1")
)
def test_the_short_form_is_part_of_all_lines(sample: JsonObject, live: JsonObject) -> None:
    """Each line of the short form is among all lines, in the same order, and the numbers add up."""
    plan = plan_of([sample], [live])
    if not plan.writes:
        assert normalize(sample) == normalize(live)
        return

    whole, short = (_rows(plan_text(plan, columns=0, changes=ChangeView(full=full))) for full in (True, False))

    left_out = 0
    if match := re.fullmatch(r"… (\d+) more lines?: --full", short[-1]):
        left_out = int(match[1])
        short.pop()
    assert len(short) <= STEP_LINES
    remaining = iter(whole)
    assert all(row in remaining for row in short if row != " ...")
    assert sum(row[0] in "-+" for row in whole) == sum(row[0] in "-+" for row in short) + left_out


def _rows(text: str) -> list[str]:
    """Return the rows with lines of the object: below the last name of a field."""
    rows = text.split("\n")
    start = next(number for number, row in enumerate(rows) if row.startswith("   1 ")) + 2
    return [row[13:] for row in rows[start : rows.index("", start)]]


# Hidden values --------------------------------------------------------------------------------------------------------

_CHARTS = SensitiveField(kinds.CLUSTER_PROFILE, "spec.helmCharts[].values")
_values = st.sampled_from(["s3cret", "other-s3cret", True, 1, 1.0, {"k": "s3cret"}, ["s3cret"], None])
_charts = st.lists(_values, max_size=4)


def _profile(values: list[Any]) -> JsonObject:
    return custom(kinds.CLUSTER_PROFILE, "p", {"helmCharts": [{"values": value} for value in values]})


@_settings
@given(_charts, _charts)
def test_marks_are_equal_exactly_where_values_are(before: list[Any], after: list[Any]) -> None:
    """For any two values of a sensitive field on the two sides; and the marks contain no value."""
    shown = without_sensitive_values(_profile(before), _profile(after), [_CHARTS])
    old, new = ([chart["values"] for chart in (side or {})["spec"]["helmCharts"]] for side in shown)
    for value, mark in zip(before, old, strict=True):
        for other, other_mark in zip(after, new, strict=True):
            assert same_json(mark, other_mark) == same_json(value, other)
    assert b"s3cret" not in encode(shown[0]) + encode(shown[1])
    assert decode(encode(shown[0])) == shown[0]
