"""The package comes, is upgraded and goes while people log in; then all is as before.

On each release of Debian that it is for. alice is in wheel, whose members are recorded; bob is
not. The configuration is there before the package, so that the rules hold from its first moment.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

import host as hosts
import images
import pytest
from host import Host
from images import Image

from sessionwrap import message_ids
from tests.system.helpers import command, gets_in, login, logout, recordings, ssh, wait_for_end
from tests.system.test_setup import tree

SUITES = ("bookworm", "trixie")
SCOPE = "[session_recording]\nscope = some\ngroups = wheel\n"
SCOPE_FILE = "/etc/sessionwrap/conf.d/tests.conf"
SERVICES = ("sessionwrapd.service", "sessionwrap-userdb.service")
SOCKETS = ("sessionwrapd.socket", "sessionwrap-userdb.socket")
CHROOT = r"""
set -eu
mkdir "$3.work"
mount -t overlay -o "lowerdir=$2,upperdir=$3,workdir=$3.work" image "$1"
mount -t proc proc "$1/proc"
cp "$4" "$1/root/sessionwrap.deb"
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive chroot "$1" sh -ec "$5"
"""
"""Runs a script in an image that is not booted; with where to mount it, the lower and the upper
tree, the package, and the script."""
LOGS_IN_BY = (
    "cd /etc/pam.d; sha256sum * ../nsswitch.conf; sshd -T; getent passwd root alice bob; "
    "getent shadow alice; systemctl show --property=Environment ssh.service; cat /etc/shells"
)
"""What a login goes by, in a shell of root."""
FILES = "find /etc /usr /opt /var /run/systemd /run/sessionwrap -xdev 2>/dev/null; true"
OF_DPKG = r"/var/(lib/(apt|dpkg|pam|systemd|ucf)|backups|cache|log|tmp)(/|$)"
COMPILED = r"/__pycache__(/|$)"
OF_RUNNING = (
    r"/run/systemd/(journal|sessions|users|units|inaccessible|transient|ask-password-block)(/|$)"
)
MENTIONS = r"(?!/var/log/journal/).*sessionwrap"

_numbers = itertools.count(1)


class Attempt(NamedTuple):
    """One login over SSH: what it should print, what it printed, its exit status."""

    word: str
    output: str
    status: int

    @property
    def came_through(self) -> bool:
        return self.status == 0 and self.word in self.output

    @property
    def never_began(self) -> bool:
        """Tell whether sshd took no part in it: it was just being restarted."""
        return self.status == 255 and "Authenticated to" not in self.output


class Logins:
    """A user logs in with a terminal again and again, until the context is left."""

    def __init__(self, host: Host, user: str) -> None:
        self.attempts: list[Attempt] = []
        self._host, self._user = host, user
        self._one_done, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._one_done.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            word = f"{self._user}-{next(_numbers)}."
            options = ["-tt", "-o", "LogLevel=VERBOSE"]
            argv = self._host.ssh_command(self._user, f"echo {word}", options=options)
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
            )
            output = (done.stdout + done.stderr).decode(errors="replace")
            self.attempts.append(Attempt(word, output, done.returncode))
            self._one_done.set()

    def who_came_through(self) -> set[str]:
        """Give the words of the logins that did; every other one was told why it did not."""
        for attempt in self.attempts:
            if not attempt.came_through and not attempt.never_began:
                assert attempt.status != 0, attempt
                assert re.search(r"^sessionwrap: .+\.\r?$", attempt.output, re.MULTILINE), attempt
                assert "Traceback" not in attempt.output, attempt
        return {attempt.word for attempt in self.attempts if attempt.came_through}


def recorded(host: Host, words: set[str]) -> set[str]:
    """Give those of the words that the recorder has stored."""
    uid = host.run(["id", "-u", "sessionwrap"]).stdout.strip()
    stored = host.run(["journalctl", "--output=cat", "--all", f"_UID={uid}"]).stdout
    return {word for word in words if word in stored}


def login_entries(host: Host, user: str) -> list[dict[str, str]]:
    """Give what the hook has noted of a user's logins."""
    matches = [f"MESSAGE_ID={message_ids.LOGIN}", f"SESSIONWRAP_USER={user}"]
    shown = host.run(["journalctl", "--output=json", *matches]).stdout
    return [json.loads(line) for line in shown.splitlines()]


def people(host: Host) -> None:
    """Make the users."""
    host.write("/etc/inputrc", "set enable-bracketed-paste off\n")
    host.write("/etc/skel/.bashrc", "PS1='ready$ '\n")  # helpers.PROMPT
    host.add_user("alice", groups=["wheel"])
    host.add_user("bob")
    host.write(SCOPE_FILE, SCOPE)


@pytest.fixture(params=SUITES)
def image(request: pytest.FixtureRequest) -> Image:
    """Give the image of a host with users and rules, without the package."""
    base = images.base(request.param)
    return hosts.prepared(base, "people", inspect.getsource(people) + SCOPE, people)


@pytest.fixture
def host(image: Image) -> Iterator[Host]:
    """Boot a fresh host without the package."""
    with Host(image) as booted:
        yield booted


@pytest.fixture
def installed(image: Image, package: Path) -> Iterator[Host]:
    """Boot a fresh host with the package."""
    key = hashlib.sha256(package.read_bytes()).hexdigest()
    with Host(hosts.prepared(image, "changes", key, lambda host: host.install(package))) as booted:
        yield booted


@pytest.fixture(scope="module")
def next_versions(
    packages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Make a later version of the packages, with other modules in it; by their names."""
    return {name: later(deb, tmp_path_factory.mktemp("next")) for name, deb in packages.items()}


@pytest.fixture(scope="module")
def next_version(next_versions: dict[str, Path]) -> Path:
    """Give the later version of the package that nearly every test installs."""
    return next_versions["sessionwrap"]


def later(package: Path, directory: Path) -> Path:
    tree, deb = directory / "tree", directory / package.name.replace("_all", "+next_all")
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(tree)], check=True)
    control = tree / "DEBIAN/control"
    text, count = re.subn(r"^(Version: .*)$", r"\1+next", control.read_text(), flags=re.MULTILINE)
    assert count == 1
    control.write_text(re.sub(r"\bsessionwrap \(= (.*?)\)", r"sessionwrap (= \1+next)", text))
    for module in tree.rglob("*.py"):
        module.write_text(module.read_text() + "\n# The next version.\n")
    build = ["dpkg-deb", "--build", "--root-owner-group", str(tree), str(deb)]
    subprocess.run(build, stdout=subprocess.DEVNULL, check=True)
    return deb


def dpkg(host: Host, *words: str) -> None:
    host.run(["env", "DEBIAN_FRONTEND=noninteractive", "dpkg", *words], timeout=120)


def invocations(host: Host, *units: str) -> list[str]:
    return [
        host.run(["systemctl", "show", "--value", "--property=InvocationID", unit]).stdout
        for unit in units
    ]


def test_logins_go_on_while_the_package_is_installed(host: Host, package: Path) -> None:
    with (
        login(host, "alice") as early,
        Logins(host, "alice") as of_alice,
        Logins(host, "bob") as of_bob,
    ):
        host.install(package)
        assert command(early, "echo still here") == "still here\r\n"
        assert logout(early, 3) == 3
    assert host.run(["systemctl", "is-system-running"]).stdout == "running\n"
    through = of_alice.who_came_through()
    assert through
    assert of_bob.who_came_through()
    # Whoever met the hook is recorded, or was refused; before that the overlay may have done it.
    entries = login_entries(host, "alice")
    assert {entry["SESSIONWRAP_OUTCOME"] for entry in entries} <= {"recorded", "refused"}
    met = {
        entry["SESSIONWRAP_LOGIN"]
        for entry in entries
        if entry["SESSIONWRAP_OUTCOME"] == "recorded"
    }
    assert met <= {entry["login"] for entry in recordings(host)}
    for user in ("alice", "bob", "root"):
        assert gets_in(host, user)
    assert {entry["user"] for entry in recordings(host)} == {"alice"}


def test_an_upgrade_leaves_recordings_alone_and_no_login_passes_unrecorded(
    installed: Host, next_version: Path
) -> None:
    installed.copy_in(next_version, "/root/next.deb")
    with login(installed, "alice") as early:
        command(early, "echo before")
        services, sockets = (invocations(installed, *units) for units in (SERVICES, SOCKETS))
        with (
            Logins(installed, "alice") as of_alice,
            Logins(installed, "alice") as of_alice_again,
            Logins(installed, "bob") as of_bob,
        ):
            dpkg(installed, "--install", "/root/next.deb")
        assert command(early, "echo after") == "after\r\n"
        assert logout(early, 7) == 7
    assert invocations(installed, *SOCKETS) == sockets
    assert not set(invocations(installed, *SERVICES)) & set(services)
    through = of_alice.who_came_through() | of_alice_again.who_came_through()
    attempts = [*of_alice.attempts, *of_alice_again.attempts, *of_bob.attempts]
    assert not [attempt for attempt in attempts if attempt.never_began]
    ended = wait_for_end(installed, len(through) + 1)
    assert recorded(installed, through) == through
    assert all(entry["complete"] for entry in ended)
    assert of_bob.who_came_through()
    for user in ("alice", "bob", "root"):
        assert gets_in(installed, user)


def test_an_upgrade_leaves_a_host_alone_that_was_taken_back(
    installed: Host, next_version: Path
) -> None:
    installed.run(["sessionwrap", "unsetup"])
    before = installed.run(["sh", "-c", LOGS_IN_BY]).stdout
    installed.copy_in(next_version, "/root/next.deb")
    dpkg(installed, "--install", "/root/next.deb")
    assert installed.run(["sh", "-c", LOGS_IN_BY]).stdout == before
    for unit in (*SOCKETS, *SERVICES):
        assert installed.run(["systemctl", "is-active", unit], check=False).stdout == "inactive\n"
    assert gets_in(installed, "alice")
    assert recordings(installed) == []


APT = "apt-get -q -y --no-install-recommends --allow-downgrades install"


@pytest.mark.parametrize("command_line", ["dpkg --install", APT])
def test_both_packages_go_up_and_down_in_one_call_whatever_their_order(
    image: Image,
    packages: dict[str, Path],
    next_versions: dict[str, Path],
    command_line: str,
) -> None:
    with Host(image) as host:
        host.install(*packages.values())
        for debs in (next_versions, packages):
            paths = [f"/root/{deb.name}" for deb in debs.values()]
            for deb, path in zip(debs.values(), paths, strict=True):
                host.copy_in(deb, path)
            # Backwards once more: what is there already is unpacked over itself.
            for order in (paths, paths[::-1]):
                words = ["env", "DEBIAN_FRONTEND=noninteractive", *command_line.split(), *order]
                with Logins(host, "alice") as of_alice:
                    host.run(words, timeout=120)
                of_alice.who_came_through()
                assert host.run(["dpkg", "--audit"]).stdout == ""
            shown = host.run(["dpkg-query", "-W", "-f", "${Version} ${Status}\n", *debs]).stdout
            assert set(shown.splitlines()) == {
                f"{version(debs['sessionwrap'])} install ok installed"
            }
            assert host.run(["readlink", "-f", "/usr/bin/tlog-rec-session"]).stdout == (
                "/usr/bin/sessionwrap-shell\n"
            )
            assert gets_in(host, "alice")
            assert gets_in(host, "bob")
        host.run(["apt-get", "-q", "-y", "purge", "sessionwrap"])
        assert host.run(["ls", "/usr/bin"]).stdout.split().count("tlog-rec-session") == 0
        for user in ("alice", "bob", "root"):
            assert gets_in(host, user)


def version(deb: Path) -> str:
    field = ["dpkg-deb", "--field", str(deb), "Version"]
    return subprocess.run(field, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("verb", ["--remove", "--purge"])
def test_after_the_package_has_gone_everybody_logs_in_as_before(
    host: Host, package: Path, verb: str
) -> None:
    before, files = (host.run(["sh", "-c", what]).stdout for what in (LOGS_IN_BY, FILES))
    etc = tree(host)
    host.install(package)
    with login(host, "alice") as early:
        command(early, "echo before")
        with Logins(host, "alice") as of_alice, Logins(host, "bob") as of_bob:
            dpkg(host, verb, "sessionwrap")
        of_alice.who_came_through()
        of_bob.who_came_through()
        assert command(early, "echo after") == "after\r\n"
        assert logout(early, 7) == 7
    ends = host.wait_for_entries(f"MESSAGE_ID={message_ids.END}")
    assert "exited" in {entry["SESSIONWRAP_REASON"] for entry in ends}
    assert host.run(["sh", "-c", LOGS_IN_BY]).stdout == before
    for user in ("alice", "bob", "root"):
        assert gets_in(host, user)
    dpkg(host, "--purge", "sessionwrap")
    assert tree(host) == etc
    kept = {"/run/sessionwrap", "/run/sessionwrap/spool"} if verb == "--purge" else set()
    assert left_over(files, host.run(["sh", "-c", FILES]).stdout) == kept  # of the one that ran


def left_over(before: str, after: str) -> set[str]:
    """Give the files that have come and are the package's, or are nobody's that we know."""
    ignored = f"{OF_DPKG}|{OF_RUNNING}|.*{COMPILED}"
    new = set(after.splitlines()) - set(before.splitlines())
    return {path for path in new if re.match(MENTIONS, path) or not re.match(ignored, path)}


@pytest.mark.parametrize("verb", ["--remove", "--purge"])
def test_a_package_that_has_gone_can_be_installed_again(
    installed: Host, package: Path, verb: str
) -> None:
    before = installed.run(["sh", "-c", LOGS_IN_BY]).stdout
    with login(installed, "alice") as early:
        dpkg(installed, verb, "sessionwrap")
        installed.write(SCOPE_FILE, SCOPE)
        installed.install(package)
        assert installed.run(["sh", "-c", LOGS_IN_BY]).stdout == before
        with login(installed, "alice") as terminal:
            logout(terminal)
        assert command(early, "echo still here") == "still here\r\n"
        logout(early)
    ended = wait_for_end(installed, 2)
    assert [entry["user"] for entry in ended if entry["complete"]] == ["alice", "alice"]
    assert gets_in(installed, "bob")
    assert gets_in(installed, "root")


def in_chroot(image: Image, package: Path, script: str) -> Image:
    """Give the image after a script has run in it, not booted."""

    def make(tree: Path) -> None:
        lower = ":".join(str(layer) for layer in reversed(image.trees))
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        with tempfile.TemporaryDirectory() as mountpoint:
            words = [
                *unshare,
                "sh",
                "-c",
                CHROOT,
                "sh",
                mountpoint,
                lower,
                str(tree),
                str(package),
                script,
            ]
            done = subprocess.run(words, capture_output=True, text=True, timeout=180, check=False)
        shutil.rmtree(f"{tree}.work", ignore_errors=True)
        assert done.returncode == 0, done.stdout + done.stderr

    key = hashlib.sha256(package.read_bytes() + CHROOT.encode() + script.encode()).hexdigest()
    return images.derive(image, "chroot", key, make)


def test_an_image_that_the_package_was_installed_into_records_from_its_first_boot(
    image: Image, package: Path
) -> None:
    with Host(in_chroot(image, package, "apt-get -y install /root/sessionwrap.deb")) as host:
        assert host.run(["systemctl", "is-system-running"]).stdout == "running\n"
        with login(host, "alice") as terminal:
            command(terminal, "echo from the first boot")
            logout(terminal)
        assert [entry["complete"] for entry in wait_for_end(host)] == [True]
        assert gets_in(host, "bob")
        assert gets_in(host, "root")


def test_an_image_that_the_package_was_taken_from_is_as_before(image: Image, package: Path) -> None:
    script = "dpkg --install /root/sessionwrap.deb; dpkg --purge sessionwrap"
    with Host(image) as host:
        before, files = (host.run(["sh", "-c", what]).stdout for what in (LOGS_IN_BY, FILES))
    with Host(in_chroot(image, package, script)) as host:
        assert host.run(["sh", "-c", LOGS_IN_BY]).stdout == before
        assert left_over(files, host.run(["sh", "-c", FILES]).stdout) == set()
        for user in ("alice", "bob", "root"):
            assert gets_in(host, user)


BROKEN = {
    "a module of ours is missing": ("/usr/lib/python3/dist-packages/sessionwrap/tickets.py", 1),
    "Python's own modules are missing": ("/usr/lib/{}/encodings", 1),
    "Python is missing": ("/usr/bin/{}", 127),
}


@pytest.mark.parametrize(("path", "status"), BROKEN.values(), ids=list(BROKEN))
def test_where_the_hook_cannot_run_root_gets_in_and_others_read_a_sentence(
    installed: Host, path: str, status: int
) -> None:
    python = installed.run(["readlink", "/usr/bin/python3"]).stdout.strip()
    path = path.format(python)
    compiled = "/usr/lib/python3/dist-packages/sessionwrap/__pycache__/tickets.*"
    installed.run(["sh", "-ec", f"mv {path} /root/away; rm -f {compiled}"])
    for user in ("alice", "bob"):
        done = ssh(installed, user, "-tt", "echo got in")
        assert done.returncode != 0
        assert (
            b"sessionwrap: no login for now, an upgrade is going on or has failed." in done.stdout
        )
        assert b"Traceback" not in done.stdout + done.stderr
    assert gets_in(installed, "root")
    entries = installed.wait_for_entries(f"MESSAGE_ID={message_ids.ALERT_NOT_RECORDED}", count=3)
    what = f"the hook did not run (status {status} of Python)"
    assert [(entry["PRIORITY"], entry["MESSAGE"]) for entry in entries] == [
        ("2", f"A login of alice by sshd was refused: {what}"),
        ("2", f"A login of bob by sshd was refused: {what}"),
        ("2", f"A login of root by sshd passes, as root: {what}"),
    ]
    installed.run(["mv", "/root/away", path])
    assert gets_in(installed, "alice")
    assert gets_in(installed, "bob")
