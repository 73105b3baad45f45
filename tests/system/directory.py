"""A directory on the throwaway host: OpenLDAP's slapd, and SSSD that makes its users known.

Beside the local users of conftest.py it has the users and groups below. All log in by key over
SSH, as everywhere here, and have homes. Who is in `wheel` or `ops` is recorded.

    user   uid    shell        groups
    dora   20001  /bin/bash    staff, ops
    erik   20002  /bin/bash    staff
    nora   20003  /bin/bash    staff, night, which is a member of ops
    hugo   20004  /bin/bash    staff, wheel: the directory's own, beside the local one
    Frida  20005  /bin/rbash   staff, ops, Domain Admins

`directory_host` boots a host with all this and our package; `plain_directory_host` one without
the package, to compare with.
"""

from __future__ import annotations

import hashlib
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import host as hosts
import images
import pytest
from host import Host
from images import Image

from tests.system.helpers import command, login, logout, recordings

PACKAGES = (
    "ldap-utils",
    "libnss-sss",
    "libnss-systemd",
    "libpam-sss",
    "slapd",
    "sssd-ldap",
    "sssd-tools",
    "systemd-userdbd",
)
SCOPE = "[session_recording]\nscope = some\ngroups = wheel, ops\n"

SUFFIX = "dc=example"
_ROOT = ["-x", "-D", f"cn=root,{SUFFIX}", "-w", "secret"]
USERS = {"dora": 20001, "erik": 20002, "nora": 20003, "hugo": 20004, "Frida": 20005}
SHELLS = {"Frida": "/bin/rbash"}
GROUPS = {
    "staff": (21000, ["uid=erik,ou=people"]),
    "ops": (21001, ["uid=dora,ou=people", "uid=Frida,ou=people", "cn=night,ou=groups"]),
    "night": (21002, ["uid=nora,ou=people"]),
    "wheel": (21003, ["uid=hugo,ou=people"]),
    "Domain Admins": (21004, ["uid=Frida,ou=people"]),
}
"""Name to number and members; a member that is a group is a nested one (RFC 2307bis)."""

OUR_SHELL = "override_shell = /usr/bin/sessionwrap-shell"
"""A line for ``configure``: every user of the directory starts the login shell."""

_SLAPD_CONF = f"""\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
# RFC 2307bis, as much as is needed: groups by the DN of their members, which may be groups.
attributetype ( 1.3.6.1.1.1.1.3 NAME 'homeDirectory' EQUALITY caseExactIA5Match
    SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 SINGLE-VALUE )
attributetype ( 1.3.6.1.1.1.1.4 NAME 'loginShell' EQUALITY caseExactIA5Match
    SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 SINGLE-VALUE )
objectclass ( 1.3.6.1.1.1.2.0 NAME 'posixAccount' SUP top AUXILIARY
    MUST ( cn $ uid $ uidNumber $ gidNumber $ homeDirectory ) MAY loginShell )
objectclass ( 1.3.6.1.1.1.2.2 NAME 'posixGroup' SUP top AUXILIARY
    MUST gidNumber )
pidfile /run/slapd/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
suffix {SUFFIX}
rootdn cn=root,{SUFFIX}
rootpw secret
directory /var/lib/ldap-example
"""
_SLAPD_UNIT = """\
[Unit]
Description=OpenLDAP
Before=sssd.service
[Service]
Type=forking
RuntimeDirectory=slapd
PIDFile=/run/slapd/slapd.pid
ExecStart=/usr/sbin/slapd -f /etc/ldap/example.conf -h ldap://127.0.0.1/
[Install]
WantedBy=multi-user.target
"""
_SSSD_CONF = f"""\
[sssd]
domains = example
[domain/example]
id_provider = ldap
auth_provider = ldap
access_provider = permit
ldap_uri = ldap://127.0.0.1/
ldap_id_use_start_tls = false
ldap_search_base = {SUFFIX}
ldap_schema = rfc2307bis
"""


@pytest.fixture(scope="session")
def plain_directory_image(suite: str) -> Image:
    """Give the image of a host with the directory, and without our package."""
    key = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    base = images.base(suite, extra=PACKAGES, without=["tlog"])
    return hosts.prepared(base, "directory", key, _set_up)


@pytest.fixture(scope="session")
def directory_image(plain_directory_image: Image, package: Path) -> Image:
    """Give the image of a host with the directory and our package."""

    def setup(host: Host) -> None:
        _install(host, package)

    key = hashlib.sha256(package.read_bytes() + inspect.getsource(_install).encode()).hexdigest()
    return hosts.prepared(plain_directory_image, "directory-installed", key, setup)


@pytest.fixture
def plain_directory_host(plain_directory_image: Image) -> Iterator[Host]:
    """Boot a host with the directory, and without our package."""
    with Host(plain_directory_image) as booted:
        yield booted


@pytest.fixture
def directory_host(directory_image: Image) -> Iterator[Host]:
    """Boot a host with the directory and our package. SSSD may not have seen it: ``configure``."""
    with Host(directory_image) as booted:
        yield booted


def configure(host: Host, *domain: str, sections: str = "") -> None:
    """Start SSSD afresh, its cache empty, with more lines of configuration.

    ``domain``: lines for the domain's section; ``sections``: whole sections. The directory runs;
    SSSD has seen it, and of all entries only dora's, not her groups, when this returns.
    """
    text = _SSSD_CONF + "".join(f"{line}\n" for line in domain) + textwrap.dedent(sections)
    host.run(["systemctl", "stop", "sssd.service"])
    host.write("/etc/sssd/sssd.conf", text, 0o600)
    host.run(["sh", "-c", "rm -f /var/lib/sss/db/* /var/lib/sss/mc/*"])
    host.run(["systemctl", "start", "sssd.service"])
    host.wait_until(lambda: is_known(host, "dora@example"))


def modify(host: Host, ldif: str) -> None:
    """Change the directory by LDIF (ldapmodify(1)). SSSD may still have what was: ``expire``."""
    host.run(["ldapmodify", *_ROOT], input=textwrap.dedent(ldif))


def change_member(host: Host, verb: str, user: str, group: str) -> None:
    """``add`` a user to a group of the directory or ``delete`` them; SSSD is not told."""
    modify(
        host,
        f"""\
        dn: cn={group},ou=groups,{SUFFIX}
        changetype: modify
        {verb}: member
        member: uid={user},ou=people,{SUFFIX}
        """,
    )


def expire(host: Host) -> None:
    """Make SSSD ask the directory again; while that is down it goes on with what it had."""
    host.run(["sss_cache", "-E"])


def stop(host: Host) -> None:
    """Stop the directory: connections to it are refused."""
    host.run(["systemctl", "stop", "slapd.service"])


def start(host: Host) -> None:
    """Start the directory again. SSSD looks for it now, as after a change of the network."""
    host.run(["systemctl", "start", "slapd.service"])
    host.run(["pkill", "-USR2", "-x", "sssd"])


def freeze(host: Host) -> None:
    """Make the directory take connections and answer nothing, until ``thaw``."""
    host.run(["systemctl", "kill", "--signal=STOP", "slapd.service"])


def thaw(host: Host) -> None:
    """Undo ``freeze``; SSSD looks for the directory now."""
    host.run(["systemctl", "kill", "--signal=CONT", "slapd.service"])
    host.run(["pkill", "-USR2", "-x", "sssd"])


def is_known(host: Host, user: str) -> bool:
    """Tell whether NSS knows a user. Past the overlay, which would ask for the groups too."""
    words = ["env", "SYSTEMD_BYPASS_USERDB=1", "getent", "passwd", user]
    return host.run(words, check=False).returncode == 0


def shell_of_login(host: Host, user: str) -> str:
    """Log a user in with a terminal and out again; give their $0 and $SHELL."""
    with login(host, user) as terminal:
        shell = command(terminal, "echo $0 $SHELL").strip()
        logout(terminal)
    return shell


def recorded_users(host: Host) -> list[str]:
    """Give whose logins were recorded, oldest first; one is listed before its shell starts."""
    return [str(recording["user"]) for recording in recordings(host)]


def _set_up(host: Host) -> None:
    host.write("/etc/inputrc", "set enable-bracketed-paste off\n")
    host.write("/etc/skel/.bashrc", "PS1='ready$ '\n")  # helpers.PROMPT
    host.add_user("alice", groups=["wheel"])
    host.add_user("bob")
    # Debian's own slapd.service runs another configuration: ours hides it.
    host.run(["systemctl", "stop", "slapd.service"])
    host.write("/etc/systemd/system/slapd.service", _SLAPD_UNIT)
    host.write("/etc/ldap/example.conf", _SLAPD_CONF)
    host.write("/etc/ldap/ldap.conf", f"URI ldap://127.0.0.1/\nBASE {SUFFIX}\n")
    host.run(["mkdir", "-m", "700", "/var/lib/ldap-example"])
    host.run(["slapadd", "-q", "-f", "/etc/ldap/example.conf"], input=_ldif())
    for user, number in USERS.items():
        home = f"/home/{user}"
        host.run(["cp", "-r", "/etc/skel", home])
        host.run(["chown", "-R", f"{number}:21000", home])
    host.write("/etc/sssd/sssd.conf", _SSSD_CONF, 0o600)
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "enable", "--now", "slapd.service", "sssd.service"])
    host.wait_until(lambda: is_known(host, "dora"))
    host.run(["systemctl", "stop", "sssd.service"])
    host.run(["sh", "-c", "rm -f /var/lib/sss/db/* /var/lib/sss/mc/*"])


def _install(host: Host, package: Path) -> None:
    host.install(package)
    host.write("/etc/sessionwrap/conf.d/tests.conf", SCOPE)


def _ldif() -> str:
    entries = [f"dn: {SUFFIX}\nobjectClass: domain\ndc: example\n"]
    for unit in ("people", "groups"):
        entries.append(f"dn: ou={unit},{SUFFIX}\nobjectClass: organizationalUnit\nou: {unit}\n")
    for user, number in USERS.items():
        entries.append(
            f"dn: uid={user},ou=people,{SUFFIX}\nobjectClass: account\nobjectClass: posixAccount\n"
            f"cn: {user}\nuid: {user}\nuidNumber: {number}\ngidNumber: 21000\n"
            f"homeDirectory: /home/{user}\nloginShell: {SHELLS.get(user, '/bin/bash')}\n"
        )
    for group, (number, members) in GROUPS.items():
        entries.append(
            f"dn: cn={group},ou=groups,{SUFFIX}\nobjectClass: groupOfNames\n"
            f"objectClass: posixGroup\ncn: {group}\ngidNumber: {number}\n"
            + "".join(f"member: {member},{SUFFIX}\n" for member in members)
        )
    return "\n".join(entries)
