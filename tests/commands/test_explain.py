from __future__ import annotations

import json
import pathlib
import pwd
import tempfile
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from sessionwrap import accounts, commands

CHECKOUT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def config() -> Iterator[pathlib.Path]:
    """A configuration that every user of the machine can read, as /etc/sessionwrap is."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory)
        path.chmod(0o755)
        (path / "conf.d").mkdir()
        yield path


def rules(config: pathlib.Path, *lines: str, name: str = "sessionwrap.conf") -> None:
    (config / name).write_text("\n".join(["[session_recording]", *lines]))
    (config / name).chmod(0o644)


def explain(config: pathlib.Path, *args: str) -> Result:
    return CliRunner().invoke(commands.cli, ["explain", *args, "--config-dir", str(config)])


def test_a_system_account_that_is_named(config: pathlib.Path) -> None:
    rules(config, "scope = some", "users = daemon", "groups = daemon")
    done = explain(config, "daemon")
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert lines[0] == (f"daemon is recorded: users = daemon ({config}/sessionwrap.conf:3)")
    assert lines[1].startswith("groups: daemon")
    assert lines[2] == "matching groups: daemon"
    assert lines[3] == "failure policy: strict"
    assert "but the shell of daemon is /usr/sbin/nologin" in lines[4]
    assert "`sessionwrap enroll daemon`" in lines[4]


def test_a_user_who_is_not_recorded_has_exit_status_0_too(config: pathlib.Path) -> None:
    rules(config, "scope = some")
    rules(config, "", "scope = none", name="conf.d/robots.conf")
    done = explain(config, "root", "--service", "sshd")
    assert done.exit_code == 0
    assert done.output.startswith(
        f"root is not recorded: scope = none ({config}/conf.d/robots.conf:3)\n"
    )
    assert "matching groups: none" in done.output


def test_no_configuration_records_nobody_and_says_so(config: pathlib.Path) -> None:
    done = explain(config, "root")
    assert done.output.startswith("root is not recorded: scope = none (no file sets a scope)\n")


def test_json(config: pathlib.Path) -> None:
    rules(config, "scope = some", "users = root", "groups = root")
    done = explain(config, "root", "--service", "login", "--json")
    found = json.loads(done.output)
    account = pwd.getpwnam("root")
    assert found == {
        "user": "root",
        "uid": 0,
        "service": "login",
        "groups": list(accounts.groups_of("root", account.pw_gid)),
        "record": True,
        "rule": "users = root",
        "file": f"{config}/sessionwrap.conf",
        "line": 3,
        "matching_groups": ["root"],
        "policy": "break_glass",
        "shell": account.pw_shell,
        "enrolled": False,
    }


@pytest.mark.parametrize("user", ["no-such-user", "", "a\udcffb", "a:b"])
def test_an_unknown_user_is_not_found(config: pathlib.Path, user: str) -> None:
    done = explain(config, user)
    assert done.exit_code == 4
    assert done.output.startswith("sessionwrap: no such user: ")


def test_a_broken_configuration_is_told_with_file_and_line(config: pathlib.Path) -> None:
    rules(config, "scope = sum")
    done = explain(config, "root")
    assert done.exit_code == 2
    assert f"{config}/sessionwrap.conf:2: scope: 'sum', expected" in done.output
