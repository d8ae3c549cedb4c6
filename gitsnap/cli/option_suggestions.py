"""The option that a user probably means by a name that a command does not have."""

from __future__ import annotations

import difflib
from collections.abc import Collection

_LEAST_SIMILARITY = 0.75
"""A lower similarity proposes options with a different meaning, such as ``--atomic`` for ``--to``."""

_MOST = 3

_SYNONYMS = {
    "--at": ("--sample",),
    "--comment": ("--message",),
    "--confirm": ("--yes",),
    "--date": ("--sample",),
    "--dir": ("--from-dir", "--storage"),
    "--folder": ("--storage",),
    "--format": ("--output",),
    "--from": ("--from-sample", "--sample"),
    "--key": ("--identity",),
    "--policy": ("--snapshot",),
    "--preview": ("--dry-run",),
    "--reason": ("--message",),
    "--remote": ("--to", "--archive"),
    "--reveal": ("--decrypt",),
    "--revision": ("--sample",),
    "--tag": ("--sample",),
    "--to": ("--to-sample", "--sample"),
    "--url": ("--to", "--remote", "--archive"),
}
"""Words of other tools and of speech, and the options that have this meaning. A command has few of these options."""


def suggest_options(name: str, known: Collection[str]) -> list[str]:
    """Return the options among ``known`` that have the meaning of ``name``, else begin with it, else look like it."""
    meant = [option for option in _SYNONYMS.get(name, ()) if option in known]
    if meant:
        return meant[:1]
    long_names = sorted(option for option in known if option.startswith("--"))
    longer = [option for option in long_names if option.startswith(name)]
    return longer[:_MOST] or difflib.get_close_matches(name, long_names, n=_MOST, cutoff=_LEAST_SIMILARITY)
