"""Boot an image with systemd-nspawn so that it is gone when this program is, however it ends.

The parts of that: the launcher gets SIGKILL when we die; it is the parent of the first process
of a PID namespace, which dies with it, and with that all in the namespace; the mounts are in a
mount namespace of those processes. Only empty cgroups can be left, and the next boot removes
them.
"""

from __future__ import annotations

import itertools
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import cache
import images
import steps
from images import Image

MOUNTPOINT = cache.CACHE / "mnt"
BOOT_TIMEOUT = 60.0
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
}

# The first process of the PID namespace. $1 is the mount point, $2 the layers below, $3 and $4
# the layer that is written to and overlayfs' work directory (empty: in memory), $5 the name.
_LAUNCH = r"""
set -eu
mnt=$1 lower=$2 upper=${3:-$1/upper} work=${4:-$1/work} name=$5
shift 5
mount -t tmpfs -o mode=755 host "$mnt"
mkdir -p "$upper" "$work" "$mnt/root"
mount -t overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work" host "$mnt/root"
printf '127.0.0.1 localhost %s\n' "$name" > "$mnt/root/etc/hosts"
printf '%s\n' "$name" > "$mnt/root/etc/hostname"
exec systemd-nspawn --directory="$mnt/root" --hostname="$name" "$@"
"""
_NSPAWN = [
    "--quiet",
    "--register=no",
    "--keep-unit",
    "--private-network",
    "--resolv-conf=off",
    "--timezone=off",
    "--link-journal=no",
    "--console=pipe",
    "--notify-ready=yes",
    "--boot",
]

_numbers = itertools.count(1)


class HostError(Exception):
    """A host did not boot, or a command in it failed; the text holds what was printed."""


class Container:
    """A booted system; ``close`` ends it.

    ``layer`` keeps what it writes (images.derive); None: in memory, gone at the end. Raises
    HostError when it does not boot.
    """

    def __init__(self, image: Image, name: str, layer: Path | None) -> None:
        steps.install_packages("systemd-container")
        MOUNTPOINT.mkdir(exist_ok=True)
        self.leader = 0
        """PID of the container's PID 1, as the machine sees it."""
        self._layer = layer
        self._cgroups: list[Path] = []
        self._launcher: subprocess.Popen[bytes] | None = None
        self._console = tempfile.TemporaryFile()  # noqa: SIM115 # close() closes it
        self._locks = images.hold(image)
        try:
            self._boot(image, name)
        except BaseException:
            self.close()
            raise

    def _boot(self, image: Image, name: str) -> None:
        unit = f"throwaway-{os.getpid()}-{next(_numbers)}"
        if not Path("/run/systemd/system").is_dir():
            self._cgroups = _make_cgroups(unit)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind("")  # the kernel picks an abstract name
            self._launcher = subprocess.Popen(
                self._command(image, name, unit),
                stdin=subprocess.DEVNULL,
                stdout=self._console,
                stderr=subprocess.STDOUT,
                env={
                    **ENVIRONMENT,
                    "NOTIFY_SOCKET": "@" + notify.getsockname()[1:].decode(),
                    "UNIFIED_CGROUP_HIERARCHY": "1",
                },
            )
            self._wait_until_ready(notify, self._launcher.pid)
        self.leader = _only_child(_only_child(self._launcher.pid))

    def _command(self, image: Image, name: str, unit: str) -> list[str]:
        lower = ":".join(str(tree) for tree in reversed(image.trees))
        upper = str(self._layer) if self._layer else ""
        work = upper + ".work" if upper else ""
        if self._cgroups:
            files = " ".join(str(directory / "cgroup.procs") for directory in self._cgroups)
            script = f'for f in {files}; do echo 0 > "$f"; done; exec "$@"'
            in_cgroup = ["sh", "-ec", script, "sh"]
        else:
            in_cgroup = ["systemd-run", "--scope", "--quiet", f"--unit={unit}"]
            in_cgroup += ["--description=Throwaway host", "--property=Delegate=yes", "--"]
        return [
            *("setpriv", "--pdeathsig=KILL"),
            *in_cgroup,
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *("sh", "-c", _LAUNCH, "sh", str(MOUNTPOINT), lower, upper, work, name),
            *(f"--machine={unit}", *_NSPAWN),
        ]

    def _wait_until_ready(self, notify: socket.socket, launcher: int) -> None:
        deadline = time.monotonic() + BOOT_TIMEOUT
        pidfd = os.pidfd_open(launcher)
        try:
            while True:
                left = max(0, deadline - time.monotonic())
                ready = select.select([notify.fileno(), pidfd], [], [], left)[0]
                if notify.fileno() in ready:
                    if b"READY=1" in notify.recv(4096).split(b"\n"):
                        return
                else:
                    what = "ended" if ready else f"was not up after {BOOT_TIMEOUT:.0f} s"
                    raise HostError(f"the host {what}; its console:\n{self.console()}")
        finally:
            os.close(pidfd)

    def console(self) -> str:
        """Give what the container has written to its console."""
        size = os.fstat(self._console.fileno()).st_size
        return os.pread(self._console.fileno(), size, 0).decode(errors="replace")

    def wait(self, timeout: float) -> None:
        """Wait for the end of a container that powers off; HostError after ``timeout`` seconds."""
        assert self._launcher
        try:
            self._launcher.wait(timeout)
        except subprocess.TimeoutExpired:
            raise HostError(f"the host did not power off:\n{self.console()}") from None

    def close(self) -> None:
        """End the container at once and free all that it used."""
        if self._launcher:
            kill_child(self._launcher)
            self._launcher = None
        for directory in self._cgroups:
            _remove_cgroup(directory)
        for fd in self._locks:
            os.close(fd)
        self._cgroups, self._locks = [], []
        self._console.close()
        if self._layer:
            shutil.rmtree(f"{self._layer}.work", ignore_errors=True)


def kill_child(parent: subprocess.Popen[bytes]) -> None:
    """Kill the child of a program that ends with its child (unshare, nsenter), and wait for it.

    Killed itself, it would leave the child to the machine's init, and the end of a PID namespace
    waits until that has reaped it: some take seconds.
    """
    children = _children(parent.pid) if parent.poll() is None else []
    for pid in children:
        with suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(pid, signal.SIGKILL)
    if not children:
        parent.kill()
    parent.wait()


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _only_child(pid: int) -> int:
    children = _children(pid)
    if len(children) != 1:
        raise HostError(f"process {pid} of the host has children {children}, expected one")
    return children[0]


def _make_cgroups(name: str) -> list[Path]:
    """Make a cgroup where no systemd of the machine would; remove what dead programs left."""
    roots = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            roots.append(Path(left.split()[4]))
    for root in roots:
        for old in root.glob("throwaway-*"):
            if not Path("/proc", old.name.split("-")[1]).exists():
                _remove_cgroup(old)
        (root / name).mkdir()
    return [root / name for root in roots]


def _remove_cgroup(directory: Path) -> None:
    for child in directory.iterdir():
        if child.is_dir():
            _remove_cgroup(child)
    directory.rmdir()
