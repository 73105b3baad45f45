"""Users of a directory (OpenLDAP, SSSD) are recorded by the groups that it gives them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from host import Host

from tests.system import directory
from tests.system.directory import change_member, configure
from tests.system.helpers import (
    alerts,
    command,
    gets_in,
    login,
    logout,
    recordings,
    ssh,
    wait_for_end,
)

OUR_SHELL = "override_shell = /usr/bin/sessionwrap-shell"


def explained(host: Host, user: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        host.run(["sessionwrap", "explain", "--json", user], user="bob").stdout
    )
    return found


def shell_of_login(host: Host, user: str) -> str:
    """Log in with a terminal and out again; give $0 and $SHELL."""
    with login(host, user) as terminal:
        shell = command(terminal, "echo $0 $SHELL").strip()
        logout(terminal)
    return shell


def recorded_users(host: Host) -> list[str]:
    """Give whose logins were recorded: a recording is listed from before its shell starts."""
    return [str(recording["user"]) for recording in recordings(host)]


def test_groups_of_the_directory_decide_who_is_recorded(directory_host: Host) -> None:
    configure(directory_host, OUR_SHELL)
    for user in ("dora", "erik", "hugo", "alice", "bob"):
        shell_of_login(directory_host, user)
    # hugo's wheel is the directory's, alice's is the one in /etc/group: the name decides.
    assert recorded_users(directory_host) == ["dora", "hugo", "alice"]
    assert all(recording["complete"] for recording in wait_for_end(directory_host, 3))


def test_explain_shows_the_groups_of_the_directory(directory_host: Host) -> None:
    found = explained(directory_host, "dora")
    assert found["groups"] == ["staff", "ops"]
    assert (found["record"], found["matching_groups"]) == (True, ["ops"])
    assert not explained(directory_host, "erik")["record"]


def test_a_member_of_a_group_within_the_group_is_recorded(directory_host: Host) -> None:
    configure(directory_host, OUR_SHELL)
    assert set(explained(directory_host, "nora")["groups"]) == {"staff", "night", "ops"}
    shell_of_login(directory_host, "nora")
    assert recorded_users(directory_host) == ["nora"]


def test_how_deep_groups_are_nested_is_what_sssd_says(directory_host: Host) -> None:
    configure(directory_host, OUR_SHELL, "ldap_group_nesting_level = 0")
    assert set(explained(directory_host, "nora")["groups"]) == {"staff", "night"}
    shell_of_login(directory_host, "nora")
    assert recorded_users(directory_host) == []


def test_qualified_names_are_matched_as_sssd_gives_them(directory_host: Host) -> None:
    configure(directory_host, OUR_SHELL, "use_fully_qualified_names = true")
    found = explained(directory_host, "dora@example")
    assert found["groups"] == ["staff@example", "ops@example"]
    assert not found["record"], "`groups = ops` is another group than ops@example"
    directory_host.write(
        "/etc/sessionwrap/conf.d/tests.conf",
        "[session_recording]\nscope = some\ngroups = ops@example\nusers = erik@example\n",
    )
    for user in ("dora@example", "erik@example", "hugo@example"):
        assert shell_of_login(directory_host, user) == "-bash /bin/bash"
    assert recorded_users(directory_host) == ["dora@example", "erik@example"]


def test_a_name_typed_in_another_case_is_the_same_user(directory_host: Host) -> None:
    configure(directory_host, OUR_SHELL, "case_sensitive = false")
    shell_of_login(directory_host, "DORA")
    shell_of_login(directory_host, "ERIK")
    assert recorded_users(directory_host) == ["dora"]


def test_a_directory_that_ignores_case_gives_names_in_small_letters(directory_host: Host) -> None:
    configure(directory_host, OUR_SHELL, "case_sensitive = false")
    directory_host.write(
        "/etc/sessionwrap/conf.d/tests.conf",
        "[session_recording]\nscope = some\ngroups = domain admins\n",
    )
    found = explained(directory_host, "Frida")
    assert (found["user"], found["matching_groups"]) == ("frida", ["domain admins"])
    for name in ("Frida", "frida"):
        shell_of_login(directory_host, name)
    assert recorded_users(directory_host) == ["frida", "frida"]


@pytest.mark.parametrize("sensitive", ["true", "preserving"])
def test_names_keep_their_case_where_sssd_keeps_it(directory_host: Host, sensitive: str) -> None:
    configure(directory_host, OUR_SHELL, f"case_sensitive = {sensitive}")
    directory_host.write(
        "/etc/sessionwrap/conf.d/tests.conf",
        "[session_recording]\nscope = some\ngroups = Domain Admins\n",
    )
    shell_of_login(directory_host, "Frida")
    assert recorded_users(directory_host) == ["Frida"]


def test_a_change_of_a_group_in_the_directory_holds_from_the_next_login(
    directory_host: Host,
) -> None:
    configure(directory_host, OUR_SHELL)
    assert not explained(directory_host, "erik")["record"], "SSSD has his groups in its cache"
    change_member(directory_host, "add", "erik", "ops")
    shell_of_login(directory_host, "erik")
    assert recorded_users(directory_host) == ["erik"]
    change_member(directory_host, "delete", "erik", "ops")
    directory.expire(directory_host)
    shell_of_login(directory_host, "erik")
    assert recorded_users(directory_host) == ["erik"]


def test_a_change_of_a_group_holds_for_a_user_who_has_a_session_open_as_documented(
    directory_host: Host,
) -> None:
    fresh = "[pam]\npam_initgroups_scheme = always\npam_id_timeout = 0\n"
    configure(directory_host, OUR_SHELL, sections=fresh)
    with login(directory_host, "erik") as terminal:
        change_member(directory_host, "add", "erik", "ops")
        shell_of_login(directory_host, "erik")
        logout(terminal)
    assert recorded_users(directory_host) == ["erik"]


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
    # Debian 12's sshd reads it after pam_sss.
    file = "/home/dora/.pam_environment"
    sssd_records.write(file, f"TLOG_REC_SESSION_SHELL={named}\n")
    sssd_records.run(["chown", "dora:", file])
    assert shell_of_login(sssd_records, "dora") == started
    assert recorded_users(sssd_records) == ["dora"]


def test_a_shell_within_the_session_is_the_users_own_too(sssd_records: Host) -> None:
    """A terminal program starts what the passwd entry says: our login shell, without PAM."""
    with login(sssd_records, "Frida") as terminal:
        assert command(terminal, "tlog-rec-session -c 'echo $0'").strip() == "rbash"
        logout(terminal)


def test_su_under_sssds_session_recording_starts_the_users_own_shell(sssd_records: Host) -> None:
    done = sssd_records.run(["su", "-", "Frida", "-c", "echo $0 $SHELL"])
    assert done.stdout == "-rbash /bin/rbash\n"
    assert recorded_users(sssd_records) == ["Frida"]


def test_tlogs_own_program_of_that_name_is_not_taken_for_our_login_shell(
    host: Host, packages: dict[str, Path]
) -> None:
    host.run(["usermod", "--shell", "/usr/bin/tlog-rec-session", "alice"])
    assert not gets_in(host, "alice") or recorded_users(host) == ["alice"]
    host.copy_in(packages["sessionwrap-tlog-rec-session"], "/root/ours.deb")
    done = host.run(["dpkg", "--install", "/root/ours.deb"], check=False)
    assert done.returncode != 0
    assert "conflicting packages" in done.stderr


# A directory that is down, slow, or comes back.


def seconds_to_get_in(host: Host, user: str) -> float:
    start = time.monotonic()
    assert gets_in(host, user)
    return time.monotonic() - start


ONE_TIMEOUT = 6
"""Seconds that SSSD waits for an answer of the directory (ldap_search_timeout)."""


def test_while_the_directory_is_down_the_groups_that_sssd_remembers_decide(
    directory_host: Host,
) -> None:
    configure(directory_host, OUR_SHELL)
    for user in ("dora", "erik"):
        assert gets_in(directory_host, user)
    directory.stop(directory_host)
    directory.expire(directory_host)
    for user in ("dora", "erik", "alice", "bob"):
        assert seconds_to_get_in(directory_host, user) < ONE_TIMEOUT
    assert recorded_users(directory_host) == ["dora", "dora", "alice"]
    assert not gets_in(directory_host, "nora"), "SSSD has never seen her"


def test_a_directory_that_comes_back_is_heeded_without_a_restart(directory_host: Host) -> None:
    configure(directory_host, OUR_SHELL)
    assert gets_in(directory_host, "dora")
    directory.stop(directory_host)
    directory.expire(directory_host)
    assert gets_in(directory_host, "dora")
    assert not gets_in(directory_host, "nora")
    directory.start(directory_host)
    directory_host.wait_until(lambda: directory.is_known(directory_host, "nora"), timeout=60)
    change_member(directory_host, "delete", "dora", "ops")
    directory.expire(directory_host)
    for user in ("nora", "dora"):
        assert gets_in(directory_host, user)
    assert recorded_users(directory_host) == ["dora", "dora", "nora"]


def test_a_directory_that_does_not_answer_delays_its_own_users_once_and_local_ones_not(
    directory_host: Host,
) -> None:
    configure(directory_host, OUR_SHELL)
    for user in ("dora", "alice", "bob"):
        assert gets_in(directory_host, user)
    directory.freeze(directory_host)
    assert seconds_to_get_in(directory_host, "alice") < ONE_TIMEOUT / 2
    assert seconds_to_get_in(directory_host, "bob") < ONE_TIMEOUT / 2
    assert seconds_to_get_in(directory_host, "dora") < 2 * ONE_TIMEOUT
    assert seconds_to_get_in(directory_host, "dora") < ONE_TIMEOUT / 2, "SSSD is offline by now"
    directory.thaw(directory_host)
    directory_host.wait_until(lambda: directory.is_known(directory_host, "nora"), timeout=60)
    assert gets_in(directory_host, "nora")
    assert recorded_users(directory_host) == ["dora", "alice", "alice", "dora", "dora", "nora"]


def test_a_directory_that_does_not_answer_delays_nobody_longer_than_without_us(
    directory_host: Host, plain_directory_host: Host
) -> None:
    # SSSD is asked for the groups of local users too, when it does not know yet that it has none.
    took = []
    for host in (plain_directory_host, directory_host):
        configure(host)
        directory.freeze(host)
        took.append(seconds_to_get_in(host, "alice"))
    assert took[1] < took[0] + ONE_TIMEOUT / 2
    assert recorded_users(directory_host) == ["alice"]


def test_with_sssd_stopped_local_users_are_recorded_and_nobody_gets_by(
    directory_host: Host,
) -> None:
    configure(directory_host, OUR_SHELL)
    assert gets_in(directory_host, "dora")
    directory_host.run(["systemctl", "stop", "sssd.service"])
    assert seconds_to_get_in(directory_host, "alice") < ONE_TIMEOUT
    assert seconds_to_get_in(directory_host, "bob") < ONE_TIMEOUT
    assert not gets_in(directory_host, "dora") or recorded_users(directory_host).count("dora") == 2
    assert "alice" in recorded_users(directory_host)


# SSSD may know a user and not their groups: somebody saw the name, and then the directory went
# down. It says so to nobody. What closes that is in docs/sssd.md.


@pytest.mark.parametrize(
    "access",
    [
        ("access_provider = simple", "simple_allow_groups = staff, ops"),
        ("access_provider = ldap", "ldap_access_filter = (objectClass=posixAccount)"),
    ],
    ids=["simple", "ldap"],
)
def test_sssds_access_check_keeps_out_users_whose_groups_it_never_learned(
    directory_host: Host, access: tuple[str, str]
) -> None:
    configure(directory_host, OUR_SHELL, *access)
    directory.stop(directory_host)
    assert directory.is_known(directory_host, "dora")
    assert explained(directory_host, "dora")["groups"] == []
    assert not gets_in(directory_host, "dora")
    directory.start(directory_host)
    directory_host.wait_until(lambda: directory.is_known(directory_host, "nora"), timeout=60)
    assert gets_in(directory_host, "dora")
    assert recorded_users(directory_host) == ["dora"]


@pytest.mark.parametrize(
    "rules", ["scope = all\nexclude_groups = staff", "scope = some\nusers = dora"]
)
def test_rules_that_need_no_group_to_record_hold_without_the_directory(
    directory_host: Host, rules: str
) -> None:
    configure(directory_host, OUR_SHELL)
    directory_host.write("/etc/sessionwrap/conf.d/tests.conf", f"[session_recording]\n{rules}\n")
    directory.stop(directory_host)
    assert gets_in(directory_host, "dora")
    assert recorded_users(directory_host) == ["dora"]
