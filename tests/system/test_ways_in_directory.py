"""A user of a directory who is in scope, by every way in; only the rules were written."""

from __future__ import annotations

import pytest
from host import Host

from tests.system import directory, ways
from tests.system.helpers import PROMPT, alerts, login, logout, played, recordings, ssh, workers

WAYS = {
    "sshd": ways.SSH,
    "console": ways.CONSOLE,
    "su by root": ways.SU_BY_ROOT,
    "su by bob": ways.SU_BY_BOB,
    "sudo by bob": ways.SUDO_BY_BOB,
    "machinectl shell": ways.MACHINECTL,
}


@pytest.fixture
def ready(directory_host: Host) -> Host:
    """Give a host with a directory in which dora (recorded) and erik (not) have passwords."""
    directory.configure(directory_host, "ldap_auth_disable_tls_never_use_in_production = true")
    for user in ("dora", "erik"):
        directory.modify(
            directory_host,
            f"""\
            dn: uid={user},ou=people,{directory.SUFFIX}
            changetype: modify
            add: objectClass
            objectClass: simpleSecurityObject
            -
            add: userPassword
            userPassword: {ways.PASSWORD}
            """,
        )
    ways.prepare(directory_host)
    return directory_host


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_who_is_in_scope_by_the_directory_is_recorded(ready: Host, way: ways.Way) -> None:
    ways.check(ready, way, "dora")
    assert alerts(ready) == []


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_who_is_not_in_scope_by_the_directory_has_nothing_of_ours(
    ready: Host, way: ways.Way
) -> None:
    with way.open(ready, "erik") as terminal:
        facts = ways.facts(terminal)
        assert ways.leave(terminal) == way.status
    assert (facts.user, facts.shell, facts.login_shell) == ("erik", "/bin/bash", "yes")
    assert facts.ours == 0
    assert recordings(ready) == []
    assert ("erik", way.service, "out_of_scope") in ways.login_entries(ready)
    assert alerts(ready) == []


def test_a_command_over_ssh_is_logged_and_its_streams_and_status_are_its_own(ready: Host) -> None:
    done = ssh(ready, "dora", "tty; cat; exit 3", stdin=b"\x00\xff")
    assert (done.returncode, done.stdout) == (3, b"not a tty\n\x00\xff")
    ready.wait_until(lambda: workers(ready) == [])
    (entry,) = recordings(ready)
    assert (entry["user"], entry["service"], entry["kind"]) == ("dora", "sshd", "command")
    assert alerts(ready) == []


def test_a_multiplexer_is_in_the_recording_of_whichever_terminal_shows_it(ready: Host) -> None:
    with login(ready, "dora") as terminal:
        terminal.sendline("tmux -f /dev/null new-session")
        terminal.expect_exact(PROMPT)
        terminal.sendline("echo pane $((40 + 2))")
        terminal.expect_exact("pane 42")
        terminal.send("\x02d")
        terminal.expect_exact("[detached")
        terminal.expect_exact(PROMPT)
        logout(terminal)
    with login(ready, "dora") as terminal:
        terminal.sendline("tmux attach")
        terminal.expect_exact("pane 42")
        terminal.sendline("exit")
        terminal.expect_exact("[exited]")
        logout(terminal)
    found = ways.settled(ready, 2)
    assert [b"pane 42" in played(ready, recording["rec"]) for recording in found] == [True, True]
    assert alerts(ready) == []


def until_it_has(host: Host, user: str, shell: str) -> None:
    host.wait_until(lambda: host.run(["getent", "passwd", user]).stdout.endswith(shell))


def test_who_leaves_the_group_in_the_directory_is_not_recorded_at_the_next_login(
    ready: Host,
) -> None:
    with login(ready, "dora") as terminal:
        logout(terminal)
    assert [one["user"] for one in ways.settled(ready, 1)] == ["dora"]
    directory.change_member(ready, "delete", "dora", "ops")
    directory.change_member(ready, "add", "erik", "ops")
    directory.expire(ready)
    for user, shell in (("dora", ":/bin/bash\n"), ("erik", ":/usr/bin/sessionwrap-shell\n")):
        # What the directory says is kept for 5 seconds.
        until_it_has(ready, user, shell)
    for user in ("dora", "erik"):
        with login(ready, user) as terminal:
            logout(terminal)
    assert [one["user"] for one in ways.settled(ready, 2)] == ["dora", "erik"]
    assert alerts(ready) == []
