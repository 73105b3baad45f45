"""Records: nss-systemd passes over what is not in order, and that would be a login unrecorded."""

from __future__ import annotations

import json
import posixpath
import stat
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessionwrap import paths, scope
from sessionwrap.local_accounts import Account
from sessionwrap.overlay import records, varlink

TEXT = st.text(st.characters(exclude_characters=":\n"), max_size=40)
BYTES = st.binary(max_size=40).map(lambda data: data.decode("utf-8", "surrogateescape"))
HOME = TEXT | BYTES | st.text("/.a\x01\x7f\ud800", max_size=20)
ALICE = Account("alice", 1001, 100, "Alice", "/home/alice", "/bin/bash")


def with_shell(path: str) -> Account:
    return Account("alice", 1001, 100, "Alice", "/home/alice", path)


def is_in_order(path: str) -> bool:
    """What systemd asks of a home: valid_home() and path_is_normalized() of its sources."""
    parts = path.split("/")
    return (
        path.startswith("/")
        and ".." not in parts
        and "." not in parts
        and (path == "/" or "" not in parts[1:])
        and len(path.encode()) < 4096
        and not any(c < " " or c in ":\x7f" for c in path)
    )


@given(gecos=TEXT | BYTES, home=HOME)
@example(gecos="", home="")
@example(gecos="", home="home")
@example(gecos="", home="//home//a/./b/../c/")
@example(gecos="", home="/home/.\x01./root")
@example(gecos="", home="/a\x7f/\x01/b")
@example(gecos="", home="/" + "ä" * 2100)
def test_every_record_is_one_that_systemd_takes(gecos: str, home: str) -> None:
    account = ALICE._replace(gecos=gecos, home=home)
    data = varlink.reply({"record": records.record(account), "incomplete": False})
    record = json.loads(data[:-1].decode("ascii"))["parameters"]["record"]
    assert is_in_order(record["homeDirectory"])
    assert not any(c < " " or c in ":\x7f" for c in record["realName"])
    assert (record["userName"], record["uid"], record["gid"]) == ("alice", 1001, 100)
    assert record["shell"] == paths.LOGIN_SHELL


@given(st.lists(st.text("abc", min_size=1), max_size=4).map(lambda names: "/" + "/".join(names)))
def test_a_home_that_is_in_order_stays_as_it_is(home: str) -> None:
    assert records.record(ALICE._replace(home=home))["homeDirectory"] == home


@given(HOME)
def test_a_home_without_what_cannot_be_said_is_the_same_directory(home: str) -> None:
    said = records.record(ALICE._replace(home="/" + home))["homeDirectory"]
    plain = "".join(c for c in home if c.isprintable() and c.isascii() and c != ":")
    if plain == home:
        assert said == posixpath.normpath("/" + ("/" + home).lstrip("/"))


RULES = scope.parse([("t", "[session_recording]\nscope = some\ngroups = wheel\nusers = daemon\n")])


@pytest.mark.parametrize(
    ("account", "groups", "wanted"),
    [
        (ALICE, ("wheel",), True),
        (ALICE, ("staff",), False),
        (ALICE, None, True),  # the directory does not say
        (ALICE._replace(uid=0), ("wheel",), False),
        (ALICE._replace(user="daemon", uid=2), (), False),
        (ALICE._replace(uid=65534), ("wheel",), False),
        (with_shell("/usr/sbin/nologin"), ("wheel",), False),
        (with_shell("/bin/false"), ("wheel",), False),
        (with_shell(paths.LOGIN_SHELL), ("wheel",), False),
        (with_shell(""), ("wheel",), True),
    ],
)
def test_who_is_in_scope_and_logs_in_gets_the_login_shell(
    account: Account, groups: tuple[str, ...] | None, wanted: bool
) -> None:
    assert records.wants_launch_point(RULES, account, groups) is wanted


def test_while_the_rules_have_a_mistake_everybody_gets_it_but_root_and_system_accounts() -> None:
    assert records.wants_launch_point(None, ALICE, ())
    assert not records.wants_launch_point(None, ALICE._replace(uid=0), ())
    assert not records.wants_launch_point(None, ALICE._replace(uid=2), ())


def test_another_program_that_has_tlogs_name_is_not_taken_for_ours(tmp_path: Path) -> None:
    other = tmp_path / "sessionwrap-shell"
    other.write_text("#!/bin/sh\n")
    other.chmod(stat.S_IRWXU)
    assert not records.is_ours(str(other))
