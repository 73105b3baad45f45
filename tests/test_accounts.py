from __future__ import annotations

import grp
import os

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
