"""The hook in a PAM stack (pam.d(5)): text in, text out."""

from __future__ import annotations

from collections.abc import Iterator

from sessionwrap.setup.authselect import HOOK


def runs_hook(text: str) -> bool:
    """Tell whether a stack has the hook in a line that is no comment."""
    return any(map(_is_hook, _joined(text)))


def without_hook(text: str) -> str:
    """Give a stack without the lines of the hook."""
    return "\n".join(line for line in _joined(text) if not _is_hook(line))


def _joined(text: str) -> Iterator[str]:
    """Give the lines of a stack; those that a backslash joins are one."""
    joined = ""
    for line in text.split("\n"):
        joined += line
        if line.rstrip().endswith("\\") and "#" not in line:
            joined += "\n"
        else:
            yield joined
            joined = ""
    if joined:
        yield joined.removesuffix("\n")


def _is_hook(joined: str) -> bool:
    return any(HOOK in line.partition("#")[0] for line in joined.split("\n"))
