"""Try to signal, trace and read the processes that are named; print what worked."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PTRACE_ATTACH = 16
PTRACE_SEIZE = 0x4206
PIDFD_GETFD = 438

_libc = ctypes.CDLL(None, use_errno=True)


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _ptrace(request: int, pid: int) -> None:
    _check(_libc.ptrace(request, pid, None, None))


def _read_memory(pid: int) -> None:
    buffer = ctypes.create_string_buffer(8)
    local = _Iovec(ctypes.addressof(buffer), 8)
    remote = _Iovec(0x400000, 8)
    _check(_libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0))


def _take_descriptors(pid: int) -> None:
    pidfd = os.pidfd_open(pid)
    try:
        _check(_libc.syscall(PIDFD_GETFD, pidfd, 0, 0))
    finally:
        os.close(pidfd)


def _open(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY))


def attempts(pid: int) -> dict[str, Callable[[], object]]:
    """Give what a user can try against a process, by name; each raises OSError if refused."""
    tries: dict[str, Callable[[], object]] = {
        "ptrace attach": lambda: _ptrace(PTRACE_ATTACH, pid),
        "ptrace seize": lambda: _ptrace(PTRACE_SEIZE, pid),
        "process_vm_readv": lambda: _read_memory(pid),
        "pidfd_getfd": lambda: _take_descriptors(pid),
        "fd": lambda: os.listdir(f"/proc/{pid}/fd"),
        "exe": lambda: os.readlink(f"/proc/{pid}/exe"),
    }
    for name in ("mem", "environ", "maps", "syscall", "stack", "auxv"):
        tries[name] = lambda path=f"/proc/{pid}/{name}": _open(path)  # type: ignore[misc] # bound now
    return tries


def main() -> None:
    """Try everything against each pid of the command line."""
    signals = "--signals" in sys.argv
    for pid in [int(word) for word in sys.argv[1:] if word.isdigit()]:
        tries = attempts(pid)
        if signals:
            tries["renice"] = lambda pid=pid: os.setpriority(os.PRIO_PROCESS, pid, 19)  # type: ignore[misc] # bound now
            tries["affinity"] = lambda pid=pid: os.sched_setaffinity(pid, {0})  # type: ignore[misc] # bound now
            for number in sorted(signal.valid_signals()):
                tries[f"signal {number}"] = lambda number=number, pid=pid: os.kill(pid, number)  # type: ignore[misc] # bound now
        for name, attempt in tries.items():
            try:
                attempt()
            except OSError:
                continue
            print(f"{name} of {pid} worked")
    print("tried")


main()
