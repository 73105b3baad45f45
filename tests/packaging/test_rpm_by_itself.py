"""rpm(8) itself installs, upgrades and erases the package; then all is as before.

On a throwaway Debian, where pam-auth-update stands for authselect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import images
import pytest
from host import Host

from tests.packaging.conftest import PACKAGING, output
from tests.packaging.test_rpm import LIKE_FEDORA, SERVICES, SITELIB, UNITS, states
from tests.system.helpers import gets_in, login, logout, recordings, wait_for_end
from tests.system.test_setup import tree as etc

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def next_rpm(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package once more, with a higher release."""
    directory = tmp_path_factory.mktemp("next")
    [source] = built.glob("*.src.rpm")
    defines = ["--define", f"_topdir {directory}", "--define", "dist .1"]
    again = ["rpmbuild", "--rebuild", "--nodeps", *defines]
    output("env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *again, source)
    [path] = directory.glob("RPMS/noarch/*.rpm")
    return path


@pytest.fixture
def host(rpm: Path, next_rpm: Path) -> Iterator[Host]:
    """Boot a host that has rpm and both packages as files, the older one installed.

    pam-auth-update stands for authselect, and needs the profile that only the deb has.
    """
    with Host(images.base(extra=["rpm"])) as booted:
        booted.run(["sh", "-ec", LIKE_FEDORA, "sh", SITELIB])
        booted.copy_in(PACKAGING / "pam/sessionwrap", "/usr/share/pam-configs/sessionwrap")
        booted.write("/etc/inputrc", "set enable-bracketed-paste off\n")
        booted.write("/etc/skel/.bashrc", "PS1='ready$ '\n")  # helpers.PROMPT
        booted.add_user("alice")
        booted.copy_in(rpm, "/root/sessionwrap.rpm")
        booted.copy_in(next_rpm, "/root/next.rpm")
        yield booted


def run_rpm(host: Host, *words: str) -> None:
    """Run rpm; it warns when a script fails."""
    done = host.run(["rpm", "--force-debian", "--nodeps", *words], timeout=120)
    assert not re.search("warning|error|fail", done.stdout + done.stderr), done


def invocations(host: Host) -> dict[str, str]:
    show = ["systemctl", "show", "--value", "--property=InvocationID"]
    return {unit: host.run([*show, unit]).stdout for unit in UNITS}


def record_alice(host: Host) -> None:
    with login(host, "alice") as terminal:
        logout(terminal)


def test_rpm_installs_upgrades_and_erases_it_and_etc_is_as_before(host: Host) -> None:
    before = etc(host)
    run_rpm(host, "--install", "/root/sessionwrap.rpm")
    host.write("/etc/sessionwrap/conf.d/tests.conf", "[session_recording]\nscope = all\n")
    record_alice(host)
    wait_for_end(host)
    runs = invocations(host)
    settings = etc(host)
    with login(host, "alice") as early:
        run_rpm(host, "--upgrade", "/root/next.rpm")
        assert host.run(["rpm", "-q", "sessionwrap"]).stdout.endswith("-1.1.noarch\n")
        assert etc(host) == settings
        assert {unit for unit, run in invocations(host).items() if run != runs[unit]} == SERVICES
        assert states(host) == {"enabled", "active"}
        record_alice(host)
        logout(early)
    wait_for_end(host, 3)
    assert [entry["complete"] for entry in recordings(host)] == [True] * 3
    host.run(["rm", "/etc/sessionwrap/conf.d/tests.conf"])
    run_rpm(host, "--erase", "sessionwrap")
    assert etc(host) == before
    for user in ("alice", "root"):
        assert gets_in(host, user)


def test_rpm_leaves_a_host_alone_that_was_taken_back(host: Host) -> None:
    run_rpm(host, "--install", "/root/sessionwrap.rpm")
    host.run(["sessionwrap", "unsetup"])
    before = etc(host)
    run_rpm(host, "--upgrade", "/root/next.rpm")
    assert etc(host) == before
    assert states(host) == {"disabled", "inactive"}


def test_rpm_keeps_the_package_at_work_when_somebody_would_be_locked_out(host: Host) -> None:
    run_rpm(host, "--install", "/root/sessionwrap.rpm")
    host.run(["usermod", "-s", "/usr/bin/sessionwrap-shell", "alice"])
    before = etc(host)
    done = host.run(["rpm", "--force-debian", "--nodeps", "--erase", "sessionwrap"], check=False)
    assert done.returncode != 0
    assert "alice: no real shell is noted" in done.stderr
    assert host.run(["rpm", "-q", "sessionwrap"]).returncode == 0
    assert etc(host) == before
    assert states(host) == {"enabled", "active"}
    assert gets_in(host, "alice")


def test_rpm_keeps_changed_settings_of_sshd_out_of_its_way(host: Host) -> None:
    run_rpm(host, "--install", "/root/sessionwrap.rpm")
    host.run(["sed", "-i", "$aPermitTunnel no", "/etc/ssh/sshd_config.d/sessionwrap.conf"])
    done = host.run(["rpm", "--force-debian", "--erase", "--nodeps", "sessionwrap"])
    assert done.stderr.startswith("warning: ") and done.stderr.count("\n") == 1
    left = host.run(["ls", "/etc/ssh/sshd_config.d"]).stdout.split()
    assert left == ["sessionwrap.conf.rpmsave", "throwaway.conf"]
