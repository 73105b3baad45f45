"""System tests run in a throwaway host: Debian, booted, with the package of this checkout.

alice and carol are in wheel, bob is not; who is in wheel is recorded.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import host as hosts
import images
import pytest
from host import Host
from images import Image

from tests.system.adversary import attackable, attacked  # noqa: F401 # fixtures
from tests.system.directory import (  # noqa: F401 # fixtures
    directory_host,
    directory_image,
    plain_directory_host,
    plain_directory_image,
)
from tests.system.policy import policies  # noqa: F401 # a fixture

ROOT = Path(__file__).resolve().parents[2]
SCOPE = "[session_recording]\nscope = some\ngroups = wheel\n"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this directory, so that `pytest -m "not system"` leaves it out."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Build the Debian packages of this checkout and give their paths by their names."""
    directory = tmp_path_factory.mktemp("package")
    build = [str(ROOT / "packaging/build-deb"), str(directory)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"the packages were not built:\n{done.stderr}", pytrace=False)
    return {path.name.partition("_")[0]: path for path in map(Path, done.stdout.splitlines())}


@pytest.fixture(scope="session")
def package(packages: dict[str, Path]) -> Path:
    """Give the path of the package that nearly every test installs."""
    return packages["sessionwrap"]


@pytest.fixture(scope="session")
def suite(pytestconfig: pytest.Config) -> str:
    """Give the Debian release that hosts are to be."""
    return str(pytestconfig.getoption("suite"))


@pytest.fixture(scope="session")
def installed_image(package: Path, suite: str) -> Image:
    """Give the image of a host with the package installed and the users made."""
    return installed(package, images.base(suite))


def installed(package: Path, base: Image) -> Image:
    """Give an image with the package installed on ``base`` and the users made."""
    if os.geteuid() != 0:
        pytest.fail("system tests boot a host: run them as root", pytrace=False)

    def setup(host: Host) -> None:
        _set_up(host, package)

    content = package.read_bytes() + inspect.getsource(_set_up).encode()
    key = hashlib.sha256(content).hexdigest()
    return hosts.prepared(base, "installed", key, setup)


@pytest.fixture(scope="session")
def from_afar_image(package: Path, suite: str) -> Image:
    """Give the image of a host as ``host`` is one, with programs that open terminals from afar."""
    return installed(package, images.base(suite, extra=["cockpit-bridge", "cockpit-ws", "mosh"]))


@pytest.fixture
def host(installed_image: Image) -> Iterator[Host]:
    """Boot a fresh host of its own for a test."""
    with Host(installed_image) as booted:
        yield booted


@pytest.fixture
def tlog_host(package: Path) -> Iterator[Host]:
    """Boot a host as ``host`` does, with tlog: Debian 12 at any suite, for later ones have none."""
    with Host(installed(package, images.base("bookworm"))) as booted:
        yield booted


def _set_up(host: Host, package: Path) -> None:
    host.write("/etc/inputrc", "set enable-bracketed-paste off\n")
    host.write("/etc/skel/.bashrc", "PS1='ready$ '\n")  # helpers.PROMPT
    host.add_user("alice", groups=["wheel"])
    host.add_user("carol", groups=["wheel"])
    host.add_user("bob")
    host.install(package)
    host.write("/etc/sessionwrap/conf.d/tests.conf", SCOPE)
