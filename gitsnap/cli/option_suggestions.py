"""Suggests an option for the name of an option that a command does not have."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any

_LEAST_SIMILARITY = 0.75
"""A lower similarity proposes options with a different meaning, such as ``--atomic`` for ``--to``."""

_MOST = 3

_OTHER_NAMES = (
    ("--sample", "--at --date --revision --rev --tag --version --commit --from --to --since"),
    ("--from-sample", "--from --old --base --since --after --start"),
    ("--to-sample", "--to --new --until --before --end"),
    ("--since", "--after --start --newer-than --from"),
    ("--until", "--before --end --older-than --to"),
    ("--last", "-n --limit --max-count --count --number --head --tail --top --newest"),
    ("--limit", "-n --last --max-count --count --number --head --tail --top --newest"),
    ("--reverse", "-r --sort --sort-by --order --newest-first --desc"),
    ("--output", "--format --template --porcelain"),
    ("--output=json", "--json"),
    ("--output=yaml", "--yaml"),
    ("--output=name", "-q --quiet --name-only --name --names"),
    ("--wide", "-l --long --verbose --details --stat"),
    ("--raw-diff", "-p -u --patch --unified"),
    ("--exit-code", "--detailed-exitcode --fail"),
    ("--message", "--comment --reason --annotation"),
    ("--yes", "--confirm --assume-yes --auto-approve --no-confirm --force"),
    ("--dry-run", "--preview --simulate --whatif --what-if --check"),
    ("--decrypt", "--reveal --show-secrets"),
    ("--identity", "-i --key --private-key"),
    ("--recipient", "--public-key"),
    ("--selector", "--label --labels --label-selector"),
    ("--resource", "--object --kind --include --only"),
    ("--resources", "--kind --kinds --include"),
    ("--except", "--exclude --skip --without"),
    ("--wait", "--timeout"),
    ("--from-dir", "--dir"),
    ("--storage", "--dir --folder --repo --repository --store --root"),
    ("--snapshot", "--policy"),
    ("--to", "--remote --url --origin"),
    ("--remote", "--url"),
    ("--archive", "--remote --url --repo --repository --git-dir"),
    ("--kubeconfig", "--config --kube-config"),
    ("--context", "--kube-context"),
    ("--file", "--filename --manifest"),
)
_SYNONYMS: dict[str, list[str]] = {}
for _option, _words in _OTHER_NAMES:
    for _word in _words.split():
        _SYNONYMS.setdefault(_word, []).append(_option)
"""Names from other tools and from everyday speech -> the options with this meaning. No command has all of them."""

_MISSING = {
    "--all-namespaces": "All namespaces are the default.",
    "-A": "All namespaces are the default.",
    "--watch": "A command ends after one answer; `gitsnap follow` records each change until Ctrl-C.",
    "--follow": "A command ends after one answer; `gitsnap follow` records each change until Ctrl-C.",
    "--color": "Colour is used on a terminal only; NO_COLOR=1 turns it off.",
    "--no-color": "Colour is used on a terminal only; NO_COLOR=1 turns it off.",
    "--no-pager": "gitsnap uses no pager.",
}
"""Options of other tools that gitsnap does not need."""


def options_of(parameters: Collection[Any]) -> set[str]:
    """Return the names of the options of a command, and ``--output=json`` for each format of its output."""
    names = {name for parameter in parameters for name in parameter.opts}
    formats = "|".join(parameter.metavar or "" for parameter in parameters if "--output" in parameter.opts)
    return names | {f"--output={form}" for form in formats.split("|") if form}


def suggest_options(name: str, known: Collection[str]) -> list[str]:
    """Return the options in ``known`` that mean the same as ``name``, else begin with it, else are similar to it."""
    written = name.lower() if len(name) > 2 else name
    meant = [option for option in _SYNONYMS.get(written, ()) if option in known]
    if meant:
        return meant[:1]
    long_names = sorted(option for option in known if option.startswith("--") and "=" not in option)
    longer = [option for option in long_names if option.startswith(written)] if written.startswith("--") else []
    return longer[:_MOST] or difflib.get_close_matches(written, long_names, n=_MOST, cutoff=_LEAST_SIMILARITY)


def explain_option(name: str, *, is_root: bool) -> str:
    """Return a sentence about an option that no command has, or that stands before the command; ``""`` if unknown.

    ``is_root``: whether the option stands before the command.
    """
    if name in _MISSING:
        return _MISSING[name]
    return f"The options of a command follow it: `gitsnap COMMAND {name}`." if is_root else ""
