"""The order of sources is put right and taken back, whatever the file looks like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap.setup import nsswitch

DEBIAN = """\
# /etc/nsswitch.conf
passwd:         files systemd
group:          files systemd
shadow:         files
gshadow:        files

hosts:          files dns
"""

_SOURCES = st.sampled_from(
    ["files", "systemd", "sss", "compat", "[NOTFOUND=return]", "[!UNAVAIL = return]", "", "  "]
)
_LINES = st.one_of(
    st.tuples(
        st.sampled_from(["passwd:", "shadow:", " shadow :", "passwd :\t", "group:", "#passwd:"]),
        st.lists(_SOURCES, max_size=5),
        st.sampled_from(["", " # files", "#", "\r"]),
    ).map(lambda parts: parts[0] + " ".join(parts[1]) + parts[2]),
    st.text(max_size=20),
)
FILES = st.tuples(st.lists(_LINES, max_size=6), st.sampled_from(["", "\n", "\n\n"])).map(
    lambda parts: "\n".join(parts[0]) + parts[1]
)


def test_systemd_comes_first_for_passwd_and_after_files_for_shadow() -> None:
    assert nsswitch.with_overlay(DEBIAN) == DEBIAN.replace(
        "passwd:         files systemd", "passwd:         systemd files"
    ).replace("shadow:         files\n", "shadow:         files systemd\n", 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("passwd: sss files", "passwd: systemd sss files"),
        ("passwd: files [NOTFOUND=return] sss", "passwd: systemd files [NOTFOUND=return] sss"),
        ("passwd:\tfiles systemd # local", "passwd:\tsystemd files # local"),
        ("passwd:", "passwd: systemd files"),
        ("passwd: systemd", "passwd: systemd files"),
        ("shadow: files sss", "shadow: files systemd sss"),
        ("shadow: sss", "shadow: systemd sss"),
        ("shadow: files sss systemd", "shadow: files systemd sss"),
    ],
)
def test_other_sources_and_comments_keep_their_place(before: str, after: str) -> None:
    database = before.partition(":")[0]
    assert nsswitch.line_of(nsswitch.with_overlay(before + "\n"), database) == after


def test_a_file_without_the_lines_gets_them() -> None:
    assert nsswitch.with_overlay("") == "passwd: systemd files\nshadow: files systemd\n"
    assert nsswitch.with_overlay("hosts: dns") == (
        "hosts: dns\npasswd: systemd files\nshadow: files systemd"
    )


@given(FILES)
def test_doing_it_twice_changes_nothing_more(text: str) -> None:
    once = nsswitch.with_overlay(text)
    assert nsswitch.with_overlay(once) == once
    assert all(nsswitch.has_overlay(once, database) for database in nsswitch.DATABASES)
    assert nsswitch.changes(once) == ({}, {})


@given(FILES)
def test_taken_back_any_file_is_what_it_was(text: str) -> None:
    before, after = nsswitch.changes(text)
    ours = nsswitch.with_overlay(text)
    assert nsswitch.without_overlay(ours, before, after) == text


@given(FILES)
def test_taking_it_back_twice_changes_nothing_more(text: str) -> None:
    before, after = nsswitch.changes(text)
    assert nsswitch.without_overlay(text, before, after) == text


@pytest.mark.parametrize(
    ("former", "since", "left"),
    [
        ("passwd: files", "passwd: systemd files sss", "passwd: files sss"),
        ("passwd: files systemd", "passwd: systemd files sss", "passwd: files sss systemd"),
        ("passwd: files systemd", "passwd: sss files", "passwd: sss files"),
        ("passwd: files", "passwd: files systemd sss", "passwd: files sss"),
    ],
)
def test_what_somebody_changed_since_stays(former: str, since: str, left: str) -> None:
    text = f"{former}\nshadow: files systemd\nhosts: dns\n"
    before, after = nsswitch.changes(text)
    changed = nsswitch.with_overlay(text).replace(after["passwd"], since)
    assert nsswitch.without_overlay(changed, before, after) == text.replace(former, left)


def test_a_line_that_somebody_took_out_since_stays_out() -> None:
    before, after = nsswitch.changes(DEBIAN)
    changed = nsswitch.with_overlay(DEBIAN).replace(after["passwd"] + "\n", "")
    left = nsswitch.without_overlay(changed, before, after)
    assert nsswitch.line_of(left, "passwd") is None


def test_other_lines_that_changed_since_are_left_alone() -> None:
    before, after = nsswitch.changes(DEBIAN)
    changed = nsswitch.with_overlay(DEBIAN).replace("dns", "mdns4_minimal dns")
    assert nsswitch.without_overlay(changed, before, after) == DEBIAN.replace(
        "dns", "mdns4_minimal dns"
    )
