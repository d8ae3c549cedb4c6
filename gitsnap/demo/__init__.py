"""The demo: the guestbook example on a folder of YAML files, told by commands and their real output.

This package must not do anything that the command line cannot do: it runs commands.
"""

from gitsnap.demo.story import play

__all__ = ["play"]
