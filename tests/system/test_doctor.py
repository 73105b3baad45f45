"""`sessionwrap doctor` finds what is broken, nothing on a fresh host; what it tells mends it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import images
import pytest
from host import Host

from tests.system.helpers import (
    PROMPT,
    alerts,
    as_user,
    bad,
    command,
    doctor,
    login,
    logout,
    recordings,
    ssh,
    wait_for_end,
)

OPTIONAL = "sed -i '/pam-hook/s/required/optional/' /etc/pam.d/common-session"
# Debian 12's sshd reads a file of the user's, Debian 13's where it is told to.
INCLUDE_LAST = (
    "sed -i -e 's/pam_env.so envfile/pam_env.so user_readenv=1 envfile/' "
    "-e '/^@include common-session/{h;d' -e '}' -e '$G' /etc/pam.d/sshd"
)
READENV = "echo 'session required pam_env.so user_readenv=1' >> /etc/pam.d/su"
DROPIN = "mkdir -p {0} && printf '{1}\\n' > {0}/a.conf"
JOURNALD = DROPIN.format("/etc/systemd/journald.conf.d", "[Journal]\\nRateLimitBurst=50")
UNIT = "/etc/systemd/system/sessionwrapd.service.d"
UNIT_LIMIT = DROPIN.format(UNIT, "[Service]\\nLogRateLimitIntervalSec=30s")
SSHD = "rm /etc/ssh/sshd_config.d/sessionwrap.conf && systemctl restart ssh"

PASSED_OVER = "sed -i '1i session sufficient pam_permit.so' /etc/pam.d/sshd"
NSSWITCH = (
    "sed -i -e 's/^passwd:.*/passwd: systemd files sss/' -e 's/^shadow:.*/shadow: files sss/'"
)

BROKEN = {
    "overlay stopped": (
        "systemctl stop sessionwrap-userdb.socket sessionwrap-userdb.service",
        "sessionwrap-userdb.socket is inactive",
    ),
    "overlay masked": (
        "systemctl mask --now sessionwrap-userdb.socket",
        "sessionwrap-userdb.socket is masked",
    ),
    "recorder stopped": (
        "systemctl stop sessionwrapd.socket sessionwrapd.service",
        "sessionwrapd.socket is inactive",
    ),
    "recorder's user removed": (
        "systemctl stop sessionwrapd.socket sessionwrapd.service && userdel sessionwrap",
        "there is no user sessionwrap",
    ),
    "recorder disabled": (
        "systemctl disable sessionwrapd.service",
        "sessionwrapd.service is not enabled",
    ),
    "socket removed": ("rm /run/sessionwrap/recorder.sock", "recorder.sock is not there"),
    "socket closed to users": ("chmod 600 /run/sessionwrap/recorder.sock", "has mode 0600"),
    "nsswitch changed": (
        "sed -i 's/^passwd:.*/passwd: files systemd/' /etc/nsswitch.conf",
        "does not ask systemd first",
    ),
    "users of a directory taken for expired": (
        NSSWITCH + " /etc/nsswitch.conf",
        "does not ask systemd after files",
    ),
    "PAM line removed": ("sed -i /pam-hook/d /etc/pam.d/common-session", "is not in the session"),
    "PAM line commented out": (
        "sed -i 's/^session.*pam-hook/#&/' /etc/pam.d/common-session",
        "is not in the session",
    ),
    "PAM line optional": (OPTIONAL, "the hook is `optional`"),
    "PAM line without an option": (
        "sed -i 's/ type=open_session//' /etc/pam.d/common-session",
        "lacks `type=open_session`",
    ),
    "PAM line passed over": (PASSED_OVER, "passes the hook over"),
    "PAM line after pam_env": (INCLUDE_LAST, "before the hook runs"),
    "users' variables in su": (READENV, "pam_env reads a file of the user's"),
    "configuration open": ("chmod 777 /etc/sessionwrap", "/etc/sessionwrap has mode 0777"),
    "rules open": ("chmod 666 /etc/sessionwrap/conf.d/tests.conf", "tests.conf belongs to"),
    "tickets closed": ("chmod 700 /run/sessionwrap/tickets", "tickets has mode 0700"),
    "tickets removed": ("rm -r /run/sessionwrap/tickets", "tickets is not there"),
    "tickets open": ("chmod 777 /run/sessionwrap/tickets", "tickets has mode 0777"),
    "spool of another": ("chown alice /run/sessionwrap/spool", "spool belongs to uid"),
    "journal that keeps nothing": (
        JOURNALD.replace("RateLimitBurst=50", "Storage=none")
        + " && systemctl restart systemd-journald",
        "the journal keeps nothing",
    ),
    "journal closed to the recorder": (
        "chgrp -R root /var/log/journal && chmod 2700 /var/log/journal/*",
        "the recorder cannot read /var/log/journal",
    ),
    "rate limit lowered": (JOURNALD, "journald drops entries above 50"),
    "rate limit of the recorder": (
        UNIT_LIMIT + " && systemctl daemon-reload",
        "rate limit holds for the recorder",
    ),
    "sshd's settings removed": (SSHD, "SetEnv does not clear"),
    "sshd's settings not included": (
        "sed -i '/^Include/d' /etc/ssh/sshd_config && systemctl restart ssh",
        "/etc/ssh/sshd_config does not include",
    ),
    "loader's variables taken from clients": (
        "echo 'AcceptEnv LD_*' > /etc/ssh/sshd_config.d/a.conf && systemctl restart ssh",
        "AcceptEnv LD_*",
    ),
    "processes hidden from the recorder": (
        "echo 'proc /proc proc hidepid=ptraceable 0 0' >> /etc/fstab && mount -o remount /proc",
        "hidepid=ptraceable",
    ),
    "login shell listed": (
        "echo /usr/bin/sessionwrap-shell >> /etc/shells",
        "/etc/shells lists /usr/bin/sessionwrap-shell",
    ),
    "login shell by hand": ("usermod -s /usr/bin/sessionwrap-shell bob", "no real shell is noted"),
}


LOOKED_AT = {
    "rm -r /var/log/journal && systemctl restart systemd-journald": "the journal is in memory only",
    "echo carol:/bin/bash > /var/lib/sessionwrap/shells": "carol is noted as enrolled",
    "usermod -s /bin/sh root": "root's shell in /etc/passwd is /bin/sh",
    "gpasswd -a alice adm": "alice is recorded, and in adm",
    JOURNALD.replace("RateLimitBurst=50", "SystemMaxUse=50M"): "the journal keeps 50 MB",
    "sed -i '/pam-hook/i session optional pam_exec.so /bin/true' /etc/pam.d/common-session": (
        "pam_exec (/etc/pam.d/common-session:"
    ),
    "sed -i 's|^Subsystem.*|Subsystem sftp internal-sftp|' /etc/ssh/sshd_config": (
        "Subsystem sftp is internal-sftp"
    ),
    "echo AllowTcpForwarding yes > /etc/ssh/sshd_config.d/a.conf": "sshd forwards: AllowTcp",
}
"""What is done, and what is said of it, of what is not bad."""


def said_of_the_login(report: dict[str, Any]) -> list[str]:
    return [entry["what"] for entry in report["findings"] if entry["topic"] == "a login"]


def test_nothing_is_bad_on_a_fresh_host(host: Host) -> None:
    report = doctor(host)
    assert bad(report) == []
    assert said_of_the_login(report) == ["a login of alice by sshd is recorded: groups = wheel"]


def test_a_user_out_of_scope_is_told_not_to_be_recorded(host: Host) -> None:
    report = doctor(host, "bob")
    assert bad(report) == []
    assert said_of_the_login(report) == ["a login of bob by sshd is not recorded: scope = some"]


def test_root_is_told_to_be_left_out(host: Host) -> None:
    report = doctor(host, "root")
    assert bad(report) == []
    [told] = said_of_the_login(report)
    assert told.startswith("a login of root by sshd is not recorded: a system account")


def test_an_account_that_may_not_log_in_is_told_and_what_would_become_of_it(host: Host) -> None:
    for deny, allow in (
        ("chage -E 0 alice", "chage -E -1 alice"),
        ("echo > /run/nologin", "rm /run/nologin"),
        (
            "echo 'account required pam_access.so' >> /etc/pam.d/sshd; "
            "echo '-:alice:ALL' >> /etc/security/access.conf",
            "sed -i '/pam_access/d' /etc/pam.d/sshd",
        ),
    ):
        host.run(["sh", "-ec", deny])
        assert ssh(host, "alice", "true").returncode
        denied, would = said_of_the_login(doctor(host))
        assert denied.startswith("PAM's account stage refuses logins of alice by sshd: ")
        assert would == "a login of alice by sshd would be recorded: groups = wheel"
        host.run(["sh", "-ec", allow])
        assert ssh(host, "alice", "true").returncode == 0
        is_recorded = "a login of alice by sshd is recorded: groups = wheel"
        assert said_of_the_login(doctor(host)) == [is_recorded]


def test_a_password_that_must_be_changed_refuses_nobody(host: Host) -> None:
    host.run(["chage", "-d", "0", "alice"])
    is_recorded = "a login of alice by sshd is recorded: groups = wheel"
    assert said_of_the_login(doctor(host)) == [is_recorded]


def test_a_look_leaves_no_session_no_process_and_no_alert(host: Host) -> None:
    before = host.run(["cat", "/etc/passwd", "/etc/shadow", "/etc/pam.d/common-session"]).stdout
    doctor(host)
    host.wait_until(lambda: host.run(["loginctl", "--no-legend", "list-sessions"]).stdout == "")
    assert host.run(["pgrep", "-f", "pam_session"], check=False).stdout == ""
    assert alerts(host) == []
    assert recordings(host) == []
    after = host.run(["cat", "/etc/passwd", "/etc/shadow", "/etc/pam.d/common-session"]).stdout
    assert after == before


def test_it_can_be_called_in_a_login_that_is_recorded_itself(host: Host) -> None:
    # Audit session and ticket of that login are not those of the login that is tried.
    host.write("/etc/sudoers.d/wheel", "%wheel ALL=(ALL) NOPASSWD: ALL\n", 0o440)
    with login(host, "alice", dimensions=(200, 120)) as terminal:
        shown = command(terminal, "sudo sessionwrap doctor alice; echo status $?")
        logout(terminal)
    assert "a login of alice by sshd is recorded: groups = wheel" in shown
    assert "status 0" in shown
    assert [entry["kind"] for entry in wait_for_end(host)] == ["terminal"]


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_found_and_mended_by_the_command_that_is_told(
    host: Host, what: str
) -> None:
    breaks, says = BROKEN[what]
    host.run(["sh", "-ec", breaks])
    found = bad(doctor(host))
    assert [finding["what"] for finding in found if says in finding["what"]], found
    assert all(finding["why"] and finding["mend"] for finding in found)
    for finding in found:
        host.run(["sh", "-c", finding["mend"]], check=False)
    assert bad(doctor(host)) == []
    with login(host, "alice") as terminal:
        logout(terminal)
    assert [entry["user"] for entry in wait_for_end(host)] == ["alice"]


def test_what_is_to_look_at_is_mended_by_the_command_that_is_told(host: Host) -> None:
    for done in LOOKED_AT:
        host.run(["sh", "-ec", done])
    report = doctor(host)
    assert bad(report) == []
    told = {
        says: [entry for entry in report["findings"] if says in entry["what"]]
        for says in LOOKED_AT.values()
    }
    assert {says: len(found) for says, found in told.items()} == dict.fromkeys(told, 1)
    for [finding] in told.values():
        assert finding["severity"] == "look"
        host.run(["sh", "-ec", finding["mend"]])
    report = doctor(host)
    assert bad(report) == []
    left = [says for says in told for entry in report["findings"] if says in entry["what"]]
    assert left == []


def test_settings_that_are_broken_and_mended_by_hand_leave_a_recorder_that_starts(
    host: Host,
) -> None:
    host.run(["cp", "/etc/sessionwrap/rec-session.conf", "/root"])
    host.write("/etc/sessionwrap/rec-session.conf", "{")
    host.run(["systemctl", "restart", "sessionwrapd.service"], check=False)
    [mistake, *_] = [one for one in bad(doctor(host)) if one["topic"] == "configuration"]
    assert mistake["what"].startswith("/etc/sessionwrap/rec-session.conf")
    assert mistake["mend"].endswith("/etc/sessionwrap/rec-session.conf")
    host.run(["cp", "/root/rec-session.conf", "/etc/sessionwrap"])
    for finding in bad(doctor(host)):
        host.run(["sh", "-c", finding["mend"]])
    assert bad(doctor(host)) == []


def test_what_sshd_does_for_one_user_is_told_with_the_file_to_edit(host: Host) -> None:
    host.write("/etc/ssh/sshd_config.d/a.conf", "Match User alice\n PermitUserRC yes\n")
    [finding] = bad(doctor(host))
    assert finding["what"] == "PermitUserRC is yes, for alice, as a Match block says"
    assert finding["mend"] == "${EDITOR:-vi} /etc/ssh/sshd_config"
    assert bad(doctor(host, "carol")) == []


def test_a_check_that_cannot_look_hides_no_other(host: Host) -> None:
    host.write("/etc/sssd/sssd.conf", "no section\n", 0o600)
    report = doctor(host)
    [finding] = bad(report)
    assert finding["what"].startswith("this could not be looked at: File contains no section")
    assert said_of_the_login(report) == ["a login of alice by sshd is recorded: groups = wheel"]


def test_sssd_that_starts_tlog_is_found_and_switched_off(tlog_host: Host) -> None:
    host = tlog_host
    rules = "[sssd]\ndomains = example\n[session_recording]\nscope = some\ngroups = ops\n"
    host.write("/etc/sssd/sssd.conf", rules, 0o600)
    host.run(["mkdir", "-p", "/etc/sssd/conf.d"])
    [finding] = bad(doctor(host))
    assert finding["topic"] == "SSSD"
    assert "tlog's" in finding["why"]
    # The end of the command restarts SSSD, which this host does not have.
    host.run(["sh", "-c", finding["mend"]], check=False)
    assert bad(doctor(host)) == []


def test_a_mistake_in_the_rules_is_found_with_its_line(host: Host) -> None:
    host.write("/etc/sessionwrap/conf.d/tests.conf", "[session_recording]\nscope = sum\n")
    found = bad(doctor(host))
    assert found[0]["what"].startswith("/etc/sessionwrap/conf.d/tests.conf:2: scope: 'sum'")
    assert found[0]["mend"].endswith("+2 /etc/sessionwrap/conf.d/tests.conf")


def test_a_login_that_passes_unrecorded_is_bad_under_best_effort_too(host: Host) -> None:
    policy = "[failure_policy]\npolicy = best_effort\n"
    host.write("/etc/sessionwrap/conf.d/policy.conf", policy)
    host.run(["systemctl", "stop", "sessionwrapd.socket", "sessionwrapd.service"])
    told = said_of_the_login(doctor(host))
    assert told[0].startswith("a login of alice by sshd goes on unrecorded: ")


def test_a_missing_python_pam_is_bad_and_said_plainly(host: Host) -> None:
    host.run(["dpkg", "--remove", "--force-depends", "python3-pampy"])
    [finding] = bad(doctor(host))
    assert finding["what"].startswith("no session was opened: python-pam is not installed")
    assert finding["mend"] == "apt-get install python3-pampy python3-six"


def test_without_a_user_everything_else_is_looked_at(host: Host) -> None:
    done = host.run(["sessionwrap", "doctor", "--json"])
    report = json.loads(done.stdout)
    assert bad(report) == []
    assert said_of_the_login(report) == ["no user was named: no session was opened"]


def test_only_root_may_call_it_and_only_for_a_user_who_exists(host: Host) -> None:
    done = as_user(host, "bob", "sessionwrap", "doctor", "bob")
    assert (done.returncode, done.stderr) == (5, "sessionwrap: only root may do this\n")
    done = host.run(["sessionwrap", "doctor", "nobody-of-that-name"], check=False)
    assert (done.returncode, done.stderr) == (
        4,
        "sessionwrap: no such user: 'nobody-of-that-name'\n",
    )


def test_colours_are_for_terminals_only(host: Host) -> None:
    words = ["sessionwrap", "doctor", "alice"]
    assert "\x1b" not in host.run(words).stdout
    shown = host.run(["script", "-qec", " ".join(words), "/dev/null"]).stdout
    assert "\x1b[32mfine" in shown
    lines = shown.replace("\r", "").splitlines()
    assert lines[-1].endswith("to look at")
    assert all(len(line) < 120 for line in lines if "mend:" not in line)


def test_a_reader_that_goes_away_is_no_fault(host: Host) -> None:
    words = ["bash", "-c", "sessionwrap doctor alice | head -n 1; exit ${PIPESTATUS[1]}"]
    done = subprocess.run(host.command(words), capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"services\n", b"")


@pytest.fixture
def nscd_host(package: Path, suite: str) -> Iterator[Host]:
    """A host with glibc's cache of users, nscd, as Debian has it."""
    with Host(images.base(suite, extra=["nscd"])) as host:
        host.write("/etc/skel/.bashrc", f"PS1='{PROMPT}'\n")
        host.add_user("alice", groups=["wheel"])
        host.add_user("bob")
        host.install(package)
        rules = "[session_recording]\nscope = some\ngroups = wheel\n"
        host.write("/etc/sessionwrap/conf.d/tests.conf", rules)
        yield host


def test_nscd_that_keeps_users_is_found_and_mended(nscd_host: Host) -> None:
    def shell() -> str:
        entry = host.run(["getent", "passwd", "bob"]).stdout
        return entry.strip().rpartition(":")[2]

    host = nscd_host
    assert shell() == "/bin/bash"
    assert (
        b"this login must be recorded, but nscd caches users"
        in ssh(host, "alice", "-tt", "true").stdout
    )
    host.write("/etc/sessionwrap/conf.d/tests.conf", "[session_recording]\nscope = all\n")
    assert shell() == "/bin/bash"
    found = bad(doctor(host))
    assert [one["what"] for one in found if one["topic"] == "users and shells"] == [
        "nscd answers for users (/etc/nscd.conf: enable-cache passwd)"
    ]
    for finding in found:
        host.run(["sh", "-c", finding["mend"]], check=False)
    assert bad(doctor(host)) == []
    assert shell() == "/usr/bin/sessionwrap-shell"
    with login(host, "bob") as terminal:
        logout(terminal)
    assert [entry["user"] for entry in wait_for_end(host)] == ["bob"]
    host.run(["sed", "-i", "/enable-cache passwd/d", "/etc/nscd.conf"])
    host.run(["systemctl", "stop", "nscd"])
    assert bad(doctor(host)) == []
