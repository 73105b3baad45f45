"""Parsing of messages: a value or one named error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap.codec import message
from sessionwrap.codec.message import parse, prefix, serialize
from sessionwrap.errors import MessageError
from sessionwrap.model import Head, Message

# Written by tlog-rec 12.1.
TLOG_LINE = (
    '{"ver":"2.3","host":"vm","rec":"eb1d8278603840e0926f6fd9a2cf7420-3415-22e3e","user":"root",'
    '"term":"xterm","session":4294967295,"id":1,"pos":0,"time":1795425860.891,'
    '"timing":"=80x24+284<3>3+230>5+72<1+1[1/1>1+300]1/1<1>1","in_txt":"abcd\ufffdd",'
    '"in_bin":[226],"out_txt":"abchellod\ufffdd","out_bin":[226]}'
).encode()
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
_KEYS = list(json.loads(TLOG_LINE))


def changed(**values: Any) -> bytes:
    return json.dumps({**json.loads(TLOG_LINE), **values}).encode()


def without(key: str) -> bytes:
    values = json.loads(TLOG_LINE)
    del values[key]
    return json.dumps(values).encode()


def test_a_message_of_tlog_is_read() -> None:
    assert parse(TLOG_LINE + b"\n") == Message(
        ver="2.3",
        host="vm",
        rec="eb1d8278603840e0926f6fd9a2cf7420-3415-22e3e",
        user="root",
        term="xterm",
        session=4294967295,
        id=1,
        pos=0,
        time=1795425860891,
        timing="=80x24+284<3>3+230>5+72<1+1[1/1>1+300]1/1<1>1",
        in_txt="abcd\ufffdd",
        in_bin=(226,),
        out_txt="abchellod\ufffdd",
        out_bin=(226,),
    )


def test_a_message_is_written_in_the_order_and_form_of_tlog() -> None:
    head = Head("vm", "eb1d8278603840e0926f6fd9a2cf7420-3415-22e3e", "root", "xterm", 2**32 - 1, 0)
    written = serialize(
        prefix(head),
        number=1,
        pos=0,
        time=1795425860891,
        timing=b"=80x24+284<3>3+230>5+72<1+1[1/1>1+300]1/1<1>1",
        in_txt="abcd\ufffdd".encode(),
        in_bin=b"226",
        out_txt="abchellod\ufffdd".encode(),
        out_bin=b"226",
    )
    assert written == TLOG_LINE


def test_names_are_escaped_and_surrogates_of_file_names_replaced() -> None:
    begin = prefix(Head('a"b\x7f', "r", "\udcff\u00e9", "x\n", 1, 0))
    assert b'"host":"a\\"b\\u007f"' in begin
    assert '"user":"?é","term":"x\\n"'.encode() in begin


@pytest.mark.parametrize("key", ["rec", "time", "in_txt", "in_bin", "out_txt", "out_bin"])
def test_keys_that_other_writers_leave_out_may_be_absent(key: str) -> None:
    value = getattr(parse(without(key)), key)
    assert not value


@pytest.mark.parametrize("key", ["ver", "host", "user", "term", "session", "id", "pos", "timing"])
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(MessageError, match=f'no "{key}" field'):
        parse(without(key))


@pytest.mark.parametrize("version", ["2", "2.0", "2.99", 2, 2.3])
def test_any_version_2_is_read(version: object) -> None:
    assert parse(changed(ver=version)).ver == str(version)


@pytest.mark.parametrize("version", ["3", "3.0", 3, "1", "20.1"])
def test_another_major_version_is_an_error_that_says_so(version: object) -> None:
    with pytest.raises(MessageError, match=f"version {version} of the format"):
        parse(changed(ver=version))


def test_unknown_keys_are_ignored() -> None:
    assert parse(changed(more={"a": [1]})) == parse(TLOG_LINE)


_NO_TEXT: list[object] = [1, None, [], "\ud800"]
_NO_NUMBER: list[object] = [-1, 1.0, "1", True, None, {}, 2**64, 10**400]
_NO_BYTES: list[object] = [None, 1, "a", {}]
_NO_BYTE: list[object] = [-1, 256, 1.0, True, None, "1", [1], 2**70]
_WRONG: dict[str, list[object]] = {
    "ver": ["", "2.", "2.x", "\uff12", None, True, [2], "2.3\n", 1e300],
    **dict.fromkeys(("host", "rec", "user", "term", "timing", "in_txt", "out_txt"), _NO_TEXT),
    **dict.fromkeys(("session", "id", "pos"), _NO_NUMBER),
    "time": [-1, "1", True, None, 1e300, 2**64],
    "in_bin": _NO_BYTES + [[value] for value in _NO_BYTE],
    "out_bin": _NO_BYTES + [[1, value] for value in _NO_BYTE],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in _WRONG.items() for value in values]
)
def test_a_wrong_value_is_refused_with_its_key(key: str, value: object) -> None:
    with pytest.raises(MessageError, match=f'invalid "{key}" field value'):
        parse(changed(**{key: value}))


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"\xff", b"{", b"nonsense", b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":"\n"}'),
        *(b"1" * 5000, b'{"ver":"2.3"}}', b"\xef\xbb\xbf{}"),
    ],
)
def test_what_is_not_json_is_refused(line: bytes) -> None:
    with pytest.raises(MessageError, match="not valid JSON"):
        parse(line)


@pytest.mark.parametrize("line", [b"1", b"[]", b'"a"', b"null", b"true", b"1.5"])
def test_json_that_is_no_object_is_refused(line: bytes) -> None:
    with pytest.raises(MessageError, match="expected an object"):
        parse(line)


@pytest.mark.parametrize("depth", [900, 990, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    with pytest.raises(MessageError):
        parse(b'{"ver":' + b"[" * depth + b"]" * depth + b"}")


def test_a_line_beyond_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message, "MAX_LINE", 100)
    with pytest.raises(MessageError, match="at most 100"):
        parse(TLOG_LINE)


def test_an_infinite_time_is_refused() -> None:
    with pytest.raises(MessageError, match='invalid "time"'):
        parse(TLOG_LINE.replace(b"1795425860.891", b"1e999"))


@given(st.one_of(st.binary(), st.text().map(str.encode), _JSON.map(json.dumps).map(str.encode)))
def test_arbitrary_bytes_give_a_message_or_the_error(line: bytes) -> None:
    check(line)


@given(st.dictionaries(st.sampled_from(_KEYS), _JSON))
def test_arbitrary_values_give_a_message_or_the_error(values: dict[str, object]) -> None:
    check(changed(**values))


@given(st.integers(0, len(TLOG_LINE) - 1), st.binary(max_size=3))
def test_a_damaged_message_gives_a_message_or_the_error(position: int, damage: bytes) -> None:
    check(TLOG_LINE[:position] + damage + TLOG_LINE[position + len(damage) :])


def check(line: bytes) -> None:
    try:
        assert isinstance(parse(line), Message)
    except MessageError as error:
        assert len(str(error)) < 300
