"""The comparison of a benchmark with the committed ratios. No test measures time."""

from __future__ import annotations

import pytest

from benchmarks import capture, measurements, table
from benchmarks.measurements import Figures, print_table, ratios, read_baseline, slower_rows

_TABLE = "plain, 10000 objects"


def _rows(cpu: float) -> dict[str, Figures]:
    return {
        "kubectl get -o yaml": Figures(10, 8, 800, 26, 0.75, 0.25),
        "first capture": Figures(3, cpu, 130, 44, 0.25, 0.15),
    }


def test_ratios_to_kubectl() -> None:
    """The ratios do not depend on the speed of the machine."""
    assert ratios(_rows(2))["first capture"] == {"wall": 0.3, "cpu": 0.25, "server": 0.4}


def test_the_table_has_both_servers(capsys: pytest.CaptureFixture[str]) -> None:
    """The CPU times of kube-apiserver and etcd have columns of their own; the ratio is that of their sum."""
    print_table(_TABLE, _rows(2))
    heading, _, row = capsys.readouterr().out.splitlines()[2:]
    assert "apiserver CPU s  etcd CPU s  ratio" in heading
    assert row.split()[-3:] == ["0.25", "0.15", "0.40"]


@pytest.mark.parametrize(("cpu", "is_slower"), [(2.0, False), (2.2, False), (2.4, True), (1.0, False)])
def test_a_row_that_became_slower(monkeypatch: pytest.MonkeyPatch, cpu: float, *, is_slower: bool) -> None:
    """A ratio may vary by 15 %. The message names the table, the row and both ratios."""
    monkeypatch.setattr(measurements, "read_baseline", lambda: {_TABLE: ratios(_rows(2))})

    problems = slower_rows({_TABLE: ratios(_rows(cpu))})

    expected = [f"{_TABLE}: first capture: the cpu ratio is 0.30; in the baseline 0.25"]
    assert problems == (expected if is_slower else [])


def test_a_table_without_a_baseline_is_named() -> None:
    """Otherwise a run with other numbers of objects would seem to be as fast as before."""
    (problem,) = slower_rows({"plain, 7 objects": ratios(_rows(2))})
    assert "has no such table" in problem


def test_a_goal_in_seconds(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The diff of the fleet has a goal in seconds besides its ratios. The diff of the plain mix has none."""
    figures = {
        "kubectl get -o yaml": Figures(10, 8, 800, 26, 0.75, 0.25),
        "diff of ten changes": Figures(0.5, 0.4, 70, 0, 0, 0),
    }
    monkeypatch.setattr(capture, "run", lambda *_: figures)

    table.print_rows(table._captures({}, growth=True, large=False))

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if "seconds" in line]
    assert lines == ["diff of ten changes, CPU seconds 0.40 0.30 OVER 0.050"]


def test_the_committed_ratios() -> None:
    """Both mixes have a table with all rows."""
    rows = {"kubectl get -o yaml", "first capture", "nothing changed", "ten objects changed", "diff of ten changes"}
    for mix in ("plain", "fleet"):
        table = read_baseline()[f"{mix}, 10000 objects"]
        assert rows <= table.keys()
        assert table["kubectl get -o yaml"] == {"wall": 1, "cpu": 1, "server": 1}
