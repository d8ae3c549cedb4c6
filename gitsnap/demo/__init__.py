"""The guestbook story on an embedded cluster: every command as a user would type it, with its real output.

This package must not have abilities that the command line lacks: it types commands.
"""

from gitsnap.demo.story import play

__all__ = ["play"]
