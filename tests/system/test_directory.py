"""Users of a directory (SSSD, OpenLDAP) are recorded by the groups that the directory gives them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from host import Host

from tests.system.directory import change_member, configure
from tests.system.helpers import command, login, logout, recordings, ssh, wait_for_end

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
    shell_of_login(directory_host, "erik")
    change_member(directory_host, "add", "erik", "ops")
    shell_of_login(directory_host, "erik")
    assert recorded_users(directory_host) == ["erik"]
    change_member(directory_host, "delete", "erik", "ops")
    shell_of_login(directory_host, "erik")
    assert recorded_users(directory_host) == ["erik"]


# The login shell by `override_shell`.


def test_override_shell_records_and_starts_the_shell_of_the_settings(directory_host: Host) -> None:
    configure(directory_host, OUR_SHELL)
    assert shell_of_login(directory_host, "dora") == "-bash /bin/bash"
    directory_host.write("/etc/sessionwrap/rec-session.conf", '{"shell": "/bin/rbash"}\n')
    directory_host.run(["systemctl", "reload", "sessionwrapd"])
    assert shell_of_login(directory_host, "dora") == "-rbash /bin/rbash"
    assert all(recording["complete"] for recording in wait_for_end(directory_host, 2))
    copied = ssh(directory_host, "dora", "cat", stdin=bytes(range(256)) * 100)
    assert (copied.stdout, copied.stderr) == (bytes(range(256)) * 100, b"")
