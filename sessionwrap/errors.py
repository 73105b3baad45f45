"""Every error that sessionwrap raises on purpose.

The first line of a docstring is what a person reads when nothing better is known; ``exit_code``
is what the command line ends with (docs/man/sessionwrap.1.md lists them). Standard library
only and no imports: the login path uses these.
"""

from __future__ import annotations


class SessionwrapError(Exception):
    """sessionwrap could not do what was asked."""

    exit_code = 1


class ConfigError(SessionwrapError):
    """A configuration file is not right.

    ``path`` and ``line`` (from 1; 0 where the whole file is meant) say where, ``key`` names the
    setting ("" where none is), ``problem`` says what was found and what was expected.
    """

    exit_code = 2

    def __init__(self, path: str, line: int, key: str, problem: str) -> None:
        self.path = path
        self.line = line
        self.key = key
        self.problem = problem
        place = f"{path}:{line}" if line else path
        super().__init__(f"{place}: {key + ': ' if key else ''}{problem}")


class TicketError(SessionwrapError):
    """A ticket is not one that the hook wrote."""


class LoginRefused(SessionwrapError):
    """This login must be recorded and cannot be. The text is for the user."""


class HandshakeError(SessionwrapError):
    """The login shell and the recorder did not agree on a recording."""


class SinkError(SessionwrapError):
    """A message could not be stored now: the sink is gone, full, or refuses it."""


class SpoolError(SessionwrapError):
    """A spool file is not one that a worker wrote."""


class MessageError(SessionwrapError):
    """A stored message is not of the format. Scripts look for the words of its text."""

    exit_code = 3


class NotFoundError(SessionwrapError):
    """No such recording, file or user."""

    exit_code = 4


class AccessError(SessionwrapError):
    """The caller may not do this."""

    exit_code = 5


class VarlinkError(SessionwrapError):
    """A call to the overlay is not of the protocol."""
