"""Throwaway hosts are fresh, apart from each other, and gone with the program that booted them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import images
import pytest
from host import Host, HostError, prepared
from images import Image

pytestmark = pytest.mark.system

PACKAGING = Path(__file__).parents[2] / "packaging"
BOOT_AND_WAIT = """
import sys
sys.path.insert(0, sys.argv[1])
import host, images
with host.Host(images.base()) as booted:
    print(booted.leader, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def image() -> Image:
    if os.geteuid() != 0:
        pytest.fail("throwaway hosts need root", pytrace=False)
    return images.base()


@pytest.fixture(scope="module")
def booted(image: Image) -> Iterator[Host]:
    with Host(image, name="shared") as host:
        yield host


def cgroups() -> set[Path]:
    return set(Path("/sys/fs/cgroup").glob("**/throwaway-*"))


def test_a_host_is_booted_in_order_and_knows_its_name(booted: Host) -> None:
    assert booted.run(["systemctl", "is-system-running"]).stdout == "running\n"
    assert booted.run(["getent", "hosts", "shared"]).stdout.startswith("127.0.0.1")


def test_each_boot_is_fresh(image: Image) -> None:
    with Host(image) as host:
        host.write("/etc/left-behind", "text\n")
    with Host(image) as host:
        assert host.run(["cat", "/etc/left-behind"], check=False).returncode == 1


def test_hosts_run_side_by_side_and_apart(image: Image) -> None:
    with ExitStack() as stack:
        hosts = [stack.enter_context(Host(image, name=f"host{number}")) for number in range(3)]
        hosts[0].run(["systemctl", "stop", "ssh"])
        active = [host.run(["systemctl", "is-active", "ssh"], check=False).stdout for host in hosts]
        assert active == ["inactive\n", "active\n", "active\n"]
        assert [host.run(["hostname"]).stdout for host in hosts] == [
            "host0\n",
            "host1\n",
            "host2\n",
        ]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_host_is_gone_when_its_program_was_killed(image: Image, how: signal.Signals) -> None:
    mounts = Path("/proc/self/mounts").read_text()
    with subprocess.Popen(
        [sys.executable, "-c", BOOT_AND_WAIT, str(PACKAGING)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout
        leader = int(program.stdout.readline())
        pidfd = os.pidfd_open(leader)
        program.send_signal(how)
    try:
        assert select.select([pidfd], [], [], 20)[0], "the host goes on"
    finally:
        os.close(pidfd)
    assert Path("/proc/self/mounts").read_text() == mounts
    with Host(image):
        assert not [path for path in cgroups() if path.name.split("-")[1] == str(program.pid)]


def test_the_machine_is_as_it_was_when_a_host_is_closed(image: Image) -> None:
    mine = f"throwaway-{os.getpid()}-"
    before = (
        Path("/proc/self/mounts").read_text(),
        {path for path in cgroups() if path.name.startswith(mine)},
    )
    with Host(image) as host:
        host.run(["touch", "/etc/changed"])
    after = (
        Path("/proc/self/mounts").read_text(),
        {path for path in cgroups() if path.name.startswith(mine)},
    )
    assert after == before


def test_a_host_that_does_not_boot_shows_its_console(tmp_path: Path) -> None:
    for directory in ("etc", "usr/lib"):
        (tmp_path / "empty" / directory).mkdir(parents=True)
    with (
        pytest.raises(HostError, match=r"the host ended; its console:\n."),
        Host(Image((tmp_path / "empty",))),
    ):
        pass


def test_a_command_that_fails_says_what_it_printed(booted: Host) -> None:
    with pytest.raises(HostError, match=r"(?s)status 3.*to stderr"):
        booted.run(["sh", "-c", "echo to stderr >&2; exit 3"])


def test_a_command_that_takes_too_long_is_killed(booted: Host) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        booted.run(["sleep", "998877"], timeout=0.2)
    booted.wait_until(lambda: booted.run(["pgrep", "-f", "sleep 998877"], check=False).stdout == "")


def test_a_command_runs_as_a_user_with_their_groups(booted: Host) -> None:
    booted.add_user("dora", groups=["painters"])
    assert booted.run(["id", "-nG"], user="dora").stdout == "dora painters\n"


def test_a_file_is_copied_with_its_mode(booted: Host, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)))
    source.chmod(0o750)
    booted.copy_in(source, "/srv/new/copy")
    assert booted.run(["stat", "-c", "%a %s", "/srv/new/copy"]).stdout == "750 256\n"


def test_a_prepared_image_has_what_was_set_up_and_an_empty_journal(image: Image) -> None:
    def setup(host: Host) -> None:
        host.write("/etc/prepared", "yes\n")
        host.run(["logger", "from the preparation"])

    with Host(prepared(image, "prepared", "test_host", setup)) as host:
        assert host.run(["cat", "/etc/prepared"]).stdout == "yes\n"
        assert "from the preparation" not in host.run(["journalctl", "--output=cat"]).stdout
