"""`doctor` where SSSD starts a recorder: what it tells mends it. One host for all.

dora is in ops: our rules name her, SSSD's name her and erik.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from host import Host
from images import Image

from tests.system.directory import OUR_SHELL, configure, recorded_users, shell_of_login
from tests.system.helpers import bad, doctor, gets_in

RULES = """\
    [session_recording]
    scope = some
    groups = ops
    users = erik
    """
PROGRAM = "/usr/bin/tlog-rec-session"
MENDED = "/etc/sssd/conf.d/zz-sessionwrap.conf"


@pytest.fixture(scope="module")
def shared(directory_image: Image) -> Iterator[Host]:
    """Boot a host with the directory for the tests here: each leaves it as it was."""
    with Host(directory_image) as booted:
        yield booted


def start(host: Host, *domain: str, sections: str = "", program: str = "") -> None:
    """Start SSSD afresh, as ``configure`` does, however often it was started just before.

    ``program`` becomes the recorder that SSSD knows; "": there is none.
    """
    host.run(["sh", "-c", f"rm -f {PROGRAM} {MENDED}; systemctl reset-failed sssd.service"])
    if program:
        host.run(["cp", program, PROGRAM])
    configure(host, *domain, sections=sections)


def nss_shell(host: Host, user: str) -> str:
    """Give the shell that NSS says a user has; "" where there is no such user."""
    return host.run(["getent", "passwd", user], check=False).stdout.rstrip("\n").rpartition(":")[2]


def assert_sssd_starts_no_recorder(host: Host) -> None:
    """Nothing is bad; dora is recorded, erik is not, and both have the shell of their own."""
    # What SSSD said of dora before, the overlay keeps for five seconds.
    host.wait_until(lambda: nss_shell(host, "dora") == "/usr/bin/sessionwrap-shell")
    assert bad(doctor(host, "dora")) == []
    before = recorded_users(host)
    assert shell_of_login(host, "dora") == "-bash /bin/bash"
    assert shell_of_login(host, "erik") == "-bash /bin/bash"
    assert recorded_users(host) == [*before, "dora"]


def test_session_recording_without_its_recorder_is_found_and_switched_off(shared: Host) -> None:
    # SSSD does not start without it; one that runs gives users a shell that is not there.
    start(shared, sections=RULES, program="/bin/bash")
    shared.run(["rm", PROGRAM])
    assert not gets_in(shared, "erik")
    [finding] = bad(doctor(shared, "dora"))
    assert finding["what"] == "SSSD's own session recording is on (scope = some)"
    assert "which is not there: they cannot log in" in finding["why"]
    assert shared.run(["systemctl", "restart", "sssd"], check=False).returncode != 0
    shared.run(["sh", "-ec", finding["mend"]])
    assert_sssd_starts_no_recorder(shared)


def test_session_recording_with_tlogs_recorder_is_found_and_switched_off(shared: Host) -> None:
    # A shell in the place of tlog's program: only whose it is matters here.
    start(shared, sections=RULES, program="/bin/bash")
    assert shell_of_login(shared, "erik") == f"-tlog-rec-session {PROGRAM}"
    [finding] = bad(doctor(shared, "dora"))
    assert finding["what"] == "SSSD's own session recording is on (scope = some)"
    assert "which is tlog's" in finding["why"]
    # That is her own shell then: she is recorded twice.
    assert shell_of_login(shared, "dora") == f"-tlog-rec-session {PROGRAM}"
    assert recorded_users(shared)[-1] == "dora"
    shared.run(["sh", "-ec", finding["mend"]])
    assert_sssd_starts_no_recorder(shared)


def test_override_shell_is_taken_out_of_whichever_file_has_it(shared: Host) -> None:
    start(shared, OUR_SHELL)
    second = "/etc/sssd/conf.d/second.conf"
    other = "[domain/other]\noverride_shell = /bin/sh\n"
    shared.write(second, f"{other}[domain/example]\n{OUR_SHELL}\n", 0o600)
    report = doctor(shared, "dora")
    assert bad(report) == []
    told = [entry for entry in report["findings"] if "override_shell" in entry["what"]]
    assert told
    for finding in told:
        assert finding["severity"] == "look"
        shared.run(["sh", "-ec", finding["mend"]])
    assert shared.run(["cat", second]).stdout == f"{other}[domain/example]\n"
    assert OUR_SHELL not in shared.run(["cat", "/etc/sssd/sssd.conf"]).stdout
    shared.run(["rm", second])
    assert_sssd_starts_no_recorder(shared)
