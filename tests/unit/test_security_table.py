"""docs/SECURITY.md: each boundary names a test that attacks the boundary, and each principal has a boundary."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "SECURITY.md").read_text()
HEADER = "| principal | must not be able to | prevented by | test |"


def _rows() -> list[list[str]]:
    table = TEXT.partition(f"{HEADER}\n")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[1:]]


def _tests_in(file: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row[1][:60])
def test_each_row_names_a_test_that_exists(row: list[str]) -> None:
    """Each test that the table names exists, under its current name."""
    assert len(row) == 4
    assert all(row)
    match = re.fullmatch(r"`(tests/[a-z_/]+\.py)::(test_[a-z0-9_]+)`", row[3])
    assert match is not None, row[3]
    assert (ROOT / match[1]).is_file(), match[1]
    assert match[2] in _tests_in(ROOT / match[1]), row[3]


def test_every_principal_has_a_row() -> None:
    """The table has the principals of the design, the token of the controller, and publishers of packages."""
    principals = {row[0] for row in _rows()}
    assert principals >= {
        "an author of Snapshots",
        "a writer of the remote",
        "a writer of the volume",
        "an author of objects",
        "an operator",
    }


def test_every_permitting_flag_is_documented() -> None:
    """Both documents name each flag that permits a Snapshot that is otherwise refused."""
    code = (ROOT / "gitsnap" / "cli" / "commands" / "controller.py").read_text()
    flags = set(re.findall(r'"(--allow-[a-z-]+)"', code))
    assert len(flags) == 5
    for name in ("SECURITY.md", "INSTALL.md"):
        document = (ROOT / "docs" / name).read_text()
        assert {flag for flag in flags if flag not in document} == set()
