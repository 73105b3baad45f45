"""Terminal output to record: what people look at, made of the host's own files."""

from __future__ import annotations

import glob
import os
import subprocess

DIRECTORY = "/var/tmp/bench"  # noqa: S108 # the host's own, and root's
_PIECE = 200_000


def make(size: int) -> str:
    """Make a file of ``size`` bytes; gives its path. All of it is UTF-8.

    Coloured listings of directories and programs' sources in turn; the terminal turns each
    line feed into two bytes.
    """
    path = f"{DIRECTORY}/{size}"
    if not os.path.exists(path):
        os.makedirs(DIRECTORY, exist_ok=True)
        text = _text()
        with open(path, "wb") as file:
            for _ in range(size // len(text)):
                file.write(text)
            rest = text[: size % len(text)].decode(errors="ignore").encode()
            file.write(rest.ljust(size % len(text), b"\n"))
    return path


def _text() -> bytes:
    ls = ["ls", "-lR", "--color=always", "/usr", "/etc"]
    listing = subprocess.run(ls, stdout=subprocess.PIPE, check=True).stdout
    listing = listing.decode(errors="replace").encode()
    sources = b"".join(map(_source, sorted(glob.glob("/usr/lib/python3*/**/*.py", recursive=True))))
    pieces: list[bytes] = []
    for at in range(0, max(len(listing), len(sources)), _PIECE):
        pieces += listing[at : at + _PIECE], sources[at : at + _PIECE]
    return b"".join(pieces).decode(errors="ignore").encode()


def _source(path: str) -> bytes:
    with open(path, "rb") as file:
        text = file.read()
    try:
        text.decode()
    except UnicodeDecodeError:
        return b""
    return text
