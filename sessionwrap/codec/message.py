"""Messages of tlog's format 2.x as lines of JSON: written for the encoder, parsed from anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NoReturn

from sessionwrap.codec.jsontext import escape
from sessionwrap.codec.timing import MAX_MS
from sessionwrap.errors import MessageError
from sessionwrap.model import Head, Message

VERSION: Final = "2.3"
MAX_LINE: Final = 16 * 1024 * 1024
"""The longest line that is looked at, in bytes."""
MAX_ID: Final = 2**63 - 1
MAX_SESSION: Final = 2**32 - 1
MAX_BYTE: Final = 255

_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


@lru_cache(maxsize=8)
def prefix(head: Head) -> bytes:
    """Give what all messages of a recording begin with, up to the id."""
    return b'{"ver":"%b","host":"%b","rec":"%b","user":"%b","term":"%b","session":%d,"id":' % (
        VERSION.encode(),
        _escape(head.host),
        _escape(head.rec),
        _escape(head.user),
        _escape(head.term),
        head.session,
    )


def serialize(
    begin: bytes,
    *,
    number: int,
    pos: int,
    time: int,
    timing: bytes,
    in_txt: bytes,
    in_bin: bytes,
    out_txt: bytes,
    out_bin: bytes,
) -> bytes:
    """Write a message: ``begin`` is what ``prefix`` gives, ``number`` the id.

    ``pos`` and ``time`` are in milliseconds (see model.Message); texts are escaped
    (jsontext.escape), binaries are numbers with commas between.
    """
    return (
        b'%b%d,"pos":%d,"time":%d.%03d,"timing":"%b",'
        b'"in_txt":"%b","in_bin":[%b],"out_txt":"%b","out_bin":[%b]}'
        % (begin, number, pos, *divmod(time, 1000), timing, in_txt, in_bin, out_txt, out_bin)
    )


def parse(line: bytes) -> Message:
    """Read one message; MessageError says what is wrong with it and names the key.

    Any 2.x is accepted and unknown keys are ignored. The text and binary keys may be absent, as
    may ``rec`` ("" then; it came with 2.2) and ``time`` (0 then).
    """
    values = _load(line)
    return Message(
        ver=_version(values),
        host=_text(values, "host"),
        rec=_text(values, "rec", default=""),
        user=_text(values, "user"),
        term=_text(values, "term"),
        session=_integer(values, "session", MAX_SESSION),
        id=_integer(values, "id", MAX_ID),
        pos=_integer(values, "pos", MAX_MS),
        time=_time(values),
        timing=_text(values, "timing"),
        in_txt=_text(values, "in_txt", default=""),
        in_bin=_bytes(values, "in_bin"),
        out_txt=_text(values, "out_txt", default=""),
        out_bin=_bytes(values, "out_bin"),
    )


def _escape(text: str) -> bytes:
    # A name of the system that is not UTF-8 comes with surrogates (os.fsdecode).
    return escape(text.encode("utf-8", "replace"))


def _load(line: bytes) -> Mapping[str, object]:
    if len(line) > MAX_LINE:
        raise MessageError(f"Message has {len(line)} bytes, expected at most {MAX_LINE}")
    try:
        values = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise MessageError("Message is nested too deeply") from None
    except ValueError as error:
        raise MessageError(f"Message is not valid JSON: {error}") from None
    if not isinstance(values, dict):
        raise MessageError(f"Message is {_kind(values)}, expected an object")
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _version(values: Mapping[str, object]) -> str:
    value = values.get("ver")
    # tlog's reader takes a number as well.
    text = str(value) if type(value) in (int, float) else value
    if not isinstance(text, str) or _VERSION.fullmatch(text) is None:
        raise _wrong(values, "ver", "a version such as 2.3")
    major = text.partition(".")[0]
    if major != "2":
        raise MessageError(
            f'Message has invalid "ver" field value: version {text} of the format, expected 2'
        )
    return text


def _text(values: Mapping[str, object], key: str, *, default: str | None = None) -> str:
    value = values.get(key, default)
    if not isinstance(value, str):
        raise _wrong(values, key, "text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _wrong(values, key, "text without lone surrogates") from None
    return value


def _integer(values: Mapping[str, object], key: str, most: int) -> int:
    value = values.get(key)
    # bool is a subclass of int; it is no number here.
    if type(value) is not int or not 0 <= value <= most:
        raise _wrong(values, key, f"a whole number from 0 to {most}")
    return value


def _time(values: Mapping[str, object]) -> int:
    value = values.get("time", 0)
    if not (type(value) in (int, float) and isinstance(value, int | float)):
        raise _wrong(values, "time", "a number of seconds")
    if not 0 <= value <= MAX_MS // 1000:
        raise _wrong(values, "time", f"a number of seconds up to {MAX_MS // 1000}")
    return round(value * 1000)


def _bytes(values: Mapping[str, object], key: str) -> tuple[int, ...]:
    value = values.get(key, [])
    if not isinstance(value, list):
        raise _wrong(values, key, "an array of bytes")
    if not set(map(type, value)) <= {int} or (
        value and not 0 <= min(value) <= max(value) <= MAX_BYTE
    ):
        raise MessageError(f'Message has invalid "{key}" field value: expected bytes, 0 to 255')
    return tuple(value)


def _wrong(values: Mapping[str, object], key: str, expected: str) -> MessageError:
    if key not in values:
        return MessageError(f'Message has no "{key}" field, expected {expected}')
    value = values[key]
    # What is nested may be too deep or too long to show.
    found = _kind(value) if isinstance(value, dict | list) else ascii(value)[:40]
    return MessageError(f'Message has invalid "{key}" field value: {found}, expected {expected}')


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "text", bool: "a truth value"}
    return names.get(type(value), "null" if value is None else "a number")
