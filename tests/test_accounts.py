from __future__ import annotations

import grp
import os
import pwd

import pytest

from sessionwrap import accounts
from sessionwrap.errors import NotFoundError


def test_groups_are_named_the_primary_one_first() -> None:
    root = accounts.find_user("root")
    found = accounts.groups_of("root", root.pw_gid)
    assert found[0] == grp.getgrgid(root.pw_gid).gr_name
    assert len(found) == len(set(os.getgrouplist("root", root.pw_gid)))


def test_a_group_without_a_name_is_told_from_none() -> None:
    nameless = 987_654_321
    assert nameless in os.getgrouplist("root", nameless)
    assert accounts.groups_of("no-such-user", nameless) == ("",)


@pytest.mark.parametrize("user", ["no-such-user", "", "a\0b", "\ud800"])
def test_an_unknown_user_is_not_found(user: str) -> None:
    with pytest.raises(NotFoundError, match="no such user"):
        accounts.find_user(user)


def test_an_account_is_looked_up_by_name_and_by_uid_with_its_groups() -> None:
    expected = pwd.getpwnam("root")
    for key in ("root", 0):
        found = accounts.look_up(key)
        assert found is not None
        assert (found.name, found.uid, found.gid) == ("root", 0, expected.pw_gid)
        assert found.shell == expected.pw_shell
        assert found.groups == accounts.groups_of("root", expected.pw_gid)


@pytest.mark.parametrize("key", ["no-such-user", "", "a\0b", "\ud800", 987_654_321])
def test_an_unknown_account_is_none(key: str | int) -> None:
    assert accounts.look_up(key) is None


def test_a_look_up_leaves_the_environment_of_the_caller_alone() -> None:
    before = dict(os.environ)
    accounts.look_up("root")
    assert dict(os.environ) == before


@pytest.mark.parametrize("told", [b"", b"\x05", b"\x10\0\0\0half"])
def test_a_child_that_dies_before_the_account_is_told_is_an_error(told: bytes) -> None:
    from_child, to_parent = os.pipe()
    os.write(to_parent, told)
    os.close(to_parent)
    with pytest.raises(OSError, match="NSS does not answer"):
        accounts._hear(from_child)
    os.close(from_child)


def test_groups_that_do_not_come_in_time_are_unknown_and_the_account_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accounts, "GROUP_SECONDS", 0.05)
    from_child, to_parent = os.pipe()
    accounts._send(to_parent, ("alice", 1000, 1000, "/bin/ours", "/bin/bash"))
    found = accounts._hear(from_child)  # the other end stays open: the directory hangs
    os.close(from_child)
    os.close(to_parent)
    assert found is not None
    assert (found.name, found.base_shell, found.groups) == ("alice", "/bin/bash", None)
