"""The seccomp filter that a pod with `seccompProfile: {type: RuntimeDefault}` has, for bubblewrap.

The profile is containerd's own; libseccomp compiles the profile to the BPF program that the kernel takes. The profile
allows the calls that it lists and refuses all others.
"""

from __future__ import annotations

import ctypes
import errno
import json
import subprocess
from pathlib import Path
from typing import Any

from scripts.packaging.build import BuildError
from tests.testbed import binaries

_ACTIONS = {"SCMP_ACT_ALLOW": 0x7FFF0000, "SCMP_ACT_ERRNO": 0x00050000}
"""The actions of the profile as libseccomp numbers them (seccomp.h). The low bits of ERRNO are the error number."""
_COMPARISONS = ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")
"""The comparisons of an argument, in the order of libseccomp's numbers, which begin with 1."""
_UNKNOWN = -1
"""libseccomp's number of a system call that it does not know."""


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp of libseccomp."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def write_seccomp_filter(path: Path) -> Path:
    """Write the filter of containerd for a process without capabilities, and return its path. Raises BuildError."""
    try:
        program = binaries.obtain_seccomp_profile()
    except binaries.MissingError as error:
        raise BuildError(f"the seccomp profile of a pod comes from containerd: {error}") from error
    profile = json.loads(subprocess.run([program], capture_output=True, check=True).stdout)
    with path.open("wb") as file:
        _compile(_library(), profile, file.fileno())
    return path


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise BuildError("not installed: libseccomp. On Debian: apt-get install libseccomp2") from error
    library.seccomp_init.restype = ctypes.c_void_p
    return library


def _compile(library: ctypes.CDLL, profile: dict[str, Any], descriptor: int) -> None:
    """Write the BPF program of a profile to a file descriptor. Raises BuildError."""
    context = ctypes.c_void_p(library.seccomp_init(_action(profile["defaultAction"], profile)))
    try:
        for architecture in profile["architectures"]:
            name = architecture.removeprefix("SCMP_ARCH_").lower().encode()
            code = library.seccomp_arch_add(context, library.seccomp_arch_resolve_name(name))
            if code not in (0, -errno.EEXIST):
                raise BuildError(f"libseccomp does not add the architecture {architecture}: error {code}")
        for rule in profile["syscalls"]:
            _add_rule(library, context, rule)
        if code := library.seccomp_export_bpf(context, descriptor):
            raise BuildError(f"libseccomp does not write the filter: error {code}")
    finally:
        library.seccomp_release(context)


def _add_rule(library: ctypes.CDLL, context: ctypes.c_void_p, rule: dict[str, Any]) -> None:
    """Add a rule of the profile: an action for some system calls. A call that libseccomp does not know is refused."""
    comparisons = [
        _Comparison(
            argument["index"],
            _COMPARISONS.index(argument["op"].removeprefix("SCMP_CMP_")) + 1,
            argument["value"],
            argument.get("valueTwo", 0),
        )
        for argument in rule.get("args", ())
    ]
    array = (_Comparison * len(comparisons))(*comparisons)
    for name in rule["names"]:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == _UNKNOWN:
            continue
        action = ctypes.c_uint32(_action(rule["action"], rule))
        if code := library.seccomp_rule_add_array(context, action, number, len(comparisons), array):
            raise BuildError(f"libseccomp does not add a rule for {name}: error {code}")


def _action(name: str, rule: dict[str, Any]) -> int:
    """Return the number of an action, with the error of a refused call. The default is EPERM, as in runc."""
    number = rule.get("defaultErrnoRet", rule.get("errnoRet", errno.EPERM)) if name == "SCMP_ACT_ERRNO" else 0
    return _ACTIONS[name] | number
