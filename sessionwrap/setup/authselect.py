"""The PAM hook and the order of nsswitch.conf where authselect(8) writes both: Fedora and RHEL.

authselect generates /etc/pam.d/system-auth and the like, and /etc/nsswitch.conf, from the
templates of one selected profile, and overwrites what else is changed in them. So the way in is a
profile of our own: ``enable`` copies the templates of the selected profile to
/etc/authselect/custom/sessionwrap, adds the hook's line and puts systemd first, and selects the
copy with the features that are on. ``disable`` selects the former profile again.

A copy does not follow its original: after an update of authselect, ``enable`` makes it anew. The
features are the administrator's at any time: those that are on when the profile changes stay on.

Formats and commands: authselect(8), authselect-profiles(5), and the profiles of authselect 1.0 to
1.5. Not tried on a host: Debian has no authselect, and no Fedora was at hand. Tested is what
becomes of the templates; every call of authselect is read off its manual and its source.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from typing import Final, NamedTuple

from sessionwrap import paths
from sessionwrap.errors import SessionwrapError
from sessionwrap.setup import programs

PROGRAM: Final = "authselect"
PROFILE: Final = "custom/sessionwrap"
HOOK: Final = "/usr/libexec/sessionwrap/pam-hook"
HOOK_LINE: Final = (
    f"session     required      pam_exec.so type=open_session seteuid quiet stdout {HOOK}"
)
"""As in packaging/pam/sessionwrap."""

DEFAULT_PROFILES: Final = "/usr/share/authselect/default"
VENDOR_PROFILES: Final = "/usr/share/authselect/vendor"
CUSTOM: Final = "custom/"
CUSTOM_PROFILES: Final = "/etc/authselect/custom"
DIRECTORY: Final = CUSTOM_PROFILES + "/sessionwrap"
USER_NSSWITCH: Final = "/etc/authselect/user-nsswitch.conf"
"""Where maps come from that the profile does not have (authselect(8))."""
STATE_FILE: Final = paths.STATE_DIR + "/authselect.json"

NEEDED: Final = ("system-auth", "password-auth")
"""The stacks of login, su and sudo, and of sshd: without the hook in these nobody is recorded."""
PAM_FILES: Final = (*NEEDED, "fingerprint-auth", "smartcard-auth", "switchable-auth")
"""The others are those of desktops. postlogin runs after these, and is not for us."""
NSSWITCH: Final = "nsswitch.conf"
GENERATED: Final = {**{name: f"--{name}" for name in NEEDED}, NSSWITCH: "--nsswitch"}
"""The options by which ``authselect test`` prints what it would write."""
MAPS: Final = {"passwd": "files", "shadow": "files"}
"""What we order, and what stands there when neither profile nor administrator says anything."""

MAX_TEMPLATE = 1 << 20
"""Bytes of a template; no real one has a hundredth of it."""

_SESSION = re.compile(r"-?session\s")
_LOGINUID = re.compile(r"-?session\s.*\bpam_loginuid\.so\b")
_MAP = re.compile(r"(\w+):(\s*)([^#]*)(.*)")
# A source with its [NOTFOUND=…]; not a part of another word or of the name of a feature.
_SYSTEMD = re.compile(r'(?<![\w"-])systemd(?![\w"-])(?:\s*\[[^]]*\])?\s?')
_FILES = re.compile(r'(?<![\w"-])files(?![\w"-])')


class Selection(NamedTuple):
    """A profile and its features, as ``authselect select`` takes them."""

    profile: str
    features: tuple[str, ...]


# Text


def parse_selection(text: str) -> Selection | None:
    """Read what ``authselect current --raw`` prints: the profile, then features; None: nothing."""
    profile, *features = text.split() or [""]
    return Selection(profile, tuple(features)) if profile else None


def with_hook(template: str) -> str:
    """Give a template of a PAM stack with the hook's line; unchanged when it has no session lines.

    The line comes before all other session lines, but after pam_loginuid where that is in the
    template (on Fedora it is in the files that include it): so no jump (``[success=1 …]``) passes
    over it or counts it, and nothing of the user's was read yet (~/.ecryptfs, variables).
    """
    lines = template.splitlines()
    if any(HOOK in line for line in lines):
        return template
    sessions = [number for number, line in enumerate(lines) if _SESSION.match(line)]
    if not sessions:
        return template
    loginuids = [number + 1 for number in sessions if _LOGINUID.match(lines[number])]
    lines.insert(max([sessions[0], *loginuids]), HOOK_LINE)
    return "\n".join(lines) + "\n"


def with_overlay(template: str, user_nsswitch: str) -> str:
    """Give a template of nsswitch.conf with systemd first for passwd, after files for shadow.

    A profile may leave a map to ``user_nsswitch``, the administrator's file: it is then taken from
    there, because what the profile has overrides that file.
    """
    lines = [_ordered(line) for line in template.splitlines()]
    there = {name for line in lines if (name := _map_name(line))}
    users = {_map_name(line): line for line in reversed(user_nsswitch.splitlines())}
    for name, default in MAPS.items():
        if name not in there:
            lines.append(_ordered(users.get(name) or f"{name}:     {default}"))
    return "\n".join(lines) + "\n"


def _map_name(line: str) -> str:
    match = _MAP.match(line)
    return match[1] if match else ""


def _ordered(line: str) -> str:
    match = _MAP.match(line)
    if not match or match[1] not in MAPS:
        return line
    name, space, sources, comment = match.groups()
    sources = _SYSTEMD.sub("", sources)
    files = _FILES.search(sources) if name == "shadow" else None
    at = files.end() if files else 0
    put = " systemd" if files else "systemd "
    return f"{name}:{space}{sources[:at]}{put}{sources[at:]}{comment}".rstrip()


def sources(nsswitch: str, name: str) -> list[str]:
    """Give the words of a map in nsswitch.conf(5), [] where it has none."""
    for line in nsswitch.splitlines():
        match = _MAP.match(line)
        if match and match[1] == name:
            return match[3].split()
    return []


def recorded_profile(templates: Mapping[str, str], base: str, user_nsswitch: str) -> dict[str, str]:
    """Give the files of our profile from those of its base, by name.

    SessionwrapError: the base has no session lines where the hook must be.
    """
    files = dict(templates)
    for name in PAM_FILES:
        if name in files:
            files[name] = with_hook(files[name])
    for name in NEEDED:
        if HOOK not in files.get(name, ""):
            raise SessionwrapError(
                f"the authselect profile {base} has no session lines in {name}: the PAM hook "
                "cannot be put there"
            )
    files[NSSWITCH] = with_overlay(files.get(NSSWITCH, ""), user_nsswitch)
    # The first line is the name in `authselect list`.
    title = f"{base} with terminal sessions recorded by sessionwrap"
    files["README"] = f"{title}\n{'=' * len(title)}\n\n{files.get('README', '')}"
    return files


def check_generated(generated: Mapping[str, str]) -> None:
    """Look at what authselect would write, by name; SessionwrapError when logins would pass by.

    The features decide it: one can leave a map to the administrator, another end a stack early.
    """
    for name in NEEDED:
        if HOOK not in generated[name]:
            raise SessionwrapError(
                f"{name} would be generated without the PAM hook; see: authselect test {PROFILE}"
            )
    if sources(generated[NSSWITCH], "passwd")[:1] != ["systemd"]:
        raise SessionwrapError(
            f"{NSSWITCH} would be generated without systemd first for passwd. Is the feature "
            "with-custom-passwd on? Switch it off: authselect disable-feature with-custom-passwd"
        )


# The host


def is_there() -> bool:
    """Say whether this host has authselect."""
    return programs.is_there(PROGRAM)


def plan() -> list[str]:
    """Say what ``enable`` would do, a sentence each; [] when all is done. Raises what it raises."""
    selected = _selected()
    base = _base(selected)
    files = _wanted(base)
    steps = []
    if files != _read_if_there(DIRECTORY):
        stacks = ", ".join(name for name in PAM_FILES if HOOK in files.get(name, ""))
        steps.append(
            f"make the authselect profile {PROFILE} from {base}: the PAM hook in {stacks}; "
            "systemd first for passwd in nsswitch.conf"
        )
    if steps or selected.profile != PROFILE:
        steps.append(f"run: {' '.join(_select_command(PROFILE, selected.features))}")
    return steps


def plan_disable() -> list[str]:
    """Say what ``disable`` would do, a sentence each; [] when there is nothing of ours."""
    selected = _current()
    steps = []
    if selected and selected.profile == PROFILE:
        steps.append(f"run: {' '.join(_select_command(_base(selected), selected.features))}")
    if os.path.isdir(DIRECTORY):
        steps.append(f"remove the authselect profile {PROFILE} ({DIRECTORY})")
    return steps


def enable() -> None:
    """Make our profile from the selected one and select it; does nothing when that is done.

    Nothing has changed when it raises SessionwrapError: authselect manages nothing here, what it
    manages was edited by hand, or it fails.
    """
    selected = _selected()
    base = _base(selected)
    files = _wanted(base)
    before = _read_if_there(DIRECTORY)
    if selected.profile == PROFILE and files == before:
        return
    try:
        if selected.profile != PROFILE:
            _remember(selected)
        _write(files, DIRECTORY)
        check_generated(
            {
                name: programs.run(PROGRAM, "test", option, PROFILE, *selected.features)
                for name, option in GENERATED.items()
            }
        )
        _select(PROFILE, selected.features)
    except SessionwrapError:
        if before is None:
            shutil.rmtree(DIRECTORY, ignore_errors=True)
        elif _read_if_there(DIRECTORY) != before:
            _write(before, DIRECTORY)
        if selected.profile != PROFILE:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(STATE_FILE)
        raise


def disable() -> None:
    """Select what was selected before ``enable``, and remove our profile.

    Where another profile was selected meanwhile, that one stays. SessionwrapError: as ``enable``.
    """
    selected = _current()
    if selected and selected.profile == PROFILE:
        _select(_base(selected), selected.features)
    if os.path.isdir(DIRECTORY):
        shutil.rmtree(DIRECTORY)
    if os.path.exists(STATE_FILE):
        os.unlink(STATE_FILE)


def _wanted(base: str) -> dict[str, str]:
    try:
        with open(USER_NSSWITCH, encoding="utf-8") as file:
            user_nsswitch = file.read(MAX_TEMPLATE)
    except FileNotFoundError:
        user_nsswitch = ""
    return recorded_profile(_read(_directory(base)), base, user_nsswitch)


def _directory(profile: str) -> str:
    """Find a profile where authselect does: a vendor's goes before the default one."""
    if profile.startswith(CUSTOM):
        return os.path.join(CUSTOM_PROFILES, profile.removeprefix(CUSTOM))
    vendor = os.path.join(VENDOR_PROFILES, profile)
    return vendor if os.path.isdir(vendor) else os.path.join(DEFAULT_PROFILES, profile)


def _base(selected: Selection) -> str:
    """Give the profile that ours is a copy of, or is to be."""
    if selected.profile != PROFILE:
        return selected.profile
    try:
        with open(STATE_FILE, encoding="utf-8") as file:
            base = json.loads(file.read(MAX_TEMPLATE))["profile"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SessionwrapError(
            f"{STATE_FILE} does not say what was selected before {PROFILE} ({error!r}); select a "
            "profile yourself: authselect select PROFILE FEATURES"
        ) from error
    return str(base)


def _remember(selected: Selection) -> None:
    programs.replace(STATE_FILE, json.dumps(selected._asdict()) + "\n")


def _read_if_there(directory: str) -> dict[str, str] | None:
    return _read(directory) if os.path.isdir(directory) else None


def _read(directory: str) -> dict[str, str]:
    """Read the files of a profile, links followed; SessionwrapError when one cannot be read."""
    files = {}
    try:
        for name in sorted(os.listdir(directory)):
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                files[name] = file.read(MAX_TEMPLATE)
    except (OSError, ValueError) as error:
        raise SessionwrapError(f"the authselect profile cannot be read: {error}") from error
    return files


def _write(files: Mapping[str, str], directory: str) -> None:
    """Make a profile, whole or not at all. Its parent is there when authselect is."""
    new, old = directory + ".new", directory + ".old"
    for left in (new, old):  # by a crash
        shutil.rmtree(left, ignore_errors=True)
    try:
        os.mkdir(new, 0o755)
        for name, text in files.items():
            with open(os.path.join(new, name), "w", encoding="utf-8") as file:
                file.write(text)
        if os.path.isdir(directory):
            os.rename(directory, old)
        os.rename(new, directory)
    except OSError as error:
        raise SessionwrapError(f"the authselect profile cannot be written: {error}") from error
    shutil.rmtree(old, ignore_errors=True)


def _selected() -> Selection:
    """Give what is selected; SessionwrapError when authselect would refuse to change it."""
    selected = _current()
    if selected is None:
        raise SessionwrapError(
            "authselect is there, but manages nothing: no profile is selected. Select one, for "
            "example `authselect select local`, or put this line into the PAM files yourself: "
            f"{HOOK_LINE}"
        )
    programs.run(PROGRAM, "check")
    return selected


def _current() -> Selection | None:
    done = programs.call(PROGRAM, "current", "--raw")
    if done.returncode == 2:  # no profile selected (authselect(8), RETURN CODES)
        return None
    return parse_selection(programs.output(done))


def _select(profile: str, features: tuple[str, ...]) -> None:
    programs.run(*_select_command(profile, features))


def _select_command(profile: str, features: tuple[str, ...]) -> list[str]:
    return [PROGRAM, "select", profile, *features, "--quiet"]
