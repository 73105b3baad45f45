"""The overlay over NSS: who gets the login shell by it, and that none of its traps is open."""

from __future__ import annotations

import inspect
import json
import time
from pathlib import Path

import host as hosts
import pexpect
import pytest
from host import Host
from images import Image

from tests.system import directory, ways
from tests.system.helpers import (
    PROMPT,
    alerts,
    command,
    gets_in,
    login,
    logout,
    played,
    recordings,
    ssh,
    wait_for_end,
)

OURS = "/usr/bin/sessionwrap-shell"
RULES = "/etc/sessionwrap/conf.d/tests.conf"
SERVICE = "sessionwrap-userdb.service"


def shell(host: Host, user: str) -> str:
    """Give the shell that NSS says a user has."""
    return host.run(["getent", "passwd", user]).stdout.rstrip("\n").rpartition(":")[2]


def rules(host: Host, *lines: str) -> None:
    host.write(RULES, "".join(f"{line}\n" for line in ("[session_recording]", *lines)))


def test_only_who_is_in_scope_has_the_login_shell_and_all_else_is_what_it_was(host: Host) -> None:
    lines = host.run(["cat", "/etc/passwd"]).stdout.splitlines()
    entries = {line.partition(":")[0]: line for line in lines}
    assert entries["alice"].endswith("::/home/alice:/bin/bash")
    for user, expected in (("alice", OURS), ("carol", OURS), ("bob", "/bin/bash")):
        name, password, *rest, _ = entries[user].split(":")
        line = ":".join([name, password, *rest, expected])
        number = rest[0]
        assert host.run(["getent", "passwd", user]).stdout == line + "\n"
        assert host.run(["getent", "passwd", number]).stdout == line + "\n"


def test_system_accounts_are_never_answered_for_by_whatever_rule(host: Host) -> None:
    rules(host, "scope = all", "users = root, daemon, www-data")
    lines = host.run(["cat", "/etc/passwd"]).stdout.splitlines()
    system = [line for line in lines if not 1000 <= int(line.split(":")[2]) < 65534]
    assert len(system) > 15
    for line in system:
        user, _, number, *_ = line.split(":")
        for key in (user, number):
            found = host.run(["userdbctl", "--with-nss=no", "-j", "user", key], check=False).stdout
            assert "io.sessionwrap.Overlay" not in found
        if user not in ("root", "nobody"):  # systemd's own records
            assert host.run(["getent", "passwd", user]).stdout == line + "\n"
    assert shell(host, "bob") == OURS


def test_the_list_of_all_users_has_each_once(host: Host) -> None:
    lines = host.run(["getent", "passwd"]).stdout.splitlines()
    names = [line.partition(":")[0] for line in lines]
    local = host.run(["cut", "-d:", "-f1", "/etc/passwd"]).stdout.split()
    assert sorted(names) == sorted(local)


def test_a_change_of_groups_rules_and_accounts_holds_at_once(host: Host) -> None:
    for add, expected in (("--delete", "/bin/bash"), ("--add", OURS)):
        host.run(["gpasswd", add, "alice", "wheel"])
        assert shell(host, "alice") == expected
    rules(host, "scope = some", "users = bob")
    assert (shell(host, "alice"), shell(host, "bob")) == ("/bin/bash", OURS)
    host.write("/etc/sessionwrap/conf.d/zz.conf", "[session_recording]\nscope = none\n")
    assert shell(host, "bob") == "/bin/bash"
    host.run(["rm", "/etc/sessionwrap/conf.d/zz.conf"])
    assert shell(host, "bob") == OURS
    host.run(["usermod", "--home", "/srv", "bob"])
    assert host.run(["getent", "passwd", "bob"]).stdout.endswith(f":/srv:{OURS}\n")
    host.run(["useradd", "--groups=wheel", "dave"])
    rules(host, "scope = some", "groups = wheel")
    assert shell(host, "dave") == OURS
    host.run(["userdel", "dave"])
    assert host.run(["getent", "passwd", "dave"], check=False).returncode == 2


def test_who_leaves_the_group_is_not_recorded_at_the_next_login(host: Host) -> None:
    host.run(["gpasswd", "--delete", "alice", "wheel"])
    with login(host, "alice") as terminal:
        assert ways.facts(terminal).ours == 0
        logout(terminal)
    host.run(["gpasswd", "--add", "alice", "wheel"])
    with login(host, "alice") as terminal:
        logout(terminal)
    (recording,) = ways.settled(host, 1)
    assert [entry[2] for entry in ways.login_entries(host)] == ["out_of_scope", "recorded"]
    assert recording["user"] == "alice"
    assert alerts(host) == []


def test_a_shell_that_only_has_the_name_of_no_login_is_a_shell(host: Host) -> None:
    host.run(["install", "-o", "alice", "/bin/bash", "/home/alice/nologin"])
    host.run(["usermod", "--shell", "/home/alice/nologin", "alice"])
    assert shell(host, "alice") == OURS
    with login(host, "alice") as terminal:
        assert command(terminal, "echo $0") == "-nologin\r\n"
        logout(terminal)
    (recording,) = ways.settled(host, 1)
    assert recording["user"] == "alice"
    host.run(["usermod", "--shell", "/usr/sbin/nologin", "alice"])
    assert shell(host, "alice") == "/usr/sbin/nologin"
    assert not gets_in(host, "alice")
    assert alerts(host) == []


@pytest.mark.parametrize("how", ["a file", "a service"])
def test_users_of_systemds_own_user_database_are_refused_and_not_let_in_by_chance(
    host: Host, how: str
) -> None:
    """systemd's module takes the answer that comes first: ours, or the one with their own shell."""
    user = {"userName": "dan", "uid": 20002, "gid": 100, "shell": "/bin/bash"}
    user |= {"homeDirectory": "/", "disposition": "regular"}
    if how == "a file":
        host.write("/etc/userdb/dan.user", json.dumps(user))
        host.run(["ln", "-s", "dan.user", "/etc/userdb/20002.user"])
    else:
        host.copy_in(Path(__file__).with_name("user_service.py"), "/usr/local/bin/users")
        unit = ["--unit=users", "--property=Type=notify", "--property=NotifyAccess=all"]
        host.run(["systemd-run", *unit, "python3", "/usr/local/bin/users", json.dumps(user)])
    rules(host, "scope = some", "users = dan")
    assert {shell(host, "dan") for _ in range(20)} == {"/bin/bash"}
    for _ in range(3):
        assert not gets_in(host, "dan")
    assert "A login of dan by sshd was refused" in alerts(host)[0]
    assert recordings(host) == []


def test_an_account_that_is_not_utf8_keeps_nobody_out(host: Host) -> None:
    line = r"carl:x:3000:100:J\344ger:/home/carl:/bin/bash\n"
    host.run(["sh", "-ec", f"printf '{line}' >> /etc/passwd"])
    host.run(["systemctl", "restart", "sessionwrap-userdb"])
    assert gets_in(host, "bob")
    with login(host, "alice") as terminal:
        logout(terminal)
    assert [entry["user"] for entry in wait_for_end(host)] == ["alice"]


def test_a_service_that_cannot_start_keeps_nobody_waiting_for_long(host: Host) -> None:
    module = "/usr/lib/python3/dist-packages/sessionwrap/overlay/memory.py"
    compiled = "/usr/lib/python3/dist-packages/sessionwrap/overlay/__pycache__/memory.*"
    host.run(["sh", "-ec", f"mv {module} /root; rm -f {compiled}"])
    host.run(["systemctl", "restart", "--no-block", "sessionwrap-userdb"])
    ended = ["systemctl", "is-failed", "sessionwrap-userdb.service", "sessionwrap-userdb.socket"]
    host.wait_until(lambda: host.run(ended, check=False).stdout == "failed\nfailed\n", timeout=60)
    assert gets_in(host, "root")
    assert gets_in(host, "bob")
    assert not gets_in(host, "alice")
    host.run(["mv", "/root/memory.py", module])
    host.run(["systemctl", "reset-failed", "sessionwrap-userdb.service"])
    host.run(["sessionwrap", "setup"])
    assert gets_in(host, "alice")


def test_a_user_of_whom_nss_does_not_know_is_decided_on_by_name(host: Host) -> None:
    hook = (
        "PAM_TYPE=open_session PAM_USER=virtual PAM_SERVICE=ftp /usr/libexec/sessionwrap/pam-hook"
    )
    refused = host.run(["sh", "-c", hook], check=False)
    assert (refused.returncode, refused.stdout) == (
        14,
        "sessionwrap: there is no user 'virtual'. Please tell an administrator.\n",
    )
    host.write("/etc/sessionwrap/conf.d/tests.conf", "[session_recording]\nscope = none\n")
    assert host.run(["sh", "-c", hook]).stdout == ""


def test_who_is_in_a_group_without_a_name_is_recorded_and_not_refused(host: Host) -> None:
    host.run(["sed", "-i", r"s/^\(bob:x:[0-9]*\):[0-9]*:/\1:54321:/", "/etc/passwd"])
    assert shell(host, "bob") == OURS
    assert gets_in(host, "bob")
    (recording,) = ways.settled(host, 1)
    assert recording["user"] == "bob"
    assert alerts(host) == []


def test_a_service_that_hangs_delays_logins_by_seconds_and_lets_nobody_through(host: Host) -> None:
    host.run(["systemctl", "kill", "--signal=STOP", SERVICE])
    began = time.monotonic()
    assert gets_in(host, "bob")
    assert time.monotonic() - began < 6
    host.run(["systemctl", "kill", "--signal=STOP", SERVICE])
    began = time.monotonic()
    assert host.run(["getent", "passwd", "alice"]).stdout
    assert time.monotonic() - began < 6
    host.run(["systemctl", "kill", "--signal=STOP", SERVICE])
    began = time.monotonic()
    done = ssh(host, "alice", "-tt", "echo got in")
    assert time.monotonic() - began < 8
    if b"got in" in done.stdout:
        (recording,) = ways.settled(host, 1)
        assert recording["user"] == "alice"
    else:
        assert b"must be recorded" in done.stdout
        assert recordings(host) == []
    assert gets_in(host, "alice"), "all is well once it is back"


def test_no_question_of_the_service_comes_back_to_it(directory_host: Host) -> None:
    host = directory_host
    directory.configure(host)
    host.run(["getent", "passwd", "dora"])  # now it has a process that asks
    traced = "-e trace=connect,recvfrom -o /root/trace $(pgrep -u sessionwrap-userdb | sed s/^/-p/)"
    host.run(["systemd-run", "-q", "--unit=trace", "sh", "-c", f"exec strace -f {traced}"])
    host.wait_until(lambda: "attached" in host.run(["journalctl", "-q", "-u", "trace"]).stdout)
    assert shell(host, "erik") == "/bin/bash"
    host.run(["systemctl", "stop", "trace"])
    trace = host.run(["cat", "/root/trace"]).stdout
    assert '"\\"erik\\""' in trace, "no process was asked for erik"
    assert "io.sessionwrap.Overlay" not in trace
    assert "io.systemd.Multiplexer" not in trace  # which would ask us
    assert shell(host, "dora") == OURS
    assert shell(host, "erik") == "/bin/bash"


def test_a_host_boots_with_the_overlay_and_units_that_need_a_recorded_user_early(
    installed_image: Image,
) -> None:
    early = "[Unit]\nDefaultDependencies=no\nBefore=sysinit.target\n"
    socket = "[Socket]\nListenStream=/run/alice.sock\nSocketUser=alice\n"
    job = "[Service]\nType=oneshot\nRemainAfterExit=yes\nUser=alice\nExecStart=id\n"
    install = "[Install]\nWantedBy=sysinit.target\n"

    def setup(host: Host) -> None:
        units = "/etc/systemd/system"
        host.write(f"{units}/alice.socket", f"{early}{socket}{install}")
        host.write(f"{units}/alice.service", job)
        host.write(f"{units}/early.service", f"{early}{job}{install}")
        host.run(["systemctl", "enable", "alice.socket", "early.service"])

    def booted(image: Image) -> float:
        """Boot an image; give the seconds that systemd took to start everything."""
        with Host(image) as host:
            host.wait_until(
                lambda: (
                    host.run(["systemctl", "is-system-running"], check=False).stdout != "starting\n"
                )
            )
            state = host.run(["systemctl", "is-system-running"], check=False).stdout
            assert state == "running\n", host.run(["systemctl", "--failed"]).stdout
            names = ["UserspaceTimestampMonotonic", "FinishTimestampMonotonic"]
            shown = host.run(["systemctl", "show", "--value", *(f"-p{name}" for name in names)])
            begun, finished = sorted(int(line) for line in shown.stdout.split())
            for unit in ("alice.socket", "early.service"):
                if image is not installed_image:
                    assert host.run(["systemctl", "is-active", unit]).stdout == "active\n"
                    assert host.run(["stat", "-c", "%U", "/run/alice.sock"]).stdout == "alice\n"
            return (finished - begun) / 1e6

    with_units = hosts.prepared(installed_image, "early", inspect.getsource(setup), setup)
    plain = booted(installed_image)
    assert booted(with_units) < plain + 2


def test_root_is_recorded_by_name_only_over_ssh_and_at_the_console(host: Host) -> None:
    ways.prepare(host, "root")
    host.run(["usermod", "-aG", "wheel", "root"])
    rules(host, "scope = all")
    for _ in range(2):
        with login(host, "root") as terminal:
            assert ways.facts(terminal).ours == 0
            logout(terminal)
        assert recordings(host) == []
        rules(host, "scope = some", "groups = wheel, root")
    assert alerts(host) == []
    host.run(["sessionwrap", "enroll", "root"])
    rules(host, "scope = some", "users = root")
    with login(host, "root") as terminal:
        found = ways.facts(terminal)
        assert (found.name, found.shell, found.login_shell) == ("-bash", "/bin/bash", "yes")
        assert logout(terminal, 3) == 3
    with ways.on_console(host, "root") as terminal:
        command(terminal, "echo at the console")
        ways.leave(terminal)
    recorded = ways.settled(host, 2)
    assert [(one["user"], one["service"]) for one in recorded] == [
        ("root", "sshd"),
        ("root", "login"),
    ]
    assert b"at the console\r\n" in played(host, recorded[1]["rec"])
    assert alerts(host) == []


def test_root_by_su_or_sudo_is_seen_where_the_terminal_is_recorded_and_else_an_alert(
    host: Host,
) -> None:
    ways.prepare(host, "alice", "root")
    host.run(["sessionwrap", "enroll", "root"])
    rules(host, "scope = some", "users = alice, root")
    for user, expected in (("alice", 0), ("bob", 1)):
        for line in ("sudo -i", "sudo su -"):
            with login(host, user) as terminal:
                terminal.sendline(line)
                terminal.expect_exact(PROMPT)
                assert command(terminal, "id -un") == "root\r\n"
                ways.leave(terminal)
                logout(terminal)
        named = [line for line in alerts(host) if "A login of root by su" in line]
        assert len(named) == 2 * expected
    found = ways.settled(host, 2)
    assert [b"id -un\r\nroot" in played(host, one["rec"]) for one in found] == [True, True]


def test_root_gets_in_with_an_alert_when_nothing_of_ours_runs(host: Host) -> None:
    ways.prepare(host, "root")
    host.run(["sessionwrap", "enroll", "root"])
    rules(host, "scope = some", "users = root")
    units = ["sessionwrapd.socket", "sessionwrapd.service", "sessionwrap-userdb.socket", SERVICE]
    host.run(["systemctl", "stop", *units])
    with login(host, "root") as terminal:
        assert command(terminal, "echo $0") == "-bash\r\n"
        logout(terminal)
    with ways.on_console(host, "root") as terminal:
        assert command(terminal, "echo $0") == "-bash\r\n"
        ways.leave(terminal)
    assert any("A login of root by sshd goes on unrecorded" in line for line in alerts(host))
    assert any("A login of root by login goes on unrecorded" in line for line in alerts(host))
    assert recordings(host) == []


def test_root_has_the_shell_of_before_once_no_longer_enrolled(host: Host) -> None:
    ways.prepare(host, "root")
    line = host.run(["grep", "^root:", "/etc/passwd"]).stdout
    host.run(["sessionwrap", "enroll", "root"])
    host.run(["sessionwrap", "unenroll", "root"])
    assert host.run(["grep", "^root:", "/etc/passwd"]).stdout == line
    with login(host, "root") as terminal:
        assert command(terminal, "echo $0 $SHELL") == "-bash /bin/bash\r\n"
        logout(terminal)
    assert recordings(host) == []


@pytest.mark.parametrize("how", ["missing", "broken"])
def test_the_rescue_shell_mends_root_where_our_login_shell_does_not_run(
    host: Host, how: str
) -> None:
    ways.prepare(host, "root")
    host.run(["sessionwrap", "enroll", "root"])
    if how == "missing":
        host.run(["mv", OURS, "/root/away"])
        words = []
    else:
        host.write(OURS, "#!/bin/false\n", 0o755)
        words = ["SUSHELL=/bin/sh"]
    # As rescue.service has it: what setup gives to all services, and the kernel's command line.
    words = ["env", "SYSTEMD_NSS_BYPASS_SYNTHETIC=1", *words]
    argv = host.command([*words, "script", "-qec", "sulogin --force", "/dev/null"])
    with pexpect.spawn(argv[0], argv[1:], timeout=30, encoding="utf-8") as terminal:
        terminal.expect_exact("password")
        terminal.sendline(ways.PASSWORD)
        terminal.expect_exact("# ")
        terminal.sendline("usermod -s /bin/bash root; echo mended $?")
        terminal.expect_exact("mended 0")
        terminal.sendline("exit")
        terminal.expect(pexpect.EOF)
    with login(host, "root") as terminal:
        assert command(terminal, "echo $0") == "-bash\r\n"
        logout(terminal)
