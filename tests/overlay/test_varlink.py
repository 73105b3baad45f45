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


@given(CALLS, st.integers(min_value=0), st.binary(max_size=20))
def test_a_call_comes_out_as_it_went_in_when_it_is_whole(call: Call, cut: int, more: bytes) -> None:
    data = frame(call)
    assert varlink.parse_call(data[: cut % len(data)]) is None
    assert varlink.parse_call(data + more) == call


@given(st.binary(max_size=300))
@example(b"\xef\xbb\xbf{}\0")
@example(b"\xff\xfe{\0}\0")
@example(b"[" * 9000 + b"\0")
@example(b'{"method": ' + b"9" * 5000 + b"}\0")
@example(b'{"method": "m", "parameters": []}\0')
@example(b'{"method": "m", "parameters": [1]}\0')
@example(b'{"method": null}\0')
@example(b"null\0")
@example(b"3\0")
def test_any_bytes_are_a_call_or_one_named_error(data: bytes) -> None:
    try:
        call = varlink.parse_call(data)
    except VarlinkError:
        return
    assert call is None or isinstance(call.method, str)
    assert call is None or isinstance(call.parameters, dict)


def test_a_call_of_the_largest_size_is_taken_and_one_byte_more_is_an_error() -> None:
    call = b'{"method": "m"}'.ljust(MAX_CALL)
    assert varlink.parse_call(call + b"\0") == Call("m", {}, False)
    with pytest.raises(VarlinkError):
        varlink.parse_call(call + b" \0")


def test_a_call_that_never_ends_is_an_error_and_not_waited_for() -> None:
    assert varlink.parse_call(b" " * MAX_CALL) is None
    with pytest.raises(VarlinkError):
        varlink.parse_call(b" " * (MAX_CALL + 1))


def test_what_is_kept_of_calls_is_bounded() -> None:
    varlink._parse.cache_clear()
    padding = "x" * varlink.MAX_KNOWN_CALL
    assert varlink.parse_call(json.dumps({"method": padding}).encode() + b"\0")
    assert varlink._parse.cache_info().currsize == 0
    for number in range(varlink.MAX_KNOWN + 10):
        call = varlink.parse_call(json.dumps({"method": f"m{number}"}).encode() + b"\0")
        assert call and call.method == f"m{number}"
    assert varlink._parse.cache_info().currsize == varlink.MAX_KNOWN


@pytest.mark.parametrize("value", [None, {}])
def test_parameters_may_be_left_out(value: object) -> None:
    data = json.dumps({"method": "m", "parameters": value}).encode()
    assert varlink.parse_call(data + b"\0") == Call("m", {}, False)


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
