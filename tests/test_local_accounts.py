"""The files behind NSS, read as glibc reads them."""

from __future__ import annotations

import pwd
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap.local_accounts import Account, Group, parse_group, parse_passwd, parse_sources

LINES = st.lists(st.text(max_size=60) | st.text(":+-#0129ax,\n ", max_size=40), max_size=6)
UNSHARE = ["unshare", "--mount", "--propagation=private"]
BIND = 'mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/group && exec getent -s files "$3"'


def getent(database: str, passwd: Path, group: Path) -> list[str]:
    """Give what glibc reads in files, which stand in the place of the real ones for it alone."""
    argv = [*UNSHARE, "sh", "-ec", BIND, "sh", str(passwd), str(group), database]
    done = subprocess.run(argv, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode("utf-8", "surrogateescape").split("\n")[:-1]
    return [line for line in lines if line[0] not in "+-"]  # `compat` would take these for NIS's


PASSWD = b"""\
root:x:0:0:root:/root:/bin/bash
alice:x:1001:100:Alice \xff,,,:/home/alice:/bin/bash
empty:x:1002:100:::
alice:x:1003:100:second:/home/other:/bin/sh
# comment:x:1004:100::/:/bin/sh
large:x:4294967294:4294967294::/:/bin/sh
too large:x:99999999999:100::/:/bin/sh

few:x:1005:100:/home/few:/bin/sh
fewer:x:1007
  blanks:x:1008:100::/:/bin/sh
+nis:x:1010:100::/:/bin/sh
no number:x:x:100::/:/bin/sh
last:x:1006:100::/home/last:/bin/zsh
"""
GROUP = b"""\
root:x:0:
wheel:x:10:alice,last
staff:x:11:alice,,last,
bad:x:y:alice
few:x:12
fewer:x
  blanks:x:13: alice,\tlast ,x
-nis:x:15:alice
twin:x:10:root
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    passwd, group = tmp_path / "passwd", tmp_path / "group"
    passwd.write_bytes(PASSWD)
    group.write_bytes(GROUP)
    return passwd, group


def test_users_are_those_that_glibc_finds(files: tuple[Path, Path]) -> None:
    ours = parse_passwd(PASSWD.decode("utf-8", "surrogateescape"))
    theirs: dict[str, Account] = {}
    for line in getent("passwd", *files):
        name, _, uid, gid, gecos, home, shell = line.split(":", 6)
        theirs.setdefault(name, Account(name, int(uid), int(gid), gecos, home, shell))
    assert ours == theirs


def test_groups_are_those_that_glibc_finds(files: tuple[Path, Path]) -> None:
    theirs = []
    for line in getent("group", *files):
        name, _, gid, members = line.split(":", 3)
        theirs.append(Group(name, int(gid), tuple(filter(None, members.split(",")))))
    assert parse_group(GROUP.decode()) == theirs


def test_the_users_of_this_machine_are_read_as_nss_gives_them() -> None:
    with open("/etc/passwd", encoding="utf-8", errors="surrogateescape") as file:
        ours = parse_passwd(file.read())
    assert ours
    for name, account in ours.items():
        entry = pwd.getpwnam(name)
        assert account == Account(name, *entry[2:])


@given(LINES)
def test_any_text_gives_accounts_with_numbers_that_a_uid_can_have(lines: list[str]) -> None:
    text = "\n".join(lines)
    for name, account in parse_passwd(text).items():
        assert name == account.user
        assert ":" not in "".join((account.user, account.gecos, account.home))
        assert 0 <= account.uid < 2**32 - 1
        assert 0 <= account.gid < 2**32 - 1
    for group in parse_group(text):
        assert 0 <= group.gid < 2**32 - 1
        assert all(group.members)


NAME = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)


@given(st.dictionaries(NAME, st.integers(0, 2**32 - 2)))
def test_what_was_written_is_read(users: dict[str, int]) -> None:
    text = "".join(f"{name}:x:{uid}:7:g:/h:/s\n" for name, uid in users.items())
    found = parse_passwd(text)
    assert {name: account.uid for name, account in found.items()} == users


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("passwd: files systemd sss\n", ("files", "systemd", "sss")),
        ("passwd:files\n", ("files",)),
        ("  passwd :  systemd\tfiles  # comment sss\n", ("systemd", "files")),
        ("passwd: systemd [SUCCESS=return] files\n", ("systemd", "files")),
        ("passwd: systemd[NOTFOUND=return UNAVAIL=continue]files\n", ("systemd", "files")),
        ("passwd: systemd [ NOTFOUND=return ] files\n", ("systemd", "files")),
        ("#passwd: sss\ngroup: sss\n", ("files",)),
        ("", ("files",)),
        ("passwd: systemd files\npasswd: files sss # the last\n", ("files", "sss")),
    ],
)
def test_the_sources_of_nsswitch_are_read_without_their_actions(
    text: str, sources: tuple[str, ...]
) -> None:
    assert parse_sources(text, "passwd") == sources


@given(st.text(max_size=80))
def test_any_nsswitch_gives_sources(text: str) -> None:
    for database in ("passwd", "group"):
        for source in parse_sources(f"{database}: {text}", database):
            assert source
            assert not set(source) & set("[] \n")
