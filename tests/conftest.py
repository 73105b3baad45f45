"""For all tests: each has a time limit and leaves no process, descriptor or temporary file."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

SECONDS = 300
"""A test that takes longer fails. The first one that needs a host may wait for its image."""
_failed = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that says which Debian the hosts of the system tests are."""
    what = "Debian release of the hosts of system tests (%(default)s)"
    parser.addoption("--suite", default="bookworm", help=what)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note whether the test itself has failed: its traceback then keeps what it had open."""
    report = yield
    if call.when == "call":
        item.stash[_failed] = report.failed
    return report


@pytest.fixture(scope="session")
def temporary_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where temporary files of this run go; other programs do not write there."""
    directory = tmp_path_factory.mktemp("tmp")
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    tempfile.tempdir = os.environ["TMPDIR"] = str(directory)
    yield directory
    tempfile.tempdir = before[0]
    if before[1] is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = before[1]


@pytest.fixture(autouse=True)
def _no_leaks(request: pytest.FixtureRequest, temporary_directory: Path) -> Iterator[None]:
    """Fail a test that leaves child processes, open descriptors or temporary files behind."""
    before = _open_things(temporary_directory)
    yield
    if request.node.stash.get(_failed, False):
        return
    left = _open_things(temporary_directory) - before
    if left:
        gc.collect()  # what only a reference cycle held is not a leak
        left = _open_things(temporary_directory) - before
    assert not left, f"left behind: {', '.join(sorted(left))}"


@pytest.fixture(autouse=True)
def _time_limit(request: pytest.FixtureRequest) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"{request.node.nodeid} took longer than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _open_things(directory: Path) -> set[str]:
    things = {f"file {path}" for path in directory.iterdir()}
    for task in Path("/proc/self/task").iterdir():
        things |= {f"child {pid}" for pid in (task / "children").read_text().split()}
    with os.scandir("/proc/self/fd") as fds:
        for fd in fds:
            try:
                target = os.readlink(fd.path)
            except FileNotFoundError:
                continue  # the one that scandir itself reads from
            things.add(f"descriptor {fd.name} of {target}")
    return things
