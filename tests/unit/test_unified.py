"""Unified diffs: those of difflib for short texts, and in bounded time for long texts."""

from __future__ import annotations

import difflib
import random
import time

from gitsnap.diff.unified import unified_diff


def test_short_texts_have_the_hunks_of_difflib() -> None:
    """Also for hunks that touch and for an empty text."""
    chance = random.Random(1)
    for length in range(60):
        old, new = ([chance.choice("abcdefgh") for _ in range(length)] for _ in range(2))
        new = [*old[: length // 2], *new[: length // 8], *old[length // 2 + 1 :]]
        expected = "\n".join(difflib.unified_diff(old, new, "x", "y", lineterm=""))

        found = unified_diff("".join(f"{line}\n" for line in old), "".join(f"{line}\n" for line in new), "x", "y")

        assert found.removesuffix("\n") == expected


def test_a_rewritten_megabyte_takes_seconds() -> None:
    """Each line occurs a hundred times in the text: difflib needs about half a minute."""
    sides = []
    for seed in (1, 2):
        chance = random.Random(seed)
        sides.append("\n".join(f"v{chance.randint(1, 2_000)}" for _ in range(200_000)))
    started = time.monotonic()

    found = unified_diff(sides[0], sides[1], "x", "y")

    assert len(sides[0]) > 1_000_000
    assert found
    assert time.monotonic() - started < 15


def test_a_long_text_shows_a_few_changes_as_such() -> None:
    """Lines that occur once on both sides locate the two changes, also between repeated lines."""
    lines = [text for number in range(5_000) for text in (f"  name: n{number}", "  - same")]
    edited = list(lines)
    edited[100], edited[9_000] = "  name: first", "  - second"

    found = unified_diff("\n".join(lines), "\n".join(edited), "x", "y")

    changed = [line for line in found.split("\n")[2:] if line.startswith(("-", "+"))]
    assert changed == ["-  name: n50", "+  name: first", "-  name: n4500", "+  - second"]
