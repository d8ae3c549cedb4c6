"""The documentation agrees with the code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import xml.parsers.expat
from pathlib import Path

import pytest

from gitsnap.cli.app import COMMANDS, GROUPS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def test_the_tables_of_sveltos_match_the_code() -> None:
    """Run scripts/docs-tables after changing a table."""
    command = [sys.executable, str(ROOT / "scripts" / "docs-tables"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_commands_of_the_documents_succeed_and_print_what_is_shown() -> None:
    """Run scripts/docs-output after changing the output of a command, and read the changed pages."""
    command = [sys.executable, str(ROOT / "scripts" / "docs-output"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (number,) = re.findall(r"^ran (\d+) commands$", done.stdout, re.MULTILINE)
    assert int(number) >= 40


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_every_command_in_a_document_exists(file: Path) -> None:
    """`gitsnap WORD` in a document is a command."""
    words = re.findall(r"`gitsnap ([a-z][a-z-]*)", file.read_text())
    assert set(words) <= {
        *COMMANDS,
        *GROUPS,
        "help",
        "snapshot",
        "author",
        "fingerprint",
    }  # `gitsnap author` and `gitsnap fingerprint` are constants


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_every_file_that_a_document_links_to_exists(file: Path) -> None:
    """Each relative link in a document has a target."""
    for link in re.findall(r"\]\(([^)#:]+)\)", file.read_text()):
        assert (file.parent / link).exists(), link


@pytest.mark.slow
def test_the_pictures_show_the_output_of_the_commands() -> None:
    """Run scripts/picture after changing the output of a command, and look at the pictures."""
    command = [sys.executable, str(ROOT / "scripts" / "picture"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["diff", "plan", "story"])
def test_a_picture_has_no_external_resources(name: str) -> None:
    """A picture refers to no external font, image or style. The XML namespace is its only URL."""
    picture = (ROOT / "docs" / f"{name}.svg").read_text()
    assert set(re.findall(r"\w+://[^\s\"']+", picture)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(?:image|script|a)\b|@import|url\(", picture)
    assert len(picture) < 60_000
    xml.parsers.expat.ParserCreate().Parse(picture, True)


def test_only_the_story_moves_and_only_for_readers_who_like_motion() -> None:
    """Without the animation every line is visible: no line has an opacity of its own."""
    styles = {
        name: re.findall(r"<style>(.*)</style>", (ROOT / "docs" / f"{name}.svg").read_text())
        for name in ("diff", "plan", "story")
    }
    assert styles["diff"] == styles["plan"] == []
    (style,) = styles["story"]
    motion, _, frames = style.partition("@keyframes")
    assert re.fullmatch(r"@media \(prefers-reduced-motion:no-preference\)\{text\{animation:[^{}]*\}\}", motion)
    assert "opacity" in frames
    assert "opacity" not in (ROOT / "docs" / "story.svg").read_text().replace(style, "")


_NOTHING = re.compile(
    r"no (?:changes|unexpected changes|document|new name)\b|nothing (?:wrong|to|found)\b|up to date|unchanged$"
    r"|there is no (?:archive|object)|the archive has no changes"
    r"|warning: (?:the sample is empty|no object)|Nothing (?:changed|found)|No change\b"
)
"""The start of a *nothing* message."""


def test_every_nothing_message_is_in_the_table() -> None:
    """docs/SCRIPTING.md explains each *nothing* message of the code, and has no other message."""
    table = (ROOT / "docs/SCRIPTING.md").read_text().partition("## What *nothing* means")[2]
    documented = set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE))
    files = [
        *(ROOT / "gitsnap/cli").rglob("*.py"),
        *(ROOT / "gitsnap/render").rglob("*.py"),
        ROOT / "gitsnap/capture/sample.py",
        ROOT / "gitsnap/capture/empty_sample.py",
    ]
    texts = {
        node.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _NOTHING.match(node.value)
    }
    pages = "\n".join(file.read_text() for file in (ROOT / "gitsnap/render").rglob("*.html"))
    texts |= {text for text in re.findall(r"[>}]([^<>{}]+)", pages) if _NOTHING.match(text)}

    assert documented
    assert [text for text in texts if not text.startswith(tuple(documented))] == []
    assert [sentence for sentence in documented if not any(text.startswith(sentence) for text in texts)] == []
