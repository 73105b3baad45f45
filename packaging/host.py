#!/usr/bin/python3
"""A throwaway Debian host: boots in under a second, fresh each time, gone with its process.

systemd-nspawn runs it over a cached image, which it does not change (container.py). It has no
network but 127.0.0.1. Nothing of the machine is changed, and nothing is left when the program
that booted it ends, however it ends.

    with Host(images.base()) as host:
        host.add_user("alice", groups=["wheel"])
        login = host.spawn_ssh("alice")

For a look into one:  sudo packaging/host.py [--suite trixie] [--deb FILE] shell
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import images
import steps
from container import ENVIRONMENT, Container, HostError, kill_child
from images import Image

__all__ = ["TIMEOUT", "Host", "HostError", "prepared"]

if TYPE_CHECKING:
    import pexpect

TIMEOUT = 60.0
"""Seconds that something may take before it counts as hung; on a busy machine all takes longer."""


class Host:
    """A booted host, from entering the context until leaving it.

    ``name`` is its host name. ``layer``: an empty directory that keeps what the host writes
    (images.derive); by default that is in memory and gone at the end.
    """

    def __init__(self, image: Image, *, name: str = "host", layer: Path | None = None) -> None:
        self.name = name
        self._image = image
        self._layer = layer
        self._container: Container | None = None

    def __enter__(self) -> Self:
        self._container = Container(self._image, self.name, self._layer)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the host at once; leaving the context does it too."""
        if self._container:
            self._container.close()
            self._container = None

    @property
    def leader(self) -> int:
        """PID of the host's own PID 1, as the machine sees it."""
        return self._running().leader

    def _running(self) -> Container:
        if self._container is None:
            raise HostError("the host does not run")
        return self._container

    def command(
        self, argv: Sequence[str], *, user: str | None = None, env: Mapping[str, str] | None = None
    ) -> list[str]:
        """Give the command line that runs ``argv`` in the host, as root or as ``user``.

        It dies with the program that starts it. For subprocess or pexpect where ``run`` and
        ``spawn_ssh`` are not enough (bytes, pipes).
        """
        words = {**ENVIRONMENT, **(env or {})}
        as_user = []
        if user is not None:
            words = {**words, "HOME": f"/home/{user}", "USER": user, "LOGNAME": user}
            as_user = ["runuser", "-u", user, "--"]
        return [
            *("nsenter", f"--target={self.leader}", "--all", "--"),
            *("setpriv", "--pdeathsig=KILL", *as_user),
            *("env", "-i", *(f"{key}={value}" for key, value in words.items()), *argv),
        ]

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        input: str | bytes | None = None,  # as subprocess.run names it
        timeout: float = TIMEOUT,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the host to its end; HostError when ``check`` and its status is not 0.

        ``timeout`` in seconds; after it the command is killed and subprocess.TimeoutExpired is
        raised. Output that is not UTF-8 is shown with backslashes.
        """
        data = input.encode() if isinstance(input, str) else input
        done = subprocess.run(
            self.command(argv, user=user),
            input=b"" if data is None else data,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        out, err = (text.decode(errors="backslashreplace") for text in (done.stdout, done.stderr))
        if check and done.returncode != 0:
            command = " ".join(argv)
            raise HostError(f"`{command}` ended with status {done.returncode}:\n{out}{err}")
        return subprocess.CompletedProcess(list(argv), done.returncode, out, err)

    def ssh_command(self, user: str, *args: str, options: Sequence[str] = ()) -> list[str]:
        """Give the command line of the host's own ssh client that logs ``user`` in on 127.0.0.1.

        ``args`` is the remote command, ``options`` are ssh's (they win over ours).
        """
        ssh = ["ssh", *options, "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"]
        return self.command([*ssh, f"{user}@127.0.0.1", *args], env={"TERM": "xterm-256color"})

    def spawn_ssh(
        self,
        user: str,
        *args: str,
        options: Sequence[str] = (),
        timeout: float = TIMEOUT,
        dimensions: tuple[int, int] = (24, 80),
    ) -> pexpect.spawn[str]:
        """Log ``user`` in over SSH with a terminal of ``dimensions`` (rows, columns).

        The caller closes what is returned. With ``args`` the terminal runs that command.
        """
        import pexpect  # the command line does without it

        argv = self.ssh_command(user, *args, options=["-tt", *options])
        return pexpect.spawn(
            argv[0],
            argv[1:],
            timeout=timeout,
            dimensions=dimensions,
            encoding="utf-8",
            codec_errors="backslashreplace",
        )

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Make a file in the host, with its directory; the file is root's."""
        self._write(path, text.encode(), mode)

    def copy_in(self, source: Path, path: str) -> None:
        """Copy a file of the machine into the host, with its mode; the copy is root's."""
        self._write(path, source.read_bytes(), source.stat().st_mode & 0o777)

    def _write(self, path: str, data: bytes, mode: int) -> None:
        script = 'mkdir -p "$(dirname "$1")"; cat > "$1"; chmod "$2" "$1"'
        self.run(["sh", "-ec", script, "sh", path, f"{mode:o}"], input=data)

    def add_user(self, name: str, *, groups: Sequence[str] = (), shell: str = "/bin/bash") -> None:
        """Make a user with a home who can log in over SSH; groups that are missing are made."""
        for group in groups:
            self.run(["groupadd", "--force", group])
        membership = [f"--groups={','.join(groups)}"] if groups else []
        self.run(["useradd", "--create-home", f"--shell={shell}", *membership, name])

    def install(self, *debs: Path) -> None:
        """Install packages with apt. What they depend on must be in the image."""
        paths = [f"/tmp/{deb.name}" for deb in debs]  # noqa: S108 # the host's own /tmp
        for deb, path in zip(debs, paths, strict=True):
            self.copy_in(deb, path)
        apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "install"]
        self.run([*apt, "--no-install-recommends", *paths], timeout=180)
        self.run(["rm", *paths])

    def wait_until(self, condition: Callable[[], object], timeout: float = TIMEOUT) -> None:
        """Wait until ``condition`` is true, asking often; HostError after ``timeout`` seconds.

        For what has no event to wait for; ``wait_for_entries`` for what the journal tells.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise HostError(f"not true after {timeout} s: {condition}")
            time.sleep(0.02)

    def wait_for_entries(
        self, *matches: str, count: int = 1, timeout: float = TIMEOUT
    ) -> list[dict[str, str]]:
        """Follow the journal until it has ``count`` entries that match; give them, oldest first.

        ``matches`` are journalctl's, for example "MESSAGE_ID=5f5a…". HostError after ``timeout``
        seconds says how many there were.
        """
        entries: list[dict[str, str]] = []
        follow = self.command(
            ["journalctl", "--follow", "--lines=all", "--output=json", "--all", *matches]
        )
        deadline = time.monotonic() + timeout
        with subprocess.Popen(follow, stdout=subprocess.PIPE) as journalctl:
            assert journalctl.stdout
            try:
                text = b""
                while len(entries) < count:
                    left = max(0, deadline - time.monotonic())
                    if not select.select([journalctl.stdout], [], [], left)[0]:
                        raise HostError(
                            f"{len(entries)} of {count} entries {' '.join(matches)} "
                            f"after {timeout} s"
                        )
                    data = os.read(journalctl.stdout.fileno(), 65536)
                    if not data:
                        raise HostError("journalctl ended")
                    *lines, text = (text + data).split(b"\n")
                    entries += [json.loads(line) for line in lines]
            finally:
                kill_child(journalctl)
        return entries

    def poweroff(self) -> None:
        """Shut the host down in order. Leaving the context just ends it, which is faster."""
        self.run(["systemctl", "poweroff", "--no-block"])
        self._running().wait(TIMEOUT)


def prepared(image: Image, name: str, key: str, setup: Callable[[Host], None]) -> Image:
    """Give ``image`` as ``setup`` left a host of it, with an empty journal; cached by ``key``.

    ``key`` stands for all that ``setup`` depends on.
    """

    def make(tree: Path) -> None:
        with Host(image, layer=tree) as host:
            setup(host)
            host.poweroff()
        for journal in (tree / "var/log/journal").glob("*"):
            shutil.rmtree(journal)

    return images.derive(image, name, key, make)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Boot a throwaway Debian host, do one thing in it, and throw it away.",
        epilog="alice is in the group wheel, bob is not. All log in by key.",
    )
    parser.add_argument("--suite", default="bookworm", help="Debian release (%(default)s)")
    parser.add_argument("--deb", type=Path, action="append", default=[], help="install this first")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("boot", help="boot, say how to get in, stay until Ctrl-C")
    verbs.add_parser("shell", help="a shell of root in it")
    for verb, what in (("run", "run a command in it"), ("ssh", "log in over SSH: ssh USER …")):
        verbs.add_parser(verb, help=what).add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if getattr(options, "words", [])[:1] == ["--"]:
        del options.words[0]
    return options


def main() -> int:
    """Run the command line; give the exit status of what was run in the host."""
    options = _arguments()
    steps.require_root("host.py")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        image = images.base(options.suite)
        with Host(image) as host:
            host.add_user("alice", groups=["wheel"])
            host.add_user("bob")
            if options.deb:
                host.install(*options.deb)
            return _do(host, options)
    except (HostError, steps.StepError) as error:
        print(f"host.py: {error}", file=sys.stderr)
        return 1


def _do(host: Host, options: argparse.Namespace) -> int:
    terminal = {"TERM": os.environ.get("TERM", "dumb")}
    if options.verb == "boot":
        print(f"A shell in it: nsenter --target={host.leader} --all bash -l. Ctrl-C ends it.")
        signal.sigwait([signal.SIGINT])
        return 0
    if options.verb == "shell":
        return subprocess.run(host.command(["bash", "-l"], env=terminal), check=False).returncode
    if options.verb == "run":
        return subprocess.run(host.command(options.words, env=terminal), check=False).returncode
    return subprocess.run(host.ssh_command(*options.words), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
