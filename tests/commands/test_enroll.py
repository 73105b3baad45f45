"""The real usermod changes a passwd file of its own (--prefix), never the machine's."""

from __future__ import annotations

import functools
import os
import pathlib
import subprocess
import sys

import pytest
from click.testing import CliRunner

from sessionwrap import commands, enrolment, paths, shells
from sessionwrap.enrolment import Host, enroll, listed_as_login_shell, unenroll
from sessionwrap.errors import AccessError, ConfigError, NotFoundError, SessionwrapError

CHECKOUT = pathlib.Path(__file__).parents[2]
ACCOUNTS = """\
root:x:0:0:root:/root:/bin/bash
toor:x:0:0::/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
alice:x:1500:1500:K\xe4the,,,:/home/alice:/bin/bash
bob:x:1501:1501::/home/bob:/bin/sh
eve:x:1502:1502::/home/eve:
gone:x:1503:1503::/home/gone:/usr/bin/no-such-shell
-odd:x:1504:1504::/home/odd:/bin/sh
+::::::
"""


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "passwd").write_bytes(ACCOUNTS.encode("latin-1"))
    for name in ("group", "shadow", "gshadow"):
        (etc / name).touch()
    login_shell = tmp_path / "sessionwrap-shell"
    login_shell.write_text("#!/bin/sh\n")
    login_shell.chmod(0o755)
    (tmp_path / "state").mkdir()
    return Host(str(tmp_path), str(tmp_path / "state" / "shells"), str(login_shell))


def passwd(host: Host) -> dict[str, str]:
    text = pathlib.Path(host.prefix, "etc/passwd").read_bytes().decode("latin-1")
    return {line.split(":")[0]: line.split(":")[6] for line in text.splitlines()}


def text_of_passwd(host: Host) -> bytes:
    return pathlib.Path(host.prefix, "etc/passwd").read_bytes()


def test_enroll_notes_the_shell_and_sets_the_login_shell(host: Host) -> None:
    assert list(enroll(["alice"], host)) == ["alice is enrolled; the real shell is /bin/bash"]
    assert passwd(host)["alice"] == host.login_shell
    assert passwd(host)["bob"] == "/bin/sh"
    assert shells.lookup("alice", host.shells_file) == "/bin/bash"


def test_unenroll_restores_exactly_what_was_there(host: Host) -> None:
    users = ["alice", "bob", "eve"]
    list(enroll(users, host))
    assert {passwd(host)[user] for user in users} == {host.login_shell}
    assert shells.lookup("eve", host.shells_file) == "/bin/sh"
    assert list(unenroll(users, host)) == [
        "alice has /bin/bash again",
        "bob has /bin/sh again",
        "eve has an empty shell field again",
    ]
    assert text_of_passwd(host) == ACCOUNTS.encode("latin-1")
    assert shells.load(host.shells_file) == {}


def test_enrolling_twice_says_so_and_changes_nothing(host: Host) -> None:
    list(enroll(["alice"], host))
    before = text_of_passwd(host)
    assert list(enroll(["alice", "alice"], host)) == ["alice is already enrolled"]
    assert text_of_passwd(host) == before
    assert shells.lookup("alice", host.shells_file) == "/bin/bash"


def test_unenrolling_who_is_not_enrolled_says_so(host: Host) -> None:
    assert list(unenroll(["alice"], host)) == ["alice is not enrolled"]
    assert text_of_passwd(host) == ACCOUNTS.encode("latin-1")


@pytest.mark.parametrize(
    ("user", "error", "text"),
    [
        ("daemon", AccessError, "daemon does not log in"),
        ("gone", AccessError, "'/usr/bin/no-such-shell', which cannot be started"),
        ("mallory", NotFoundError, "'mallory' is not a local user"),
        ("+", NotFoundError, "'\\+' is not a local user"),
        ("-odd", NotFoundError, "'-odd' is not a local user"),
        ("--help", NotFoundError, "'--help' is not a local user"),
        ("", NotFoundError, "'' is not a local user"),
        ("alice\nbob", NotFoundError, "is not a local user"),
    ],
)
def test_all_users_are_checked_before_the_first_change(
    host: Host, user: str, error: type[SessionwrapError], text: str
) -> None:
    with pytest.raises(error, match=text):
        list(enroll(["alice", user], host))
    assert text_of_passwd(host) == ACCOUNTS.encode("latin-1")
    assert shells.load(host.shells_file) == {}


def test_nobody_is_enrolled_where_the_login_shell_is_not_installed(host: Host) -> None:
    os.unlink(host.login_shell)
    with pytest.raises(NotFoundError, match="is not installed"):
        list(enroll(["alice"], host))
    assert text_of_passwd(host) == ACCOUNTS.encode("latin-1")


def test_a_login_shell_without_a_noted_real_shell_is_told(host: Host) -> None:
    list(enroll(["alice"], host))
    os.unlink(host.shells_file)
    for change in (enroll, unenroll):
        with pytest.raises(NotFoundError, match="usermod -s SHELL alice"):
            list(change(["alice"], host))


def test_a_crash_after_the_map_was_written_is_mended_by_the_next_run(host: Host) -> None:
    shells.write({"alice": "/bin/old"}, host.shells_file)
    assert list(enroll(["alice"], host)) == ["alice is enrolled; the real shell is /bin/bash"]
    assert shells.lookup("alice", host.shells_file) == "/bin/bash"


def test_a_crash_before_the_map_was_cleared_is_mended_by_the_next_run(host: Host) -> None:
    shells.write({"alice": "/bin/old", "bob": "/bin/sh"}, host.shells_file)
    (line,) = unenroll(["alice"], host)
    assert "another shell meanwhile, which stays" in line
    assert passwd(host)["alice"] == "/bin/bash"
    assert shells.load(host.shells_file) == {"bob": "/bin/sh"}


def test_a_user_who_was_deleted_can_be_taken_out_of_the_map(host: Host) -> None:
    shells.write({"deleted": "/bin/sh"}, host.shells_file)
    list(unenroll(["deleted"], host))
    assert shells.load(host.shells_file) == {}


def test_when_usermod_fails_the_user_keeps_a_shell_that_works(host: Host) -> None:
    pathlib.Path(host.login_shell).rename(host.login_shell + ":")
    broken = host._replace(login_shell=host.login_shell + ":")
    with pytest.raises(SessionwrapError, match=r"usermod did not change .* invalid shell"):
        list(enroll(["alice"], broken))
    assert text_of_passwd(host) == ACCOUNTS.encode("latin-1")


def test_a_broken_map_stops_every_change(host: Host) -> None:
    path = pathlib.Path(host.shells_file)
    path.write_text("nonsense")
    path.chmod(0o644)
    for change in (enroll, unenroll):
        with pytest.raises(ConfigError):
            list(change(["alice"], host))
    assert text_of_passwd(host) == ACCOUNTS.encode("latin-1")


def test_a_missing_state_directory_is_told(host: Host) -> None:
    with pytest.raises(SessionwrapError, match="cannot be opened"):
        list(enroll(["alice"], host._replace(shells_file="/nonexistent/shells")))


def test_a_passwd_file_that_cannot_be_read_is_told(host: Host) -> None:
    with pytest.raises(SessionwrapError, match="cannot be read"):
        list(enroll(["alice"], host._replace(prefix="/nonexistent")))


def test_runs_at_the_same_time_lose_nobody(host: Host) -> None:
    code = (
        "import sys; from sessionwrap import enrolment\n"
        "host = enrolment.Host(*sys.argv[2:])\n"
        "list(enrolment.enroll([sys.argv[1]], host))\n"
    )
    users = ["alice", "bob", "eve"]
    runs = [
        subprocess.Popen([sys.executable, "-c", code, user, *host], cwd=CHECKOUT) for user in users
    ]
    assert [run.wait(timeout=60) for run in runs] == [0] * len(users)
    assert {passwd(host)[user] for user in users} == {host.login_shell}
    assert set(shells.load(host.shells_file)) == set(users)


def test_etc_shells_is_looked_at(host: Host) -> None:
    assert not listed_as_login_shell(host)
    listed = pathlib.Path(host.prefix, "etc/shells")
    listed.write_text(f"/bin/sh\n{host.login_shell}\n")
    listed.chmod(0o644)
    assert listed_as_login_shell(host)


@pytest.mark.parametrize("verb", ["enroll", "unenroll"])
def test_only_root_may(verb: str) -> None:
    # Nobody may be unable to read the checkout: import first, then become nobody.
    code = (
        f"import os; from sessionwrap.commands import main, {verb}\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, verb, "alice"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 5
    assert done.stderr == "sessionwrap: only root may enroll and unenroll users\n"


def test_the_commands_tell_each_user_and_warn_of_etc_shells(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("enroll", "unenroll", "listed_as_login_shell"):
        here = functools.partial(getattr(enrolment, name), host=host)
        monkeypatch.setattr(enrolment, name, here)
    (pathlib.Path(host.prefix) / "etc/shells").write_text(host.login_shell)
    (pathlib.Path(host.prefix) / "etc/shells").chmod(0o644)
    done = CliRunner().invoke(commands.cli, ["enroll", "alice", "bob"])
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "alice is enrolled; the real shell is /bin/bash",
        "bob is enrolled; the real shell is /bin/sh",
        f"sessionwrap: warning: /etc/shells lists {paths.LOGIN_SHELL}: "
        "users can leave it with chsh; take the line out",
    ]
    done = CliRunner().invoke(commands.cli, ["unenroll", "bob", "alice"])
    assert done.output.splitlines() == ["bob has /bin/sh again", "alice has /bin/bash again"]
