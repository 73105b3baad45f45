"""Users of a directory (OpenLDAP, SSSD) are recorded by the groups that it gives them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from host import Host

from tests.system import directory
from tests.system.directory import (
    OUR_SHELL,
    change_member,
    configure,
    recorded_users,
    shell_of_login,
)
from tests.system.helpers import gets_in, login, logout, wait_for_end


def explained(host: Host, user: str) -> dict[str, Any]:
    """Give what `sessionwrap explain --json` tells an ordinary user."""
    shown = host.run(["sessionwrap", "explain", "--json", user], user="bob").stdout
    found: dict[str, Any] = json.loads(shown)
    return found


def test_groups_of_the_directory_decide_who_is_recorded(directory_host: Host) -> None:
    configure(directory_host, OUR_SHELL)
    for user in ("dora", "erik", "hugo", "alice", "bob"):
        shell_of_login(directory_host, user)
    # hugo's wheel is the directory's, alice's is the one in /etc/group: the name decides.
    assert recorded_users(directory_host) == ["dora", "hugo", "alice"]
    assert all(recording["complete"] for recording in wait_for_end(directory_host, 3))


def test_the_overlay_records_users_of_a_directory_that_was_not_touched(
    directory_host: Host,
) -> None:
    configure(directory_host)
    for user in ("dora", "erik", "hugo", "alice", "bob"):
        assert shell_of_login(directory_host, user).endswith("bash")
    assert recorded_users(directory_host) == ["dora", "hugo", "alice"]
    assert all(recording["complete"] for recording in wait_for_end(directory_host, 3))
    shells = {
        user: directory_host.run(["getent", "passwd", user]).stdout.strip().split(":")[-1]
        for user in ("dora", "erik")
    }
    assert shells == {"dora": "/usr/bin/sessionwrap-shell", "erik": "/bin/bash"}


def test_explain_shows_the_groups_of_the_directory(directory_host: Host) -> None:
    configure(directory_host)
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
    directory_host.wait_until(lambda: directory.is_known(directory_host, "nora"))
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
    directory.expire(directory_host)  # or it may be the next one for whom SSSD asks and waits
    assert directory.is_known(directory_host, "dora")
    assert seconds_to_get_in(directory_host, "dora") < ONE_TIMEOUT / 2, "SSSD is offline by now"
    directory.thaw(directory_host)
    directory_host.wait_until(lambda: directory.is_known(directory_host, "nora"))
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
# down. It says so to nobody, but then the user's own group has no name.


@pytest.mark.parametrize("shell", [[], [OUR_SHELL]], ids=["overlay", "override_shell"])
def test_who_has_groups_that_sssd_never_learned_is_recorded_in_doubt(
    directory_host: Host, shell: list[str]
) -> None:
    configure(directory_host, *shell)
    directory.stop(directory_host)
    assert directory.is_known(directory_host, "dora")
    assert explained(directory_host, "dora")["rule"] == "groups = (the directory does not say)"
    assert gets_in(directory_host, "dora")
    assert recorded_users(directory_host) == ["dora"]


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
    assert explained(directory_host, "dora")["groups"] == [""]
    assert not gets_in(directory_host, "dora")
    directory.start(directory_host)
    directory_host.wait_until(lambda: directory.is_known(directory_host, "nora"))
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
