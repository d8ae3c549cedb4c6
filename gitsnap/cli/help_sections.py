"""The section of each option in the help of a command.

The help has the same order of sections and options: the options of everyday use come first. A new option needs a place
here (tests/unit/test_help.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

_LAST = "Other"
"""The section of options that have no section."""

SECTIONS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "Samples and objects": (
            "--sample",
            "--from-sample",
            "--to-sample",
            "--of",
            "--good",
            "--bad",
            "--since",
            "--until",
            "--limit",
            "--reverse",
            "--first",
            "--last",
            "--changes",
            "--recursive",
            "--kind",
            "--field",
            "--deleted",
            "--cluster",
            "--namespace",
            "--clusterprofile",
            "--profile",
            "--classifier",
            "--rolerequest",
            "--object",
            "--resource",
            "--selector",
            "--except",
            "--with-references",
            "--resources",
            "--sensitive-field",
            "--pinned",
            "--message",
            "--scheduled",
            "--all",
            "--remove",
        ),
        "Rules": (
            "--keep-last",
            "--keep-hourly",
            "--keep-daily",
            "--keep-weekly",
            "--keep-monthly",
            "--keep-within",
        ),
        "Archive and cluster": (
            "--snapshot",
            "--storage",
            "--archive",
            "--from",
            "--into",
            "--to",
            "--remote",
            "--file",
            "--audit",
            "--complete-log",
            "--context",
            "--kubeconfig",
            "--from-dir",
            "--lease-namespace",
        ),
        "Safety": (
            "--dry-run",
            "--yes",
            "--create",
            "--allow-empty",
            "--atomic",
            "--wait",
            "--allow-withdraw",
            "--allow-withdraw-resources",
            "--prune",
            "--max-delete",
            "--skip-refused",
            "--force-owned",
            "--without-undo",
            "--require-complete",
            "--allow-secrets-from",
            "--allow-secret-resources",
            "--allow-plaintext",
            "--allow-insecure-push",
            "--allow-local-push",
            "--allowed-host",
            "--user-header",
        ),
        "Output": (
            "--output",
            "--wide",
            "--raw-diff",
            "--full",
            "--names-only",
            "--expect",
            "--exit-code",
            "--include-generated",
            "--sveltos-cli",
            "--verify",
            "--verbose",
            "--quiet",
            "--help",
        ),
        "Secrets and keys": (
            "--decrypt",
            "--pseudonyms",
            "--identity",
            "--secrets-mode",
            "--recipient",
            "--accept-secrets-change",
            "--signing-key",
            "--allowed-signers",
        ),
        "Advanced": (
            "--plan-out",
            "--plan",
            "--recreate",
            "--create-namespaces",
            "--into-cluster",
            "--record",
            "--adopt",
            "--continues",
            "--quiet-seconds",
            "--max-seconds",
            "--who",
            "--time-zone",
            "--cluster-uid",
            "--listen",
            "--workers",
            "--grace-seconds",
            "--audit-listen",
            "--audit-cert",
            "--audit-key",
            "--audit-token-file",
            "--audit-client-ca",
            "--web-listen",
            "--web-allowed-host",
            "--web-user-header",
            "--socket",
        ),
    }
)
"""The options of each section, by their long names."""

OF_ONE_COMMAND: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"capture": MappingProxyType({"--full": "Advanced"})}
)
"""The section of an option that has another meaning in one command than in the others."""


def arrange(command: str, options: Iterable[str]) -> dict[str, list[str]]:
    """Return the options of a command by section, in the order of the help. Empty sections are left out.

    ``options``: the long names of the options.
    """
    own = OF_ONE_COMMAND.get(command, {})
    rest = dict.fromkeys(options)
    arranged: dict[str, list[str]] = {section: [] for section in (*SECTIONS, _LAST)}
    for section, names in SECTIONS.items():
        for name in names:
            if name in rest:
                del rest[name]
                arranged[own.get(name, section)].append(name)
    arranged[_LAST] = list(rest)
    return {section: names for section, names in arranged.items() if names}
