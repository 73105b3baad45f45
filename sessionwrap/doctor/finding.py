"""What a check has found. Standard library only and no imports of ours."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

BAD: Final = "bad"
"""The rules do not hold, or will not, or somebody is locked out."""
LOOK: Final = "look"
"""The rules hold; somebody should look at it and decide."""
FINE: Final = "fine"
SEVERITIES: Final = (BAD, LOOK, FINE)


class Finding(NamedTuple):
    """One thing that was looked at.

    ``what`` was found, ``why`` it matters ("" where all is well), ``mend``: the command for a
    shell of root that mends it ("" where no command does, or nothing must be mended).
    """

    severity: str
    what: str
    why: str = ""
    mend: str = ""


def bad(what: str, why: str, mend: str = "") -> Finding:
    """Give a finding that must be mended."""
    return Finding(BAD, what, why, mend)


def look(what: str, why: str, mend: str = "") -> Finding:
    """Give a finding to look at."""
    return Finding(LOOK, what, why, mend)


def fine(what: str) -> Finding:
    """Give a finding of something that is as it must be."""
    return Finding(FINE, what)


def for_sed(text: str) -> str:
    """Give a pattern of ``sed -E`` that stands for this text alone."""
    return re.sub(r"[][\\.*^$/+?(){}|]", r"\\\g<0>", text)
