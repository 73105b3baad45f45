from __future__ import annotations

import os
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap import shells
from sessionwrap.errors import ConfigError

WORD = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=9)
USER = WORD.filter(lambda word: ":" not in word)
SHELL = st.one_of(st.just(""), USER.map(lambda word: "/" + word))


@given(st.dictionaries(USER, SHELL, max_size=5))
def test_what_is_written_is_read_back(entries: dict[str, str]) -> None:
    text = "".join(f"{user}:{shell}\n" for user, shell in entries.items())
    assert shells.parse(text) == entries


@given(st.text(max_size=80))
def test_any_text_is_a_map_or_one_named_error(text: str) -> None:
    try:
        shells.parse(text, "/map")
    except ConfigError as error:
        assert error.path == "/map"
        assert error.line >= 1
        assert str(error).isprintable()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bob:/bin/zsh\neve", "/map:2: eve: expected `user:/path/to/shell`"),
        (":/bin/zsh", "/map:1: expected `user:/path/to/shell`"),
        ("bob:zsh", "/map:1: bob: 'zsh', expected the absolute path"),
        ("bob:/bin/a:b", "/map:1: bob: '/bin/a:b', expected the absolute path"),
        ("bob:/bin/a\nbob:/bin/b", "/map:2: bob: a second line"),
        ("bob:/bin/\x1b", "/map:1: bob: a control character"),
        ("bob:/" + "x" * 5000, "at most 4096"),
    ],
)
def test_a_mistake_is_named_by_line_and_user(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        shells.parse(text, "/map")
    assert expected in str(caught.value)


def test_lookup_knows_the_users_of_the_map(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "shells")
    assert shells.lookup("bob", path) is None
    shells.write({"bob": "/bin/zsh", "eve": ""}, path)
    assert shells.lookup("bob", path) == "/bin/zsh"
    assert shells.lookup("eve", path) == "/bin/sh"
    assert shells.lookup("mallory", path) is None


def test_a_map_that_others_can_write_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "shells"
    shells.write({"bob": "/bin/zsh"}, str(path))
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="expected no write"):
        shells.lookup("bob", str(path))


def test_the_map_is_readable_for_all_and_nothing_else_is_left(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "shells"
    (tmp_path / "shells.new").write_text("left by a crash")
    old = os.umask(0o077)
    try:
        shells.write({"bob": "/bin/zsh"}, str(path))
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o7777 == 0o644
    assert os.listdir(tmp_path) == ["shells"]


def test_a_write_that_fails_leaves_the_old_map(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "shells"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        shells.write({"bob": "/bin/zsh"}, str(path))
    assert os.listdir(tmp_path) == ["shells"]
    with pytest.raises(ConfigError):
        shells.write({"bob": "/bin/zsh\neve:/bin/bash"}, str(path))


def program(path: pathlib.Path, mode: int = 0o755) -> str:
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return str(path)


def test_usable_shells(tmp_path: pathlib.Path) -> None:
    login_shell = program(tmp_path / "sessionwrap-shell")
    assert shells.usable(program(tmp_path / "zsh"), login_shell)
    assert shells.usable("/bin/sh", login_shell)
    assert shells.usable("/bin/sh", str(tmp_path / "missing"))


def test_shells_that_cannot_be_started(tmp_path: pathlib.Path) -> None:
    plain = program(tmp_path / "plain", 0o644)
    for shell in ("", "sh", "bin/sh", "/missing", str(tmp_path), plain, "/bin/\0sh"):
        assert not shells.usable(shell)


def test_our_own_login_shell_is_no_real_shell_under_any_name(tmp_path: pathlib.Path) -> None:
    login_shell = program(tmp_path / "sessionwrap-shell")
    (tmp_path / "soft").symlink_to("sessionwrap-shell")
    (tmp_path / "hard").hardlink_to(login_shell)
    (tmp_path / "dir").symlink_to(".")
    for name in ("sessionwrap-shell", "soft", "hard", "dir/soft", "dir/../sessionwrap-shell"):
        assert not shells.usable(str(tmp_path / name), login_shell), name
    missing = str(tmp_path / "missing")
    assert shells.is_login_shell(missing, missing)
    assert not shells.is_login_shell("/bin/\0sh", login_shell)
