"""The option that is suggested for an unknown option."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.support.commands import gitsnap


@pytest.mark.parametrize(
    ("words", "proposed"),
    [
        ("rollback --to x", "--sample"),
        ("rollback --from=x", "--sample"),
        ("rollback --dryrun", "--dry-run"),
        ("rollback --sampl x", "--sample"),
        ("rollback --preview", "--dry-run"),
        ("rollback --reason x", "--message"),
        ("diff --to x", "--to-sample"),
        ("diff --from x", "--from-sample"),
        ("diff --since x", "--from-sample"),
        ("diff --until x", "--to-sample"),
        ("diff --raw", "--raw-diff"),
        ("drift --since x", "--sample"),
        ("list --from x", "--since"),
        ("log --to x", "--until"),
        ("drift --to x", "--sample"),
        ("list --widee", "--wide"),
        ("show --reveal", "--decrypt"),
        ("push --url x", "--to"),
        ("push --remote x", "--to"),
        ("verify --url x", "--remote"),
        ("capture --policy x", "--snapshot"),
        ("secrets rotate --recip x", "--recipient"),
        ("snapshot list --format json", "--output"),
        ("--versio", "--version"),
        ("rollback --t", ""),
        ("rollback --nonsense", ""),
        ("rollback -q", ""),
    ],
)
def test_an_option_that_does_not_exist(tmp_path: Path, words: str, proposed: str) -> None:
    """The message names the command and the option. The hint has only the suggested option."""
    done = gitsnap(tmp_path, *words.split(), code=2)

    commands = itertools.takewhile(lambda word: not word.startswith("-"), words.split())
    path = " ".join(["gitsnap", *commands])
    option = next(word for word in words.split() if word.startswith("-")).partition("=")[0]
    meant = f"Did you mean {proposed}? " if proposed else ""
    assert done.stderr == f"error: {path} has no option {option}\n{meant}`{path} --help` lists the options.\n"
