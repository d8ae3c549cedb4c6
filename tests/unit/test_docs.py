"""Documents say what the code does."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gitsnap.cli.app import COMMANDS, GROUPS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def test_the_tables_of_sveltos_are_those_of_the_code() -> None:
    """Run scripts/docs-tables after changing a table."""
    command = [sys.executable, str(ROOT / "scripts" / "docs-tables"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_every_command_in_a_document_exists(file: Path) -> None:
    """`gitsnap WORD` in a document is a command."""
    words = re.findall(r"`gitsnap ([a-z][a-z-]*)", file.read_text())
    assert set(words) <= {*COMMANDS, *GROUPS, "snapshot", "fingerprint"}  # the last one is a constant of the format


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_every_file_that_a_document_links_to_exists(file: Path) -> None:
    """Links inside the repository lead somewhere."""
    for link in re.findall(r"\]\(([^)#:]+)\)", file.read_text()):
        assert (file.parent / link).exists(), link


def test_the_picture_shows_what_the_demo_prints() -> None:
    """Run scripts/picture after changing what a diff looks like."""
    command = [sys.executable, str(ROOT / "scripts" / "picture"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_picture_asks_no_host_for_anything() -> None:
    """No font, image or style from elsewhere: only the name of the format looks like an address."""
    picture = (ROOT / "docs" / "diff.svg").read_text()
    assert set(re.findall(r"\w+://[^\s\"']+", picture)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(?:image|style|script|a)\b|@import|url\(", picture)


_NOTHING = re.compile(r"no (?:changes|document)\b|nothing (?:wrong|to)\b|up to date|unchanged$|there is no archive")
"""How a sentence begins that is an answer, and says that there is nothing."""


def test_every_nothing_in_the_code_is_in_the_table() -> None:
    """docs/SCRIPTING.md says of each sentence what was looked at, and has no sentence that nobody says."""
    table = (ROOT / "docs/SCRIPTING.md").read_text().partition("## What *nothing* means")[2]
    documented = set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE))
    files = [
        *(ROOT / "gitsnap/cli").rglob("*.py"),
        *(ROOT / "gitsnap/render").rglob("*.py"),
        ROOT / "gitsnap/capture/sample.py",
    ]
    texts = {
        node.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _NOTHING.match(node.value)
    }

    assert documented
    assert [text for text in texts if not text.startswith(tuple(documented))] == []
    assert [one for one in documented if not any(text.startswith(one) for text in texts)] == []
