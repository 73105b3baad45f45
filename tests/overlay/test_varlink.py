"""Frames: whatever bytes come, in whatever pieces."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessionwrap.errors import VarlinkError
from sessionwrap.overlay import varlink
from sessionwrap.overlay.varlink import MAX_CALL, MAX_NAME, MAX_UID, SERVICE, Call

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=5,
)
CALLS = st.builds(
    Call, st.text(), st.dictionaries(st.text(max_size=20), JSON, max_size=4), st.booleans()
)


def frame(call: Call) -> bytes:
    value = {"method": call.method, "parameters": call.parameters, "oneway": call.oneway}
    return json.dumps(value).encode() + b"\0"


def take_all(pieces: list[bytes]) -> list[Call]:
    """Feed bytes as they come; give the calls up to the first error."""
    buffer = bytearray()
    calls = []
    for piece in pieces:
        buffer += piece
        while call := varlink.take_call(buffer):
            calls.append(call)
        assert len(buffer) <= MAX_CALL
    return calls


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = [*sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(st.lists(CALLS, max_size=4), st.lists(st.integers(min_value=0), max_size=6))
def test_calls_come_out_as_they_went_in_whatever_the_cuts(
    calls: list[Call], places: list[int]
) -> None:
    assert take_all(cut(b"".join(map(frame, calls)), places)) == calls


@given(st.lists(st.binary(max_size=60), max_size=8))
@example([b"\xef\xbb\xbf{}\0"])
@example([b"\xff\xfe{\0}\0"])
@example([b"[" * 9000 + b"\0"])
@example([b'{"method": ' + b"9" * 5000 + b"}\0"])
@example([b'{"method": "m", "parameters": []}\0'])
@example([b'{"method": "m", "parameters": [1]}\0'])
@example([b'{"method": null}\0', b"null\0", b"3\0"])
def test_any_bytes_are_calls_or_one_named_error(pieces: list[bytes]) -> None:
    try:
        calls = take_all(pieces)
    except VarlinkError:
        return
    assert all(isinstance(call.method, str) for call in calls)
    assert all(isinstance(call.parameters, dict) for call in calls)


def test_a_call_of_the_largest_size_is_taken_and_one_byte_more_is_an_error() -> None:
    call = b'{"method": "m"}'.ljust(MAX_CALL)
    assert varlink.take_call(bytearray(call + b"\0")) == Call("m", {}, False)
    with pytest.raises(VarlinkError):
        varlink.take_call(bytearray(call + b" \0"))


def test_a_call_that_never_ends_is_an_error_and_not_waited_for() -> None:
    assert varlink.take_call(bytearray(b" " * MAX_CALL)) is None
    with pytest.raises(VarlinkError):
        varlink.take_call(bytearray(b" " * (MAX_CALL + 1)))


@pytest.mark.parametrize("value", [None, {}])
def test_parameters_may_be_left_out(value: object) -> None:
    data = json.dumps({"method": "m", "parameters": value}).encode()
    assert varlink.take_call(bytearray(data + b"\0")) == Call("m", {}, False)


@given(st.text(min_size=1, max_size=MAX_NAME) | st.none(), st.integers(0, MAX_UID) | st.none())
def test_a_name_and_a_uid_are_taken_as_they_are(name: str | None, uid: int | None) -> None:
    said = {"userName": name, "uid": uid, "service": SERVICE}
    assert varlink.wanted(said) == (name, uid)


@given(st.dictionaries(st.sampled_from(["userName", "uid", "service"]), JSON))
def test_any_parameters_are_a_question_or_one_named_error(parameters: dict[str, object]) -> None:
    try:
        name, uid = varlink.wanted(parameters | {"service": SERVICE})
    except VarlinkError:
        return
    assert name is None or 0 < len(name) <= MAX_NAME
    assert uid is None or (type(uid) is int and 0 <= uid <= MAX_UID)


@pytest.mark.parametrize(
    "wrong",
    [
        {"userName": ""},
        {"userName": "x" * (MAX_NAME + 1)},
        {"userName": 3},
        {"uid": -1},
        {"uid": MAX_UID + 1},
        {"uid": True},
        {"uid": 1.0},
        {"uid": "1"},
        {"service": "io.systemd.Multiplexer"},
        {"service": None},
    ],
)
def test_what_no_user_can_have_and_other_services_are_errors(wrong: dict[str, object]) -> None:
    with pytest.raises(VarlinkError):
        varlink.wanted({"service": SERVICE} | wrong)


@given(st.dictionaries(st.text(), JSON))
def test_an_answer_is_one_frame_of_ascii(parameters: dict[str, object]) -> None:
    data = varlink.reply(parameters)
    assert data.isascii()
    assert data.index(0) == len(data) - 1
    assert json.loads(data[:-1]) == {"parameters": parameters}
