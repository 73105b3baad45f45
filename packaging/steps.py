"""Long steps of the tools here: run one, show what it is and how long it takes.

Output goes to stderr: a line per step, rewritten each second on a terminal, with colour only
there. What the step prints is shown only when it fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

TICK = 1.0
"""Seconds between two updates of the line."""


class StepError(Exception):
    """A program that was needed has failed; the text holds what it printed."""


def require_root(program: str) -> None:
    """End the program, saying why, unless root runs it."""
    if os.geteuid() != 0:
        sys.exit(f"{program}: must be run by root, for example with sudo")


def run(title: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
    """Run a program to its end as one step; StepError when its status is not 0."""
    with (
        tempfile.TemporaryFile() as output,
        step(title) as update,
        subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env
        ) as program,
    ):
        _wait(program, update)
        if program.returncode != 0:
            output.seek(0)
            text = output.read().decode(errors="replace")
            raise StepError(f"{argv[0]} ended with status {program.returncode}:\n{text}")


def _wait(program: subprocess.Popen[bytes], update: Callable[[], None]) -> None:
    try:
        while True:
            try:
                program.wait(timeout=TICK)
                return
            except subprocess.TimeoutExpired:
                update()
    except BaseException:
        program.kill()
        raise


@contextmanager
def step(title: str) -> Iterator[Callable[[], None]]:
    """Show a step while the body runs; call what is given to show the time that has passed."""
    start = time.monotonic()
    terminal = sys.stderr.isatty()

    def show(mark: str, end: str) -> None:
        line = f"{mark} {title} … {time.monotonic() - start:.1f} s"
        print(f"\r\x1b[K{line}" if terminal else line, end=end, file=sys.stderr, flush=True)

    def update() -> None:
        if terminal:
            show(" ", "")

    if terminal:
        update()
    else:
        print(f"  {title} …", file=sys.stderr, flush=True)
    try:
        yield update
    except BaseException:
        show(_paint("✗", 31, terminal), "\n")
        raise
    show(_paint("✓", 32, terminal), "\n")


def _paint(text: str, colour: int, terminal: bool) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if terminal else text


def install_packages(*names: str) -> None:
    """Install the Debian packages that are missing, as root; StepError when apt cannot."""
    query = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *names],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # it complains about each package that was never installed
        text=True,
        check=False,
    )
    there = {
        line.split()[0] for line in query.stdout.splitlines() if line.split()[-1] == "installed"
    }
    missing = [name for name in names if name not in there]
    if not missing:
        return
    if os.geteuid() != 0:
        raise StepError(
            f"Debian packages are missing; as root: apt-get install {' '.join(missing)}"
        )
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if not _apt_knows(missing):
        run("Updating the package lists", ["apt-get", "-q", "update"], env=env)
    apt = ["apt-get", "-q", "-y", "--no-install-recommends", "install"]
    run(f"Installing {' '.join(missing)}", [*apt, *missing], env=env)


def _apt_knows(names: Sequence[str]) -> bool:
    lists = Path("/var/lib/apt/lists")
    day_ago = time.time() - 86400
    fresh = any(path.stat().st_mtime > day_ago for path in lists.glob("*_Packages*"))
    show = subprocess.run(
        ["apt-cache", "show", "--no-all-versions", *names], capture_output=True, check=False
    )
    return fresh and show.returncode == 0
