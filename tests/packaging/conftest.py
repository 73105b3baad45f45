"""The rpm packages, built from this checkout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import steps

PACKAGING = Path(__file__).parents[2] / "packaging"


def output(*argv: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in argv], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the packages and give their directory."""
    if os.geteuid() != 0:
        pytest.fail("the packages are built as root, who may install rpm", pytrace=False)
    directory = tmp_path_factory.mktemp("rpm")
    output(PACKAGING / "build-rpm", directory)
    steps.install_packages("cpio")
    return directory


@pytest.fixture(scope="module")
def rpm(built: Path) -> Path:
    [path] = built.glob("*.noarch.rpm")
    return path
