from __future__ import annotations

import os
import pathlib

import pytest

from sessionwrap import config_files
from sessionwrap.errors import ConfigError


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "sessionwrap"
    path.mkdir(mode=0o755)
    (path / "conf.d").mkdir(mode=0o755)
    return path


def write(path: pathlib.Path, text: str | bytes, mode: int = 0o644) -> pathlib.Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


def read(directory: pathlib.Path) -> list[tuple[str, str]]:
    files = config_files.read_scope_files(str(directory))
    return [(path.removeprefix(f"{directory}/"), text) for path, text in files]


def problem(directory: pathlib.Path) -> str:
    with pytest.raises(ConfigError) as caught:
        config_files.read_scope_files(str(directory))
    return str(caught.value).removeprefix(str(directory))


def test_the_main_file_comes_first_then_the_others_by_name(directory: pathlib.Path) -> None:
    write(directory / "sessionwrap.conf", "main")
    for name in ("20-b.conf", "10-a.conf", ".hidden.conf", "note.txt", "conf", "Z.conf"):
        write(directory / "conf.d" / name, name)
    assert read(directory) == [
        ("sessionwrap.conf", "main"),
        ("conf.d/10-a.conf", "10-a.conf"),
        ("conf.d/20-b.conf", "20-b.conf"),
        ("conf.d/Z.conf", "Z.conf"),
    ]


def test_a_missing_file_is_fine_where_the_directory_is_there(directory: pathlib.Path) -> None:
    assert read(directory) == []
    (directory / "conf.d").rmdir()
    assert read(directory) == []


def test_a_missing_directory_is_a_mistake(tmp_path: pathlib.Path) -> None:
    assert "No such file" in problem(tmp_path / "missing")
    write(tmp_path / "file", "")
    assert "not a directory" in problem(tmp_path / "file")


def test_a_link_is_followed(directory: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write(tmp_path / "elsewhere", "text")
    (directory / "sessionwrap.conf").symlink_to(tmp_path / "elsewhere")
    assert read(directory) == [("sessionwrap.conf", "text")]


@pytest.mark.parametrize("name", ["sessionwrap.conf", "conf.d/a.conf", "conf.d"])
def test_a_link_to_nothing_is_not_a_missing_file(directory: pathlib.Path, name: str) -> None:
    if name == "conf.d":
        (directory / name).rmdir()
    (directory / name).symlink_to("nowhere")
    assert problem(directory).startswith(f"/{name}: cannot be opened")


@pytest.mark.parametrize("name", ["sessionwrap.conf", "conf.d/a.conf"])
@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_can_write_is_a_mistake(
    directory: pathlib.Path, name: str, mode: int
) -> None:
    write(directory / name, "", mode)
    assert f"{mode:04o}, expected no write for group and others" in problem(directory)


@pytest.mark.parametrize("name", [".", "conf.d"])
def test_a_directory_that_others_can_write_is_a_mistake(directory: pathlib.Path, name: str) -> None:
    (directory / name).chmod(0o775)
    assert "expected no write for group and others" in problem(directory)


@pytest.mark.parametrize("name", ["sessionwrap.conf", "conf.d"])
def test_a_file_of_somebody_else_is_a_mistake(directory: pathlib.Path, name: str) -> None:
    write(directory / "sessionwrap.conf", "")
    os.chown(directory / name, 65534, -1)
    assert "belongs to uid 65534, expected root" in problem(directory)


def test_a_fifo_is_a_mistake_and_does_not_block(directory: pathlib.Path) -> None:
    os.mkfifo(directory / "sessionwrap.conf", 0o600)
    assert "not a regular file" in problem(directory)


def test_a_directory_in_place_of_a_file_is_a_mistake(directory: pathlib.Path) -> None:
    (directory / "conf.d" / "a.conf").mkdir()
    assert problem(directory).startswith("/conf.d/a.conf: is not a regular file")


def test_bytes_that_are_not_utf_8_are_a_mistake_on_their_line(directory: pathlib.Path) -> None:
    write(directory / "sessionwrap.conf", b"a\nb\nusers = k\xe4the\n")
    assert problem(directory) == "/sessionwrap.conf:3: is not UTF-8, expected UTF-8 text"


def test_a_file_of_the_limit_is_read_and_one_byte_more_is_a_mistake(
    directory: pathlib.Path,
) -> None:
    path = write(directory / "sessionwrap.conf", b"#" * config_files.MAX_BYTES)
    assert len(read(directory)[0][1]) == config_files.MAX_BYTES
    write(path, b"#" * (config_files.MAX_BYTES + 1))
    assert "too large" in problem(directory)


def test_too_many_files_are_a_mistake(directory: pathlib.Path) -> None:
    for number in range(config_files.MAX_FILES + 1):
        (directory / "conf.d" / f"{number}.conf").touch(mode=0o644)
    assert "1001 files, expected at most 1000" in problem(directory)


def test_a_name_that_cannot_be_shown_is_a_mistake(directory: pathlib.Path) -> None:
    write(directory / "conf.d" / "a\x1b[2J.conf", "")
    assert "\\x1b" in problem(directory)


def test_every_file_that_cannot_be_read_is_told_and_the_others_are_read(
    directory: pathlib.Path,
) -> None:
    write(directory / "sessionwrap.conf", b"\xff")
    write(directory / "conf.d" / "a.conf", "text")
    write(directory / "conf.d" / "b.conf", "", 0o666)
    files, errors = config_files.read_all_scope_files(str(directory))
    assert [text for _, text in files] == ["text"]
    assert len(errors) == 2


def test_a_name_with_a_nul_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        config_files.read_text("/etc/\0")
