"""The list of checks, and how they are run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from sessionwrap import decisions
from sessionwrap.doctor import login, name_service, pam, services, sshd, storage, system
from sessionwrap.doctor.finding import Finding, bad, look
from sessionwrap.errors import SessionwrapError


class Check(NamedTuple):
    """A theme, and what looks at the host for it; ``look_at`` gets the user's name or ""."""

    topic: str
    look_at: Callable[[str], list[Finding]]


def _login(user: str) -> list[Finding]:
    if user:
        return login.look_at(user)
    why = "only a session through the real PAM stack shows that the rules hold"
    return [look("no user was named: no session was opened", why, "sessionwrap doctor USER")]


def _pam(_user: str) -> list[Finding]:
    rules = decisions.Rules().rules
    return pam.look_at(rules.names("exclude_services") if rules else frozenset())


CHECKS: Final = (
    Check("services", lambda _: services.look_at_units()),
    Check("permissions", lambda _: services.look_at_permissions()),
    Check("configuration", lambda _: services.look_at_configuration()),
    Check("PAM", _pam),
    Check("users and shells", lambda _: name_service.look_at()),
    Check("SSSD", lambda _: name_service.look_at_sssd()),
    Check("sshd", sshd.look_at),
    Check("storage", lambda _: storage.look_at()),
    Check("system", lambda _: system.look_at()),
    # Last: what it finds is often explained by one of the others.
    Check("a login", _login),
)


def _not_looked_at(why: str) -> Finding:
    # Nothing is passed over in silence: what could not be looked at is not in order.
    return bad(f"this could not be looked at: {why}", "nobody knows whether it holds")


def run(user: str) -> Iterator[tuple[str, list[Finding]]]:
    """Run every check: its topic and what it found."""
    for check in CHECKS:
        try:
            found = check.look_at(user)
        except (OSError, SessionwrapError) as error:
            found = [_not_looked_at(str(error))]
        except Exception as error:  # on a broken host; the other checks may say why
            found = [_not_looked_at(f"{type(error).__name__}: {error}")]
        yield check.topic, found
