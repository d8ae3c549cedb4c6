"""A raw diff shows what the table lists: a modified ConfigMap or Secret has lines, and each changed line is shown.

GITSNAP_RAW_DIFF_CASES sets another number of cases.
"""

from __future__ import annotations

import os
import re
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitsnap.core.model import JsonObject
from gitsnap.diff import unified as unified_module
from gitsnap.diff.comparison import compare
from gitsnap.diff.unified import unified_diff
from tests.support.rows import listed, referring, service
from tests.support.trees import W, build, cluster, config_map, deployed_by, inventory_of, secret

CASES = int(os.environ.get("GITSNAP_RAW_DIFF_CASES", "300"))
_settings = settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))

# Values of ConfigMaps -----------------------------------------------------------------------------------------------

_documents = st.builds(service, st.sampled_from("abc"), st.integers(1, 2), comment=st.sampled_from(("", "old", "new")))
_pieces = st.one_of(
    _documents,
    st.sampled_from(
        ("", "\n", "# a comment\n", "# another\n", "---\n", "--- # here\n", "x: y\n", "plain", "{{ x }}\n")
    ),
)
_texts = st.lists(_pieces, max_size=4).map("---\n".join)
_ends = st.sampled_from((str, lambda text: text.removesuffix("\n"), lambda text: text.replace("\n", "\r\n")))
_values = st.one_of(
    st.builds(lambda text, end, mark: mark + end(text), _texts, _ends, st.sampled_from(("", "", "\ufeff"))),
    st.sampled_from(("", "db-1", "db-2")),
)
_data = st.dictionaries(st.sampled_from(("a", "b", "c")), _values, max_size=3)


@st.composite
def _edited(draw: st.DrawFn, data: dict[str, str]) -> dict[str, str]:
    """Return values with some changed, added, removed, moved, or renamed."""
    names = ["a", "b", "c"]
    to = dict(zip(names, draw(st.one_of(st.just(names), st.permutations(names))), strict=True))
    moved = {to[name]: text for name, text in data.items()}
    for name in draw(st.sets(st.sampled_from(names), max_size=2)):
        moved[name] = draw(_values) if draw(st.booleans()) else draw(_ends)(moved.get(name, ""))
    return moved


def _objects(kind: str, data: dict[str, str]) -> list[JsonObject]:
    source = (config_map if kind == "ConfigMap" else secret)("content", data)
    return [cluster(W), source, referring(source), inventory_of(W, deployed_by("p", *listed("a", "b")))]


@_settings
@given(st.data())
def test_each_modified_row_has_lines(data: st.DataObject) -> None:
    """For any edits: a modified object has changed lines, and each added or removed line is among them."""
    kind = data.draw(st.sampled_from(("ConfigMap", "ConfigMap", "Secret")))
    before = data.draw(_data)
    after = data.draw(_edited(before))

    comparison = compare(build(_objects(kind, before)), build(_objects(kind, after)))

    changed = [
        line for raw in comparison.raw_diffs("x", "y") for line in raw.text.split("\n")[2:] if line[:1] in {"-", "+"}
    ]
    for row in comparison.management:
        assert (row.resource_type, str(row.action)) == (f"/{kind}", "modified")
        assert changed
    assert bool(comparison.management) == (before != after)
    if kind == "ConfigMap":
        went, came = (_lines(side) - _lines(other) for side, other in ((before, after), (after, before)))
        for sign, lines in (("-", went), ("+", came)):
            for line in lines:
                assert any(shown.startswith(sign) and line in shown for shown in changed), (sign, line)


def _lines(data: dict[str, str]) -> Counter[str]:
    """Return the plain lines of all values."""
    lines = (line.rstrip("\r") for text in data.values() for line in text.split("\n"))
    return Counter(line for line in lines if re.fullmatch("[a-z]+[a-zA-Z0-9: -]+", line))


@_settings
@given(st.data())
def test_lines_with_other_line_ends(data: st.DataObject) -> None:
    """A text with CRLF or a byte order mark is compared by lines: the diff has only the lines that changed."""
    lines = data.draw(st.lists(st.sampled_from(("one", "two", "three")), min_size=3, max_size=30))
    mark, end = data.draw(st.sampled_from((("", "\r\n"), ("\ufeff", "\n"), ("\ufeff", "\r\n"))))
    place = data.draw(st.integers(0, len(lines) - 1))
    edited = [*lines[:place], "other", *lines[place + 1 :]]
    sides = [mark + "".join(f"{line}{end}" for line in side) for side in (lines, edited)]

    comparison = compare(*(build(_objects("ConfigMap", {"f": text})) for text in sides))

    (raw,) = comparison.raw_diffs("x", "y")
    assert len([text for text in raw.text.split("\n")[2:] if text.startswith(("-", "+"))]) == 2
    assert mark + lines[0] + end.rstrip("\n") in raw.text or place > 3 or place == 0


# The algorithm ------------------------------------------------------------------------------------------------------

_few_lines = st.lists(st.sampled_from(("a", "b", "c", "d", "e f", "", "@@ -1 +1 @@", "--- x")), max_size=40)


@_settings
@given(_few_lines, _few_lines, st.sampled_from((0, 5, 500)), st.sampled_from((0, 20, 10_000)))
def test_a_diff_applied_to_the_old_text_gives_the_new_one(
    old: list[str], new: list[str], short: int, steps: int
) -> None:
    """With either algorithm, and for any budget."""
    kept = unified_module._SHORT, unified_module._STEPS
    unified_module._SHORT, unified_module._STEPS = short, steps
    try:
        text = unified_diff("".join(f"{line}\n" for line in old), "".join(f"{line}\n" for line in new), "x", "y")
    finally:
        unified_module._SHORT, unified_module._STEPS = kept

    assert _patched(old, text) == new
    assert bool(text) == (old != new)


def _patched(old: list[str], text: str) -> list[str]:
    """Apply the hunks of a unified diff to the old lines, as patch(1) does without fuzz."""
    lines, at = list[str](), 0
    rest = iter(text.split("\n")[2:-1])
    for header in rest:
        match = re.fullmatch(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", header)
        assert match is not None
        lengths = [int(match[2] or 1), int(match[4] or 1)]
        start = int(match[1]) - bool(lengths[0])
        lines += old[at:start]
        at = start
        assert len(lines) == int(match[3]) - bool(lengths[1])
        while any(lengths):
            sign, line = (taken := next(rest))[0], taken[1:]
            if sign != "+":
                assert old[at] == line
                at += 1
                lengths[0] -= 1
            if sign != "-":
                lines.append(line)
                lengths[1] -= 1
    return lines + old[at:]
