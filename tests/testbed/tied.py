"""Runs a program that is killed when the parent process dies in any way.

``python tied.py PARENT_PID PROGRAM ARGUMENT…`` becomes the program. Only Linux can kill the program with its parent;
elsewhere the program simply runs. This module must not import anything outside the standard library.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    _parent, _program, *_arguments = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(_parent):  # the parent died before the call of prctl
            sys.exit(1)
    os.execv(_program, [_program, *_arguments])  # noqa: S606 - no shell is wanted
