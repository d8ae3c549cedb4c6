"""``python -m gitsnap`` is the same as ``gitsnap``."""

from gitsnap.cli import main

main()
