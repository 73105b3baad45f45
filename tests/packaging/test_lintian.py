"""lintian(1) finds nothing in the Debian packages that is not overridden with a reason."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import steps

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"


def test_lintian_finds_no_errors_and_no_warnings(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.fail("lintian is installed as root", pytrace=False)
    steps.install_packages("lintian")
    build = [str(PACKAGING / "build-deb"), str(tmp_path)]
    debs = subprocess.run(build, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    assert len(debs) == 2
    lintian = ["lintian", "--allow-root", "--no-cfg", "--fail-on=error,warning", *debs]
    # It leaves a temporary file behind.
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(lintian, capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
