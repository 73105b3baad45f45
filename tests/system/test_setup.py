"""`sessionwrap setup` and `unsetup` do what they say, can be run again, and lock nobody out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import images
import pytest
from host import Host

from sessionwrap.setup import steps
from tests.system.helpers import (
    as_user,
    command,
    gets_in,
    login,
    logout,
    recordings,
    ssh,
    wait_for_end,
)

# Who, mode, content or target of all below /etc, but for ld.so.cache, which says nothing. The
# users of the services stay after unsetup: what was recorded is theirs. `-` files are backups.
ACCOUNTS = "passwd passwd- group group- shadow shadow- gshadow gshadow- subuid subgid"
TREE = r"""
cd /etc
find . -not -path ./ld.so.cache -printf '%p %M %u %g %l\n' | LC_ALL=C sort
find . -type f -not -path ./ld.so.cache -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
"""
UNITS = "systemctl list-unit-files --no-legend 'sessionwrap*'; systemctl is-active sessionwrapd.s* "
UNITS += "sessionwrap-userdb.socket"
OURS = ("sessionwrap",)
"""What the names of our own conffiles have in them."""


def tree(host: Host) -> list[str]:
    """Give a line or two for everything in /etc but accounts: who, mode, content."""
    skipped = tuple(f"./{name}" for name in ACCOUNTS.split())
    lines = host.run(["sh", "-c", TREE]).stdout.splitlines()
    return [line for line in lines if not set(line.split()) & set(skipped)]


def state(host: Host) -> tuple[list[str], str]:
    return tree(host), host.run(["sh", "-c", UNITS], check=False).stdout


def setup(host: Host, *words: str) -> str:
    return host.run(["sessionwrap", "setup", *words]).stdout


def unsetup(host: Host, *words: str) -> str:
    return host.run(["sessionwrap", "unsetup", *words]).stdout


def everybody_logs_in(host: Host) -> None:
    for user in ("alice", "bob"):
        with login(host, user) as terminal:
            assert "/bin/bash" in command(terminal, f"getent passwd {user}")
            assert logout(terminal, 3) == 3
    assert ssh(host, "root", "true").returncode == 0
    done = host.run(["su", "-l", "alice", "-c", "echo su works"])
    assert done.stdout.endswith("su works\n")


@pytest.fixture
def plain_host(suite: str) -> Iterator[Host]:
    """Boot a host that never had the package."""
    with Host(images.base(suite)) as booted:
        booted.write("/etc/inputrc", "set enable-bracketed-paste off\n")
        booted.write("/etc/skel/.bashrc", "PS1='ready$ '\n")  # helpers.PROMPT
        booted.add_user("alice", groups=["wheel"])
        booted.add_user("bob")
        yield booted


def test_a_dry_run_says_everything_and_changes_nothing(host: Host) -> None:
    there = state(host)
    would_undo = unsetup(host, "--dry-run")
    assert state(host) == there
    for word in ("PAM hook off", "nsswitch.conf", "service.d/sessionwrap.conf", "stop and disable"):
        assert word in would_undo
    assert unsetup(host) == would_undo
    gone = state(host)
    assert gone != there
    would_do = setup(host, "--dry-run")
    assert state(host) == gone
    for word in ("enable and start", "nsswitch.conf", "service.d/sessionwrap.conf", "PAM hook on"):
        assert word in would_do
    assert setup(host) == would_do
    assert state(host) == there


def test_run_twice_the_second_changes_nothing(host: Host) -> None:
    before = state(host)
    pid = host.run(["systemctl", "show", "-p", "MainPID", "--value", "ssh"]).stdout
    assert setup(host) == "everything is in place\n"
    assert state(host) == before
    assert host.run(["systemctl", "show", "-p", "MainPID", "--value", "ssh"]).stdout == pid
    unsetup(host)
    before = state(host)
    assert unsetup(host) == "nothing of setup is in place\n"
    assert state(host) == before


def test_unsetup_takes_back_exactly_what_was_done(plain_host: Host, package: Path) -> None:
    before = tree(plain_host)
    plain_host.install(package)
    assert tree(plain_host) != before
    unsetup(plain_host)
    left = set(tree(plain_host)) ^ set(before)
    # The package's own conffiles stay until it is purged.
    assert [line for line in left if not any(word in line for word in OURS)] == []
    everybody_logs_in(plain_host)


def test_a_host_that_was_set_up_and_taken_back_can_be_set_up_again(host: Host) -> None:
    unsetup(host)
    setup(host)
    with login(host, "alice") as terminal:
        logout(terminal)
    assert [entry["user"] for entry in wait_for_end(host)] == ["alice"]


def test_a_change_that_somebody_made_since_stays(host: Host) -> None:
    host.run(["sed", "-i", "s/^passwd:.*/passwd: systemd files sss/", "/etc/nsswitch.conf"])
    host.run(["sed", "-i", "s/^hosts:.*/hosts: files/", "/etc/nsswitch.conf"])
    unsetup(host)
    lines = host.run(["cat", "/etc/nsswitch.conf"]).stdout.splitlines()
    assert "passwd: files sss systemd" in lines
    assert "hosts: files" in lines


def test_the_replaced_file_keeps_owner_mode_attributes_and_place(host: Host) -> None:
    unsetup(host)
    host.run(["mkdir", "/etc/site"])
    host.run(["mv", "/etc/nsswitch.conf", "/etc/site/nsswitch.conf"])
    host.run(["ln", "-s", "site/nsswitch.conf", "/etc/nsswitch.conf"])
    host.run(["chown", "bob:adm", "/etc/site/nsswitch.conf"])
    host.run(["chmod", "664", "/etc/site/nsswitch.conf"])
    # Stands for what SELinux and ACLs have there.
    attribute = "import os; os.setxattr('/etc/nsswitch.conf', 'trusted.note', b'kept')"
    host.run(["python3", "-c", attribute])
    shown = "import os; print(os.listxattr('/etc/nsswitch.conf'))"
    for verb in (setup, unsetup):
        before = tree(host)
        verb(host)
        assert "['trusted.note']" in host.run(["python3", "-c", shown]).stdout
        listed = [line for line in before if line.startswith(("./nsswitch", "./site"))]
        assert set(listed) <= set(tree(host))


@pytest.mark.parametrize(
    "edit",
    [
        "sed -i /^passwd:/d",
        "sed -i /^shadow:/d",
        # glibc heeds the last one.
        "sed -i '$apasswd: files'",
    ],
)
def test_whatever_the_lines_of_nsswitch_are_the_rules_hold_and_they_come_back(
    host: Host, edit: str
) -> None:
    unsetup(host)
    host.run(["sh", "-ec", f"{edit} /etc/nsswitch.conf"])
    before = state(host)
    setup(host)
    assert setup(host) == "everything is in place\n"
    for user, shell in (("alice", "/usr/bin/sessionwrap-shell"), ("bob", "/bin/bash")):
        assert host.run(["getent", "passwd", user]).stdout.endswith(f":{shell}\n")
    unsetup(host)
    assert state(host) == before


def test_while_etc_cannot_be_written_it_says_so_and_locks_nobody_out(host: Host) -> None:
    there = state(host)
    for verb in ("unsetup", "setup"):
        host.run(["mount", "--bind", "-o", "ro", "/etc", "/etc"])
        done = host.run(["sessionwrap", verb], check=False)
        assert done.returncode == 1
        assert "Read-only file system" in done.stderr
        assert "Traceback" not in done.stderr
        for user in ("alice", "bob", "root"):
            assert gets_in(host, user)
        host.run(["umount", "/etc"])
        host.run(["sessionwrap", verb])
        for user in ("alice", "bob", "root"):
            assert gets_in(host, user)
    assert state(host) == there


def test_a_file_that_cannot_be_replaced_is_named_and_nothing_is_left_beside_it(host: Host) -> None:
    unsetup(host)
    # As in containers; `chattr +i` does the same.
    host.run(["mount", "--bind", "/etc/nsswitch.conf", "/etc/nsswitch.conf"])
    done = host.run(["sessionwrap", "setup"], check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("sessionwrap: /etc/nsswitch.conf: cannot be written: ")
    assert "sessionwrap-new" not in host.run(["ls", "/etc"]).stdout
    assert gets_in(host, "alice")
    host.run(["umount", "/etc/nsswitch.conf"])
    setup(host)
    assert gets_in(host, "alice")


def test_unsetup_that_does_not_know_what_was_changes_nothing_and_says_what_to_do(
    host: Host,
) -> None:
    noted = steps.STATE_FILE
    host.write(noted, "{")
    before = state(host)
    done = host.run(["sessionwrap", "unsetup"], check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"sessionwrap: {noted}: is not what setup wrote")
    assert "Take `systemd` out of the line passwd of /etc/nsswitch.conf yourself" in done.stderr
    assert "and remove this file" in done.stderr
    assert state(host) == before
    host.run(["sed", "-i", "/^passwd:/s/systemd//", "/etc/nsswitch.conf"])
    host.run(["rm", noted])
    unsetup(host)
    everybody_logs_in(host)
    assert recordings(host) == []


def test_a_host_without_sshd_is_set_up_and_taken_back(host: Host) -> None:
    unsetup(host)
    remove = ["dpkg", "--purge", "--force-depends", "openssh-server", "openssh-sftp-server"]
    host.run(["env", "DEBIAN_FRONTEND=noninteractive", *remove])
    before = state(host)
    setup(host)
    done = host.run(["su", "-l", "alice", "-c", "echo su works"])
    assert done.stdout.endswith("su works\n")
    unsetup(host)
    assert state(host) == before


def test_sessions_go_on_while_it_is_taken_back_and_others_log_in_as_before(host: Host) -> None:
    host.write("/etc/sessionwrap/conf.d/tests.conf", "[session_recording]\nscope = all\n")
    with login(host, "alice") as terminal:
        assert "one" in command(terminal, "echo one")
        unsetup(host)
        assert "two" in command(terminal, "echo two")
        everybody_logs_in(host)
        assert "three" in command(terminal, "echo three")
        assert logout(terminal, 7) == 7
    ended = wait_for_end(host)
    assert [(entry["user"], entry["complete"]) for entry in ended] == [("alice", True)]


def test_who_is_enrolled_has_their_own_shell_again(host: Host) -> None:
    host.run(["usermod", "-s", "/bin/sh", "bob"])
    host.run(["sessionwrap", "enroll", "bob"])
    assert "give bob their own shell back" in unsetup(host)
    assert host.run(["getent", "passwd", "bob"]).stdout.endswith(":/bin/sh\n")


def test_the_package_stays_at_work_when_somebody_would_be_left_without_a_shell(host: Host) -> None:
    host.run(["usermod", "-s", "/usr/bin/sessionwrap-shell", "bob"])
    before = state(host)
    done = host.run(["apt-get", "-q", "-y", "remove", "sessionwrap"], check=False)
    assert done.returncode != 0
    assert state(host) == before
    assert "bob: no real shell is noted" in done.stdout + done.stderr
    for user in ("alice", "bob", "root"):
        assert gets_in(host, user)
    host.run(["usermod", "-s", "/bin/bash", "bob"])
    host.run(["apt-get", "-q", "-y", "remove", "sessionwrap"])
    everybody_logs_in(host)


def test_sshd_runs_however_often_it_is_restarted(host: Host) -> None:
    # systemd lets a service start five times in ten seconds, then no more.
    for _ in range(4):
        unsetup(host)
        setup(host)
        assert host.run(["systemctl", "is-active", "ssh"]).stdout == "active\n"
    assert ssh(host, "root", "true").returncode == 0


def test_sshd_with_broken_settings_is_left_running_until_they_are_mended(host: Host) -> None:
    unsetup(host)
    host.write("/etc/ssh/sshd_config.d/broken.conf", "NoSuchKeyword yes\n")
    for _ in range(2):
        done = host.run(["sessionwrap", "setup"])
        assert "restart sshd" in done.stdout
        assert "sshd has to be restarted and cannot be: " in done.stderr
        assert "NoSuchKeyword" in done.stderr
    assert host.run(["systemctl", "is-active", "ssh"]).stdout == "active\n"
    assert gets_in(host, "bob")
    host.run(["rm", "/etc/ssh/sshd_config.d/broken.conf"])
    assert setup(host) == "restart sshd\n"
    assert setup(host) == "everything is in place\n"
    assert gets_in(host, "bob")


EDITED = (
    "sed -i 's/^session.*pam_unix.so/session optional pam_umask.so\\n&/' /etc/pam.d/common-session"
)


def test_a_common_session_edited_by_hand_is_left_alone_with_a_word_of_what_to_do(
    host: Host,
) -> None:
    unsetup(host)
    host.run(["sh", "-ec", EDITED])
    edited = host.run(["cat", "/etc/pam.d/common-session"]).stdout
    done = host.run(["sessionwrap", "setup"], check=False)
    assert done.returncode == 1
    assert host.run(["cat", "/etc/pam.d/common-session"]).stdout == edited
    assert "was changed by hand" in done.stderr
    # Both ways that it names work.
    line = done.stderr.rstrip().rpartition("before all others: ")[2]
    host.run(["sed", "-i", f"1i {line}", "/etc/pam.d/common-session"])
    assert setup(host) == "everything is in place\n"
    unsetup(host)
    assert host.run(["cat", "/etc/pam.d/common-session"]).stdout == edited
    host.run(["sessionwrap", "setup"], check=False)
    force = done.stderr.partition("Either `")[2].partition("`")[0]
    host.run(["env", "DEBIAN_FRONTEND=noninteractive", *force.split()])
    assert setup(host) == "everything is in place\n"
    with login(host, "alice") as terminal:
        logout(terminal)
    assert [entry["user"] for entry in wait_for_end(host)] == ["alice"]


def test_a_line_of_the_hook_put_in_by_hand_locks_nobody_out_after_removal(host: Host) -> None:
    # pam-auth-update leaves a file alone that was edited; the line would run what is gone.
    host.run(["sh", "-ec", EDITED])
    hook = "session required pam_exec.so type=open_session seteuid \\\n"
    hook += "  /usr/libexec/sessionwrap/pam-hook\n"
    stack = host.run(["cat", "/etc/pam.d/su"]).stdout
    host.write("/etc/pam.d/su", hook + stack)
    host.run(["apt-get", "-q", "-y", "remove", "sessionwrap"])
    assert host.run(["grep", "-r", "pam-hook", "/etc/pam.d"], check=False).stdout == ""
    assert host.run(["cat", "/etc/pam.d/su"]).stdout == stack
    assert "pam_umask" in host.run(["cat", "/etc/pam.d/common-session"]).stdout
    everybody_logs_in(host)


def test_only_root_may_call_it(host: Host) -> None:
    before = state(host)
    for verb in ("setup", "unsetup"):
        done = as_user(host, "bob", "sessionwrap", verb)
        assert (done.returncode, done.stderr) == (5, "sessionwrap: only root may do this\n")
    assert state(host) == before


def test_nobody_is_recorded_after_it_was_taken_back(host: Host) -> None:
    unsetup(host)
    everybody_logs_in(host)
    assert recordings(host) == []


def test_it_is_set_up_in_an_image_that_is_not_booted(package: Path, suite: str) -> None:
    with Host(images.base(suite)) as booted:
        booted.run(["mkdir", "-p", "/hidden"])
        booted.copy_in(package, "/root/package.deb")
        # Without /run/systemd/system nobody takes it for a booted system (sd_booted(3)).
        not_booted = "mount --bind /hidden /run/systemd && exec "
        install = f"{not_booted} dpkg --install /root/package.deb"
        booted.run(["unshare", "--mount", "sh", "-ec", install], timeout=180)
        assert "pam-hook" in booted.run(["cat", "/etc/pam.d/common-session"]).stdout
        line = "passwd:         systemd files"
        assert line in booted.run(["cat", "/etc/nsswitch.conf"]).stdout.splitlines()
        # As presets leave them on Fedora.
        booted.run(["systemctl", "disable", *steps.UNITS])
        words = ["unshare", "--mount", "sh", "-ec", f"{not_booted} sessionwrap setup"]
        assert booted.run(words).stdout.startswith("enable and start sessionwrapd.socket")
        assert booted.run(words).stdout == "everything is in place\n"
        shown = booted.run(["systemctl", "is-enabled", *steps.UNITS]).stdout
        assert shown.split() == ["enabled"] * len(steps.UNITS)
