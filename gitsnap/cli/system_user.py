"""The user who runs gitsnap, for records."""

from __future__ import annotations

import getpass


def user_name() -> str:
    """Return the name of the user, or ``""`` if the system does not know it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run with a uid that has no passwd entry
        return ""
