"""A filter of system calls: what no limit counts, and what no program needs.

Memory is bounded by the address space of one process, so there may be only one: threads
can be started and processes cannot. For the same reason no memory can be had that belongs
to no address space (files in memory, shared segments, what sockets hold). The rest is not
needed and has been the way into many a kernel.

The filter is classic BPF, as seccomp(2) has it: it reads ``struct seccomp_data`` (number of
the call, architecture, instruction pointer, six arguments) and returns what to do.
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass

#: Numbers of system calls on x86-64 and on arm64 (linux/include/uapi); None: has no such call.
DENIED: dict[str, tuple[int | None, int | None]] = {
    # other processes
    "fork": (57, None),
    "vfork": (58, None),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    # memory outside the address space
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    # name spaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "open_by_handle_at": (304, 265),
    # the rest of the kernel
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
}
_CLONE = (56, 220)
_CLONE3 = 435
_CLONE_THREAD = 0x00010000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_X32 = 0x40000000  # the other calls of an x86-64 kernel


@dataclass(frozen=True)
class _Machine:
    column: int
    audit: int


_MACHINES = {
    "x86_64": _Machine(0, 0xC000003E),
    "aarch64": _Machine(1, 0xC00000B7),
}


def seccomp_filter(machine: str | None = None) -> bytes | None:
    """The filter as `bwrap --seccomp` reads it; None for a processor we know no calls of."""
    known = _MACHINES.get(machine or platform.machine())
    if known is None:
        return None
    denied = [numbers[known.column] for numbers in DENIED.values()]
    lines = [
        _line(_LOAD, value=_ARCHITECTURE_AT),
        _line(_EQUAL, 1, 0, known.audit),
        _line(_RETURN, value=_KILL),
        _line(_LOAD, value=_NUMBER_AT),
        _line(_AT_LEAST, 0, 1, _X32),
        _line(_RETURN, value=_KILL),
    ]
    for number in denied:
        if number is not None:
            lines += [
                _line(_EQUAL, 0, 1, number),
                _line(_RETURN, value=_error(errno.EPERM)),
            ]
    lines += [
        # Its flags lie in memory, where no filter can look; libraries then use `clone`.
        _line(_EQUAL, 0, 1, _CLONE3),
        _line(_RETURN, value=_error(errno.ENOSYS)),
        _line(_EQUAL, 0, 3, _CLONE[known.column]),
        _line(_LOAD, value=_FIRST_ARGUMENT_AT),
        _line(_ANY_BIT, 1, 0, _CLONE_THREAD),
        _line(_RETURN, value=_error(errno.EPERM)),
        _line(_RETURN, value=_ALLOW),
    ]
    return b"".join(lines)


def _line(code: int, if_true: int = 0, if_false: int = 0, value: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _error(number: int) -> int:
    return 0x00050000 | number
