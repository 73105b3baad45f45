from __future__ import annotations

import json
import pathlib

import pytest
from click.testing import CliRunner, Result

from sessionwrap import commands


@pytest.fixture
def config(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "etc"
    (path / "conf.d").mkdir(parents=True)
    return path


def write(path: pathlib.Path, text: str, mode: int = 0o644) -> None:
    path.write_text(text)
    path.chmod(mode)


def check(config: pathlib.Path, *args: str) -> Result:
    return CliRunner().invoke(commands.cli, ["check", *args, "--config-dir", str(config)])


def test_a_right_configuration_has_exit_status_0(config: pathlib.Path) -> None:
    write(config / "sessionwrap.conf", "[session_recording]\nscope = none\n")
    write(config / "rec-session.conf", "{}")
    done = check(config)
    assert done.exit_code == 0
    assert done.output == (f"no mistakes in {config}/sessionwrap.conf, {config}/rec-session.conf\n")


def test_no_files_at_all_are_right(config: pathlib.Path) -> None:
    done = check(config)
    assert (done.exit_code, done.output) == (0, f"no mistakes in {config} (no files)\n")


def test_every_mistake_of_every_file_is_told(config: pathlib.Path) -> None:
    write(config / "sessionwrap.conf", "[session_recording]\nscope = sum\nuser = bob\n")
    write(config / "conf.d" / "a.conf", '[session_recording]\ngroups = "wheel"\n')
    write(config / "conf.d" / "b.conf", "", 0o666)
    write(config / "rec-session.conf", '{\n"latency": 0,\n"foo": 1}')
    done = check(config)
    assert done.exit_code == 2
    places = [
        line.removeprefix(f"{config}/").split(", expected")[0] for line in done.output.splitlines()
    ]
    assert places == [
        "conf.d/b.conf: has mode 0666",
        "sessionwrap.conf:2: scope: 'sum'",
        "sessionwrap.conf:3: user: no such key",
        "conf.d/a.conf:2: groups: '\"wheel\"' is no name",
        "rec-session.conf:2: latency: 0",
        "rec-session.conf:3: foo: no such key",
    ]
    assert all("expected" in line for line in done.output.splitlines())


def test_json(config: pathlib.Path) -> None:
    write(config / "sessionwrap.conf", "[session_recording]\nscope = sum\n")
    done = check(config, "--json")
    assert done.exit_code == 2
    assert json.loads(done.output) == {
        "files": [f"{config}/sessionwrap.conf"],
        "errors": [
            {
                "file": f"{config}/sessionwrap.conf",
                "line": 2,
                "key": "scope",
                "problem": "'sum', expected none, some or all",
            }
        ],
    }


def test_a_missing_directory_is_a_mistake(tmp_path: pathlib.Path) -> None:
    done = check(tmp_path / "missing")
    assert done.exit_code == 2
    assert "No such file or directory" in done.output


def test_the_shipped_files_have_no_mistakes() -> None:
    done = check(pathlib.Path(__file__).parents[2] / "config")
    assert done.exit_code == 0, done.output
