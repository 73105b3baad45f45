"""What makes the rules hold on a host, step by step: each says what it would do, does it, and
takes it back.

The order is that of a safe way in: what a login leads to first, the way there last.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
from collections.abc import Iterator
from typing import Any, Final, Protocol

from sessionwrap import config_files, enrolment, paths
from sessionwrap.errors import ConfigError, SessionwrapError
from sessionwrap.setup import authselect, nsswitch, pam_stack, programs, sshd

STATE_FILE: Final = paths.STATE_DIR + "/setup.json"
NSSWITCH: Final = "/etc/nsswitch.conf"
COMMON_SESSION: Final = "/etc/pam.d/common-session"
PAM_DIR: Final = "/etc/pam.d"
ROOT_DROPIN: Final = "/etc/systemd/system/service.d/sessionwrap.conf"
ROOT_VARIABLE: Final = "SYSTEMD_NSS_BYPASS_SYNTHETIC=1"
ROOT_TEXT: Final = f"""\
# Put here by `sessionwrap setup`. With systemd first in nsswitch.conf its NSS module answers for
# root itself, with /bin/bash, and hides what /etc/passwd says. Not to services that have this:
[Service]
Environment={ROOT_VARIABLE}
"""
SSHD_CONF: Final = "/etc/ssh/sshd_config.d/sessionwrap.conf"
"""The packages' own; an administrator's changes are in it, so it is renamed and not removed."""
SSHD_OFF: Final = SSHD_CONF + ".off"
"""Not read by sshd, which includes *.conf."""
UNITS: Final = (
    "sessionwrapd.socket",
    "sessionwrapd.service",
    "sessionwrap-userdb.socket",
    "sessionwrap-userdb.service",
)


class Step(Protocol):
    """One thing that must be so. ``plan`` and ``plan_undo`` say in sentences what is missing or
    would be taken back, and are empty where there is nothing to do. All raise SessionwrapError.
    """

    def plan(self) -> list[str]: ...
    def do(self) -> None: ...
    def plan_undo(self) -> list[str]: ...
    def undo(self) -> None: ...


class Users:
    """The users and directories of the services. They stay: what was recorded is in them."""

    def plan(self) -> list[str]:
        missing = not all(map(os.path.isdir, (paths.RUN_DIR, paths.SPOOL_DIR, paths.STATE_DIR)))
        text = _text("/etc/passwd")
        users = (paths.RECORDER_USER, paths.OVERLAY_USER)
        if missing or not all(f"\n{user}:" in text for user in users):
            return [f"make the users {' and '.join(users)}, and {paths.RUN_DIR}"]
        return []

    def do(self) -> None:
        programs.run("systemd-sysusers", "sessionwrap.conf")
        # nscd keeps that they were not there, and of new users systemd 257 does not tell it. Where
        # it does not run there is nothing to forget: its status does not matter.
        if programs.is_there("nscd"):
            for database in ("passwd", "group"):
                programs.call("nscd", f"--invalidate={database}")
        programs.run("systemd-tmpfiles", "--create", "sessionwrap.conf")

    def plan_undo(self) -> list[str]:
        return []

    def undo(self) -> None:
        return


class Units:
    """The recorder and the user database run, now and after the next boot.

    In an image that is being made only after that: presets may have left them off.
    """

    def plan(self) -> list[str]:
        off = [unit for unit in UNITS if not self._is_on(unit)]
        return [f"enable and start {', '.join(off)}"] if off else []

    def do(self) -> None:
        if programs.is_booted():
            programs.run("systemctl", "daemon-reload")
        programs.run("systemctl", "enable", *self._now(), *UNITS)

    def plan_undo(self) -> list[str]:
        # Each for itself: a run that was killed may have disabled what it did not stop.
        on = any(self._is_enabled(unit) or self._is_active(unit) for unit in UNITS)
        return [f"stop and disable {', '.join(UNITS)}; recordings go on to their end"] if on else []

    def undo(self) -> None:
        programs.run("systemctl", "disable", *self._now(), *UNITS)
        # systemd leaves it, and NSS would knock there at each look-up.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(paths.OVERLAY_SOCKET)

    def _now(self) -> list[str]:
        return ["--now"] if programs.is_booted() else []

    def _is_on(self, unit: str) -> bool:
        return self._is_enabled(unit) and (self._is_active(unit) or not programs.is_booted())

    def _is_enabled(self, unit: str) -> bool:
        return programs.call("systemctl", "--quiet", "is-enabled", unit).returncode == 0

    def _is_active(self, unit: str) -> bool:
        # In a chroot systemctl ignores the question, with status 0.
        active = programs.call("systemctl", "--quiet", "is-active", unit).returncode == 0
        return active and programs.is_booted()


class Sshd:
    """What sshd reads when it starts: its settings, which the package brings, and the environment
    of services, where root's own shell in /etc/passwd counts, so that root can be recorded.
    """

    def plan(self) -> list[str]:
        sentences = []
        if _text(ROOT_DROPIN) != ROOT_TEXT:
            sentences.append(f"write {ROOT_DROPIN}, restart sshd")
        if self._is_off():
            sentences.append(f"rename {SSHD_OFF} to {SSHD_CONF}, restart sshd")
        return sentences or (["restart sshd"] if sshd.is_pending() else [])

    def do(self) -> None:
        sshd.will_restart()
        programs.replace(ROOT_DROPIN, ROOT_TEXT)
        if self._is_off():
            os.rename(SSHD_OFF, SSHD_CONF)
        sshd.restart()

    def plan_undo(self) -> list[str]:
        sentences = []
        if os.path.exists(ROOT_DROPIN):
            sentences.append(f"remove {ROOT_DROPIN}, restart sshd")
        if os.path.exists(SSHD_CONF):
            sentences.append(f"rename {SSHD_CONF} to {SSHD_OFF}, restart sshd")
        return sentences or (["restart sshd"] if sshd.is_pending() else [])

    def undo(self) -> None:
        sshd.will_restart()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(ROOT_DROPIN)
        with contextlib.suppress(OSError):  # files of others are in it
            os.rmdir(os.path.dirname(ROOT_DROPIN))
        with contextlib.suppress(FileNotFoundError):
            os.rename(SSHD_CONF, SSHD_OFF)
        sshd.restart()

    def _is_off(self) -> bool:
        return os.path.exists(SSHD_OFF) and not os.path.exists(SSHD_CONF)


class NameService:
    """nsswitch.conf asks systemd's module, and so our service, first."""

    def plan(self) -> list[str]:
        text = _text(NSSWITCH)
        return [
            f"{NSSWITCH}: `{nsswitch.line_of(nsswitch.with_overlay(text), database)}`"
            for database in nsswitch.DATABASES
            if not nsswitch.has_overlay(text, database)
        ]

    def do(self) -> None:
        text = _text(NSSWITCH)
        before, after = nsswitch.changes(text)
        state = _load_state()
        # First what to take back, then the change: a crash between the two does no harm.
        _save_state({"before": state["before"] | before, "after": state["after"] | after})
        programs.replace(NSSWITCH, nsswitch.with_overlay(text))

    def plan_undo(self) -> list[str]:
        text, state = _text(NSSWITCH), _load_state()
        new = nsswitch.without_overlay(text, state["before"], state["after"])
        sentences = [
            f"{NSSWITCH}: `{nsswitch.line_of(new, name) or f'(no line for {name})'}`"
            for name in state["after"]
            if nsswitch.line_of(new, name) != nsswitch.line_of(text, name)
        ]
        # Kept, it would tell the next unsetup to take back what others have done meanwhile.
        forget = [f"remove {STATE_FILE}"] if os.path.exists(STATE_FILE) else []
        return sentences or forget

    def undo(self) -> None:
        state = _load_state()
        text = _text(NSSWITCH)
        programs.replace(NSSWITCH, nsswitch.without_overlay(text, **state))
        os.unlink(STATE_FILE)


class DebianPam:
    """The hook is in the PAM stacks of logins, by pam-auth-update(8)."""

    def plan(self) -> list[str]:
        if pam_stack.runs_hook(_text(COMMON_SESSION)):
            return []
        return [f"switch the PAM hook on in {COMMON_SESSION} (pam-auth-update)"]

    def do(self) -> None:
        programs.run("pam-auth-update", "--enable", "sessionwrap")
        if not pam_stack.runs_hook(_text(COMMON_SESSION)):
            raise SessionwrapError(
                f"pam-auth-update left {COMMON_SESSION} as it is, for it was changed by hand. "
                "Either `pam-auth-update --force --enable sessionwrap`, which undoes that, or "
                f"add this line to it, before all others: {authselect.HOOK_LINE}"
            )

    def plan_undo(self) -> list[str]:
        stacks = self._stacks()
        return [f"switch the PAM hook off in {', '.join(stacks)}"] if stacks else []

    def undo(self) -> None:
        programs.run("pam-auth-update", "--disable", "sessionwrap")
        # pam-auth-update leaves a file alone that was changed by hand. A line of the hook that
        # stays there, or elsewhere, locks everybody out when the hook is removed.
        for path in self._stacks():
            programs.replace(path, pam_stack.without_hook(_text(path)))

    def _stacks(self) -> list[str]:
        paths_of = (f"{PAM_DIR}/{name}" for name in sorted(os.listdir(PAM_DIR)))
        files = filter(os.path.isfile, paths_of)
        return [path for path in files if pam_stack.runs_hook(_text(path))]


class Authselect:
    """The hook and the order of nsswitch.conf, where authselect(8) writes both."""

    def plan(self) -> list[str]:
        return authselect.plan()

    def do(self) -> None:
        authselect.enable()

    def plan_undo(self) -> list[str]:
        return authselect.plan_disable()

    def undo(self) -> None:
        authselect.disable()


class Enrolled:
    """Users whose passwd entry names our shell get their own back. Nobody is enrolled here.

    Where it is not known what they had, undoing fails: they could not log in any more.
    """

    def plan(self) -> list[str]:
        return []

    def do(self) -> None:
        return

    def plan_undo(self) -> list[str]:
        users = self._users()
        return [f"give {', '.join(users)} their own shell back"] if users else []

    def undo(self) -> None:
        for _ in enrolment.unenroll(self._users()):
            continue

    def _users(self) -> list[str]:
        try:
            return enrolment.users()
        except ConfigError as error:
            raise SessionwrapError(f"{error}: nobody can be given a shell back") from error


def steps() -> list[Step]:
    """Give the steps for this host, in their order."""
    if authselect.is_there():
        return [Users(), Units(), Sshd(), Enrolled(), Authselect()]
    if not programs.is_there("pam-auth-update"):
        raise SessionwrapError(
            "neither pam-auth-update nor authselect is installed: see sessionwrap-setup(1), BY HAND"
        )
    return [Users(), Units(), Sshd(), Enrolled(), NameService(), DebianPam()]


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keep other runs out, and remove what one that was killed has left half written.

    The kernel lets go of the lock when the process ends, however it ends.
    """
    fd = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        files = (os.path.realpath(NSSWITCH), f"{PAM_DIR}/*", ROOT_DROPIN, STATE_FILE, sshd.PENDING)
        for directory in map(os.path.dirname, files):
            for left in glob.glob(f"{directory}/*{programs.NEW}"):
                os.unlink(left)
        yield
    finally:
        os.close(fd)


def _load_state() -> dict[str, Any]:
    text = config_files.read_text_if_there(STATE_FILE)
    if text is None:
        return {"before": {}, "after": {}}
    try:
        state = json.loads(text)
        return {"before": dict(state["before"]), "after": dict(state["after"])}
    except (ValueError, TypeError, KeyError) as error:
        problem = (
            "is not what setup wrote: how nsswitch.conf was is not known. Take `systemd` out of "
            f"the line passwd of {NSSWITCH} yourself, and remove this file"
        )
        raise ConfigError(STATE_FILE, 0, "", problem) from error


def _save_state(state: dict[str, Any]) -> None:
    programs.replace(STATE_FILE, json.dumps(state, indent=1) + "\n")


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return file.read(1 << 26)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SessionwrapError(f"{path}: cannot be read: {error.strerror}") from error
