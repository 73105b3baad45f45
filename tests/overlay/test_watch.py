"""What may have changed is said at once; what has not costs no look at the files."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessionwrap.overlay.watch import Watch

ROOT = Path(__file__).resolve().parents[2]


def replace(path: Path) -> None:
    path.with_suffix(".new").write_text("two")
    path.with_suffix(".new").rename(path)


def move_away(path: Path) -> None:
    path.rename(path.with_suffix(".old"))


@pytest.fixture
def watch() -> Iterator[Watch]:
    with contextlib.closing(Watch()) as watch:
        yield watch


CHANGES: dict[str, Callable[[Path], object]] = {
    "written in place": lambda path: path.write_text("two"),
    "longer": lambda path: os.truncate(path, 100),
    "replaced": replace,
    "mode": lambda path: path.chmod(0o600),
    "gone": lambda path: path.unlink(),
    "moved away": move_away,
    "another file": lambda path: path.with_suffix(".more").touch(),
    "directory's mode": lambda path: path.parent.chmod(0o700),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_every_change_shows_at_once_and_once(
    watch: Watch, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    watch.add([str(path)])
    assert not watch.may_have_changed()
    change(path)
    assert watch.may_have_changed()
    assert not watch.may_have_changed()


def test_a_file_that_was_replaced_is_watched_when_it_is_added_again(
    watch: Watch, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("one")
    (tmp_path / "link").symlink_to(elsewhere / "file")
    watch.add([str(tmp_path / "link")])
    replace(elsewhere / "file")
    assert watch.may_have_changed()
    watch.add([str(tmp_path / "link")])
    assert not watch.may_have_changed()
    (elsewhere / "file").write_text("three")
    assert watch.may_have_changed()


def test_more_changes_than_the_kernel_keeps_are_a_change(watch: Watch, tmp_path: Path) -> None:
    watch.add([str(tmp_path / "file")])
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(limit + 2):
        os.mkdir(tmp_path / "a") if number % 2 == 0 else os.rmdir(tmp_path / "a")
    assert watch.may_have_changed()


def test_without_a_watch_of_the_kernel_everything_may_have_changed() -> None:
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from sessionwrap.overlay.watch import Watch
watch = Watch()
watch.add(["/etc/passwd"])
print(watch.may_have_changed(), watch.may_have_changed())
"""
    none = 'echo 0 > /proc/sys/user/max_inotify_instances; exec "$@"'
    done = subprocess.run(
        [
            "unshare",
            "--user",
            "--map-root-user",
            "sh",
            "-ec",
            none,
            "sh",
            sys.executable,
            "-c",
            script,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True True\n"
