"""The option --expect of ``gitsnap diff``: differences that are known and allowed.

This module must not compare objects; ``gitsnap.history.expectations`` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gitsnap.cli import terminal
from gitsnap.cli.diff_documents import row_documents
from gitsnap.core.errors import InputError, UsageError
from gitsnap.core.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitsnap.core.ports import Tree
    from gitsnap.diff.rows import Comparison
    from gitsnap.history.expectations import Expectation, ExpectedDifferences, Unmatched
    from gitsnap.sveltos.filters import Filters

Expect = Annotated[
    Path | None,
    typer.Option(
        "--expect",
        metavar="FILE",
        help="YAML file of differences that are allowed, and therefore not shown (docs/QUESTIONS.md).",
        show_default=False,
    ),
]


def check_options(*, decrypt: bool, expect: Path | None) -> Sequence[Expectation] | None:
    """Return the expectations of the file, None without a file. Raises UsageError, InputError."""
    if expect is None:
        return None
    if decrypt:
        raise UsageError("--expect and --decrypt exclude each other", hint="Expectations cover no decrypted values.")
    return read_expectations(expect)


def read_expectations(path: Path) -> list[Expectation]:
    """Read a file. Raises InputError if the file cannot be read or is not valid."""
    from gitsnap.history.expectations import parse_expectations

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", hint="--expect takes a YAML file.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text", hint="--expect takes a YAML file.") from None
    return parse_expectations(text, str(path))


def compare_expecting(
    before: Tree, after: Tree, filters: Filters, expectations: Sequence[Expectation], *, texts: bool
) -> ExpectedDifferences:
    """Compare two trees without the differences that are allowed. Raises the errors of ``compare``."""
    from gitsnap.diff.comparison import compare
    from gitsnap.history.expectations import expect

    def compare_trees(old: Tree, new: Tree) -> Comparison:
        return compare(old, new, filters=filters, texts=texts)

    return expect(before, after, compare_trees, expectations, complete=not filters)


def say_expected(result: ExpectedDifferences, path: Path) -> None:
    """Print how many differences were left out, and each expectation without a difference."""
    count = len(result.expected.rows) + len(result.expected.management)
    terminal.say(f"{plural(count, 'expected difference')} not shown ({path})")
    terminal.warn(
        f"{path}:{entry.expectation.line}: {_description(entry)} matches no difference any more"
        for entry in result.unmatched
    )


def expectation_documents(result: ExpectedDifferences) -> dict[str, object]:
    """Return the JSON form: the rows that were left out, and the expectations without a difference."""
    return {
        "expected": row_documents(result.expected),
        "unmatched": [_document(entry) for entry in result.unmatched],
    }


def _description(entry: Unmatched) -> str:
    row = ", ".join(f"{name}: {value}" for name, value in entry.expectation.patterns.items())
    return f"the field {entry.field} of the row {{{row}}}" if entry.field else f"the row {{{row}}}"


def _document(entry: Unmatched) -> dict[str, object]:
    return {
        "line": entry.expectation.line,
        "part": entry.expectation.part,
        "row": dict(entry.expectation.patterns),
        "field": entry.field or None,
        "reason": entry.expectation.reason,
    }
