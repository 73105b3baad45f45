"""Units, sockets, files and their permissions, and the configuration."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from sessionwrap import config_files, paths, scope, settings
from sessionwrap.doctor.finding import Finding, bad, fine, look
from sessionwrap.errors import ConfigError, SessionwrapError
from sessionwrap.local_accounts import parse_passwd
from sessionwrap.setup import programs
from sessionwrap.setup.authselect import HOOK
from sessionwrap.setup.steps import UNITS

RECORDER: Final = "sessionwrapd.service"
ENABLED: Final = ("enabled", "indirect")
"""What systemctl says of a unit that runs after the next boot; a service by its socket."""
SOCKETS: Final = {
    paths.RECORDER_SOCKET: ("sessionwrapd.socket", RECORDER),
    paths.OVERLAY_SOCKET: ("sessionwrap-userdb.socket", "sessionwrap-userdb.service"),
}
"""Each socket, and the units that make it and answer there."""
SOCKET_MODE: Final = 0o666
# From the package's file, where that is: apt has it from no archive, and says "not possible", with
# status 0, where it is only named. A socket whose unit was gone meanwhile listens no more.
_REINSTALL: Final = (
    "apt-get install --reinstall ./sessionwrap_*_all.deb"
    if programs.is_there("apt-get")
    else "dnf reinstall ./sessionwrap-*.noarch.rpm"
) + f" && systemctl daemon-reload && systemctl restart {' '.join(UNITS)} && sessionwrap setup"
PROPERTIES: Final = "Id,LoadState,ActiveState,UnitFileState,FragmentPath"


class Place(NamedTuple):
    """A directory as it must be: mode, owner, and what puts it in order."""

    path: str
    mode: int
    owner: str
    mend: str


_TMPFILES = "systemd-tmpfiles --create sessionwrap.conf"
PLACES: Final = (
    Place(paths.CONFIG_DIR, 0o755, "root", "install -d -m 755 -o root -g root {path}"),
    Place(paths.RUN_DIR, 0o755, "root", _TMPFILES),
    Place(paths.TICKETS_DIR, 0o755, "root", _TMPFILES),
    Place(paths.SPOOL_DIR, 0o700, paths.RECORDER_USER, _TMPFILES),
    Place(paths.STATE_DIR, 0o755, "root", _TMPFILES),
)
WHY_PLACES: Final = {
    paths.CONFIG_DIR: "who can write there decides who is recorded",
    paths.RUN_DIR: "who can write there can take the recorder's place",
    paths.TICKETS_DIR: "who can write there decides who is recorded",
    paths.SPOOL_DIR: "what is recorded stands there until it is stored",
    paths.STATE_DIR: "who can write there decides which shell enrolled users get",
}

PROGRAMS: Final = {
    paths.LOGIN_SHELL: "who is in scope cannot log in",
    HOOK: "nobody can log in",
    f"{HOOK}-decide": "nobody but root can log in",
    f"{os.path.dirname(HOOK)}/sessionwrapd": "the recorder does not start again",
    f"{os.path.dirname(HOOK)}/sessionwrap-userdb": "the user database does not start again",
}
"""What logins and the services start, and what becomes of these where it is not there."""
_WHERE: Final = "The command needs the package's file, in the directory you are in"


class Seen(NamedTuple):
    """What stat(2) said of a path; ``kind`` is its S_IFMT."""

    kind: int
    mode: int
    uid: int


def parse_units(text: str) -> dict[str, dict[str, str]]:
    """Read what ``systemctl show`` prints of several units, by their Id."""
    units = {}
    for block in text.strip().split("\n\n"):
        pairs = (line.partition("=") for line in block.split("\n"))
        values = {name: value for name, _, value in pairs}
        units[values.get("Id", "")] = values
    return units


def judge_units(units: Mapping[str, Mapping[str, str]]) -> list[Finding]:
    """Judge the units that must run now and after the next boot, and the services behind them."""
    findings = []
    for unit in UNITS:
        state = units.get(unit, {})
        if state.get("LoadState") == "masked":
            mend = f"systemctl unmask {unit} && systemctl enable --now {unit}"
            findings.append(bad(f"{unit} is masked", _why(unit), mend))
        elif state.get("LoadState") != "loaded":
            what = f"{unit} is not installed"
            findings.append(bad(what, f"{_why(unit)}. {_WHERE}", _REINSTALL))
        elif state.get("ActiveState") != "active":
            what = f"{unit} is {state.get('ActiveState', 'not active')}"
            findings.append(bad(what, _why(unit), f"systemctl enable --now {unit}"))
        elif state.get("UnitFileState") not in ENABLED:
            why = f"after the next boot: {_why(unit)}"
            findings.append(bad(f"{unit} is not enabled", why, f"systemctl enable {unit}"))
    return findings or [fine("the services run, and do so after the next boot")]


def _why(unit: str) -> str:
    if unit.startswith("sessionwrapd"):
        return "nothing is recorded; who must be recorded is not let in, as the failure policy says"
    return (
        "users get their own shell, and the hook refuses whom it must, as the failure policy says"
    )


def judge_socket(path: str, seen: Seen | None) -> list[Finding]:
    """Judge a socket's file."""
    units = " ".join(SOCKETS[path])
    if seen is None or not stat.S_ISSOCK(seen.kind):
        what = f"the socket {path} is not there"
        return [bad(what, _why(units), f"systemctl restart {units}")]
    if seen.mode & SOCKET_MODE != SOCKET_MODE:
        what = f"the socket {path} has mode {seen.mode:04o}, not {SOCKET_MODE:04o}"
        why = "the programs of users cannot reach the service"
        return [bad(what, why, f"chmod {SOCKET_MODE:o} {path}")]
    return []


def judge_users(users: Collection[str]) -> list[Finding]:
    """Judge whether the users that the services run as are among the users of this host."""
    services = {paths.RECORDER_USER: RECORDER, paths.OVERLAY_USER: "sessionwrap-userdb.service"}
    return [
        bad(f"there is no user {user}", f"without it {service} does not start", "sessionwrap setup")
        for user, service in services.items()
        if user not in users
    ]


def judge_place(place: Place, seen: Seen | None, owner: int) -> list[Finding]:
    """Judge a directory; ``owner`` is the uid of who must own it."""
    why, mend = WHY_PLACES[place.path], place.mend.format(path=place.path)
    if seen is None or not stat.S_ISDIR(seen.kind):
        what = f"the directory {place.path} is not there"
        return [bad(what, "nobody can be recorded", mend)]
    if seen.uid != owner:
        return [bad(f"{place.path} belongs to uid {seen.uid}, not {place.owner}", why, mend)]
    if seen.mode & 0o022 or (place.mode == 0o700 and seen.mode & 0o077):
        what = f"{place.path} has mode {seen.mode:04o}, not {place.mode:04o}"
        return [bad(what, why, mend)]
    if seen.mode & place.mode != place.mode:
        what = f"{place.path} has mode {seen.mode:04o}, not {place.mode:04o}"
        return [bad(what, "the services and users' programs cannot read there", mend)]
    return []


def judge_program(path: str, seen: Seen | None) -> list[Finding]:
    """Judge a program of PROGRAMS."""
    if seen is None or not stat.S_ISREG(seen.kind):
        return [bad(f"{path} is not there", f"{PROGRAMS[path]}. {_WHERE}", _REINSTALL)]
    mend = f"chown root:root {path} && chmod 755 {path}"
    what = f"{path} belongs to uid {seen.uid} and has mode {seen.mode:04o}"
    if seen.uid or seen.mode & 0o022:
        return [bad(what, "who can write there decides what is run in others' logins", mend)]
    if seen.mode & 0o555 != 0o555:
        return [bad(what, PROGRAMS[path], mend)]
    return []


def judge_configuration(
    errors: Sequence[ConfigError], wrong: Mapping[str, Seen], rules: scope.Rules | None
) -> list[Finding]:
    """Judge the mistakes of the configuration; ``wrong``: files that not only root can write."""
    findings = [
        bad(
            f"{path} belongs to uid {seen.uid} and has mode {seen.mode:04o}",
            f"who can write there decides {_what_is_said(path)}: {_without(path)}",
            f"chown root:root {path} && chmod go-w {path}",
        )
        for path, seen in wrong.items()
    ]
    findings += [
        bad(
            str(error),
            _without(error.path),
            f"${{EDITOR:-vi}} +{max(error.line, 1)} {error.path}",
        )
        for error in errors
        if error.path not in wrong
    ]
    if findings or rules is None:
        return findings
    if rules.scope == "none":
        return [
            look(
                "scope = none: nobody is recorded",
                "say who is, in a file of your own",
                f"${{EDITOR:-vi}} {paths.SCOPE_DROPINS}/scope.conf",
            )
        ]
    path, line = rules.where["scope"]
    return [fine(f"no mistakes in the configuration; scope = {rules.scope} ({path}:{line})")]


def _what_is_said(path: str) -> str:
    return "what is recorded" if path == paths.SETTINGS_FILE else "who is recorded"


def _without(path: str) -> str:
    if path == paths.SETTINGS_FILE:
        return "the recorder does not start with it"
    return "until it is mended everybody is recorded but root and system accounts"


# The host


def look_at_units() -> list[Finding]:
    """Look at the units and their sockets."""
    if not programs.is_booted():
        return [look("systemd does not run here", "units and sockets could not be looked at")]
    done = programs.call("systemctl", "show", "-p", PROPERTIES, *UNITS)
    if done.returncode:
        raise SessionwrapError(f"systemctl: {done.stderr.strip()}")
    units = parse_units(done.stdout)
    for state in units.values():
        # systemd goes on with what it has read, until it is told to read again.
        if state.get("LoadState") == "loaded" and not os.path.exists(state["FragmentPath"]):
            state["LoadState"] = "not-found"
    findings = judge_units(units)
    active = [finding for finding in findings if finding.why]
    if not active:  # a unit that is down has no socket, which is told already
        findings += [found for path in SOCKETS for found in judge_socket(path, _stat(path))]
    return findings


def look_at_permissions() -> list[Finding]:
    """Look at the directories, the users that own them, and the programs."""
    with open("/etc/passwd", encoding="utf-8", errors="surrogateescape") as file:
        users = parse_passwd(file.read())
    findings = judge_users(users)
    for place in PLACES:
        if place.owner in users:
            findings += judge_place(place, _stat(place.path), users[place.owner].uid)
    for path in PROGRAMS:
        findings += judge_program(path, _stat(path))
    return findings or [fine("the directories belong to whom they must, the programs are there")]


def look_at_configuration() -> list[Finding]:
    """Look at the rules and the settings, as `sessionwrap check` does."""
    files, errors = config_files.read_all_scope_files()
    rules, mistakes = scope.parse_all(files)
    errors += [*mistakes, *settings.load_all_errors(paths.SETTINGS_FILE)]
    wrong = {}
    for error in errors:
        seen = _stat(error.path)
        if seen and (seen.uid or seen.mode & 0o022):
            wrong[error.path] = seen
    others = [error for error in errors if error.path != paths.CONFIG_DIR]
    if len(others) < len(errors):  # the permissions' check tells it, and no rules were read
        wrong.pop(paths.CONFIG_DIR, None)
        return judge_configuration(others, wrong, None)
    return judge_configuration(errors, wrong, rules)


def _stat(path: str) -> Seen | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return Seen(stat.S_IFMT(found.st_mode), stat.S_IMODE(found.st_mode), found.st_uid)
