"""Make the login shell a local user's shell, and put back exactly what was there.

The passwd file is changed by usermod(8) alone, which locks it and tells the caches. The real
shell is in the map before the passwd entry changes, and stays there until it has changed back:
a crash at any point leaves every user with a shell that works.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sessionwrap import config_files, paths, shells
from sessionwrap.accounts import NO_SYNTHETIC, OVERLAY
from sessionwrap.errors import AccessError, NotFoundError, SessionwrapError
from sessionwrap.local_accounts import Account, parse_passwd

MAX_PASSWD = 64 << 20
"""As much of the passwd file is read, in characters."""
USERMOD_SECONDS = 60
_ENVIRONMENT: Final = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    # usermod changes nothing where NSS says that it is so already: it must see the file alone.
    "SYSTEMD_BYPASS_USERDB": OVERLAY,
    NO_SYNTHETIC: "1",
}


class Host(NamedTuple):
    """Where the files of enrolment are; ``prefix`` goes before /etc as for usermod --prefix."""

    prefix: str = ""
    shells_file: str = paths.SHELLS_FILE
    login_shell: str = paths.LOGIN_SHELL


THIS: Final = Host()


def enroll(users: Sequence[str], host: Host = THIS) -> Iterator[str]:
    """Enroll local users; gives one line of text for each as it is done.

    All are checked before the first change. NotFoundError: not a local user. AccessError: the
    caller is not root, or the user is not to be enrolled. ConfigError: the map is broken.
    SessionwrapError: usermod failed.
    """
    with _locked(host):
        entries = _load_map(host)
        accounts = _accounts(host)
        if not shells.usable(host.login_shell, login_shell=""):
            raise NotFoundError(f"{host.login_shell} is not installed: nobody could log in")
        chosen = [_enrollable(user, accounts, entries, host) for user in dict.fromkeys(users)]
        new = [account for account in chosen if not _is_enrolled(account, host)]
        if new:
            _write_map({**entries, **{account.user: account.shell for account in new}}, host)
        for account in chosen:
            if account not in new:
                yield f"{account.user} is already enrolled"
                continue
            _set_shell(account.user, host.login_shell, host)
            shown = account.shell or f"{shells.DEFAULT_SHELL} (an empty field)"
            yield f"{account.user} is enrolled; the real shell is {shown}"


def unenroll(users: Sequence[str], host: Host = THIS) -> Iterator[str]:
    """Give local users their own shell back; gives one line of text for each as it is done.

    Raises what ``enroll`` raises.
    """
    with _locked(host):
        entries = _load_map(host)
        accounts = _accounts(host)
        chosen = list(dict.fromkeys(users))
        for user in chosen:
            _check_unenrollable(user, accounts, entries, host)
        for user in chosen:
            account = accounts.get(user)
            if account and _is_enrolled(account, host):
                _set_shell(user, entries[user], host)
                text = f"{user} has {entries[user] or 'an empty shell field'} again"
            elif user in entries:
                text = f"{user} was given another shell meanwhile, which stays; no longer enrolled"
            else:
                text = f"{user} is not enrolled"
            if user in entries:
                del entries[user]
                _write_map(entries, host)
            yield text


def users(host: Host = THIS) -> list[str]:
    """Give, sorted, who is noted as enrolled and whose passwd entry names the login shell.

    ConfigError: the map is broken. SessionwrapError: the passwd file cannot be read.
    """
    named = [user for user, account in _accounts(host).items() if _is_enrolled(account, host)]
    return sorted({*_load_map(host), *named})


def listed_as_login_shell(host: Host = THIS) -> bool:
    """Say whether /etc/shells lists the login shell: then chsh(1) lets its users leave it."""
    text = config_files.read_text_if_there(host.prefix + "/etc/shells") or ""
    return host.login_shell in text.split("\n")


def _enrollable(
    user: str, accounts: dict[str, Account], entries: dict[str, str], host: Host
) -> Account:
    account = accounts.get(user)
    if account is None:
        raise NotFoundError(f"{user!a} is not a local user: not in {host.prefix}/etc/passwd")
    if _is_enrolled(account, host):
        if user not in entries:
            raise NotFoundError(
                f"{user} has the login shell, but no real shell is noted in {host.shells_file}; "
                f"give a shell with `usermod -s SHELL {user}` and enroll again"
            )
        return account
    shell = account.shell or shells.DEFAULT_SHELL
    if shells.is_no_login(shell):
        raise AccessError(f"{user} does not log in (shell {shell}), so cannot be enrolled")
    if not shells.usable(shell, host.login_shell):
        raise AccessError(f"{user} has shell {shell!a}, which cannot be started")
    return account


def _check_unenrollable(
    user: str, accounts: dict[str, Account], entries: dict[str, str], host: Host
) -> None:
    account = accounts.get(user)
    if account is None and user not in entries:
        raise NotFoundError(f"{user!a} is not a local user: not in {host.prefix}/etc/passwd")
    if account and _is_enrolled(account, host) and user not in entries:
        raise NotFoundError(
            f"{user}: no real shell is noted in {host.shells_file}; "
            f"give one with `usermod -s SHELL {user}`"
        )


def _is_enrolled(account: Account, host: Host) -> bool:
    return bool(account.shell) and shells.is_login_shell(account.shell, host.login_shell)


def _accounts(host: Host) -> dict[str, Account]:
    path = host.prefix + "/etc/passwd"
    try:
        # Other fields may hold bytes that are not UTF-8.
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return parse_passwd(file.read(MAX_PASSWD))
    except OSError as error:
        raise SessionwrapError(f"{path}: cannot be read: {error.strerror}") from error


def _load_map(host: Host) -> dict[str, str]:
    return shells.load(host.shells_file)


def _write_map(entries: dict[str, str], host: Host) -> None:
    try:
        shells.write(entries, host.shells_file)
    except OSError as error:
        raise SessionwrapError(f"{host.shells_file}: cannot be written: {error}") from error


@contextlib.contextmanager
def _locked(host: Host) -> Iterator[None]:
    """Keep other enrolments out. The kernel lets go of the lock when the process ends."""
    if os.geteuid() != 0:
        raise AccessError("only root may enroll and unenroll users")
    path = host.shells_file + ".lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise SessionwrapError(f"{path}: cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _set_shell(user: str, shell: str, host: Host) -> None:
    command = ["usermod", *(["--prefix", host.prefix] if host.prefix else [])]
    command += ["--shell", shell, "--", user]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=USERMOD_SECONDS,
            check=False,
            env=_ENVIRONMENT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SessionwrapError(f"usermod did not change the shell of {user}: {error}") from error
    if done.returncode:
        said = done.stderr.strip()[:500] or f"exit status {done.returncode}"
        raise SessionwrapError(f"usermod did not change the shell of {user}: {said}")
