"""What packages are built from, and the command line that build-deb and build-rpm share."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cache
import steps

ROOT = Path(__file__).resolve().parent.parent
FILES = (
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "config",
    "docs/man",
    ":(glob)packaging/*/**",
    "packaging/build-*",
    "packaging/sources.py",
    "pam_module",
    "pyproject.toml",
    "sessionwrap",
)
"""Paths and patterns of git(1)."""
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Debian's own Python builds packages, whatever else is in the PATH of who calls this."""


def listing() -> list[str]:
    """List what packages are built from: tracked and new files, without ignored ones."""
    git = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files"]
    files = subprocess.run(
        [*git, "-z", "--cached", "--others", "--exclude-standard", "--", *FILES],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    names = sorted(set(files.stdout.rstrip("\0").split("\0")))
    return [name for name in names if (ROOT / name).is_file()]


def digest(names: list[str]) -> str:
    """Give a hash of the files: names, modes and content."""
    result = hashlib.sha256()
    for name in names:
        path = ROOT / name
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        result.update(f"{name}\0{os.access(path, os.X_OK)}\0{content}\n".encode())
    return result.hexdigest()[:16]


def copy(names: list[str], tree: Path) -> None:
    """Copy the files into a directory, with their modes."""
    for name in names:
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)


def main(program: str, doc: str, kind: str, build: Callable[[list[str], Path], None]) -> int:
    """Run the command line of build-KIND; print the paths of the packages, sessionwrap's first.

    ``build`` makes files called *.KIND from the listed sources in a directory, or raises
    steps.StepError. As root, the same sources are not built twice.
    """
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("directory", nargs="?", type=Path, default=ROOT / "dist", metavar="DIR")
    directory = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    try:
        steps.install_packages("git")
        names = listing()
        if os.geteuid() == 0:
            built = cache.entry(f"{kind}-{digest(names)}", lambda target: build(names, target))
            packages = [Path(shutil.copy(path, directory)) for path in built.glob(f"*.{kind}")]
        else:
            build(names, directory)
            packages = list(directory.glob(f"*.{kind}"))
    except (OSError, steps.StepError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    print(*sorted(packages, key=lambda path: path.name.partition("_")[0]), sep="\n")
    return 0
