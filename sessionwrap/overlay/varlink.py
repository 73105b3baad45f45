"""The frames that systemd's user database speaks: JSON objects, each ended by a NUL (varlink.org).

Bytes in, values out: sockets are in ``service``. What is asked is io.systemd.UserDatabase
(systemd.io/USER_GROUP_API), and a question of the PAM hook's own.
"""

from __future__ import annotations

import functools
import json
from typing import Any, Final, NamedTuple

from sessionwrap.errors import VarlinkError

SERVICE: Final = "io.sessionwrap.Overlay"
"""The name of the service, and of its socket in /run/systemd/userdb."""
GET_USER: Final = "io.systemd.UserDatabase.GetUserRecord"
NOTHING_HERE: Final = (
    "io.systemd.UserDatabase.GetGroupRecord",
    "io.systemd.UserDatabase.GetMemberships",
)
"""Asked of every service: we have no groups."""
IS_SURE: Final = SERVICE + ".IsSure"
"""The hook's question, of root only: can a process that began at ``since`` (seconds after boot)
have been told that we have no record of ``userName``? With a ``pid``: was that process told of our
record? ``overlay_question`` asks it."""

MAX_CALL: Final = 16384
"""Bytes of a call; systemd's have some 150."""
MAX_NAME: Final = 256
"""Characters of a user's name (LOGIN_NAME_MAX of limits.h)."""
MAX_UID: Final = 2**32 - 2
MAX_KNOWN: Final = 1024
"""Calls that are not parsed again: the same users are asked for all the time, by the same words."""
MAX_KNOWN_CALL: Final = 512
_decode: Final = json.JSONDecoder().decode  # what json.loads does after it has looked around


class Call(NamedTuple):
    """A call: the method's full name, its parameters, and whether an answer is wanted."""

    method: str
    parameters: dict[str, Any]
    oneway: bool


def parse_call(data: bytes) -> Call | None:
    """Give the first call in ``data``; None where it is not whole yet.

    VarlinkError where it is none, or longer than MAX_CALL.
    """
    end = data.find(0)
    if end > MAX_CALL or (end < 0 and len(data) > MAX_CALL):
        raise VarlinkError(f"a call of more than {MAX_CALL} bytes")
    if end < 0:
        return None
    return (_parse if end <= MAX_KNOWN_CALL else _parse.__wrapped__)(data[:end])


@functools.lru_cache(MAX_KNOWN)
def _parse(data: bytes) -> Call:
    try:
        call = _decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise VarlinkError("a call that is not JSON") from error
    method = call.get("method") if isinstance(call, dict) else None
    parameters = call.get("parameters") or {} if isinstance(call, dict) else None
    if not isinstance(method, str) or not isinstance(parameters, dict):
        raise VarlinkError("a call without a method or with parameters that are no object")
    return Call(method, parameters, call.get("oneway") is True)


def wanted(parameters: dict[str, Any]) -> tuple[str | None, int | None]:
    """Give whom GetUserRecord asks for: (name, uid), None for what is not said.

    VarlinkError for a service that is not ours and for values that no user can have.
    """
    if parameters.get("service") != SERVICE:
        raise VarlinkError("a call for another service")
    name, uid = parameters.get("userName"), parameters.get("uid")
    if name is not None and not (isinstance(name, str) and 0 < len(name) <= MAX_NAME):
        raise VarlinkError("userName is no name")
    if uid is not None and not (type(uid) is int and 0 <= uid <= MAX_UID):
        raise VarlinkError("uid is no uid")
    return name, uid


def reply(parameters: dict[str, Any]) -> bytes:
    """Give the frame of an answer."""
    return json.dumps({"parameters": parameters}).encode() + b"\0"


def error(name: str) -> bytes:
    """Give the frame of an error by its full name."""
    return json.dumps({"error": name, "parameters": {}}).encode() + b"\0"


SURE: Final = reply({"sure": True})
UNSURE: Final = reply({"sure": False})
NO_RECORD: Final = error("io.systemd.UserDatabase.NoRecordFound")
NO_METHOD: Final = error("org.varlink.service.MethodNotFound")
BAD_PARAMETER: Final = error("org.varlink.service.InvalidParameter")
