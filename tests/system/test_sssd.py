"""SSSD starts the login shell: by `override_shell`, or by its own session recording."""

from __future__ import annotations

from pathlib import Path

import pytest
from host import Host

from tests.system import directory
from tests.system.directory import OUR_SHELL, configure, recorded_users, shell_of_login
from tests.system.helpers import alerts, command, gets_in, login, logout, ssh, wait_for_end

# The login shell by `override_shell`: SSSD then gives nobody's own shell.


def test_override_shell_starts_the_shell_of_the_settings_recorded_or_not(
    directory_host: Host,
) -> None:
    configure(directory_host, OUR_SHELL)
    directory_host.write("/etc/sessionwrap/rec-session.conf", '{"shell": "/bin/rbash"}\n')
    directory_host.run(["systemctl", "reload", "sessionwrapd"])
    assert shell_of_login(directory_host, "dora") == "-rbash /bin/rbash"
    assert shell_of_login(directory_host, "erik") == "-rbash /bin/rbash"
    assert recorded_users(directory_host) == ["dora"]
    assert wait_for_end(directory_host)[0]["complete"]
    assert alerts(directory_host) == []


def test_a_line_in_the_map_of_shells_gives_a_directory_user_a_shell_of_their_own(
    directory_host: Host,
) -> None:
    configure(directory_host, OUR_SHELL)
    add = "echo dora:/bin/rbash >> /var/lib/sessionwrap/shells"
    directory_host.run(["sh", "-c", add])
    assert shell_of_login(directory_host, "dora") == "-rbash /bin/rbash"
    assert shell_of_login(directory_host, "Frida") == "-bash /bin/bash"


def test_who_is_not_recorded_gets_in_with_override_shell_while_the_recorder_is_away(
    directory_host: Host,
) -> None:
    configure(directory_host, OUR_SHELL)
    stop = ["systemctl", "stop", "sessionwrapd.socket", "sessionwrapd.service"]
    directory_host.run(stop)
    assert gets_in(directory_host, "erik")
    (alert,) = alerts(directory_host)
    assert "/bin/sh was started instead" in alert
    assert not gets_in(directory_host, "dora")


def test_streams_without_a_terminal_are_untouched_with_override_shell(
    directory_host: Host,
) -> None:
    configure(directory_host, OUR_SHELL)
    data = bytes(range(256)) * 1000
    for user in ("dora", "erik"):
        copied = ssh(directory_host, user, "cat; echo end >&2; exit 7", stdin=data)
        assert (copied.returncode, copied.stdout, copied.stderr) == (7, data, b"end\n")
    scp = ["scp", "-q", "-o", "BatchMode=yes", "/usr/bin/env", "dora@127.0.0.1:copy"]
    directory_host.run(scp)
    directory_host.run(["cmp", "/usr/bin/env", "/home/dora/copy"])


# The login shell by SSSD's own session recording.

SSSD_RULES = """\
    [session_recording]
    scope = some
    groups = ops
    users = erik
    """


@pytest.fixture
def sssd_records(directory_host: Host, packages: dict[str, Path]) -> Host:
    """Give the host with SSSD's session recording on for ops and erik; ours is wheel and ops."""
    directory_host.install(packages["sessionwrap-tlog-rec-session"])
    configure(directory_host, sections=SSSD_RULES)
    return directory_host


def test_sssds_session_recording_starts_our_login_shell_and_the_users_own(
    sssd_records: Host,
) -> None:
    for user, shell in (("dora", "/bin/bash"), ("Frida", "/bin/rbash"), ("bob", "/bin/bash")):
        assert shell_of_login(sssd_records, user) == f"-{shell.rpartition('/')[2]} {shell}"
    # Each once: there is one recorder, whoever started the login shell.
    assert recorded_users(sssd_records) == ["dora", "Frida"]
    assert all(recording["complete"] for recording in wait_for_end(sssd_records, 2))
    assert alerts(sssd_records) == []


def test_switched_on_as_documented_it_holds_for_users_whom_sssd_has_in_its_cache(
    directory_host: Host, packages: dict[str, Path]
) -> None:
    configure(directory_host)
    directory_host.run(["id", "dora"])
    directory_host.install(packages["sessionwrap-tlog-rec-session"])
    rules = "[session_recording]\nscope = some\ngroups = ops\n"
    directory_host.write("/etc/sssd/conf.d/session-recording.conf", rules, 0o600)
    copy = ["/etc/sssd/conf.d/session-recording.conf", "/etc/sessionwrap/conf.d/sssd.conf"]
    directory_host.run(["install", "-m", "644", *copy])
    directory_host.run(["systemctl", "restart", "sssd"])
    directory_host.run(["sss_cache", "-E"])
    for user in ("dora", "erik"):
        assert shell_of_login(directory_host, user) == "-bash /bin/bash"
    assert recorded_users(directory_host) == ["dora"]


def test_sssds_session_recording_holds_while_the_directory_is_down(sssd_records: Host) -> None:
    assert gets_in(sssd_records, "Frida")
    directory.stop(sssd_records)
    directory.expire(sssd_records)
    assert shell_of_login(sssd_records, "Frida") == "-rbash /bin/rbash"
    assert recorded_users(sssd_records) == ["Frida", "Frida"]


def test_our_rules_decide_for_whom_sssd_started_our_login_shell(sssd_records: Host) -> None:
    passwd = sssd_records.run(["getent", "passwd", "erik"]).stdout
    assert passwd.endswith(":/usr/bin/tlog-rec-session\n")
    assert shell_of_login(sssd_records, "erik") == "-bash /bin/bash"
    assert recorded_users(sssd_records) == []
    # hugo is in wheel: our rules name him, SSSD's do not.
    assert not gets_in(sssd_records, "hugo") or recorded_users(sssd_records) == ["hugo"]


def test_a_command_under_sssds_session_recording_is_noted_as_it_was_asked_for(
    sssd_records: Host,
) -> None:
    done = ssh(sssd_records, "dora", "-tt", "echo $0; exit 4")
    assert done.returncode == 4
    assert done.stdout.endswith(b"bash\r\n")
    copied = ssh(sssd_records, "dora", "cat", stdin=b"\0\xff\n")
    assert (copied.stdout, copied.stderr) == (b"\0\xff\n", b"")
    assert [(each["kind"], each["command"]) for each in wait_for_end(sssd_records)] == [
        ("terminal", "echo $0; exit 4"),
        ("command", "cat"),
    ]


@pytest.mark.parametrize(
    ("named", "started"),
    [
        ("/bin/rbash", "-rbash /bin/rbash"),
        ("/usr/bin/tlog-rec-session", "-bash /bin/bash"),
        ("/usr/bin/sessionwrap-shell", "-bash /bin/bash"),
        ("/nonexistent", "-bash /bin/bash"),
    ],
)
def test_a_user_who_changes_the_variable_of_sssd_chooses_a_shell_and_is_recorded(
    sssd_records: Host, named: str, started: str
) -> None:
    # Debian 12's sshd reads a user's file after pam_sss, and Debian 13's where it is told to.
    line = "s/pam_env.so envfile/pam_env.so user_readenv=1 envfile/"
    sssd_records.run(["sed", "-i", line, "/etc/pam.d/sshd"])
    file = "/home/dora/.pam_environment"
    sssd_records.write(file, f"TLOG_REC_SESSION_SHELL={named}\n")
    sssd_records.run(["chown", "dora:", file])
    assert shell_of_login(sssd_records, "dora") == started
    assert recorded_users(sssd_records) == ["dora"]


def test_a_shell_within_the_session_is_the_users_own_too(sssd_records: Host) -> None:
    """A terminal program starts what the passwd entry says: our login shell, without PAM."""
    with login(sssd_records, "Frida") as terminal:
        assert command(terminal, "tlog-rec-session -c 'echo $0'").endswith("rbash\r\n")
        logout(terminal)


def test_su_under_sssds_session_recording_starts_the_users_own_shell(sssd_records: Host) -> None:
    done = sssd_records.run(["su", "-", "Frida", "-c", "echo $0 $SHELL"])
    assert done.stdout == "-rbash /bin/rbash\n"
    assert recorded_users(sssd_records) == ["Frida"]


def test_tlogs_own_program_of_that_name_is_not_taken_for_our_login_shell(
    tlog_host: Host, packages: dict[str, Path]
) -> None:
    host = tlog_host
    host.run(["usermod", "--shell", "/usr/bin/tlog-rec-session", "alice"])
    assert not gets_in(host, "alice") or recorded_users(host) == ["alice"]
    host.copy_in(packages["sessionwrap-tlog-rec-session"], "/root/ours.deb")
    done = host.run(["dpkg", "--install", "/root/ours.deb"], check=False)
    assert done.returncode != 0
    assert "conflicting packages" in done.stderr
