"""The rules as the files have them now."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sessionwrap.overlay.rules import CurrentRules

SOME = "[session_recording]\nscope = some\nusers = alice\n"


def users(rules: CurrentRules) -> set[str] | None:
    return set(rules.rules.names("users")) if rules.rules else None


def test_every_change_of_a_file_is_seen_at_once(tmp_path: Path) -> None:
    rules = CurrentRules(str(tmp_path))
    dropins = tmp_path / "conf.d"
    assert rules.refresh()
    assert not rules.refresh()
    (tmp_path / "sessionwrap.conf").write_text(SOME)
    assert rules.refresh()
    assert users(rules) == {"alice"}
    dropins.mkdir()
    (dropins / "a.conf").write_text("[session_recording]\nusers = bob\n")
    assert rules.refresh()
    assert users(rules) == {"bob"}
    (dropins / "a.conf").write_text("[session_recording]\nusers = carol\n")
    assert rules.refresh()
    assert users(rules) == {"carol"}
    (dropins / "a.conf").unlink()
    assert rules.refresh()
    assert users(rules) == {"alice"}
    assert not rules.refresh()


def test_a_change_is_seen_that_leaves_size_and_time_of_modification_as_they_were(
    tmp_path: Path,
) -> None:
    """As `cp -p` and rsync do with files of one time of modification, which images have."""
    file = tmp_path / "sessionwrap.conf"
    file.write_text(SOME)
    rules = CurrentRules(str(tmp_path))
    rules.refresh()
    before = file.stat()
    file.write_text(SOME.replace("alice", "carol"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert rules.refresh()
    assert users(rules) == {"carol"}


def test_a_mistake_is_said_and_leaves_no_rules(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sessionwrap.conf").write_text("[session_recording]\nscope = sone\n")
    rules = CurrentRules(str(tmp_path))
    assert rules.refresh()
    assert rules.rules is None
    assert f"{tmp_path}/sessionwrap.conf" in capfd.readouterr().err
    (tmp_path / "sessionwrap.conf").write_text(SOME)
    assert rules.refresh()
    assert users(rules) == {"alice"}


def test_a_file_that_others_can_write_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "sessionwrap.conf"
    file.write_text(SOME)
    rules = CurrentRules(str(tmp_path))
    rules.refresh()
    assert rules.rules is not None
    file.chmod(0o666)
    assert rules.refresh()
    assert rules.rules is None
