"""Running a verb as a user does, with and without a terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect

from tests.readers.journals import RECORDER_UID

UID = ["--recorder-uid", str(RECORDER_UID)]
"""The option that names the recorder of the tests' journals."""
CONTROLS = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]")
"""What no text of a journal may bring to a terminal."""


def words(verb: str, *arguments: str) -> list[str]:
    """Give the command line of a verb of this checkout."""
    return [
        *(sys.executable, "-c", "from sessionwrap.commands import main; main()"),
        *(verb, *arguments),
    ]


def run(verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a verb with no terminal."""
    return subprocess.run(
        words(verb, *arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def on_screen(
    verb: str, journal: Path, width: int, *arguments: str, status: int = 0, **environment: str
) -> str:
    """Give what a verb writes about a journal to a terminal of this width; it ends with status."""
    program, *rest = words(verb, "-D", str(journal), *UID, *arguments)
    child = pexpect.spawn(
        program,
        rest,
        dimensions=(24, width),
        env={**os.environ, **environment},
        timeout=10,
        encoding="utf-8",
    )
    written = child.read()
    child.close()
    assert child.exitstatus == status
    return str(written)


def processor_seconds() -> float:
    """Give what children took of the processors: how long that is depends on who else runs."""
    spent = os.times()
    return spent.children_user + spent.children_system
