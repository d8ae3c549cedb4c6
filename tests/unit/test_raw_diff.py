"""Raw diffs: a ConfigMap is left out only if the shown documents contain all its changes."""

from __future__ import annotations

import pytest

from gitsnap.diff.comparison import compare
from tests.support.rows import chart, installed, joined, listed, service, stage
from tests.support.trees import W, build, cluster, config_map, deployed_by, inventory_of, profile

_ONE = service("a", 1)
_OTHER = service("a", 2)


def _titles(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return the raw diffs of two versions of a ConfigMap from which the Services `a` and `b` are deployed."""
    sides = (build(stage(config_map("content", data), *listed("a", "b"))) for data in (before, after))
    return [raw.title for raw in compare(*sides).raw_diffs("x", "y")]


def test_a_document_alone_is_shown_once() -> None:
    """The document contains the whole change: other documents and blank lines are unchanged."""
    same = service("b")

    assert _titles({"f": joined(_ONE, same)}, {"f": joined(_OTHER, same)}) == ["/Service test/a"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"f": _ONE}, {"f": _OTHER.removesuffix("\n")}),
        ({"f": _ONE, "g": ""}, {"f": _OTHER}),
        ({"f": _ONE, "g": "# old"}, {"f": _OTHER, "g": "# new"}),
        ({"f": _ONE}, {"g": _OTHER}),
        ({"f": _ONE, "g": service("b")}, {"f": service("b"), "g": _OTHER}),
        ({"f": joined(_ONE, "# old\n")}, {"f": joined(_OTHER, "# new\n")}),
        ({"f": _ONE, "g": service("b")}, {"f": _OTHER, "g": "\n" + service("b")}),
    ],
    ids=["final newline", "empty key", "comment", "renamed key", "changed places", "comment between", "blank line"],
)
def test_what_changed_besides_the_document_is_shown(before: dict[str, str], after: dict[str, str]) -> None:
    """The document and the ConfigMap are shown."""
    assert "/ConfigMap default/content" in _titles(before, after)


def test_values_of_a_chart_are_shown_by_lines() -> None:
    """Values with CRLF line ends are shown by lines, too."""
    sides = []
    for level in ("info", "debug"):
        made = profile("p", {"helmCharts": [chart(values=f"a: 1\r\nlevel: {level}\r\n")]}, W)
        sides.append(build([cluster(W), made, inventory_of(W, deployed_by("p", charts=[installed()]))]))

    (raw,) = [raw.text for raw in compare(*sides).raw_diffs("x", "y") if raw.title == "helm release shop/web"]

    assert "-  level: info\r\n+  level: debug\r\n" in raw
