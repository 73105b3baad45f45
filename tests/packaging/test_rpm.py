"""The rpm has what the deb has, where Fedora and RHEL look for it, and its scripts lock nobody out.

No Fedora can be booted here. Contents and scripts are read with rpm(8); the scripts and programs
run on a throwaway Debian that has the files of the package, with Python's modules where Fedora has
them. ``sessionwrap setup`` and ``unsetup`` are noted in these tests, not done: on Debian they do
what Debian needs.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import images
import pytest
from host import Host

from sessionwrap.setup import authselect
from tests.packaging.conftest import output
from tests.system.helpers import command, login, logout, recordings, wait_for_end

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
VERSION = "python{}.{}".format(*sys.version_info)
SITELIB = f"/usr/lib/{VERSION}/site-packages"
REQUIRED = {
    "authselect",
    "pam",
    "python3-click",
    "python3-jsonschema",
    "python3-systemd",
    "shadow-utils",
    "systemd",
    f"python(abi) = {VERSION.removeprefix('python')}",
}
CONFIGURATION = {
    "/etc/sessionwrap/rec-session.conf",
    "/etc/sessionwrap/sessionwrap.conf",
    "/etc/ssh/sshd_config.d/sessionwrap.conf",
}
UNITS = {path.name for path in PACKAGING.glob("systemd/*")}
SERVICES = {unit for unit in UNITS if unit.endswith(".service")}
MOVED = {
    "/lib/systemd/": "/usr/lib/systemd/",
    "/usr/lib/python3/dist-packages/": f"{SITELIB}/",
    "/usr/share/zsh/vendor-completions/": "/usr/share/zsh/site-functions/",
}
"""Where Debian and Fedora differ: the beginning of a path."""
ONLY_DEB = r"/usr/share/(pam-configs|doc)/.*|.*\.dist-info/RECORD"
ONLY_RPM = r"/usr/share/(licenses|doc)/.*|.*\.pyc|.*\.dist-info/LICENSE"
LIKE_FEDORA = """
mkdir -p "$1"
for module in /usr/lib/python3/dist-packages/*; do
    ln -s "$module" "$1"
done
echo "$1" > /usr/lib/python3/dist-packages/fedora.pth
"""
STUB_WITHOUT_MAIN = """
import ast, sys
stub = sys.argv[1]
tree = ast.parse(open(stub).read())
assert tree.body[-1].value.func.attr == "main", "the last line of a stub calls main"
sys.argv = [stub, "1"]  # the hook's: a pid
exec(compile(ast.Module(tree.body[:-1], []), stub, "exec"))
"""
# In the place of sessionwrap, for the scripts: notes what it was called with and when.
NOTING = "/usr/local/bin/sessionwrap"
NOTE = """#!/bin/sh
echo "sessionwrap $* ($(systemctl is-enabled sessionwrapd.socket))" >> /root/calls
test ! -e /root/fail
"""
# The session part of Fedora's password-auth, with the modules that Debian has.
PAM_STACK = """\
session optional                   pam_keyinit.so revoke
session required                   pam_limits.so
-session optional                  pam_systemd.so
session [success=1 default=ignore] pam_succeed_if.so service in crond quiet use_uid
session required                   pam_unix.so
"""


class File(NamedTuple):
    mode: int
    owner: str
    flags: str


def query(rpm: Path, form: str) -> str:
    return output("rpm", "-qp", "--nosignature", "--queryformat", form, rpm)


@pytest.fixture(scope="module")
def files(rpm: Path) -> dict[str, File]:
    owner = "%{FILEUSERNAME}:%{FILEGROUPNAME}"
    form = rf"[%{{FILENAMES}}\t%{{FILEMODES:octal}}\t{owner}\t%{{FILEFLAGS:fflags}}\n]"
    rows = [line.split("\t") for line in query(rpm, form).splitlines()]
    return {path: File(int(mode, 8), owner, flags) for path, mode, owner, flags in rows}


@pytest.fixture(scope="module")
def tree(rpm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the package."""
    directory = tmp_path_factory.mktemp("tree")
    cpio = subprocess.run(
        ["rpm2cpio", str(rpm)], stdout=subprocess.PIPE, timeout=60, check=True
    ).stdout
    subprocess.run(
        ["cpio", "-idm", "--quiet", "-D", str(directory)], input=cpio, timeout=60, check=True
    )
    return directory


@pytest.fixture
def host(tree: Path) -> Iterator[Host]:
    """Boot a host with the files of the package; its scripts did not run."""
    tops = sorted(path.name for path in tree.iterdir())
    archive = subprocess.run(
        ["tar", "-c", "-C", str(tree), *tops], stdout=subprocess.PIPE, timeout=60, check=True
    ).stdout
    with Host(images.base()) as booted:
        booted.run(["sh", "-ec", LIKE_FEDORA, "sh", SITELIB])
        booted.run(["tar", "-x", "-C", "/", "--keep-directory-symlink"], input=archive)
        booted.run(["systemctl", "daemon-reload"])
        booted.write(NOTING, NOTE, 0o755)
        yield booted


def script(rpm: Path, tag: str, host: Host, argument: int) -> int:
    """Run a script of the package as rpm does; give its exit status."""
    assert query(rpm, f"%{{{tag}PROG}}") == "/bin/sh"
    host.write("/root/script", query(rpm, f"%{{{tag}}}"))
    return host.run(["/bin/sh", "/root/script", str(argument)], check=False).returncode


def install(rpm: Path, host: Host) -> None:
    """Run the script of the installation, and start what setup starts."""
    assert script(rpm, "POSTIN", host, 1) == 0
    host.run(["systemctl", "start", *sorted(UNITS)])
    calls(host)


def calls(host: Host) -> list[str]:
    """Give the calls of sessionwrap since the last time."""
    shown = host.run(["sh", "-c", "touch /root/calls; cat /root/calls; rm /root/calls"]).stdout
    return shown.splitlines()


def states(host: Host) -> set[str]:
    """Give what systemd says of our units: enabled or disabled, active or inactive."""
    words = [
        host.run(["systemctl", verb, *sorted(UNITS)], check=False).stdout
        for verb in ("is-enabled", "is-active")
    ]
    return set(" ".join(words).split())


def test_the_version_is_the_projects_and_no_name_of_a_machine_is_in_it(rpm: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert query(rpm, "%{NAME} %{VERSION} %{ARCH} %{BUILDHOST}") == (
        f"sessionwrap {project['version']} noarch localhost"
    )


def test_the_source_package_alone_builds_the_same_package(
    built: Path, rpm: Path, tmp_path: Path
) -> None:
    [source] = built.glob("*.src.rpm")
    again = ["rpmbuild", "--rebuild", "--nodeps", "--define", f"_topdir {tmp_path}"]
    output("env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *again, source)
    [other] = tmp_path.glob("RPMS/noarch/*.rpm")
    form = r"[%{FILENAMES} %{FILEMODES:octal}\n]%{POSTIN}%{PREUN}%{POSTUN}"
    assert query(other, form) == query(rpm, form)


def test_the_rpm_has_the_files_of_the_deb_with_their_modes(
    files: dict[str, File], tmp_path: Path
) -> None:
    debs = [Path(line) for line in output(PACKAGING / "build-deb", tmp_path).splitlines()]
    [deb] = [path for path in debs if path.name.startswith("sessionwrap_")]
    output("sh", "-c", 'dpkg-deb --fsys-tarfile "$0" > "$1"', deb, tmp_path / "deb.tar")
    with tarfile.open(tmp_path / "deb.tar") as archive:
        in_deb = {info.name.removeprefix("."): info.mode for info in archive if info.isfile()}
    expected = {
        moved(path): mode for path, mode in in_deb.items() if not re.fullmatch(ONLY_DEB, path)
    }
    # Fedora has the directory and its files for root alone.
    expected["/etc/ssh/sshd_config.d/sessionwrap.conf"] = 0o600
    assert {
        uncompressed(path): file.mode & 0o777
        for path, file in files.items()
        if file.mode & 0o170000 == 0o100000 and not re.fullmatch(ONLY_RPM, path)
    } == expected


def moved(path: str) -> str:
    for debian, fedora in MOVED.items():
        if path.startswith(debian):
            path = fedora + path.removeprefix(debian)
    return uncompressed(path)


def uncompressed(path: str) -> str:
    return path.removesuffix(".gz") if path.startswith("/usr/share/man/") else path


def test_everything_is_roots_and_nobody_else_may_write(files: dict[str, File]) -> None:
    assert {file.owner for file in files.values()} == {"root:root"}
    assert not [path for path, file in files.items() if file.mode & 0o7022]
    directories = {path for path, file in files.items() if file.mode & 0o170000 == 0o040000}
    assert {"/etc/sessionwrap/conf.d", "/var/lib/sessionwrap"} <= directories


def test_an_upgrade_keeps_the_administrators_configuration(files: dict[str, File]) -> None:
    kept = {path for path, file in files.items() if {"c", "n"} <= set(file.flags)}
    assert kept == CONFIGURATION == {path for path in files if re.match("/etc/.*[.]conf$", path)}


def test_the_modules_are_compiled_for_users_who_cannot_write_there(files: dict[str, File]) -> None:
    for path in [path for path in files if path.endswith(".py")]:
        directory, _, name = path.rpartition("/")
        tag = VERSION.replace("python", "cpython-").replace(".", "")
        assert f"{directory}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc" in files


def test_it_requires_what_it_uses_by_fedoras_names(rpm: Path) -> None:
    assert set(output("rpm", "-qp", "--nosignature", "--requires", rpm).splitlines()) >= REQUIRED


def test_the_scripts_know_every_unit(rpm: Path) -> None:
    def named(tag: str) -> set[str]:
        return set(re.findall(r"\bsessionwrap\S*\.(?:service|socket)\b", query(rpm, f"%{{{tag}}}")))

    assert named("POSTIN") == named("PREUN") == UNITS
    assert named("POSTUN") == SERVICES


def test_installing_makes_everything_ready_and_then_calls_setup_once(host: Host, rpm: Path) -> None:
    assert script(rpm, "POSTIN", host, 1) == 0
    assert calls(host) == ["sessionwrap setup (enabled)"]
    assert host.run(["id", "-un", "sessionwrap"]).stdout == "sessionwrap\n"
    assert host.run(["stat", "-c", "%U %a", "/run/sessionwrap/spool"]).stdout == "sessionwrap 700\n"


def test_installing_says_so_when_setup_fails(host: Host, rpm: Path) -> None:
    host.write("/root/fail", "")
    assert script(rpm, "POSTIN", host, 1) == 1


def test_removing_takes_the_way_in_back_then_stops_the_units(host: Host, rpm: Path) -> None:
    install(rpm, host)
    assert script(rpm, "PREUN", host, 0) == 0
    assert calls(host) == ["sessionwrap unsetup (enabled)"]
    assert states(host) == {"disabled", "inactive"}
    assert script(rpm, "POSTUN", host, 0) == 0
    assert states(host) == {"disabled", "inactive"}


def test_the_package_stays_whole_when_the_way_in_cannot_be_taken_back(
    host: Host, rpm: Path
) -> None:
    install(rpm, host)
    host.write("/root/fail", "")
    assert script(rpm, "PREUN", host, 0) != 0
    assert calls(host) == ["sessionwrap unsetup (enabled)", "sessionwrap setup (enabled)"]
    assert states(host) == {"enabled", "active"}


def test_every_stub_finds_its_modules_in_fedoras_places(host: Host, rpm: Path) -> None:
    stubs = ["/usr/bin/sessionwrap-shell", *programs(rpm)]
    assert len(stubs) == len(list(PACKAGING.glob("bin/*")))
    stubs.remove("/usr/libexec/sessionwrap/pam-hook")  # a script of the shell
    for stub in stubs:
        text = host.run(["cat", stub]).stdout
        assert re.search(r"^sys\.path \+= (.*)$", text, re.MULTILINE), stub
        assert f'["{SITELIB}", "/usr/lib64/{VERSION}/site-packages"]' in text
        assert "dist-packages" not in text
        call = ["env", "PAM_TYPE=open_session", "PAM_USER=root"]  # the hook's, too
        host.run([*call, "/usr/bin/python3", "-IS", "-c", STUB_WITHOUT_MAIN, stub])


def programs(rpm: Path) -> list[str]:
    names = query(rpm, r"[%{FILENAMES}\n]").splitlines()
    return [name for name in names if name.startswith("/usr/libexec/sessionwrap/")]


def test_a_login_through_fedoras_pam_stack_is_recorded_by_the_files_of_the_rpm(
    host: Host, rpm: Path
) -> None:
    install(rpm, host)
    host.run(["rm", NOTING])
    host.write("/etc/pam.d/password-auth", authselect.with_hook(PAM_STACK))
    stack = host.run(["cat", "/etc/pam.d/sshd"]).stdout
    assert "@include common-session\n" in stack
    host.write(
        "/etc/pam.d/sshd",
        stack.replace("@include common-session\n", "session include password-auth\n"),
    )
    host.write("/etc/inputrc", "set enable-bracketed-paste off\n")
    host.write("/etc/skel/.bashrc", "PS1='ready$ '\n")  # helpers.PROMPT
    host.write("/etc/sessionwrap/conf.d/tests.conf", "[session_recording]\nscope = all\n")
    host.add_user("alice")
    host.run(["sessionwrap", "enroll", "alice"])
    with login(host, "alice") as terminal:
        assert "from the rpm" in command(terminal, "echo from the rpm")
        logout(terminal)
    wait_for_end(host)
    assert [entry["user"] for entry in recordings(host)] == ["alice"]
